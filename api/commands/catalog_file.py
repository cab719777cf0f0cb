"""Add a team to the catalog file as a section at its end; the rest of the file stays unchanged."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from api.commands.base import Refusal
from common.config import catalog
from common.config.catalog import CatalogTeam
from common.config.settings import Settings, SettingsError

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def section(team: CatalogTeam) -> str:
    """Return the team as a TOML section."""
    key = team.id if BARE_KEY.fullmatch(team.id) else json.dumps(team.id)
    values = team.model_dump(exclude={"id"}, exclude_unset=True)
    return "\n".join([f"[teams.{key}]", *(f"{name} = {_value(value)}" for name, value in values.items()), ""])


def with_team(text: str, team: CatalogTeam, settings: Settings) -> str:
    """Return the text of the catalog with the team added. Raises Refusal."""
    before = catalog.parse(text, settings)
    if team.id in before.teams:
        raise Refusal(f"The team {team.id} already exists. To change it, edit the file.")
    if problem := catalog.shared_namespace([*before.teams.values(), team]):
        raise Refusal(f"{problem[0].upper()}{problem[1:]}.")
    added = section(team)
    if "\r\n" in text:
        added = added.replace("\n", "\r\n")
    end = "\r\n" if "\r\n" in text else "\n"
    longer = text + (end if text.endswith("\n") else 2 * end) + added
    try:
        is_well = catalog.parse(longer, settings).teams == {**before.teams, team.id: team}
    except SettingsError:
        is_well = False
    if not is_well:
        raise Refusal(f"A section cannot be added automatically to this file. Add it by hand:\n\n{added}")
    return longer


def edit(file: Path, change: Callable[[], str]) -> None:
    """Replace the file atomically with the text that `change` returns. Raises Refusal.

    The new file is created exclusively before the old one is read. So of two concurrent edits one is refused, and
    neither overwrites the other.
    """
    file = file.resolve()  # of a symbolic link, the target is replaced, not the link
    new = file.with_name(f".{file.name}.new")
    try:
        with new.open("x", encoding="utf-8", newline="") as opened:
            try:
                opened.write(change())
                opened.flush()
                os.fsync(opened.fileno())
                if file.exists():
                    shutil.copymode(file, new)
                new.replace(file)
            except BaseException:
                new.unlink(missing_ok=True)
                raise
    except FileExistsError:
        raise Refusal(f"Another command is editing {file}. If none is running, remove {new} and try again.") from None
    except OSError as error:
        raise Refusal(
            f"Cannot replace {file}: {error.strerror}. To add the section by hand, print it with --dry-run."
        ) from None


def _value(value: str | bool) -> str:
    """Return a TOML value: JSON strings and booleans are valid TOML."""
    return json.dumps(value, ensure_ascii=False)

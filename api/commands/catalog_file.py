"""How does a team get into the catalog's file?  As a section at its end: what people wrote there stays as it is."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from api.commands.base import Refusal
from common.config import catalog
from common.config.catalog import Team
from common.config.settings import Settings, SettingsError

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def section(team: Team) -> str:
    """Return the team as a section of TOML."""
    key = team.id if BARE_KEY.fullmatch(team.id) else json.dumps(team.id)
    values = team.model_dump(exclude={"id"})
    return "\n".join([f"[teams.{key}]", *(f"{name} = {_value(value)}" for name, value in values.items()), ""])


def with_team(text: str, team: Team, settings: Settings) -> str:
    """Return the text of a catalog with the team in it. Raises Refusal."""
    before = catalog.parse(text, settings)
    if team.id in before.teams:
        raise Refusal(f"There is a team {team.id} already. To change it, edit the file.")
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
        raise Refusal(f"The file is written so that a section cannot be added to it. Add this by hand:\n\n{added}")
    return longer


def edit(file: Path, change: Callable[[], str]) -> None:
    """Put the text that `change` returns in the file's place, whole or not at all. Raises Refusal.

    The new file is made before the old one is read, and nobody makes two of them: so of two editors at once one
    is refused, and none of them overwrites what the other has written.
    """
    file = file.resolve()  # where it is a link, what it points at is replaced, not the link
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
        raise Refusal(f"Somebody else is editing {file}. If nobody is, remove {new}.") from None
    except OSError as error:
        raise Refusal(f"{file} cannot be replaced: {error.strerror}. To add it by hand: --dry-run prints it.") from None


def _value(value: str | bool) -> str:
    """JSON's texts are TOML's, too."""
    return json.dumps(value, ensure_ascii=False)

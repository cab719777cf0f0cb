"""Settings from files, as container engines and clusters pass secrets: a directory, one file each.

A file has the setting's name in small letters; white space around its text is not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from common.config.renamed import FORMER_NAMES, settled

USUAL_DIRECTORY = Path("/run/secrets")


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """Stands for the text of a file that exists and cannot be read."""

    why: str


class SecretFiles(PydanticBaseSettingsSource):
    """Reads every setting that has a file in the directory that earlier sources name as `secrets_dir`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - theirs
        directory = Path(self.current_state.get("secrets_dir") or USUAL_DIRECTORY)
        value = _read(directory / field_name)
        former = FORMER_NAMES.get(field_name)
        return settled(field_name, value, _read(directory / former)) if former else value, field_name, False

    def __call__(self) -> dict[str, Any]:
        read = (self.get_field_value(field, name) for name, field in self.settings_cls.model_fields.items())
        return {name: value for value, name, _ in read if value is not None}


def _read(file: Path) -> str | Unreadable | None:
    """Return the text; None where there is no file or an empty one: that counts as not set.

    Editors on Windows begin a file with a byte order mark, which is not part of the text.
    """
    try:
        return file.read_text(encoding="utf-8-sig").strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return Unreadable(why=str(error.strerror))
    except UnicodeDecodeError:
        return Unreadable(why="it is not UTF-8")

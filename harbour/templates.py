"""What do the template projects contain that new repositories are forked from?

Python files lie here as `.py-tpl`, as Django keeps its own: they belong to the apps, not to this program.
"""

from __future__ import annotations

import shutil
from pathlib import Path

DIRECTORY = Path(__file__).with_name("templates")
HELM = "Helm_Template"
FALLBACK = "Flask_Template"


def names(types: tuple[str, ...]) -> list[str]:
    """Return the template projects for these types of app, the chart's included."""
    return [*(f"{kind}_Template" for kind in types), HELM]


def unpack(name: str, target: Path) -> None:
    """Write a template's files into `target`; a type that ships none starts as a Flask app does."""
    place = DIRECTORY / name
    shutil.copytree(place if place.is_dir() else DIRECTORY / FALLBACK, target, dirs_exist_ok=True)
    for file in target.rglob("*.py-tpl"):
        file.rename(file.with_suffix(".py"))

"""What do the template projects contain that new repositories are forked from?

Python files lie here as `.py-tpl`, as Django keeps its own: they belong to the apps, not to this program.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from harbour import repository

DIRECTORY = Path(__file__).with_name("templates")
HELM = "Helm_Template"
FALLBACK = "Flask_Template"


def names(types: tuple[str, ...]) -> list[str]:
    """Return the template projects for these types of app, the chart's included."""
    return [*(f"{kind}_Template" for kind in types), HELM]


@cache
def repository_of(name: str) -> Path:
    """Return a bare repository with a template's files, to be copied; made once in the life of the process."""
    made = _workshop() / f"{name}.git"
    with tempfile.TemporaryDirectory() as contents:
        _unpack(name, Path(contents))
        repository.create(made, Path(contents))
    return made


@cache
def _workshop() -> Path:
    place = Path(tempfile.mkdtemp(prefix="harbour-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def _unpack(name: str, target: Path) -> None:
    """Write a template's files into `target`; a type that ships none starts as a Flask app does."""
    place = DIRECTORY / name
    shutil.copytree(place if place.is_dir() else DIRECTORY / FALLBACK, target, dirs_exist_ok=True)
    for file in target.rglob("*.py-tpl"):
        file.rename(file.with_suffix(".py"))

"""Template projects that new repositories are forked from.

Their Python files are named `.py-tpl`, as in Django: they belong to the apps, not to this program.
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
    """Return the names of the template projects for these types of app, the chart's included."""
    return [*(f"{kind}_Template" for kind in types), HELM]


def repository_of(name: str, branch: str = "main") -> Path:
    """Return a bare repository with a template's files on a branch, to be copied; created once per process."""
    return _created(name, branch)  # the cache takes a branch that is left out for another one


@cache
def _created(name: str, branch: str) -> Path:
    made = _template_directory() / branch / f"{name}.git"
    with tempfile.TemporaryDirectory() as contents:
        _unpack(name, Path(contents))
        repository.create(made, Path(contents), branch=branch)
    return made


@cache
def _template_directory() -> Path:
    place = Path(tempfile.mkdtemp(prefix="harbour-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def _unpack(name: str, target: Path) -> None:
    """Write a template's files into `target`; a type without a template gets the Flask one."""
    place = DIRECTORY / name
    shutil.copytree(place if place.is_dir() else DIRECTORY / FALLBACK, target, dirs_exist_ok=True)
    for file in target.rglob("*.py-tpl"):
        file.rename(file.with_suffix(".py"))

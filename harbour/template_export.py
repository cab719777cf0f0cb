"""Write the template projects as git repositories, to be pushed: `python -m harbour.template_export DIRECTORY`."""

from __future__ import annotations

import sys
from pathlib import Path

from harbour import repository, templates
from harbour.config import HarbourConfig

USAGE = "usage: python -m harbour.template_export DIRECTORY"


def export(directory: Path) -> list[Path]:
    """Clone each bundled template into the directory, and return the places. An existing place is an error."""
    directory.mkdir(parents=True, exist_ok=True)
    places = [directory / name for name in templates.names(HarbourConfig.types)]
    for place in places:
        repository.git("clone", "--quiet", str(templates.repository_of(place.name)), str(place))
        repository.git(f"--git-dir={place / '.git'}", "remote", "remove", "origin")
    return places


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(USAGE)
    for place in export(Path(sys.argv[1])):
        sys.stdout.write(f"{place}\n")


if __name__ == "__main__":
    main()

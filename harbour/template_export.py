"""Write the template projects as git repositories, to be pushed: `python -m harbour.template_export DIRECTORY`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harbour import repository, templates
from harbour.config import HarbourConfig


def export(directory: Path) -> list[Path]:
    """Clone each bundled template into the directory, and return the places. An existing place is an error."""
    directory.mkdir(parents=True, exist_ok=True)
    places = [directory / name for name in templates.names(HarbourConfig.types)]
    for place in places:
        repository.git("clone", "--quiet", str(templates.repository_of(place.name)), str(place))
        repository.git(f"--git-dir={place / '.git'}", "remote", "remove", "origin")
    return places


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m harbour.template_export", description="Write the template projects as git repositories."
    )
    parser.add_argument("directory", type=Path, help="where to write them; it is created")
    for place in export(parser.parse_args().directory):
        sys.stdout.write(f"{place}\n")


if __name__ == "__main__":
    main()

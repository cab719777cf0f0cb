"""What does the Dockerfile put into an image?  Read from it, as no engine runs here to build one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from support.checkout import ROOT


def copied(stage: str) -> list[str]:
    """Return what an image holds of this repository."""
    return re.findall(r"^COPY (\S+) ", _layers(stage), re.M)


def environment_of(stage: str) -> dict[str, str]:
    """Return the variables that an image brings along."""
    lines = re.findall(r"^ENV (.+)", _layers(stage), re.M)
    return dict(word.split("=", 1) for line in lines for word in line.split())


def build(stage: str, place: Path) -> Path:
    """Make the working directory of an image."""
    for name in copied(stage):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name)
        else:
            shutil.copy(source, place / name)
    return place


def _layers(stage: str) -> str:
    """Return the instructions that lead to a stage, those of the stages below it first."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    parts = {part.split()[3]: part for part in re.split(r"^(?=FROM )", text, flags=re.M)[1:]}  # FROM … AS name
    below = parts[stage].split()[1]
    return (_layers(below) if below in parts else "") + parts[stage]

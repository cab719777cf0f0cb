"""The images hold what their commands import, for nobody in particular: no engine runs here to build them."""

from __future__ import annotations

import re
import tomllib

import pytest
from support.checkout import ROOT
from support.images import copied

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGES = ("slipway", "harbour")


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_copied_is_sent_to_the_engine(stage: str) -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line[1:] for line in lines if line.startswith("!")}

    assert lines[0] == "*"
    assert set(copied(stage)) <= sent
    assert sent == {name for each in STAGES for name in copied(each)}


def test_the_base_is_pinned_and_of_the_version_that_the_project_takes() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)
    stages = re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.M)

    assert [base for base in bases if base not in stages] == ["python:3.13.16-slim-bookworm"]
    assert stages[-1] == "slipway"  # what `docker build .` makes


def test_an_image_runs_as_nobody_and_keeps_no_installer() -> None:
    ends = [part.strip() for part in re.split(r"^FROM ", DOCKERFILE, flags=re.M)[2:]]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

    assert all(re.findall(r"^USER (\S+)", part, re.M) == ["10001:10001"] for part in ends)
    assert "pip uninstall --yes" in DOCKERFILE
    assert f'image.version="{version}"' in DOCKERFILE


@pytest.mark.parametrize("stage", STAGES)
def test_everybody_in_the_container_may_read_what_was_copied(stage: str) -> None:
    """A clone that was made with umask 077 has files that only their owner can read, and COPY keeps that."""
    last = re.split(rf"^FROM \S+ AS {stage}$", DOCKERFILE, flags=re.M)[1].partition("FROM ")[0]
    lines = [line for line in last.splitlines() if line]
    opened = next(number for number, line in enumerate(lines) if line.startswith("RUN chmod -R u=rwX,go=rX ."))

    assert max(number for number, line in enumerate(lines) if line.startswith("COPY ")) < opened
    assert opened < lines.index("USER 10001:10001")


def test_every_package_that_a_process_imports_is_copied() -> None:
    server_class = re.search(r'worker_class = "(\w+)\.', (ROOT / "gunicorn.conf.py").read_text(encoding="utf-8"))

    assert server_class is not None
    assert {"api", "worker", "common", "gunicorn.conf.py", server_class[1]} <= set(copied("slipway"))
    assert {"harbour", "slipway", "stack", server_class[1]} <= set(copied("harbour"))

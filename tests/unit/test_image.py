"""The image holds what its commands import: no engine runs here to build it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _copied() -> set[str]:
    return set(re.findall(r"^COPY (\S+) ", (ROOT / "Dockerfile").read_text(), re.MULTILINE))


def test_what_is_copied_is_sent_to_the_engine() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert _copied() <= allowed
    assert all((ROOT / name).exists() for name in _copied())


def test_every_package_that_a_process_imports_is_copied() -> None:
    server_class = re.search(r'worker_class = "(\w+)\.', (ROOT / "gunicorn.conf.py").read_text())

    assert server_class is not None
    assert {"api", "worker", "common", "gunicorn.conf.py", server_class[1]} <= _copied()

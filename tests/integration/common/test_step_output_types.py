"""Renaming an entry of a step's output fails the type check of those who read it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.checkout import ROOT

from common import step_outputs

READERS = ("worker/steps/provision.py", "worker/steps/build.py", "common/jobs/outputs.py", "common/jobs/deployments.py")


@pytest.mark.parametrize(
    ("entry", "found_in"),
    [
        ("clone_url: str", {"worker/steps/provision.py", "common/jobs/outputs.py"}),
        ("queue_id: int | None", {"worker/steps/build.py"}),
        ("revision: str", {"common/jobs/deployments.py"}),
    ],
)
def test_a_renamed_entry_fails_the_type_check(tmp_path: Path, entry: str, found_in: set[str]) -> None:
    declared = Path(step_outputs.__file__)
    text = declared.read_text(encoding="utf-8")
    assert text.count(f"    {entry}\n") == 1
    (tmp_path / "mypy.ini").write_text("[mypy]\nignore_missing_imports = True\n", encoding="utf-8")
    (tmp_path / "renamed.py").write_text(text.replace(f"    {entry}\n", f"    renamed_{entry}\n"), encoding="utf-8")

    options = ["--config-file", str(tmp_path / "mypy.ini"), "--cache-dir", str(tmp_path / "cache")]
    options += ["--no-site-packages", "--follow-imports", "silent", "--shadow-file", str(declared)]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(tmp_path / "renamed.py"), *READERS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    errors = [line for line in checked.stdout.splitlines() if "[typeddict" in line]
    assert {line.partition(":")[0] for line in errors} >= found_in, checked.stdout + checked.stderr

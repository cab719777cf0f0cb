"""Outputs of steps: each step has a declared type, its function returns it, and renaming an entry fails the check."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest
from support.checkout import ROOT

from common import step_outputs
from common.step_outputs import OUTPUTS
from common.workflows import WORKFLOWS, task_name
from worker.registry import load_steps

TASKS = [(task_name(flow.name, step.name), step.name) for flow in WORKFLOWS.values() for step in flow.steps]
READERS = ("worker/steps/provision.py", "worker/steps/build.py", "common/jobs/outputs.py", "common/jobs/deployments.py")


def test_every_declared_step_has_an_output_and_no_other() -> None:
    assert set(OUTPUTS) == {step for _, step in TASKS}
    assert {flow.result for flow in WORKFLOWS.values() if flow.result} <= set(OUTPUTS)


@pytest.mark.parametrize(("task", "step"), TASKS)
def test_a_step_function_returns_the_declared_type(task: str, step: str) -> None:
    assert get_type_hints(load_steps()[task])["return"] is OUTPUTS[step].type


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


NAMED_IN = {
    "common/workflows.py",
    "common/step_outputs.py",
    "api/openapi/examples.py",  # examples are what clients see
}


def test_no_other_module_names_a_step_by_a_string() -> None:
    named = {
        str(file.relative_to(ROOT))
        for package in ("api", "common", "worker")
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in set(OUTPUTS)
    }

    assert named == NAMED_IN

"""Outputs of steps: each step has a declared type, and its function returns it."""

from __future__ import annotations

import ast
from typing import get_type_hints

import pytest
from support.checkout import ROOT

from common.step_outputs import OUTPUTS
from common.workflows import WORKFLOWS, task_name
from worker.registry import load_steps

TASKS = [(task_name(flow.name, step.name), step.name) for flow in WORKFLOWS.values() for step in flow.steps]


def test_every_declared_step_has_an_output_and_no_other() -> None:
    assert set(OUTPUTS) == {step for _, step in TASKS}
    assert {flow.result for flow in WORKFLOWS.values() if flow.result} <= set(OUTPUTS)


@pytest.mark.parametrize(("task", "step"), TASKS)
def test_a_step_function_returns_the_declared_type(task: str, step: str) -> None:
    assert get_type_hints(load_steps()[task])["return"] is OUTPUTS[step].type


NAMED_IN = {
    "common/workflows.py",
    "common/step_outputs.py",
    "api/openapi/examples.py",  # examples are what clients see
    "api/contract/scopes.py",  # a call has the name of a step: start_build
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

"""The function of each step, by task name. A worker whose functions and declarations differ does not start."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping

import worker.steps
from common.workflows import WORKFLOWS, task_name
from worker.context import StepContext
from worker.upstreams import Upstreams

StepFunction = Callable[[StepContext, Upstreams], Mapping[str, object]]


def load_steps() -> dict[str, StepFunction]:
    """Return the functions by task name. Raises RuntimeError naming what is declared or written only."""
    written: dict[str, StepFunction] = {
        task_name(module.name, name): function
        for module in pkgutil.iter_modules(worker.steps.__path__)
        for name, function in vars(importlib.import_module(f"worker.steps.{module.name}")).items()
        if inspect.isfunction(function) and function.__module__.startswith("worker.steps.")
        if not name.startswith("_")
    }
    declared = {task_name(flow.name, step.name) for flow in WORKFLOWS.values() for step in flow.steps}
    if written.keys() != declared:
        raise RuntimeError(
            f"declared without a function: {sorted(declared - written.keys())}; "
            f"functions without a declaration: {sorted(written.keys() - declared)}"
        )
    return written

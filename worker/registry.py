"""The function of each step, by task name. A worker whose functions and declarations differ does not start."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import worker.steps
from common.workflows import PROVISION, RECONCILE, WORKFLOWS, task_name
from worker.boundary import StepFunction, guarded

__all__ = ["StepFunction", "load_steps"]


def load_steps() -> dict[str, StepFunction]:
    """Return the functions by task name. Raises RuntimeError naming what is declared or written only."""
    modules = {module.name: _functions_of(module.name) for module in pkgutil.iter_modules(worker.steps.__path__)}
    modules[RECONCILE.name] = modules[PROVISION.name]  # a repair runs what made the app: each step makes or confirms
    written = {task_name(flow, name): step for flow, functions in modules.items() for name, step in functions.items()}
    declared = {task_name(flow.name, step.name) for flow in WORKFLOWS.values() for step in flow.steps}
    if written.keys() != declared:
        raise RuntimeError(
            f"declared without a function: {sorted(declared - written.keys())}; "
            f"functions without a declaration: {sorted(written.keys() - declared)}"
        )
    return {name: guarded(step) for name, step in written.items()}


def _functions_of(flow: str) -> dict[str, StepFunction]:
    module = importlib.import_module(f"worker.steps.{flow}")
    return {
        name: function
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
    }

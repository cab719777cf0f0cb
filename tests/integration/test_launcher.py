"""What the programs of the embedded stack get to see of the environment."""

from __future__ import annotations

import pytest

from stack.launcher import Launcher
from stack.programs import PYTHON


@pytest.mark.parametrize("name", ["ARGO_URL", "ARGOCD_URL", "argocd_url", "KIBANA_USER", "ELASTICSEARCH_USER"])
def test_a_setting_of_the_shell_does_not_contradict_the_stack(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "of-the-shell")
    launcher = Launcher({"ARGO_URL": "ours", "KIBANA_USER": "ours"}, lambda _program, _line: None)

    launcher.run_once("check", (PYTHON, "-c", "import os; assert 'of-the-shell' not in os.environ.values()"))

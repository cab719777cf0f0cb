"""What the programs of the embedded stack get to see of the environment, and how the stack ends."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stack import __main__ as entry
from stack.launcher import Launcher
from stack.programs import PYTHON


@pytest.mark.parametrize("name", ["ARGO_URL", "ARGOCD_URL", "argocd_url", "KIBANA_USER", "ELASTICSEARCH_USER"])
def test_a_setting_of_the_shell_does_not_contradict_the_stack(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "of-the-shell")
    launcher = Launcher({"ARGO_URL": "ours", "KIBANA_USER": "ours"}, lambda _program, _line: None)

    launcher.run_once("check", (PYTHON, "-c", "import os; assert 'of-the-shell' not in os.environ.values()"))


def test_a_stack_that_is_told_to_end_while_it_says_that_it_runs_ends_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever waits for that text may send the signal before the writer has returned from writing it."""
    written: list[str] = []

    def write(text: str) -> None:
        written.append(text)
        if "Slipway is running" in text:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(entry, "write", write)
    monkeypatch.setattr(entry.programs, "start", lambda *_args, **_options: None)
    monkeypatch.setattr(sys, "argv", ["stack", "up", "--dir", str(tmp_path)])
    with _signals_restored():
        assert entry.main() == 0
    assert written[-1] == "Stopping.\n"


@contextmanager
def _signals_restored() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

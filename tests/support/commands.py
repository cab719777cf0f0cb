"""An operator who types `flask --app api …`: in this process, or as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import Result

from support.api import ENVIRONMENT, Api
from support.checkout import ROOT


class Operator:
    """Types commands in the place of an app that is open already."""

    def __init__(self, api: Api) -> None:
        self._runner = api.app.test_cli_runner()

    def types(self, *words: str, input: str = "") -> Result:  # noqa: A002 - click's name for it
        """Run a command, and let through what it does not turn into an exit code itself."""
        result = self._runner.invoke(args=words, input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def reads(self, *words: str, input: str = "", exit_code: int = 0) -> Any:  # noqa: A002 - as above
        """Run a command with `--json` and return what it printed."""
        result = self.types(*words, "--json", input=input)
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout)


@contextmanager
def started(
    db_url: str, place: Path, *words: str, stdin: int = subprocess.PIPE, **changes: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command as a process, where no file of settings lies. `changes` are named as settings are."""
    changed = {name.upper(): value for name, value in changes.items()}
    with subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "api", *words],
        cwd=place,
        env={**os.environ, **ENVIRONMENT, "DB_URL": db_url, "PYTHONPATH": str(ROOT), **changed},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # no terminal but the one that it is given
    ) as process:
        try:
            yield process
        finally:
            process.kill()

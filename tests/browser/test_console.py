"""The console in a real Chromium, driven by Playwright: `console/tests/` has the people and what they do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from support.checkout import ROOT
from support.stack import Stack

CONSOLE = ROOT / "console"
ADMIN = "head"
LONGEST_S = 600
IS_READY = bool(shutil.which("node") and shutil.which("chromium") and (CONSOLE / "node_modules").is_dir())
pytestmark = pytest.mark.skipif(
    not IS_READY, reason="Node.js, Chromium or console/node_modules is missing: type `make console-tools`"
)


@pytest.fixture(scope="module")
def people(stack: Stack) -> Stack:
    """Let somebody be an administrator."""
    stack.person(ADMIN)
    command = (sys.executable, "-m", "flask", "--app", "api", "users", "grant-admin", ADMIN)
    subprocess.run(command, env={**os.environ, **stack.environment}, check=True, cwd=ROOT, capture_output=True)
    return stack


@pytest.mark.parametrize("part", ["path", "pages", "troubles"])
def test_people_use_the_console(people: Stack, part: str) -> None:
    environment = {**os.environ, **people.environment, "SLIPWAY_URL": people.embedded.api_url, "ADMIN": ADMIN}
    command = ("node", "--test", f"tests/{part}.test.mjs")

    done = subprocess.run(
        command, cwd=CONSOLE, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False
    )

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

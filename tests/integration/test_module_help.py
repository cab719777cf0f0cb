"""Every module that the documents run explains itself."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from support.checkout import ROOT
from support.documents import named


def test_every_module_that_is_named_explains_itself() -> None:
    modules = sorted({module for text in named() for module in re.findall(r"python -m ([a-z._]+)", text)})
    with ThreadPoolExecutor() as pool:
        texts = dict(zip(modules, pool.map(_help_of, modules), strict=True))

    assert {"harbour", "worker.healthcheck", "worker.doctor"} <= texts.keys()
    assert {module for module, text in texts.items() if not text.startswith(f"usage: python -m {module} ")} == set()


def _help_of(module: str) -> str:
    command = [sys.executable, "-m", module, "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout

"""Who reads the password of Flower."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.api import ENVIRONMENT
from support.checkout import ROOT

AS_A_WORKER = """
import sys
sys.argv = ["celery", "-A", "worker", "worker"]
import worker.celery
from flower.options import options
print(options.basic_auth)
"""


@pytest.mark.parametrize("logins", ["operator:canary", "no login"])
def test_a_worker_does_not_read_its_password(logins: str) -> None:
    settings = {**ENVIRONMENT, "DB_URL": "sqlite:////tmp/slipway.db", "FLOWER_BASIC_AUTH": logins}

    ended = subprocess.run(
        (sys.executable, "-c", AS_A_WORKER),
        cwd=ROOT, env={"PATH": os.environ["PATH"], **settings}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr

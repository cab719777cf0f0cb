"""Is the embedded stack all well, in the eyes of the doctor?"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from support.stack import Stack


def test_the_embedded_stack_is_all_well(stack: Stack) -> None:
    since = stack.harbour.last_call()

    ended = subprocess.run(
        [sys.executable, "-m", "worker.doctor", "--json"],
        env={**os.environ, **stack.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    told = json.loads(ended.stdout)
    assert [check for check in told["checks"] if check["state"] != "well"] == []
    assert ended.returncode == 0
    assert not stack.harbour.writes(since=since)

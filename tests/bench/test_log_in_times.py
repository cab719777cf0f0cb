"""Does the time of a refused log-in tell whether the user exists?

Run by hand: `SLIPWAY_LOG_INS=200 pytest -s tests/bench/test_log_in_times.py`. One gunicorn; the kinds of log-ins take
turns, so that the machine's mood touches all alike.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from support.api import V1, newcomer, serve

from common.database import migrate
from common.database.engine import Database

EACH = int(os.environ.get("SLIPWAY_LOG_INS", "0"))
WARM_UP = 5
ALIKE = 1.1  # between the medians
LOGINS = {"known": "grace", "unknown": "linus", "malformed": "Grace "}

pytestmark = pytest.mark.skipif(not EACH, reason="set SLIPWAY_LOG_INS, to 200 say")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The address of an API that has one user, with the real cost of a hash."""
    database = f"sqlite:///{tmp_path}/slipway.db"
    db = Database(database)
    migrate.upgrade(db)
    db.dispose()
    with serve(database, tmp_path / "gunicorn.log") as (host, port):
        address = f"http://{host}:{port}{V1}"
        assert requests.post(f"{address}/signup", json=newcomer("grace"), timeout=20).status_code == 202
        yield address


def test_the_medians_are_alike(url: str) -> None:
    times_ms: dict[str, list[float]] = {name: [] for name in LOGINS}
    with requests.Session() as client:
        for number in range(EACH + WARM_UP):
            for name, login in LOGINS.items():
                took_ms = _refused_ms(client, url, login)
                if number >= WARM_UP:
                    times_ms[name].append(took_ms)

    medians = {name: statistics.median(each) for name, each in times_ms.items()}
    print(f"\n{EACH} each: " + ", ".join(f"{name} {median:.1f} ms" for name, median in medians.items()))
    assert max(medians.values()) < ALIKE * min(medians.values())


def _refused_ms(client: requests.Session, url: str, login: str) -> float:
    began_s = time.perf_counter()
    answer = client.post(f"{url}/login", json={"id": login, "password": "a wrong password"}, timeout=20)
    took_ms = (time.perf_counter() - began_s) * 1000
    assert answer.status_code == 401, answer.text
    return took_ms

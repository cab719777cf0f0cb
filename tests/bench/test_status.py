"""What does a look at a job cost, with a thousand jobs in the table and with a million, whole and as a 304?

Run by hand: `SLIPWAY_JOBS=1000000 pytest -s tests/bench/test_status.py`. One database of each size, two gunicorns side
by side, measured in turns so that the machine's mood touches both alike; the client keeps eight connections busy.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest
import requests
from sqlalchemy import select, update
from support.api import PASSWORD, V1, serve
from support.bulk_data import fill
from support.services import mariadb_database

from api.passwords import Passwords
from common.database import migrate
from common.database.engine import Database
from common.database.models import Job, User

MANY = int(os.environ.get("SLIPWAY_JOBS", "0"))
FEW = 1000
CONNECTIONS = 8
ROUND_S = 4.0
ROUNDS = 5
LOOKED_AT = 2000  # jobs, spread over the table

pytestmark = pytest.mark.skipif(not MANY, reason="set SLIPWAY_JOBS, to 1000000 say")


@dataclass
class Served:
    """One size of table, its server, and what is asked of it."""

    name: str
    address: tuple[str, int]
    token: str
    job_ids: list[str]


@contextmanager
def _served(database: str, count: int, place: Path) -> Iterator[Served]:
    with ExitStack() as leave:
        on_mariadb = database == "mariadb"
        url = leave.enter_context(mariadb_database()) if on_mariadb else f"sqlite:///{place}/{count}.db"
        db = Database(url)
        leave.callback(db.dispose)
        migrate.upgrade(db)
        began_s = time.monotonic()
        many = fill(db, count)
        print(f"\n{database}: {count} jobs made in {time.monotonic() - began_s:.0f} s")
        hashed = Passwords().hash(PASSWORD)
        right = update(User).where(User.login == many.login).values(password_hash=hashed)
        db.transaction(lambda session: session.execute(right))
        ids = db.read(lambda session: session.scalars(select(Job.id).where(Job.team_id == many.team)).all())
        address = leave.enter_context(serve(url, place / f"{count}.log"))
        token = _log_in(address, many.login)
        looked_at = random.Random(1).sample(list(ids), min(LOOKED_AT, len(ids)))
        yield Served(f"{database}, {count} jobs", address, token, looked_at)


def _log_in(address: tuple[str, int], login: str) -> str:
    body = {"id": login, "password": PASSWORD}
    answer = requests.post(f"http://{address[0]}:{address[1]}{V1}/login", json=body, timeout=20)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


def _round(served: Served, *, is_known: bool) -> list[float]:
    """Return the seconds that each look took."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        looks = pool.map(lambda seed: _look(served, seed, is_known=is_known), range(CONNECTIONS))
        return [took_s for each in looks for took_s in each]


def _look(served: Served, seed: int, *, is_known: bool) -> list[float]:
    chance, took, connection = random.Random(seed), [], HTTPConnection(*served.address, timeout=20)
    ends_at_s = time.monotonic() + ROUND_S
    while time.monotonic() < ends_at_s:
        job_id = chance.choice(served.job_ids)
        headers = {"Authorization": f"Bearer {served.token}"}
        if is_known:
            headers["If-None-Match"] = f'W/"{job_id}-2"'
        began_s = time.perf_counter()
        connection.request("GET", f"{V1}/jobs/{job_id}", headers=headers)
        answer = connection.getresponse()
        answer.read()
        took.append(time.perf_counter() - began_s)
        assert answer.status == (304 if is_known else 200)
    connection.close()
    return took


@pytest.mark.parametrize("database", ["mariadb", "sqlite"])
def test_a_look_costs_the_same_in_a_table_of_any_size(database: str, tmp_path: Path) -> None:
    with _served(database, FEW, tmp_path) as few, _served(database, MANY, tmp_path) as many:
        for is_known in (False, True):
            rates: dict[str, list[float]] = {few.name: [], many.name: []}
            p99: dict[str, list[float]] = {few.name: [], many.name: []}
            for number in range(ROUNDS):
                for served in (few, many) if number % 2 else (many, few):
                    took = sorted(_round(served, is_known=is_known))
                    rates[served.name].append(len(took) / ROUND_S)
                    p99[served.name].append(took[int(len(took) * 0.99)] * 1000)
            for name, each in rates.items():
                print(
                    f"{'304' if is_known else '200'} {name}: {statistics.median(each):.0f} looks/s, "
                    f"p99 {statistics.median(p99[name]):.1f} ms"
                )
            ratio = statistics.median(rates[few.name]) / statistics.median(rates[many.name])
            slower = statistics.median(p99[many.name]) / statistics.median(p99[few.name])
            print(f"ratio of rates {ratio:.2f}, of p99 {slower:.2f}")
            assert ratio <= 1.2

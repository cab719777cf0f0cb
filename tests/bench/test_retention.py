"""How fast do old jobs go, and who has to wait for it?

Run by hand: `SLIPWAY_OLD_JOBS=100000 pytest -s tests/bench/test_retention.py`. Fills SQLite and MariaDB with so many
jobs and what they leave behind, deletes nine tenths of them as `jobs prune` does, with its rests, and prints how many
rows go in a second, how long transactions take, and what a neighbour who writes all the while has to wait.
"""

from __future__ import annotations

import os
import threading
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, update
from support import bulk_data, finished_jobs
from support.api import row_counts, settings
from support.services import mariadb_database

from common.database import migrate
from common.database.engine import Database
from common.database.models import Job
from common.jobs import retention

JOBS = int(os.environ.get("SLIPWAY_OLD_JOBS", "0"))
GO = 0.9  # of them are old enough
LONG_S = 0.5  # that a lock may be held; now and then the machine itself stands still for longer
BEFORE_S, EVERY_S = 5.0, 0.02

pytestmark = pytest.mark.skipif(not JOBS, reason="set SLIPWAY_OLD_JOBS, to 100000 say")


@pytest.mark.parametrize("name", ["mariadb", "sqlite"])
def test_old_jobs_go_fast_and_hold_nobody_up(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("retention") / "slipway.db"
    with mariadb_database() if name == "mariadb" else nullcontext(f"sqlite:///{file}") as url:
        db, neighbour = Database(url), Database(url)
        migrate.upgrade(db)
        began_s = clock.monotonic()
        bulk_data.fill(db, JOBS)
        finished_jobs.add(db)
        rows = sum(row_counts(db).values())
        print(f"\n{name}: {JOBS:,} jobs, {rows:,} rows in {clock.monotonic() - began_s:.0f} s")
        with _writing(neighbour) as idle_ms:
            clock.sleep(BEFORE_S)
        with _writing(neighbour) as waited_ms, _timing(db) as transactions_s:
            _prune(db)
        for told, taken_ms in (("before", idle_ms), ("meanwhile", waited_ms)):
            p50_ms, p99_ms = _quantile(taken_ms, 0.5), _quantile(taken_ms, 0.99)
            print(f"  a neighbour's write {told}: p50 {p50_ms:.1f}, p99 {p99_ms:.1f}, at most {max(taken_ms):.0f} ms")
        p50_s, p99_s = _quantile(transactions_s, 0.5), _quantile(transactions_s, 0.99)
        told = f"p50 {p50_s * 1000:.0f}, p99 {p99_s * 1000:.0f}, at most {max(transactions_s) * 1000:.0f} ms"
        print(f"  {len(transactions_s):,} transactions: {told}")

        assert p99_s < LONG_S


def _prune(db: Database) -> None:
    before = db.now() - timedelta(seconds=JOBS * (1 - GO) * bulk_data.EVERY_S)
    config = settings("sqlite:///unused")
    began_s = clock.monotonic()
    for _ in retention.sweep(db, config, before=before, is_dry=True):
        pass
    print(f"  dry run: {clock.monotonic() - began_s:.0f} s")
    jobs = rows = 0
    busy_s = 0.0
    began_s = turn_s = clock.monotonic()
    for swept in retention.sweep(db, config, before=before):
        took_s = clock.monotonic() - turn_s
        jobs, rows, busy_s = jobs + swept.gone.total(), rows + swept.rows, busy_s + took_s
        if swept.rows:
            clock.sleep(took_s)
        turn_s = clock.monotonic()
    whole_s = clock.monotonic() - began_s
    print(f"  {jobs:,} jobs, {rows:,} rows gone in {whole_s:.0f} s, rests included: {rows / whole_s:,.0f} rows/s")
    print(f"  without the rests {busy_s:.0f} s: {rows / busy_s:,.0f} rows/s, {jobs / busy_s:,.0f} jobs/s")


@contextmanager
def _timing(db: Database) -> Iterator[list[float]]:
    """Keep what each committed transaction takes."""
    taken_s: list[float] = []

    def begin(connection: Any) -> None:
        connection.info["began_s"] = clock.perf_counter()

    def commit(connection: Any) -> None:
        taken_s.append(clock.perf_counter() - connection.info["began_s"])

    event.listen(db.engine, "begin", begin)
    event.listen(db.engine, "commit", commit)
    yield taken_s
    event.remove(db.engine, "begin", begin)
    event.remove(db.engine, "commit", commit)


@contextmanager
def _writing(db: Database) -> Iterator[list[float]]:
    """Have somebody change a young job again and again; keep what each change takes, in milliseconds."""
    taken_ms: list[float] = []
    stop = threading.Event()
    youngest = db.read(lambda session: session.scalar(select(func.max(Job.id))))
    change = update(Job).where(Job.id == youngest).values(version=Job.version + 1)

    def write() -> None:
        while not stop.wait(EVERY_S):
            began_s = clock.perf_counter()
            db.transaction(lambda session: session.execute(change))
            taken_ms.append((clock.perf_counter() - began_s) * 1000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield taken_ms
    finally:
        stop.set()
        writer.join()


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]

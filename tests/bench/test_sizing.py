"""What does an installation need? Memory and connections of each process, and how the database grows.

Run by hand: `SLIPWAY_SIGNUPS=40 pytest -s tests/bench/test_sizing.py`. Prints the figures of docs/sizing.md.

A stack of two API processes, one worker and Flower runs jobs of each kind on MariaDB. Then the rows of one real job of
each kind are copied thousands of times, and the server says how much larger its tables are: a few real jobs would
measure the size of a page.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, insert, select, text
from support.services import mariadb_database
from support.stack import PASSWORD, Stack

from common.database import migrate
from common.database.engine import Database
from common.database.ids import new_id
from common.database.models import Attempt, ConsoleChunk, Event, Job, Resource, Step
from stack.demo import clone_url
from stack.developer import push_change

SIGNUPS = int(os.environ.get("SLIPWAY_SIGNUPS", "0"))
COPIES = int(os.environ.get("SLIPWAY_COPIES", "5000"))

pytestmark = pytest.mark.skipif(not SIGNUPS, reason="set SLIPWAY_SIGNUPS, to 40 say")


def test_what_an_installation_needs(tmp_path: Path) -> None:
    with mariadb_database() as url:
        stack = Stack(tmp_path, db_url=url, with_flower=True, fork_s=0.2)
        try:
            stack.start()
            _print("at rest", _processes(stack), _connections(url))
            jobs = _run(stack)
            _print("after the jobs", _processes(stack), _connections(url))
        finally:
            stack.stop()
        _print_growth(url, jobs)


def _run(stack: Stack) -> dict[str, str]:
    """Run jobs of each kind and return one of each."""
    person = stack.person("ada")
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        signups = list(pool.map(lambda number: stack.anyone().sign_up(f"person{number}"), range(SIGNUPS)))
        accepted_s = time.monotonic() - began
        for job in signups:
            stack.anyone().follow(job, within_s=600)
    took_s = time.monotonic() - began
    load = os.getloadavg()[0]
    print(f"\n{SIGNUPS} sign-ups: accepted in {accepted_s:.1f} s, done after {took_s:.1f} s, load {load:.0f}")
    last = _print_calls(stack, "all sign-ups", 0)
    provision = person.make_app(person.make_project("shop"), "store")
    person.follow(provision, within_s=120)
    last = _print_calls(stack, "provision", last)
    app = person.app(provision)
    push_change(clone_url(app), login="ada", password=PASSWORD)
    build = person.start_build(app["app_id"])
    image = person.follow(build, within_s=120)["result"]["image"]
    last = _print_calls(stack, "build", last)
    deploy = person.start_deploy(app["app_id"], image_tag=image.rpartition(":")[2])
    person.follow(deploy, within_s=120)
    _print_calls(stack, "deploy", last)
    return {"signup": signups[0], "provision": provision, "build": build, "deploy": deploy}


def _print_calls(stack: Stack, what: str, since: int) -> int:
    """Print the calls to each upstream since a call, and return the last one's number."""
    calls = Counter(call["upstream"] for call in stack.harbour.calls(since=since) if call["kind"] == "api")
    print(f"calls for {what}: {dict(calls)}")
    return stack.harbour.last_call()


def _processes(stack: Stack) -> dict[str, list[float]]:
    """Return the proportional set size of each process of each program, in MB; a master comes first."""
    found: dict[str, list[float]] = {}
    for name in ("api", *stack.workers, "flower"):
        pid = stack.launcher.pid(name)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found[name] = [_pss_mb(each) for each in (str(pid), *children)]
    return found


def _pss_mb(pid: str) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return round(int(re.findall(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[0]) / 1024, 1)


def _connections(url: str) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        here = "SELECT COUNT(*) - 1 FROM information_schema.processlist WHERE db = DATABASE()"
        count = int(connection.scalar(text(here)) or 0)
    engine.dispose()
    return count


def _print(when: str, processes: dict[str, list[float]], connections: int) -> None:
    print(f"\n{when}: {connections} connections; MB of each process: {processes}")


def _print_growth(url: str, jobs: dict[str, str]) -> None:
    migrate.check(Database(url))
    engine = create_engine(url)
    with engine.connect() as connection:
        for kind, job in jobs.items():
            counts = {table.__name__: len(rows) for table, rows in _rows(connection, job)}
            before = _bytes(connection)
            _copy(connection, job)
            grown = _bytes(connection) - before
            print(f"{kind}: {grown / COPIES / 1024:.1f} KB for each job; rows {counts}")
    engine.dispose()


def _rows(connection: Connection, job: str) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    of_job = {Job: Job.id, Step: Step.job_id, Resource: Resource.job_id, ConsoleChunk: ConsoleChunk.job_id,
              Event: Event.job_id}  # fmt: skip
    for table, column in of_job.items():
        rows = connection.execute(select(table.__table__).where(column == job)).mappings().all()
        yield table, [dict(row) for row in rows]
        if table is Step:
            of_steps = select(Attempt.__table__).join(Step, Step.id == Attempt.step_id).where(Step.job_id == job)
            yield Attempt, [dict(row) for row in connection.execute(of_steps).mappings().all()]


def _copy(connection: Connection, job: str) -> None:
    rows = list(_rows(connection, job))
    for first in range(0, COPIES, 100):
        gathered: dict[Any, list[dict[str, Any]]] = {}
        for _ in range(first, min(first + 100, COPIES)):
            for table, copied in _copies(rows):
                gathered.setdefault(table, []).extend(copied)
        for table, copied in gathered.items():
            if copied:
                connection.execute(insert(table.__table__), copied)
        connection.commit()


def _copies(rows: list[tuple[Any, list[dict[str, Any]]]]) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    """Yield the rows of one more job: new ids, and for the ledger another subject."""
    ids: dict[str, str] = {}
    subject = new_id()
    for table, originals in rows:
        copied = []
        for original in originals:
            row = dict(original)
            for name in ("id", "job_id", "step_id"):
                if name in row:
                    row[name] = ids.setdefault(row[name], new_id())
            if table is Resource:
                row["subject_id"] = subject
            copied.append(row)
        yield table, copied


def _bytes(connection: Connection) -> int:
    names = connection.scalars(text("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"))
    for name in names.all():
        connection.execute(text(f"ANALYZE TABLE {name}"))
    size = "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE()"
    return int(connection.scalar(text(size)) or 0)

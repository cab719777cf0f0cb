"""What do a thousand followers cost one API process?  500 event streams and 500 held polls over 50 jobs, on MariaDB.

Run by hand: `SLIPWAY_FOLLOWERS=1000 pytest -s tests/bench/test_followers.py`. Prints memory, threads, queries a
second (as the database counts them, by the user of its own that the API has here) and the delay from a change's
commit to its arrival, while nothing changes and at several rates of change; then cuts every stream at random moments
and counts what was lost or came twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import secrets
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import requests
from sqlalchemy import make_url, select, text, update
from sqlalchemy.orm import Session
from support.api import V1, serve
from support.following import threads_of
from support.services import mariadb_database

from common.database import migrate
from common.database.engine import Database
from common.database.ids import new_id
from common.database.models import Event, Step, Team, User
from common.jobs import attempts, claims, lifecycle, outcomes
from common.workflows import SIGNUP

FOLLOWERS = int(os.environ.get("SLIPWAY_FOLLOWERS", "0"))
JOBS = 50
RATES = (0.0, 2.5, 25.0)  # changes a second, over all jobs
PHASE_S = 15.0
SEED = 20_260_314

pytestmark = pytest.mark.skipif(not FOLLOWERS, reason="set SLIPWAY_FOLLOWERS, to 1000 say")


@dataclass
class Scene:
    """What the followers have seen; the phases read and clear `delays`."""

    address: tuple[str, int]
    numbers: dict[int, list[int]] = field(default_factory=dict)  # by stream
    since: datetime = datetime(2000, 1, 1, tzinfo=UTC)  # the present phase
    delays: list[float] = field(default_factory=list)
    open_streams: int = 0
    open_polls: int = 0
    answers: int = 0
    cuts: int = 0
    is_cutting: bool = False
    is_over: bool = False


async def _watch(scene: Scene, stream: int, job_id: str, chance: random.Random) -> None:
    """Follow a job to its end, coming again with the last id whenever the line ends or is cut."""
    seen = scene.numbers.setdefault(stream, [])
    while True:
        reader, writer = await asyncio.open_connection(*scene.address)
        last = f"Last-Event-ID: {seen[-1]}\r\n" if seen else ""
        writer.write(f"GET {V1}/jobs/{job_id}/events HTTP/1.1\r\nHost: slipway\r\n{last}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 204 " in head.partition(b"\r\n")[0]:
            writer.close()
            return
        assert b" 200 " in head.partition(b"\r\n")[0], head
        scene.open_streams += 1
        await _read_events(scene, reader, seen, chance)
        scene.open_streams -= 1
        writer.close()


async def _read_events(scene: Scene, reader: asyncio.StreamReader, seen: list[int], chance: random.Random) -> None:
    while line := await reader.readline():
        if line.startswith(b"data: "):
            event = json.loads(line[6:])
            seen.append(event["number"])
            at = datetime.fromisoformat(event["at"])
            if at >= scene.since:  # what happened before it came is no news
                scene.delays.append((datetime.now(UTC) - at).total_seconds())
            if scene.is_cutting and chance.random() < 0.3:
                scene.cuts += 1
                return


async def _poll(scene: Scene, job_id: str) -> None:
    """Hold a poll open, again and again, until the job is over."""
    etag = ""
    while True:
        reader, writer = await asyncio.open_connection(*scene.address)
        known = f"If-None-Match: {etag}\r\n" if etag else ""
        writer.write(
            f"GET {V1}/jobs/{job_id}?wait=60 HTTP/1.1\r\nHost: slipway\r\nConnection: close\r\n{known}\r\n".encode()
        )
        scene.open_polls += 1
        answer = await reader.read()
        scene.open_polls -= 1
        scene.answers += 1
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        etag = re.search(rb"ETag: (.*)\r", head + b"\r").group(1).decode()  # type: ignore[union-attr] # it has one
        if body and json.loads(body)["state"] not in ("queued", "running"):
            return


class Jobs:
    """Jobs that go on at the rate they are told to, step by step; each ends when it is told to."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.ids = [db.transaction(partial(self._accept, number)) for number in range(JOBS)]

    def _accept(self, number: int, session: Session) -> str:
        now = self._db.now()
        user = User(
            id=new_id(), login=f"bench-{number}", email=f"bench-{number}@example.com", name="B", password_hash="-",
            team_id="dev", created_at=now,
        )  # fmt: skip
        session.add(user)
        session.flush()
        return lifecycle.accept(
            session, SIGNUP, now=now, subject_id=user.id, team_id="dev", user_id=user.id, request_id="bench", inputs={}
        ).id  # fmt: skip

    def change(self, job_id: str) -> None:
        """Change it twice: an attempt that begins, and stumbles, for as long as it is wanted."""
        self._make_due(job_id)
        claim = attempts.claim(self._db, job_id, "create_gitlab_user", worker="bench", limits={})
        assert isinstance(claim, claims.Claim)
        outcomes.record_retry(self._db, claim, code="upstream_unavailable", reason=f"Away {new_id()}", delay_s=0)

    def end(self, job_id: str) -> None:
        self._make_due(job_id)
        for step in SIGNUP.steps:
            claim = attempts.claim(self._db, job_id, step.name, worker="bench", limits={})
            assert isinstance(claim, claims.Claim)
            outcomes.record_success(self._db, claim, {})

    def _make_due(self, job_id: str) -> None:
        at_once = {"due_at": datetime(2000, 1, 1, tzinfo=UTC), "forgiven": Step.attempts}
        self._db.transaction(lambda session: session.execute(update(Step).where(Step.job_id == job_id).values(at_once)))


class Meter:
    """Reads memory and threads of the API's worker, and the queries of its user."""

    def __init__(self, db: Database, user: str, log: Path) -> None:
        self._db = db
        self._user = user
        found = re.search(r"Booting worker with pid: (\d+)", log.read_text())
        assert found is not None
        self._pid = int(found.group(1))

    def selects(self) -> int:
        statement = text("SELECT SELECT_COMMANDS FROM information_schema.USER_STATISTICS WHERE USER = :user")
        with self._db.engine.connect() as connection:
            return int(connection.execute(statement, {"user": self._user}).scalar() or 0)

    @property
    def threads(self) -> int:
        return threads_of(self._pid)

    @property
    def rss_mib(self) -> float:
        status = Path(f"/proc/{self._pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024  # type: ignore[union-attr] # every process has one

    @property
    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _own_user(url: str) -> Iterator[tuple[str, str]]:
    """Yield the URL with a user of its own, whose statements the database counts, and that user's name."""
    admin, name, password = Database(url), f"bench_{secrets.token_hex(4)}", secrets.token_hex(16)
    with admin.engine.begin() as connection:
        before = connection.execute(text("SELECT @@GLOBAL.userstat")).scalar_one()
        connection.execute(text("SET GLOBAL userstat = 1"))
        connection.execute(text(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'"))
        connection.execute(text(f"GRANT ALL ON `{make_url(url).database}`.* TO '{name}'@'%'"))
    try:
        yield make_url(url).set(username=name, password=password).render_as_string(hide_password=False), name
    finally:
        with admin.engine.begin() as connection:
            connection.execute(text(f"DROP USER '{name}'@'%'"))
            connection.execute(text(f"SET GLOBAL userstat = {int(before)}"))
        admin.dispose()


async def _until(what: str, is_so: Callable[[], bool], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


async def _phase(scene: Scene, made: Jobs, meter: Meter, rate: float, chance: random.Random) -> None:
    scene.delays.clear()
    scene.since = datetime.now(UTC)
    selects, cpu_s, answers, began_s, changes = meter.selects(), meter.cpu_s, scene.answers, time.monotonic(), 0
    while (passed_s := time.monotonic() - began_s) < PHASE_S:
        if rate and changes < passed_s * rate:
            await asyncio.to_thread(made.change, chance.choice(made.ids))
            changes += 1
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.5)
    took_s = time.monotonic() - began_s
    told = sorted(scene.delays)
    delay = (
        f"delay p50 {statistics.median(told) * 1000:.0f} ms, p95 {told[int(len(told) * 0.95)] * 1000:.0f} ms, "
        f"max {told[-1] * 1000:.0f} ms ({len(told)} arrivals)"
        if told
        else "no arrivals"
    )
    print(
        f"{changes / took_s:5.1f} changes/s: {(meter.selects() - selects) / took_s:6.1f} selects/s, "
        f"{(meter.cpu_s - cpu_s) / took_s:.2f} CPU, {meter.rss_mib:.0f} MiB, {meter.threads} threads, "
        f"{(scene.answers - answers) / took_s:.1f} polls answered/s, {delay}"
    )


async def _play(scene: Scene, made: Jobs, meter: Meter) -> None:
    chance, each = random.Random(SEED), FOLLOWERS // 2
    print(f"\nalone: {meter.rss_mib:.0f} MiB, {meter.threads} threads")
    tasks = []
    for number in range(each):
        job_id = made.ids[number % JOBS]
        tasks += [asyncio.create_task(_watch(scene, number, job_id, chance)), asyncio.create_task(_poll(scene, job_id))]
        await asyncio.sleep(0.004)
    await _until("all follow", lambda: scene.open_streams == each and scene.open_polls == each)
    for rate in RATES:
        await _phase(scene, made, meter, rate, chance)
    scene.is_cutting = True
    await _phase(scene, made, meter, RATES[-1], chance)
    for job_id in made.ids:
        await asyncio.to_thread(made.end, job_id)
    await asyncio.wait_for(asyncio.gather(*tasks), 60)


def _numbers_by_job(session: Session) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for row in session.execute(select(Event.job_id, Event.number).order_by(Event.job_id, Event.number)):
        numbers[row.job_id].append(row.number)
    return numbers


def test_a_thousand_followers(tmp_path: Path) -> None:
    with mariadb_database() as url, _own_user(url) as (api_url, user):
        db = Database(url)
        migrate.upgrade(db)
        db.transaction(lambda session: session.add(Team(id="dev")))
        made = Jobs(db)
        with serve(api_url, tmp_path / "log", gunicorn_cmd_args="--workers 1 --max-requests 0") as address:
            assert requests.get(f"http://{address[0]}:{address[1]}/readyz", timeout=20).ok
            scene = Scene(address)
            asyncio.run(_play(scene, made, Meter(db, user, tmp_path / "log")))
        recorded = db.read(_numbers_by_job)
        wrong = [number for number, seen in scene.numbers.items() if seen != recorded[made.ids[number % JOBS]]]
        events = sum(len(seen) for seen in scene.numbers.values())
        print(f"{len(scene.numbers)} streams, {scene.cuts} cuts, {events} events: {len(wrong)} lost or repeated any")
        db.dispose()
    assert wrong == []

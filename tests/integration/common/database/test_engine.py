"""What a transaction may rely on, on both databases, and what becomes of it when the server does its worst."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time as clock
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Event

import pytest
from sqlalchemy import event, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session
from support.checkout import ROOT
from support.mariadb import Server, wait_until

from common.database import migrate
from common.database.engine import Database
from common.database.models import RateCount, Team
from common.database.repeats import LOCK_WAIT, CommitUnknownError

WITHIN_S = 20.0
WORKERS, DEEDS = 4, 40
EXPIRES_AT = datetime(2036, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ON_MARIADB = pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def private_url(private: Server) -> str:
    """The address of a migrated database on a server that may be killed."""
    url = private.url("private")
    db = Database(url)
    migrate.upgrade(db)
    db.dispose()
    return url


@pytest.fixture
def other(db_url: str) -> Iterator[Database]:
    """The same database as another process has it."""
    database = Database(db_url, answers_within_s=3)
    yield database
    database.dispose()


def _add_tallies(db: Database, *buckets: str) -> None:
    rows = [{"bucket": bucket, "period": 1, "hits": 0, "expires_at": EXPIRES_AT} for bucket in buckets]
    db.transaction(lambda session: session.execute(insert(RateCount), rows))


def _hit(session: Session, bucket: str) -> None:
    session.execute(update(RateCount).where(RateCount.bucket == bucket).values(hits=RateCount.hits + 1))


def _hits(db: Database) -> dict[str, int]:
    rows = db.read(lambda session: session.scalars(select(RateCount)).all())
    return {row.bucket: row.hits for row in rows}


# -- isolation ----------------------------------------------------------------------------------------------------


@ON_MARIADB
def test_each_statement_sees_what_is_committed_by_then(db: Database, other: Database) -> None:
    _add_tallies(db, "a")

    def look_twice(session: Session) -> list[int | None]:
        hits = select(RateCount.hits).where(RateCount.bucket == "a")
        before = session.scalar(hits)
        other.transaction(lambda theirs: _hit(theirs, "a"))
        return [before, session.scalar(hits)]

    assert db.read(look_twice) == [0, 1]
    assert db.transaction(look_twice) == [1, 2]


def test_two_that_block_each_other_both_get_through(db: Database, other: Database) -> None:
    _add_tallies(db, "a", "b")
    together, runs = Barrier(2), []

    def hit_both(database: Database, first: str, second: str) -> None:
        def work(session: Session) -> None:
            runs.append(first)
            _hit(session, first)
            _meet(together)
            _hit(session, second)

        database.transaction(work)

    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(hit_both, db, "a", "b"), pool.submit(hit_both, other, "b", "a")]:
            each.result(WITHIN_S)

    assert _hits(db) == {"a": 2, "b": 2}
    assert len(runs) == 2 if db.is_sqlite else len(runs) == 3  # SQLite lets one begin; MariaDB ends one of them


def _meet(barrier: Barrier) -> None:
    """Wait until both have what the other wants, as far as the database lets both have it; the second time, do not."""
    try:
        barrier.wait(1)
    except BrokenBarrierError:
        return
    barrier.abort()


@ON_MARIADB
def test_a_wait_for_a_lock_ends_before_the_connection_does_and_begins_anew(db: Database, other: Database) -> None:
    _add_tallies(db, "a")
    is_held, is_tried_again = Event(), Event()
    runs: list[Session] = []
    codes = []
    event.listen(other.engine, "handle_error", lambda context: codes.append(context.original_exception.args[0]))

    def hold(session: Session) -> None:
        _hit(session, "a")
        is_held.set()
        assert is_tried_again.wait(WITHIN_S)

    def want(session: Session) -> None:
        runs.append(session)
        if len(runs) == 2:
            is_tried_again.set()
        _hit(session, "a")

    with ThreadPoolExecutor(2) as pool:
        holding = pool.submit(db.transaction, hold)
        assert is_held.wait(WITHIN_S)
        other.transaction(want)
        holding.result(WITHIN_S)

    assert codes == [LOCK_WAIT]
    assert _hits(db) == {"a": 2}


# -- names and times ----------------------------------------------------------------------------------------------


def test_names_are_the_same_only_when_every_letter_is(db: Database) -> None:
    db.transaction(lambda session: session.add_all([Team(id="root"), Team(id="Root")]))

    assert db.read(lambda session: session.get(Team, "ROOT")) is None
    assert db.read(lambda session: session.scalars(select(Team.id).where(Team.id == "Root")).all()) == ["Root"]
    with pytest.raises(IntegrityError):
        db.transaction(lambda session: session.add(Team(id="root")))


@pytest.fixture
def elsewhere(private: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process lives in one time zone, the server in another."""
    private.run("SET GLOBAL time_zone = '-07:00'")
    monkeypatch.setenv("TZ", "America/St_Johns")  # two and a half hours, or three and a half
    clock.tzset()
    yield
    private.run("SET GLOBAL time_zone = SYSTEM")
    monkeypatch.delenv("TZ")
    clock.tzset()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_times_are_utc_to_the_microsecond_wherever_the_two_live(
    request: pytest.FixtureRequest, migrated_sqlite: Path, tmp_path: Path, kind: str
) -> None:
    file = shutil.copy(migrated_sqlite, tmp_path / "slipway.db")
    db = Database(f"sqlite:///{file}" if kind == "sqlite" else request.getfixturevalue("private_url"))
    bucket = f"time-{next(_NUMBERS)}"
    _add_tallies(db, bucket)

    kept = db.read(lambda session: session.get_one(RateCount, (bucket, 1))).expires_at
    with db.engine.connect() as connection:
        stored = connection.execute(text("SELECT expires_at FROM tallies WHERE bucket = :it"), {"it": bucket}).scalar()

    assert kept == EXPIRES_AT
    assert kept.utcoffset() == timedelta(0)
    assert str(stored) == "2036-01-02 03:04:05.678901"
    assert abs(db.now() - datetime.now(UTC)) < timedelta(seconds=5)
    db.dispose()


# -- lost connections ---------------------------------------------------------------------------------------------


@ON_MARIADB
def test_a_transaction_whose_connection_is_cut_runs_again_as_a_whole(db: Database, other: Database) -> None:
    _add_tallies(db, "a", "b")
    runs = []

    def work(session: Session) -> None:
        runs.append(session.scalar(text("SELECT CONNECTION_ID()")))
        _hit(session, "a")
        if len(runs) == 1:
            other.transaction(lambda theirs: theirs.execute(text(f"KILL {runs[0]}")))
        _hit(session, "b")

    db.transaction(work)

    assert len(runs) == 2
    assert _hits(db) == {"a": 1, "b": 1}


@ON_MARIADB
def test_a_commit_whose_answer_is_lost_is_not_run_again(db: Database, other: Database) -> None:
    _add_tallies(db, "a")
    runs = []

    def work(session: Session) -> None:
        runs.append(session.scalar(text("SELECT CONNECTION_ID()")))
        _hit(session, "a")
        session.flush()
        other.transaction(lambda theirs: theirs.execute(text(f"KILL {runs[0]}")))

    with pytest.raises(CommitUnknownError):
        db.transaction(work)

    assert len(runs) == 1


def test_a_connection_that_was_cut_while_nobody_used_it_is_not_used_again(private: Server, private_url: str) -> None:
    db = Database(private_url, tries=1)
    _hits(db)

    private.end()
    private.start()

    _hits(db)  # the first question comes through, without a second try
    db.dispose()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_work_goes_on_when_the_server_is_back_and_nothing_is_lost_or_doubled(
    private: Server, private_url: str, number: signal.Signals
) -> None:
    db, bucket, done = Database(private_url), f"server-{number}", []
    _add_tallies(db, bucket)

    def insist(worker: int) -> None:
        for count in range(DEEDS):
            _do_once(db, bucket, DEEDS * worker + count)
            done.append(worker)

    with ThreadPoolExecutor(WORKERS) as pool:
        working = [pool.submit(insist, worker) for worker in range(WORKERS)]
        for part in (1, 2, 3):
            wait_until("some is done", lambda part=part: len(done) > part * WORKERS * DEEDS // 4)
            private.end(number)
            private.start()
        for each in working:
            each.result(WITHIN_S)

    deeds = db.read(
        lambda session: session.scalars(select(RateCount).where(RateCount.bucket == f"{bucket}-deeds")).all()
    )
    assert sorted(deed.period for deed in deeds) == list(range(WORKERS * DEEDS))
    assert _hits(db)[bucket] == WORKERS * DEEDS
    db.dispose()


def _do_once(db: Database, bucket: str, number: int) -> None:
    """Do work of two parts until it is done: after an unknown outcome it reads, as a client with its key does."""

    def work(session: Session) -> None:
        _hit(session, bucket)
        session.add(RateCount(bucket=f"{bucket}-deeds", period=number, hits=0, expires_at=EXPIRES_AT))

    def is_done() -> bool:
        return db.read(lambda session: session.get(RateCount, (f"{bucket}-deeds", number))) is not None

    def does_get_done() -> bool:
        try:
            if not is_done():
                db.transaction(work)
        except (CommitUnknownError, OperationalError):
            return False
        return True

    wait_until("the deed is done", does_get_done)


def test_a_forked_process_asks_over_connections_of_its_own(db_url: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}

    command = (sys.executable, "-m", "support.forks", db_url)
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 0, ended.stderr

"""Transactions on MySQL/MariaDB and SQLite, and the time of the database's host.

Every unit of work is a function of a session, so that all of it can be run again after a deadlock, a lock wait or a
connection lost before the commit.
"""

from __future__ import annotations

import copy
import os
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar
from weakref import WeakSet

from sqlalchemy import Engine, Executable, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker
from tenacity import (
    RetryCallState,
    Retrying,
    retry_any,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from common.uptime import uptime_s

T = TypeVar("T")
Now = Callable[[], datetime]
Known = tuple[datetime, float]  # the host's time, and our machine's uptime when it was read

DEADLOCK, LOCK_WAIT = 1213, 1205
AWAY = frozenset({1040, 1053, 2002, 2003, 2006, 2013})  # full, ending, not there, gone, gone while it was asked
CLOCK_CHECK_S = 30.0
ANSWERS_WITHIN_S = 15
LOCKED_FOR_S = 10  # by another process, on SQLite
LONG_S = 24 * 3600  # a migration waits for another one
TRIES = 5


def _is_retryable(error: BaseException) -> bool:
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    if isinstance(error.orig, sqlite3.OperationalError):
        return "locked" in str(error.orig)
    return error.connection_invalidated or error.orig.args[:1] in ((DEADLOCK,), (LOCK_WAIT,))


def _is_away(error: BaseException | None) -> bool:
    """Say whether the server could not be reached, or went away: it may be back soon."""
    if isinstance(error, CommitUnknownError | PoolTimeoutError):
        return True
    return isinstance(error, DBAPIError) and (
        error.connection_invalidated or (error.orig is not None and error.orig.args[:1] in {(code,) for code in AWAY})
    )


def _is_away_before_a_commit(error: BaseException) -> bool:
    return _is_away(error) and not isinstance(error, CommitUnknownError)


class _Patience:
    """Stop after some tries, but while the server is away not before `for_s` have passed."""

    def __init__(self, tries: int, for_s: float) -> None:
        self._tries = tries
        self._for_s = for_s

    def __call__(self, made: RetryCallState) -> bool:
        is_away = made.outcome is not None and _is_away(made.outcome.exception())
        waited_s = made.seconds_since_start or 0.0
        return made.attempt_number >= self._tries and not (is_away and waited_s < self._for_s)


_retry_work = Retrying(
    retry=retry_if_exception(_is_retryable),
    stop=stop_after_attempt(TRIES),
    wait=wait_random_exponential(multiplier=0.02, max=0.5),
    reraise=True,
)


# For work that inserts a row if it is missing. Two may insert the same one at the same time: the second fails on the
# unique key, runs again and finds the row of the first.
retry_insert = Retrying(retry=retry_if_exception_type(IntegrityError), stop=stop_after_attempt(10), reraise=True)


class CommitUnknownError(Exception):
    """The connection was lost during the commit: it may have happened. Running the work again could do it twice."""


def _commit(session: Session) -> None:
    try:
        session.commit()
    except DBAPIError as error:
        if error.connection_invalidated:
            raise CommitUnknownError("the connection was lost during the commit") from error
        raise


class Database:
    """One database: `transaction` for work that writes, `read` for work that does not.

    `now` is the time of the database's host, so that leases agree between machines whose clocks do not; a test
    passes its own.
    """

    def __init__(
        self,
        url: str,
        *,
        now: Now | None = None,
        pool_size: int = 8,
        answers_within_s: int | None = ANSWERS_WITHIN_S,
        tries: int = TRIES,
    ) -> None:
        """`answers_within_s`: how long a statement may take on MySQL; None, for a migration, is as long as it takes."""
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        if self.is_sqlite:
            # BEGIN IMMEDIATE takes SQLite's one write lock: readers need an engine that does not.
            wait_s = LOCKED_FOR_S if answers_within_s else LONG_S
            self.engine, self.read_engine = (_sqlite(url, begin, wait_s) for begin in ("IMMEDIATE", "DEFERRED"))
        else:
            self.engine = self.read_engine = _mysql(url, pool_size, answers_within_s)
        self._alone = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._tries = tries
        self._retry_work = _retry_work.copy(stop=stop_after_attempt(tries))
        self._retry_repeatable = _after_unknown_commits_too(self._retry_work)
        self._write = sessionmaker(self.engine, expire_on_commit=False)
        self._read = sessionmaker(self.read_engine, expire_on_commit=False)
        self.now = now or (_utc_now if self.is_sqlite else HostTime(_mysql(url, 1)))

    def transaction(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction and commit it; the whole of it runs again after a deadlock."""

        return self._retry_work(lambda: self._committed(work))

    def _committed(self, work: Callable[[Session], T]) -> T:
        with self._write() as session:
            result = work(session)
            session.flush()
            _commit(session)
            return result

    def repeatable(self, work: Callable[[Session], T]) -> T:
        """Run `work` as `transaction` does, and again when it is unknown whether its commit happened.

        For work that does the same when it is committed twice, or that sees that it was committed. Raises
        CommitUnknownError only when the database stays away.
        """
        return self._retry_repeatable(lambda: self._committed(work))

    def run(self, statement: Executable) -> int:
        """Run one statement in a transaction of its own, and return how many rows it matched.

        On MySQL it commits itself, so no process can stop while it holds the locks. Run it again after an error.
        """

        def once() -> int:
            if self.is_sqlite:
                return self._committed(lambda session: matched(session.execute(statement)))
            with self._alone.connect() as connection:
                return matched(connection.execute(statement))

        return self._retry_repeatable(once)

    def patient(self, for_s: float) -> Self:
        """Return a copy on the same connections whose work outlasts a server that is away for `for_s` at most."""
        copied = copy.copy(self)
        may_pass = retry_any(self._retry_work.retry, retry_if_exception(_is_away_before_a_commit))
        patient = self._retry_work.copy(retry=may_pass, stop=_Patience(self._tries, for_s))
        copied._retry_work, copied._retry_repeatable = patient, _after_unknown_commits_too(patient)  # noqa: SLF001 - a copy of ourselves
        return copied

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work`, which writes nothing; on MySQL each of its statements sees what is committed by then."""

        def once() -> T:
            with self._read() as session:
                return work(session)

        return self._retry_work(once)

    def dispose(self) -> None:
        self.engine.dispose()
        self.read_engine.dispose()


class HostTime:
    """UTC on the database's host, read twice a minute and continued by our machine's uptime."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asking = threading.Lock()  # one thread asks, the others use what is known
        self._known: Known | None = None  # one value: threads must not see half of a new one

    def __call__(self) -> datetime:
        known = self._known
        if known is None or uptime_s() - known[1] >= CLOCK_CHECK_S:
            known = self._refreshed(known)
        at, answered_at_s = known
        return at + timedelta(seconds=uptime_s() - answered_at_s)

    def _refreshed(self, known: Known | None) -> Known:
        if not self._asking.acquire(blocking=known is None):
            assert known is not None  # noqa: S101 - only who knows something does not wait
            return known  # another thread is asking
        try:
            if self._known is known:
                with self._engine.connect() as connection:
                    answer: datetime = connection.execute(text("SELECT UTC_TIMESTAMP(6)")).scalar_one()
                self._known = (answer.replace(tzinfo=UTC), uptime_s())  # behind the host by a trip, never ahead
            assert self._known is not None  # noqa: S101 - set above, or by the thread that asked before
            return self._known
        finally:
            self._asking.release()


def _after_unknown_commits_too(retrying: Retrying) -> Retrying:
    return retrying.copy(retry=retry_any(retrying.retry, retry_if_exception_type(CommitUnknownError)))


def matched(result: Any) -> int:
    """Return how many rows a statement that writes has matched."""
    return int(result.rowcount)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _mysql(url: str, pool_size: int, answers_within_s: int | None = ANSWERS_WITHIN_S) -> Engine:
    # A lock wait must end with an error that can be retried, before the connection times out without any.
    wait_s = max(1, answers_within_s // 3) if answers_within_s else LONG_S
    engine = create_engine(
        url,
        isolation_level="READ COMMITTED",  # REPEATABLE READ's gap locks deadlock insert-after-read
        pool_pre_ping=True,
        pool_recycle=280,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=5,
        hide_parameters=True,  # values stay out of exception texts and logs
        connect_args={
            "connect_timeout": 3,
            "read_timeout": answers_within_s,
            "write_timeout": answers_within_s,
            "charset": "utf8mb4",
            "init_command": f"SET innodb_lock_wait_timeout = {wait_s}",
        },
    )
    return _reset_after_fork(engine)


def _sqlite(url: str, begin: str, wait_s: int) -> Engine:
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": wait_s}, pool_size=8, max_overflow=32)

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN cannot wait for a lock: ours below can
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(f"BEGIN {begin}")

    return _reset_after_fork(engine)


_engines: WeakSet[Engine] = WeakSet()


def _reset_after_fork(engine: Engine) -> Engine:
    """Make a forked process open its own connections: two on one would read each other's answers."""
    _engines.add(engine)
    return engine


def _forget_connections() -> None:
    for engine in _engines:
        engine.dispose(close=False)  # they are the parent's


os.register_at_fork(after_in_child=_forget_connections)

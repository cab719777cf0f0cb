"""Transactions on MySQL/MariaDB and SQLite, and the time of the database's host.

Every unit of work is a function of a session, so that all of it can be run again after a deadlock, a lock wait, a
connection lost before the commit, or a failover (`repeats`).
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar

from sqlalchemy import CursorResult, Engine, Executable, event, make_url, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from common.database import repeats, time_budget
from common.database.connections import (
    ANSWERS_WITHIN_S,
    IDLE_SESSION_S,
    IDLE_TRANSACTION_S,
    LOCK_WAIT_S,
    LOCKED_FOR_S,
    LONG_S,
    Commits,
    engines_to,
    open_mysql,
    open_sqlite,
)
from common.database.repeats import TRIES, CommitUnknownError
from common.uptime import uptime_s

T = TypeVar("T")
Now = Callable[[], datetime]
Known = tuple[datetime, float]  # the host's time, and our machine's uptime when it was read

CLOCK_CHECK_S = 10.0  # after a jump, processes disagree for so long
REST_AFTER_SILENCE_S = 1.0  # in which requests are refused at once
LONGEST_LOCK_S = max(IDLE_TRANSACTION_S, IDLE_SESSION_S) + 2.0  # of a process that is frozen: its session ends by then
STATEMENT_CONNECTIONS = 2  # kept open for statements that commit by themselves


# For work that inserts a row if it is missing. Two may insert the same one at the same time: the second fails on the
# unique key, runs again and finds the row of the first.
retry_insert = Retrying(retry=retry_if_exception_type(IntegrityError), stop=stop_after_attempt(10), reraise=True)


def _commit(session: Session) -> None:
    try:
        session.commit()
    except DBAPIError as error:
        if repeats.is_commit_unknown(error):
            raise CommitUnknownError("the connection was lost during the commit") from error
        raise


class Database:
    """One database: `transaction` for work that writes, `read` for work that does not, `execute` for one statement.

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
            self.engine, self.read_engine = (open_sqlite(url, begin, wait_s) for begin in ("IMMEDIATE", "DEFERRED"))
            self._statement_engine = self.engine
            self.now = now or _utc_now
        else:
            few = min(pool_size, STATEMENT_CONNECTIONS)
            self.engine = self.read_engine = open_mysql(
                url, pool_size, answers_within_s, commits=Commits.BY_TRANSACTION
            )
            self._statement_engine = open_mysql(url, few, answers_within_s, commits=Commits.BY_STATEMENT)
            self.now = now or HostTime(self._statement_engine)
            for engine in self.engines:
                event.listen(engine, "handle_error", self._leave_demoted_server)
        self._tries = tries
        self._answered_at_s = self._rests_until_s = 0.0
        self._within_s = repeats.REPEATED_WITHIN_S if answers_within_s else LONG_S
        self._set_patience(0.0)
        self.session_info: dict[str, Any] = {}  # what every session that writes has in its `info`
        self._write = sessionmaker(self.engine, expire_on_commit=False, info=self.session_info)
        self._read = sessionmaker(self.read_engine, expire_on_commit=False)

    @property
    def engines(self) -> set[Engine]:
        """Return everything that statements are sent through."""
        return {self.engine, self.read_engine, self._statement_engine}

    def transaction(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction and commit it; the whole of it runs again after a deadlock."""

        return self._in_time(self._repeat, lambda: self._committed(work))

    def repeatable(self, work: Callable[[Session], T], *, outlasts_locks: bool = False) -> T:
        """Run `work` as `transaction` does, and again when it is unknown whether its commit happened.

        For work that does the same when it is committed twice, or that sees that it was committed. `outlasts_locks`: it
        waits for a locked row until the server must have ended the session of a process that is frozen, and this thread
        with it. Raises CommitUnknownError only when the database stays away.
        """
        repeat = self._repeat_locked if outlasts_locks else self._repeat_unknown
        return self._in_time(repeat, lambda: self._committed(work))

    def patient(self, for_s: float) -> Self:
        """Return a copy on the same connections whose work outlasts a server that is away for `for_s` at most."""
        copied = copy.copy(self)
        copied._set_patience(for_s)  # noqa: SLF001 - a copy of ourselves
        return copied

    def _set_patience(self, away_for_s: float) -> None:
        self._repeat = repeats.retrying(self._tries, within_s=self._within_s, away_for_s=away_for_s)
        self._repeat_unknown = repeats.unknown_commits_too(self._repeat)
        self._repeat_locked = repeats.unknown_commits_too(
            repeats.retrying(self._tries, within_s=self._within_s, away_for_s=away_for_s, locked_for_s=LONGEST_LOCK_S)
        )

    def _committed(self, work: Callable[[Session], T]) -> T:
        with self._write() as session:
            result = work(session)
            session.flush()
            _commit(session)
            return result

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work`, which writes nothing; on MySQL each of its statements sees what is committed by then."""

        def once() -> T:
            with self._read() as session:
                return work(session)

        return self._in_time(self._repeat, once)

    def run(self, statement: Executable) -> int:
        """Run one statement as `execute` does, and return how many rows it matched."""
        return matched(self.execute(statement))

    def execute(self, statement: Executable, *, within: Session | None = None) -> CursorResult[Any]:
        """Execute one statement that writes and commits by itself, and return its result, without rows.

        The server commits it before it answers: this process keeps no lock, wherever it is frozen. For rows that
        everybody needs. The statement must bear to be executed twice: it is, when its answer is lost. `within` is a
        transaction of the caller's, if there is one: on SQLite, that one has the only write lock.
        """
        if self.is_sqlite and within is not None:
            return within.connection().execute(statement)

        def once() -> CursorResult[Any]:
            with self._statement_engine.connect() as connection:
                result = connection.execute(statement)
                if self.is_sqlite:
                    connection.commit()
                return result

        return self._in_time(self._repeat, once)

    def _in_time(self, repeat: Retrying, once: Callable[[], T]) -> T:
        """Run it, and again if need be, within the caller's time budget. SQLite waits for its lock instead."""
        if self.is_sqlite:
            return repeat(once)
        with time_budget.spending():
            if time_budget.is_given() and time.monotonic() < self._rests_until_s:
                raise PoolTimeoutError("the database did not answer just now")
            tried_at_s = 0.0

            def timed() -> T:
                nonlocal tried_at_s
                tried_at_s = time.monotonic()
                return once()

            try:
                result = repeat(timed)
            except (DBAPIError, PoolTimeoutError, CommitUnknownError):
                if time_budget.is_spent() and self._is_silent_since(tried_at_s):
                    # Those that have queued for this thread would wait for as long.
                    self._rests_until_s = time.monotonic() + REST_AFTER_SILENCE_S
                raise
            self._answered_at_s = time.monotonic()
            return result

    def _is_silent_since(self, at_s: float) -> bool:
        """Say whether the server hangs: it let us wait for longer than for a locked row, and answered nobody else."""
        return time.monotonic() - at_s > LOCK_WAIT_S and self._answered_at_s < at_s

    def dispose(self) -> None:
        for engine in self.engines:
            engine.dispose()

    def _leave_demoted_server(self, context: ExceptionContext) -> None:
        """Drop the connections of all pools, not only of the one that met the error, and read the other's clock.

        Those for reading alone would never meet it, and go on reading from a server that may get nothing new.
        """
        if repeats.refuses_writes(context.original_exception):
            for engine in engines_to(self.engine.url) - {context.engine}:
                engine.dispose()
            if isinstance(self.now, HostTime):
                self.now.forget()


class HostTime:
    """UTC on the database's host, read every few seconds and continued by our machine's uptime."""

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

    def forget(self) -> None:
        """Read it anew at the next use: it is another host's."""
        self._known = None

    def _refreshed(self, known: Known | None) -> Known:
        with time_budget.spending():
            return self._asked_once(known)

    def _asked_once(self, known: Known | None) -> Known:
        wait_s = 0.0 if known else time_budget.at_most(ANSWERS_WITHIN_S) or 0.0
        if not self._asking.acquire(timeout=wait_s):
            if known is None:
                raise PoolTimeoutError("the time of the database's host is not known yet")
            return known  # another thread is asking
        try:
            latest = self._known
            if latest is None or latest is known:
                self._known = latest = self._asked()
            return latest
        finally:
            self._asking.release()

    def _asked(self) -> Known:
        with self._engine.connect() as connection:
            answer: datetime = connection.execute(text("SELECT UTC_TIMESTAMP(6)")).scalar_one()
        return answer.replace(tzinfo=UTC), uptime_s()  # behind the host by a trip, never ahead


def matched(result: Any) -> int:
    """Return how many rows a statement that writes has matched."""
    return int(result.rowcount)


def _utc_now() -> datetime:
    return datetime.now(UTC)

"""Readiness: the schema must be current and the catalog's teams in the database before a process accepts requests."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from api.contract.problems import Problem
from common.config.catalog import Catalog
from common.database import migrate
from common.database.engine import Database
from common.database.migrate import SchemaError
from common.database.models import Team
from common.database.repeats import CommitUnknownError

ANSWERS_WITHIN_S = 0.8  # below the second after which probes of clusters give up, by default
FIRST_WITHIN_S = 10.0  # a request waits longer: the check ends sooner by itself where the database may hang
LONG_S = 1.0  # a check that took longer and failed: those that have queued behind it would wait for as long
REST_S = 1.0  # in which requests are then refused at once
NO_ANSWER = "The database does not answer."


class Readiness:
    """Checked at every request until it succeeds once, so that a late or unmigrated database needs no restart.

    A check runs in a thread of its own, and whoever asks meanwhile shares it: a database that hangs holds that one.
    """

    def __init__(self, db: Database, catalog: Catalog) -> None:
        self._db = db
        self._catalog = catalog
        self._is_ready = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="readiness")  # starts with the first check
        self._starting = threading.Lock()
        self._running: Future[str | None] | None = None
        self._rests_until_s = 0.0

    def require(self) -> None:
        """Check unless an earlier check succeeded. Raises Problem `unavailable`."""
        if self._is_ready:
            return
        if time.monotonic() < self._rests_until_s:
            raise Problem("unavailable", NO_ANSWER)
        began_s = time.monotonic()
        try:
            self.check(FIRST_WITHIN_S)
        except Problem:
            if time.monotonic() - began_s > LONG_S:
                self._rests_until_s = time.monotonic() + REST_S
            raise

    def check(self, within_s: float = ANSWERS_WITHIN_S) -> None:
        """Check now, whatever earlier checks found. Raises Problem `unavailable`, after `within_s` at most."""
        try:
            problem = self._shared_check().result(within_s)
        except TimeoutError:
            problem = NO_ANSWER
        if problem is not None:
            raise Problem("unavailable", problem)
        self._is_ready = True

    def verify(self) -> None:
        """Check in this thread, without a limit of its own. Raises SchemaError, or the database's own error."""
        migrate.check(self._db)
        with contextlib.suppress(IntegrityError):  # another process added the same teams at the same moment
            self._db.transaction(self._add_missing_teams)

    def _shared_check(self) -> Future[str | None]:
        with self._starting:
            if self._running is None or self._running.done():
                self._running = self._thread.submit(self._problem)
            return self._running

    def _problem(self) -> str | None:
        """Return why requests cannot be accepted, None when they can."""
        try:
            self.verify()
        except SchemaError as error:
            return str(error)
        except (SQLAlchemyError, CommitUnknownError):
            return "The database is unavailable."
        return None

    def _add_missing_teams(self, session: Session) -> None:
        known = set(session.scalars(select(Team.id)))
        session.add_all(Team(id=team) for team in self._catalog.teams if team not in known)

"""How do a thousand followers cost one thread and a handful of queries?

They share one tail: a thread that asks every tick which of the followed jobs have a version that somebody does not
know, reads what is new of all of them together, and hands it out. It starts with the first follower.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import resource
import selectors
import socket
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.follow.outputs import QueueOutput, SocketOutput
from api.follow.subscribers import PollSubscriber, StreamSubscriber, Subscriber, Update
from api.presentation.job_view import JobView, RenderedJob
from common.database.engine import Database
from common.database.models import Job
from common.jobs import events
from common.jobs.events import EventBatch
from common.states import JobState

log = logging.getLogger(__name__)

TICK_S = 0.15
TROUBLE_S = 1.0  # how long the database is left alone when it did not answer
STOP_S = 3.0
MOST = 5000  # followers of one process
OTHER_FILES = 1200  # that it needs besides: connections of the server, of the database
AT_ONCE = 500  # ids in one query

NOTHING = EventBatch((), is_all=True)  # what a job has for waiters, who ask for its document only

AnyLine = SocketOutput | QueueOutput
Behind = Mapping[str, list[Subscriber]]  # by job: those who do not know its present version


class Hub:
    """Tells every follower of this process what changes."""

    def __init__(
        self, db: Database, view: JobView, *, tick_s: float = TICK_S, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._db = db
        self._view = view
        self._tick_s = tick_s
        self.clock_s = clock_s
        self._joining: deque[tuple[Subscriber, AnyLine]] = deque()
        self._lines: dict[Subscriber, AnyLine] = {}  # of this and what follows the tail's thread alone writes
        self._look_at_s = self._trouble_until_s = 0.0
        self._most = min(MOST, max(files // 2, files - OTHER_FILES))
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_stopping = False

    @property
    def has_room(self) -> bool:
        """Say whether this process takes another follower."""
        return len(self._lines) + len(self._joining) < self._most and not self._is_stopping

    @property
    def threads_held(self) -> int:
        """Return how many followers keep a thread of the server."""
        return sum(isinstance(line, QueueOutput) for line in list(self._lines.values()))

    def join(self, follower: Subscriber, line: AnyLine) -> None:
        """Tell this follower from now on; it and its line are the tail's."""
        self._joining.append((follower, line))
        with self._starting:
            if self._thread is None:
                self._start()
        self._wake()

    def stop(self) -> None:
        """Let every follower go: another process goes on where they are. Safe to repeat."""
        self._is_stopping = True
        if self._thread is not None:
            self._wake()
            self._thread.join(STOP_S)
            atexit.unregister(self.stop)
        self._db.dispose()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full of earlier calls: it wakes anyway; closed: it has stopped
            self._waker.send(b"\0")

    def _start(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        for end in (self._waker, self._woken):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    # -- the tail's own -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                self._round()
            except Exception:
                log.exception("feed_failed")
                self._look_at_s = self.clock_s() + TROUBLE_S
        self._close()

    def _close(self) -> None:
        self._welcome()
        for follower, line in self._lines.items():
            if not (line.is_gone or line.is_ending):  # who has been answered is not answered again
                follower.dismiss()
            if isinstance(line, SocketOutput):
                self._tend(line)
        self._selector.close()
        self._waker.close()
        self._woken.close()

    def _round(self) -> None:
        self._serve_lines(max(0.0, self._look_at_s - self.clock_s()) if self._lines else None)
        self._welcome()
        if self._lines and self.clock_s() >= self._look_at_s:
            self._look()
            self._look_at_s = max(self.clock_s() + self._tick_s, self._trouble_until_s)

    def _serve_lines(self, timeout_s: float | None) -> None:
        for key, mask in self._selector.select(timeout_s):
            line: SocketOutput | None = key.data
            if line is None:
                self._woken.recv(4096)
                continue
            if mask & selectors.EVENT_READ:
                line.hear()
            if mask & selectors.EVENT_WRITE:
                line.flush()
            self._tend(line)

    def _welcome(self) -> None:
        while self._joining:
            follower, line = self._joining.popleft()
            self._lines[follower] = line
            if isinstance(line, SocketOutput):
                self._selector.register(line.connection, selectors.EVENT_READ, line)
                self._tend(line)

    def _tend(self, line: SocketOutput) -> None:
        """Have the selector ask for what the line needs: to be written while it is behind, nothing when it is gone."""
        if line.connection.fileno() < 0:
            return
        if line.is_gone:
            self._selector.unregister(line.connection)
            line.connection.close()
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.is_behind else 0)
        if self._selector.get_key(line.connection).events != wanted:
            self._selector.modify(line.connection, wanted, line)

    def _look(self) -> None:
        """Tell what is new, and let time pass, also while the database is in trouble."""
        news = self._read()
        for follower, line in list(self._lines.items()):
            try:
                self._take_turn(follower, line, news)
            except Exception:  # of this follower alone: the others want theirs
                log.exception("follower_failed", extra={"job_id": follower.job_id})
                line.end()
            if isinstance(line, SocketOutput):
                self._tend(line)
            if line.is_gone:
                del self._lines[follower]

    def _take_turn(self, follower: Subscriber, line: AnyLine, news: Mapping[str, Update]) -> None:
        found, now_s = news.get(follower.job_id), self.clock_s()
        if found is not None and found.version > follower.version and not (line.is_gone or line.is_ending):
            follower.tell(found, now_s)
        if not (line.is_gone or line.is_ending):
            follower.pass_time(now_s)
        line.let_go_if_stuck()

    def _read(self) -> Mapping[str, Update]:
        try:
            return self._db.read(self._read_news)
        except Exception:
            log.exception("feed_failed")
            self._trouble_until_s = self.clock_s() + TROUBLE_S
            return {}

    def _read_news(self, session: Session) -> dict[str, Update]:
        behind: dict[str, list[Subscriber]] = defaultdict(list)
        states: dict[str, tuple[int, JobState]] = {}
        by_job: dict[str, list[Subscriber]] = defaultdict(list)
        for follower in self._lines:
            by_job[follower.job_id].append(follower)
        for ids in _portions(by_job):
            for row in session.execute(select(Job.id, Job.version, Job.state).where(Job.id.in_(ids))):
                states[row.id] = (row.version, row.state)
                behind[row.id] = [follower for follower in by_job[row.id] if follower.version < row.version]
        told = self._read_events(session, behind)
        shown = self._read_documents(session, behind)
        return {
            job_id: Update(*states[job_id], told=told.get(job_id, NOTHING), shown=shown.get(job_id))
            for job_id, followers in behind.items()
            if followers
        }

    def _read_events(self, session: Session, behind: Behind) -> dict[str, EventBatch]:
        after = {
            job_id: min(each.number for each in watchers)
            for job_id, followers in behind.items()
            if (watchers := [each for each in followers if isinstance(each, StreamSubscriber)])
        }
        told: dict[str, EventBatch] = {}
        for ids in _portions(after):
            told |= events.read(session, {job_id: after[job_id] for job_id in ids})
        return told

    def _read_documents(self, session: Session, behind: Behind) -> dict[str, RenderedJob]:
        wanted = [
            job_id
            for job_id, followers in behind.items()
            if any(isinstance(each, PollSubscriber) for each in followers)
        ]
        shown: dict[str, RenderedJob] = {}
        for ids in _portions(wanted):
            rows = session.scalars(select(Job).where(Job.id.in_(ids))).all()
            shown |= zip((row.id for row in rows), self._view.show(session, rows, self._db.now()), strict=True)
        return shown


def _portions(ids: Iterable[str]) -> Iterator[Sequence[str]]:
    all_ids = list(ids)
    return (all_ids[start : start + AT_ONCE] for start in range(0, len(all_ids), AT_ONCE))

"""The hub: one thread and a handful of queries serve all subscribers of a process.

At every tick, the thread queries which of the followed jobs have a version that a subscriber does not know, reads the
changes of all these jobs together, and delivers them. It starts with the first subscriber.
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

from api import credentials
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
SESSIONS_EVERY_S = 2.0  # so long may a subscriber outlive its session
ERROR_PAUSE_S = 1.0  # between polls after a database error
STOP_TIMEOUT_S = 3.0
MAX_SUBSCRIBERS = 5000  # of one process
RESERVED_FILES = 4200  # file descriptors for other connections: of the server and the database
BATCH_SIZE = 500  # ids in one query

NO_EVENTS = EventBatch((), is_all=True)  # for a job with poll subscribers only, who need its document

AnyOutput = SocketOutput | QueueOutput
SubscribersByJob = Mapping[str, list[Subscriber]]  # by job: the subscribers that do not know its current version


class Hub:
    """Delivers the changes of jobs to every subscriber of this process."""

    def __init__(
        self, db: Database, view: JobView, *, tick_s: float = TICK_S, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._db = db
        self._view = view
        self._tick_s = tick_s
        self.clock_s = clock_s
        self._new: deque[tuple[Subscriber, AnyOutput]] = deque()
        self._outputs: dict[Subscriber, AnyOutput] = {}  # this and the next two are written by the hub's thread alone
        self._next_poll_s = self._paused_until_s = self._next_sessions_s = 0.0
        self._capacity = min(MAX_SUBSCRIBERS, max(files // 2, files - RESERVED_FILES))
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_stopping = False

    @property
    def has_room(self) -> bool:
        """Whether this process accepts another subscriber."""
        return len(self._outputs) + len(self._new) < self._capacity and not self._is_stopping

    @property
    def threads_held(self) -> int:
        """The number of subscribers that hold a thread of the server."""
        return sum(isinstance(output, QueueOutput) for output in list(self._outputs.values()))

    def subscribe(self, subscriber: Subscriber, output: AnyOutput) -> None:
        """Serve this subscriber from now on. Only the hub's thread may use it and its output afterwards."""
        self._new.append((subscriber, output))
        with self._starting:
            if self._thread is None:
                self._start()
        self._wake()

    def stop(self) -> None:
        """Detach every subscriber: clients reconnect to another process and miss nothing. Safe to repeat."""
        self._is_stopping = True
        if self._thread is not None:
            self._wake()
            self._thread.join(STOP_TIMEOUT_S)
            atexit.unregister(self.stop)
        self._db.dispose()

    def _wake(self) -> None:
        with contextlib.suppress(
            OSError
        ):  # a full buffer wakes the thread anyway; a closed socket means that it has stopped
            self._waker.send(b"\0")

    def _start(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        for end in (self._waker, self._woken):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    # -- on the hub's thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                self._run_once()
            except Exception:
                log.exception("hub_failed")
                self._next_poll_s = self.clock_s() + ERROR_PAUSE_S
        self._close()

    def _close(self) -> None:
        self._admit()
        for subscriber, output in self._outputs.items():
            if not (output.is_closed or output.is_ending):  # a subscriber that has its answer gets no second one
                subscriber.detach()
            if isinstance(output, SocketOutput):
                self._update_selector(output)
        self._selector.close()
        self._waker.close()
        self._woken.close()

    def _run_once(self) -> None:
        self._serve_outputs(max(0.0, self._next_poll_s - self.clock_s()) if self._outputs else None)
        self._admit()
        if self._outputs and self.clock_s() >= self._next_poll_s:
            self._poll()
            self._next_poll_s = max(self.clock_s() + self._tick_s, self._paused_until_s)

    def _serve_outputs(self, timeout_s: float | None) -> None:
        for key, mask in self._selector.select(timeout_s):
            output: SocketOutput | None = key.data
            if output is None:
                self._woken.recv(4096)
                continue
            if mask & selectors.EVENT_READ:
                output.receive()
            if mask & selectors.EVENT_WRITE:
                output.flush()
            self._update_selector(output)

    def _admit(self) -> None:
        while self._new:
            subscriber, output = self._new.popleft()
            self._outputs[subscriber] = output
            if isinstance(output, SocketOutput):
                self._selector.register(output.connection, selectors.EVENT_READ, output)
                self._update_selector(output)

    def _update_selector(self, output: SocketOutput) -> None:
        """Select the output for writing while it has unsent data, and unregister it once it is closed."""
        if output.connection.fileno() < 0:
            return
        if output.is_closed:
            self._selector.unregister(output.connection)
            output.connection.close()
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if output.has_unsent else 0)
        if self._selector.get_key(output.connection).events != wanted:
            self._selector.modify(output.connection, wanted, output)

    def _poll(self) -> None:
        """Deliver changes and let deadlines pass, also while the database fails."""
        updates = self._read()
        for subscriber, output in list(self._outputs.items()):
            try:
                self._serve(subscriber, output, updates)
            except Exception:  # an error of one subscriber must not affect the others
                log.exception("subscriber_failed", extra={"job_id": subscriber.job_id})
                output.end()
            if isinstance(output, SocketOutput):
                self._update_selector(output)
            if output.is_closed:
                del self._outputs[subscriber]

    def _serve(self, subscriber: Subscriber, output: AnyOutput, updates: Mapping[str, Update]) -> None:
        update, now_s = updates.get(subscriber.job_id), self.clock_s()
        if update is not None and update.version > subscriber.version and not (output.is_closed or output.is_ending):
            subscriber.deliver(update, now_s)
        if not (output.is_closed or output.is_ending):
            subscriber.tick(now_s)
        output.close_if_stalled()

    def _detach_ended(self) -> None:
        """Detach those whose session is over. While the database fails they stay, and are sent nothing."""
        held = {each.token_hash for each in self._outputs if each.token_hash is not None}
        if not held or self.clock_s() < self._next_sessions_s:
            return
        valid = self._db.read(lambda session: self._find_valid(session, held))
        self._next_sessions_s = self.clock_s() + SESSIONS_EVERY_S
        for subscriber, output in self._outputs.items():
            is_valid = subscriber.token_hash is None or subscriber.token_hash in valid
            if not (is_valid or output.is_closed or output.is_ending):
                subscriber.detach()

    def _find_valid(self, session: Session, held: Iterable[str]) -> set[str]:
        now = self._db.now()
        return {valid for hashes in _batches(held) for valid in credentials.find_valid(session, hashes, now)}

    def _read(self) -> Mapping[str, Update]:
        try:
            self._detach_ended()
            return self._db.read(self._read_updates)
        except Exception:
            log.exception("hub_failed")
            self._paused_until_s = self.clock_s() + ERROR_PAUSE_S
            return {}

    def _read_updates(self, session: Session) -> dict[str, Update]:
        outdated: dict[str, list[Subscriber]] = defaultdict(list)
        states: dict[str, tuple[int, JobState]] = {}
        by_job: dict[str, list[Subscriber]] = defaultdict(list)
        for subscriber in self._outputs:
            by_job[subscriber.job_id].append(subscriber)
        for ids in _batches(by_job):
            for row in session.execute(select(Job.id, Job.version, Job.state).where(Job.id.in_(ids))):
                states[row.id] = (row.version, row.state)
                outdated[row.id] = [subscriber for subscriber in by_job[row.id] if subscriber.version < row.version]
        batches = self._read_events(session, outdated)
        documents = self._read_documents(session, outdated)
        return {
            job_id: Update(*states[job_id], events=batches.get(job_id, NO_EVENTS), document=documents.get(job_id))
            for job_id, subscribers in outdated.items()
            if subscribers
        }

    def _read_events(self, session: Session, outdated: SubscribersByJob) -> dict[str, EventBatch]:
        after = {
            job_id: min(each.number for each in streams)
            for job_id, subscribers in outdated.items()
            if (streams := [each for each in subscribers if isinstance(each, StreamSubscriber)])
        }
        batches: dict[str, EventBatch] = {}
        for ids in _batches(after):
            batches |= events.read(session, {job_id: after[job_id] for job_id in ids})
        return batches

    def _read_documents(self, session: Session, outdated: SubscribersByJob) -> dict[str, RenderedJob]:
        wanted = [
            job_id
            for job_id, subscribers in outdated.items()
            if any(isinstance(each, PollSubscriber) for each in subscribers)
        ]
        documents: dict[str, RenderedJob] = {}
        for ids in _batches(wanted):
            rows = session.scalars(select(Job).where(Job.id.in_(ids))).all()
            documents |= zip((row.id for row in rows), self._view.render(session, rows, self._db.now()), strict=True)
        return documents


def _batches(ids: Iterable[str]) -> Iterator[Sequence[str]]:
    all_ids = list(ids)
    return (all_ids[start : start + BATCH_SIZE] for start in range(0, len(all_ids), BATCH_SIZE))

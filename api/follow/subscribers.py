"""Who waits for a job to change, and what do they get when it does?

A `Watcher` has an event stream, a `Waiter` one answer that is held back. Neither knows of threads or sockets: what is
to be sent goes to a `Line`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from flask import Response

from api.presentation.job_schemas import JobEvent
from api.presentation.job_view import RenderedJob
from common.database.models import Event
from common.jobs.events import EventBatch
from common.states import OPEN, JobState

KEEP_ALIVE_S = 15.0
STREAM_S = 600.0  # then the client comes again, and is asked again who it is
KEEP_ALIVE = b": still here\n\n"
OPENING = b"retry: 1000\n\n"  # milliseconds until a browser comes again


class Output(Protocol):
    """The way to one client: bytes of a stream, or one whole answer; `end` closes it once everything is out."""

    def send(self, content: bytes) -> None: ...

    def answer(self, response: Response) -> None: ...

    def end(self) -> None: ...


@dataclass(frozen=True)
class Update:
    """A job as of one look: its version and state, its new events, its document where a waiter asks for it."""

    version: int
    state: JobState
    told: EventBatch
    shown: RenderedJob | None


class Subscriber(Protocol):
    """Whoever waits. `version` is what it knows of its job. It ends its line when it has got all it waits for."""

    job_id: str
    version: int

    def tell(self, news: Update, now_s: float) -> None: ...

    def pass_time(self, now_s: float) -> None: ...

    def dismiss(self) -> None:
        """End it: this process stops, and another one goes on from where this follower is."""


class StreamSubscriber:
    """Gets every event above `number`, once, in order, until the job is over or its time is."""

    def __init__(self, job_id: str, line: Output, *, number: int, now_s: float, life_s: float = STREAM_S) -> None:
        self.job_id = job_id
        self.version = self.number = number  # of the last event that was sent
        self._line = line
        self._ends_at_s = now_s + life_s
        self._spoke_at_s = now_s
        line.send(OPENING)

    def tell(self, news: Update, now_s: float) -> None:
        for event in news.told.events:
            if event.number > self.number:
                self._line.send(rendered(event))
                self.number, self._spoke_at_s = event.number, now_s
        if not news.told.is_all:
            return  # still behind: the rest comes with the next look
        self.version = news.version  # its last event may be newer: what became of the job is asked again
        if news.state not in OPEN:
            self._line.end()

    def pass_time(self, now_s: float) -> None:
        if now_s >= self._ends_at_s:
            self._line.end()
        elif now_s - self._spoke_at_s >= KEEP_ALIVE_S:
            self._line.send(KEEP_ALIVE)
            self._spoke_at_s = now_s

    def dismiss(self) -> None:
        self._line.end()


class PollSubscriber:
    """Gets the job's document once it is another than at `version`; when the time is over, `unchanged`."""

    def __init__(
        self,
        job_id: str,
        line: Output,
        *,
        version: int,
        ends_at_s: float,
        changed: Callable[[RenderedJob], Response],
        unchanged: Response,
    ) -> None:
        self.job_id = job_id
        self.version = version
        self._line = line
        self._ends_at_s = ends_at_s
        self._changed = changed
        self._unchanged = unchanged

    def tell(self, news: Update, now_s: float) -> None:  # noqa: ARG002 - as a watcher is told
        if news.shown is not None:
            self._answer(self._changed(news.shown))

    def pass_time(self, now_s: float) -> None:
        if now_s >= self._ends_at_s:
            self.dismiss()

    def dismiss(self) -> None:
        self._answer(self._unchanged)

    def _answer(self, response: Response) -> None:
        self._line.answer(response)
        self._line.end()


def rendered(event: Event) -> bytes:
    """Return an event as it goes over the line."""
    content = JobEvent.model_validate(event, from_attributes=True).model_dump_json()
    return f"id: {event.number}\nevent: change\ndata: {content}\n\n".encode()

"""Subscribers to a job: an event stream, or a long poll with a single answer.

They know nothing of threads or sockets: whatever they send goes to an `Output`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from flask import Response

from api.presentation.job_schemas import JobEnd, JobEvent
from api.presentation.job_view import RenderedJob
from common.database.models import Event
from common.jobs.events import EventBatch
from common.states import OPEN, JobState

KEEP_ALIVE_S = 15.0
STREAM_LIFETIME_S = 600.0  # then the client reconnects and is authenticated again
KEEP_ALIVE = b": still here\n\n"
OPENING = b"retry: 1000\n\n"  # milliseconds until a browser reconnects


class Output(Protocol):
    """The connection to one client: bytes of a stream, or one whole answer. `end` closes it once all is sent."""

    def send(self, content: bytes) -> None: ...

    def answer(self, response: Response) -> None: ...

    def end(self) -> None: ...


@dataclass(frozen=True)
class Update:
    """A change of a job: its version and state, its new events, and its document if a poll subscriber needs it."""

    version: int
    state: JobState
    events: EventBatch
    document: RenderedJob | None


class Subscriber(Protocol):
    """A waiting client. `version` is the last version of the job that it knows. It ends its output when it is done.

    `token_hash` is of its session, None for a visitor; it is detached when the session is over.
    """

    job_id: str
    version: int
    token_hash: str | None

    def deliver(self, update: Update, now_s: float) -> None: ...

    def tick(self, now_s: float) -> None: ...

    def detach(self) -> None:
        """End the output because this process stops or the session is over; the client may reconnect."""


class StreamSubscriber:
    """Gets every event after `number`, once and in order, until the job or the stream's lifetime is over.

    Only the end of the job is announced: without `end`, a client reconnects.
    """

    def __init__(
        self,
        job_id: str,
        output: Output,
        *,
        number: int,
        now_s: float,
        lifetime_s: float = STREAM_LIFETIME_S,
        token_hash: str | None = None,
    ) -> None:
        self.job_id = job_id
        self.token_hash = token_hash
        self.version = self.number = number  # of the last event that was sent
        self._output = output
        self._deadline_s = now_s + lifetime_s
        self._sent_at_s = now_s
        output.send(OPENING)

    def deliver(self, update: Update, now_s: float) -> None:
        for event in update.events.events:
            if event.number > self.number:
                self._output.send(render(event))
                self.number, self._sent_at_s = event.number, now_s
        if not update.events.is_all:
            return  # more events follow at the next poll
        self.version = update.version  # the last event may be newer than this; then the next poll delivers again
        if update.state not in OPEN:
            self._output.send(render_end(update.state))
            self._output.end()

    def tick(self, now_s: float) -> None:
        if now_s >= self._deadline_s:
            self._output.end()
        elif now_s - self._sent_at_s >= KEEP_ALIVE_S:
            self._output.send(KEEP_ALIVE)
            self._sent_at_s = now_s

    def detach(self) -> None:
        self._output.end()


class PollSubscriber:
    """Gets the job's document once its version differs from `version`, or `unchanged` when the time is over."""

    def __init__(
        self,
        job_id: str,
        output: Output,
        *,
        version: int,
        ends_at_s: float,
        changed: Callable[[RenderedJob], Response],
        unchanged: Response,
        token_hash: str | None = None,
    ) -> None:
        self.job_id = job_id
        self.token_hash = token_hash
        self.version = version
        self._output = output
        self._deadline_s = ends_at_s
        self._changed = changed
        self._unchanged = unchanged

    def deliver(self, update: Update, now_s: float) -> None:  # noqa: ARG002 - the signature of Subscriber
        if update.document is not None:
            self._answer(self._changed(update.document))

    def tick(self, now_s: float) -> None:
        if now_s >= self._deadline_s:
            self.detach()

    def detach(self) -> None:
        self._answer(self._unchanged)

    def _answer(self, response: Response) -> None:
        self._output.answer(response)
        self._output.end()


def render(event: Event) -> bytes:
    """Return an event in the format of server-sent events."""
    content = JobEvent.model_validate(event, from_attributes=True).model_dump_json()
    return f"id: {event.number}\nevent: change\ndata: {content}\n\n".encode()


def render_end(state: JobState) -> bytes:
    """Return the event that says that no more will follow. It has no id: a client that reconnects is answered 204."""
    return f"event: end\ndata: {JobEnd(state=state).model_dump_json()}\n\n".encode()

"""The event stream of a job, over as many connections as it takes; no event is missed or repeated.

Source: the HTML standard, "Server-sent events": lines of `field: value`; an empty line ends an event; a line that
begins with a colon is a comment that keeps the connection alive.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import requests

from slipway.errors import Document, UnreachableError
from slipway.retry import RetryPolicy
from slipway.transport import Connection, Request, reply_of

MEDIA_TYPE = "text/event-stream"
CHANGE = "change"
RECONNECT_TRY = 2  # a connection that brought events is followed by the pause of this try: streams end now and then


@dataclass(frozen=True, kw_only=True)
class Event:
    """A change of a job. `number` is the job's version after it; `steps` are the steps that changed."""

    number: int
    at: str
    state: str
    steps: list[Document]


class EventStream:
    """The events of one job after number `last`. `is_over`: no more will follow."""

    def __init__(self, connection: Connection, url: str, *, last: int, silence_s: float) -> None:
        self._connection = connection
        self._url = url
        self._silence_s = silence_s
        self.last = last
        self.is_over = False

    def read(self, retry: RetryPolicy) -> Generator[Event | None]:
        """Yield the events of one connection after the other until the stream is over, None for a sign of life.

        Raises ProblemError, and UnreachableError after `retry.tries` connections in a row that brought nothing.
        """
        empty_in_a_row = 0
        while True:
            try:
                for event in self.read_connection():
                    empty_in_a_row = 0
                    yield event
            except UnreachableError as error:
                empty_in_a_row += 1
                if empty_in_a_row >= retry.tries or not error.is_passing:
                    raise
            if self.is_over:
                return
            retry.sleep(retry.pause_s(max(empty_in_a_row, RECONNECT_TRY)))

    def read_connection(self) -> Iterator[Event | None]:
        """Yield the events of one connection, None for a sign of life, until it ends or breaks.

        Raises ProblemError, and UnreachableError when it brings nothing: there is no stream, or a proxy holds it
        back.
        """
        has_brought = False
        try:
            with self._connection.open(self._request()) as answer:
                for event in self._events_in(answer):
                    has_brought = True
                    yield event
        except UnreachableError as error:
            if not has_brought or not error.is_passing:
                raise
        if not has_brought and not self.is_over:
            raise UnreachableError(f"{self._connection.url} closed its event stream without sending anything.")

    def _request(self) -> Request:
        headers = {"Accept": MEDIA_TYPE, "Accept-Encoding": "identity"}
        if self.last:
            headers["Last-Event-ID"] = str(self.last)
        return Request(method="GET", url=self._url, headers=headers, read_s=self._silence_s)

    def _events_in(self, answer: requests.Response) -> Iterator[Event | None]:
        if answer.status_code == 204:
            self.is_over = True
            return
        if answer.status_code != 200 or not answer.headers.get("Content-Type", "").startswith(MEDIA_TYPE):
            reply_of(answer).require()
            raise UnreachableError(f"{self._connection.url} has no event stream.", is_passing=False)
        for event in parse(lines_of(answer)):
            is_new = event is not None and event.number > self.last
            self.last = event.number if event is not None and is_new else self.last
            yield event if is_new else None


def lines_of(answer: requests.Response) -> Iterator[bytes]:
    """Yield the lines as they arrive. Reads byte by byte: a larger read would wait until it is full."""
    line = bytearray()
    for byte in answer.iter_content(1):
        if byte != b"\n":
            line += byte
            continue
        yield bytes(line).removesuffix(b"\r")
        line.clear()


def parse(lines: Iterable[bytes]) -> Iterator[Event | None]:
    """Yield each change once its event is complete, None for a comment; an incomplete event is dropped.

    Raises UnreachableError for an event that Slipway does not send.
    """
    kind, data = "", list[str]()
    for line in lines:
        name, _, value = line.decode("utf-8", "replace").partition(":")
        if not line:
            if kind == CHANGE:
                yield _event("\n".join(data))
            kind, data = "", []
        elif not name:
            yield None
        elif name == "event":
            kind = value.removeprefix(" ")
        elif name == "data":
            data.append(value.removeprefix(" "))


def _event(text: str) -> Event:
    try:
        sent = json.loads(text)
        return Event(number=int(sent["number"]), at=sent["at"], state=sent["state"], steps=list(sent["steps"]))
    except (ValueError, TypeError, LookupError):
        raise UnreachableError("The event stream is not in Slipway's format.", is_passing=False) from None

"""What has happened to a job?  Its event stream, over as many connections as it takes, nothing missed or repeated.

Source: the HTML standard, "Server-sent events": lines of `field: value`, an empty line ends an event, a line that
begins with a colon says only that somebody is there.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import requests

from slipway.errors import Document, UnreachableError
from slipway.retry import Repeats
from slipway.transport import Request, Wire, reply_of

MEDIA_TYPE = "text/event-stream"
CHANGE = "change"
AT_EASE = 2  # the try whose pause follows a connection that did its work: the server ends them now and then


@dataclass(frozen=True, kw_only=True)
class Event:
    """A change of a job. `number` is the job's version after it; `steps` are those that changed."""

    number: int
    at: str
    state: str
    steps: list[Document]


class Listener:
    """Hears the events of one job from the one after `last` on. `is_over`: there will be no more."""

    def __init__(self, wire: Wire, url: str, *, last: int, silence_s: float) -> None:
        self._wire = wire
        self._url = url
        self._silence_s = silence_s
        self.last = last
        self.is_over = False

    def hear_on(self, repeats: Repeats) -> Generator[Event | None]:
        """Yield what connection after connection brings, until there will be no more.

        Raises ProblemError, and UnreachableError after as many connections in a row that brought nothing at all as
        `repeats` has tries.
        """
        in_vain = 0
        while True:
            try:
                for event in self.hear():
                    in_vain = 0
                    yield event
            except UnreachableError as error:
                in_vain += 1
                if in_vain >= repeats.tries or not error.is_passing:
                    raise
            if self.is_over:
                return
            repeats.sleep(repeats.pause_s(max(in_vain, AT_EASE)))

    def hear(self) -> Iterator[Event | None]:
        """Yield what one connection brings, None for a sign of life, until it ends or breaks.

        Raises ProblemError, and UnreachableError when it brings nothing at all: there is no stream, or something on
        the way holds it back.
        """
        has_brought = False
        try:
            with self._wire.open(self._request()) as answer:
                for event in self._events_in(answer):
                    has_brought = True
                    yield event
        except UnreachableError as error:
            if not has_brought or not error.is_passing:
                raise
        if not has_brought and not self.is_over:
            raise UnreachableError(f"{self._wire.url} ends its stream of events without a word.")

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
            raise UnreachableError(f"{self._wire.url} has no stream of events.", is_passing=False)
        for event in parse(lines_of(answer)):
            is_new = event is not None and event.number > self.last
            self.last = event.number if event is not None and is_new else self.last
            yield event if is_new else None


def lines_of(answer: requests.Response) -> Iterator[bytes]:
    """Yield the lines as they come. Byte by byte: a larger piece may be waited for until it is full."""
    line = bytearray()
    for byte in answer.iter_content(1):
        if byte != b"\n":
            line += byte
            continue
        yield bytes(line).removesuffix(b"\r")
        line.clear()


def parse(lines: Iterable[bytes]) -> Iterator[Event | None]:
    """Yield each change once its last line is there, None for a comment; what has no end is none.

    Raises UnreachableError for what Slipway does not send.
    """
    kind, told = "", list[str]()
    for line in lines:
        name, _, value = line.decode("utf-8", "replace").partition(":")
        if not line:
            if kind == CHANGE:
                yield _event("\n".join(told))
            kind, told = "", []
        elif not name:
            yield None
        elif name == "event":
            kind = value.removeprefix(" ")
        elif name == "data":
            told.append(value.removeprefix(" "))


def _event(text: str) -> Event:
    try:
        told = json.loads(text)
        return Event(number=int(told["number"]), at=told["at"], state=told["state"], steps=list(told["steps"]))
    except (ValueError, TypeError, LookupError):
        raise UnreachableError("The stream of events is not as Slipway writes it.", is_passing=False) from None

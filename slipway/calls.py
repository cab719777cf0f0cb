"""What do all calls have in common?  An address, a token, a key for each write, pages, and patience."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from slipway import address
from slipway.errors import Document
from slipway.retry import Repeats
from slipway.transport import Reply, Request, Wire

READ_S = 15.0
SILENCE_S = 20.0
PAGE_ROWS = 100
SIX_TRIES = Repeats()
OPEN = frozenset({"queued", "running", "cancelling"})


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A job as it was seen; `tag` names this version of it."""

    job: Document
    tag: str

    @property
    def is_over(self) -> bool:
        return self.job["state"] not in OPEN

    @property
    def version(self) -> int:
        """The number of its last event."""
        return int(self.job.get("version") or 0)


class Calls:
    """The part that the groups of calls share. Its repr does not show the token."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        read_s: float = READ_S,
        silence_s: float = SILENCE_S,
        repeats: Repeats = SIX_TRIES,
    ) -> None:
        """Speak with the Slipway at `url`, such as http://127.0.0.1:8000. Raises ValueError.

        `read_s`: how long an answer may take; `silence_s`: how long a stream of events may say nothing; `repeats`: how
        often and for how long in all a request is sent again.
        """
        self._wire = Wire(url, token)
        self._read_s = read_s
        self._silence_s = silence_s
        self._repeats = repeats

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._wire.url!r}, has_token={self._wire.has_token})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the next call would open new ones."""
        self._wire.close()

    def _read(self, *path: str, **query: str | int | None) -> Document:
        return self._document(self._send("GET", path, query=query))

    def _write(self, *path: str, method: str = "POST", body: Document | None = None, dry_run: bool = False) -> Document:
        """Send a write under a key of its own: however often it is sent, it is done once."""
        query = {"dry_run": "true"} if dry_run else {}
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return self._document(self._send(method, path, query=query, body=body, headers=headers))

    def _pages(self, rows: str, *path: str, limit: int = PAGE_ROWS, **query: str | int | None) -> Iterator[Document]:
        """Yield what is listed under `rows`, page after page, as far as it is asked for."""
        cursor: str | None = None
        while True:
            page = self._read(*path, limit=limit, cursor=cursor, **query)
            yield from page[rows]
            cursor = page["next"]
            if cursor is None:
                return

    def _send(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: dict[str, Any] | None = None,
        body: Document | None = None,
        headers: dict[str, str] | None = None,
        held_s: float = 0.0,
        repeats: Repeats | None = None,
    ) -> Reply:
        """Send one request as often as it takes. `held_s`: how long the server was told that it may hold the answer."""
        url = address.join(self._wire.url, *path)
        asked = {name: str(value) for name, value in (query or {}).items() if value is not None}

        def attempt(left_s: float) -> Reply:
            read_s = held_s + min(self._read_s, left_s)
            request = Request(method=method, url=url, query=asked, body=body, headers=headers or {}, read_s=read_s)
            return self._wire.exchange(request)

        return (repeats or self._repeats).send(attempt).require()

    @staticmethod
    def _document(reply: Reply) -> Document:
        document: Document = reply.document or {}
        return document

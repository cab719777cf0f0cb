"""Base class of the client's calls: address, token, idempotency keys, pages, retries."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from slipway import address
from slipway.errors import Document
from slipway.retry import RetryPolicy
from slipway.transport import Connection, Reply, Request

READ_S = 15.0
SILENCE_S = 20.0
PAGE_ROWS = 100
DEFAULT_RETRY = RetryPolicy()
OPEN = frozenset({"queued", "running", "cancelling"})


@dataclass(frozen=True, kw_only=True)
class JobVersion:
    """One version of a job, as the server sent it; `tag` is its ETag."""

    job: Document
    tag: str

    @property
    def is_over(self) -> bool:
        return self.job["state"] not in OPEN

    @property
    def version(self) -> int:
        """The number of its last event."""
        return int(self.job.get("version") or 0)


class BaseClient:
    """What all groups of calls share. Its repr hides the token."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        read_s: float = READ_S,
        silence_s: float = SILENCE_S,
        retry: RetryPolicy = DEFAULT_RETRY,
        repeats: RetryPolicy | None = None,
    ) -> None:
        """Call the Slipway server at `url`, such as http://127.0.0.1:8000. Raises ValueError.

        `read_s`: how long an answer may take; `silence_s`: how long an event stream may send nothing; `retry`: how
        often and for how long a request is sent again; `repeats`: the former name of `retry`.
        """
        self._connection = Connection(url, token)
        self._read_s = read_s
        self._silence_s = silence_s
        self._retry = repeats or retry

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._connection.url!r}, has_token={self._connection.has_token})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the next call would open new ones."""
        self._connection.close()

    def _read(self, *path: str, **query: str | int | None) -> Document:
        return self._document(self._send("GET", path, query=query))

    def _write(
        self,
        *path: str,
        method: str = "POST",
        body: Document | None = None,
        dry_run: bool = False,
        **asked: str | None,
    ) -> Document:
        """Send a write with its own idempotency key: it is done once, however often it is sent."""
        query = {**asked, **({"dry_run": "true"} if dry_run else {})}
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return self._document(self._send(method, path, query=query, body=body, headers=headers))

    def _pages(self, rows: str, *path: str, limit: int = PAGE_ROWS, **query: str | int | None) -> Iterator[Document]:
        """Yield the rows of each page; the next page is read when the caller gets there."""
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
        retry: RetryPolicy | None = None,
    ) -> Reply:
        """Send one request, with retries. `held_s`: how long the server may hold its answer."""
        url = address.join(self._connection.url, *path)
        asked = {name: str(value) for name, value in (query or {}).items() if value is not None}

        def attempt(left_s: float) -> Reply:
            read_s = held_s + min(self._read_s, left_s)
            request = Request(method=method, url=url, query=asked, body=body, headers=headers or {}, read_s=read_s)
            return self._connection.exchange(request)

        return (retry or self._retry).send(attempt).require()

    @staticmethod
    def _document(reply: Reply) -> Document:
        document: Document = reply.document or {}
        return document

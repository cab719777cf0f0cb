"""How do bytes get to a client that nobody waits for?

Over its own connection, without blocking (`SocketLine`), or through a queue to the thread that the server keeps on
the request, where the connection cannot be had (`QueueLine`).
"""

from __future__ import annotations

import contextlib
import queue
import socket
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus

from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.http import http_date

MAX_RECEIVED_BYTES = 64 * 1024  # of a client that keeps sending: it is no follower
STALL_TIMEOUT_S = 60.0
MAX_UNSENT_BYTES = 256 * 1024  # of a client that reads more slowly than things change: it is let go, and may come again


class SocketOutput:
    """A connection that was taken over from the server. Used by one thread at a time."""

    def __init__(self, connection: socket.socket, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.connection = connection
        self._clock_s = clock_s
        self._unsent = bytearray()
        self._received_bytes = 0
        self._progress_at_s = clock_s()  # when the client last took something, or had nothing to take
        self._deadline_s: float | None = None
        self.is_closed = False

    @property
    def has_unsent(self) -> bool:
        """Say whether there is something to be sent as soon as the client takes it."""
        return bool(self._unsent) and not self.is_closed

    @property
    def is_ending(self) -> bool:
        """Say whether nothing more is to be sent than what waits already."""
        return self._deadline_s is not None

    def send_head(self, response: Response) -> None:
        """Send the head of a stream, whose end is the end of the connection."""
        self.send(_head(response, response.headers))

    def answer(self, response: Response) -> None:
        self._push(_head(response, response.get_wsgi_headers({})) + response.get_data())

    def send(self, content: bytes) -> None:
        self._push(content)
        if len(self._unsent) > MAX_UNSENT_BYTES:
            self.close()

    def flush(self) -> None:
        """Send what the client takes now."""
        try:
            while self._unsent and not self.is_closed:
                del self._unsent[: self.connection.send(self._unsent)]
                self._progress_at_s = self._clock_s()
        except BlockingIOError:
            return
        except OSError:
            self.close()
        if self.is_ending:
            self.close()

    def end(self) -> None:
        self._deadline_s = self._clock_s() + STALL_TIMEOUT_S
        self.flush()

    def close_if_stalled(self) -> None:
        """Leave a client that takes nothing any more: its place is for those who read."""
        now_s = self._clock_s()
        is_stalled = self.has_unsent and now_s - self._progress_at_s >= STALL_TIMEOUT_S
        if is_stalled or (self._deadline_s is not None and now_s >= self._deadline_s):
            self.close()

    def receive(self) -> None:
        """Look what the client says, a piece at a time: nothing that it could say matters but that it is gone."""
        try:
            piece = self.connection.recv(MAX_RECEIVED_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self._received_bytes += len(piece)
        if not piece or self._received_bytes > MAX_RECEIVED_BYTES:
            self.close()

    def close(self) -> None:
        """Tell the client that nothing more comes; whoever watches the connection closes it."""
        self.is_closed = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)

    def _push(self, content: bytes) -> None:
        if not self._unsent:
            self._progress_at_s = self._clock_s()
        self._unsent += content
        self.flush()


def _head(response: Response, headers: Headers) -> bytes:
    status = HTTPStatus(response.status_code)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Date: {http_date()}",
        *(f"{name}: {value}" for name, value in headers),
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class QueueOutput:
    """A line to a thread that waits for what is to be sent."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[bytes | Response | None] = queue.SimpleQueue()
        self.is_closed = False
        self.has_unsent = False
        self.is_ending = False

    def close_if_stalled(self) -> None:
        """The server sees to it: it is its thread that waits."""

    def answer(self, response: Response) -> None:
        self._queue.put(response)

    def send(self, content: bytes) -> None:
        self._queue.put(content)

    def end(self) -> None:
        self._queue.put(None)
        self.is_closed = True

    def wait_for_answer(self) -> Response:
        """Return the one answer, when it is there."""
        answer = self._queue.get()
        assert isinstance(answer, Response)  # noqa: S101 - a waiter gets nothing else
        return answer

    def stream(self) -> Iterator[bytes]:
        """Yield what is sent until the end."""
        try:
            while isinstance(content := self._queue.get(), bytes):
                yield content
        finally:
            self.is_closed = True  # the client has left: the server closes the generator

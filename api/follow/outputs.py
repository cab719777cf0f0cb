"""Outputs to followers: the client's connection, written without blocking, or a queue to the server's thread.

`SocketOutput` owns a connection that was taken over from the server. Where the server does not expose the connection,
`QueueOutput` passes the bytes to the thread that the server holds for the request.
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

MAX_RECEIVED_BYTES = 64 * 1024  # a client that sends more than this does not follow a stream
STALL_TIMEOUT_S = 60.0
MAX_UNSENT_BYTES = 256 * 1024  # a client that reads too slowly is disconnected, and may reconnect


class SocketOutput:
    """A connection taken over from the server. One thread uses it at a time."""

    def __init__(self, connection: socket.socket, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.connection = connection
        self._clock_s = clock_s
        self._unsent = bytearray()
        self._received_bytes = 0
        self._progress_at_s = clock_s()  # when the client last accepted bytes, or nothing was unsent
        self._deadline_s: float | None = None
        self.is_closed = False

    @property
    def has_unsent(self) -> bool:
        """Whether bytes wait until the client accepts them."""
        return bool(self._unsent) and not self.is_closed

    @property
    def is_ending(self) -> bool:
        """Whether the output closes once the unsent bytes are sent."""
        return self._deadline_s is not None

    def send_head(self, response: Response) -> None:
        """Send the head of a stream. The stream ends when the connection closes."""
        self.send(_head(response, response.headers))

    def answer(self, response: Response) -> None:
        self._push(_head(response, response.get_wsgi_headers({})) + response.get_data())

    def send(self, content: bytes) -> None:
        self._push(content)
        if len(self._unsent) > MAX_UNSENT_BYTES:
            self.close()

    def flush(self) -> None:
        """Send as much as the client accepts now."""
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
        """Disconnect a client that has stopped reading."""
        now_s = self._clock_s()
        is_stalled = self.has_unsent and now_s - self._progress_at_s >= STALL_TIMEOUT_S
        if is_stalled or (self._deadline_s is not None and now_s >= self._deadline_s):
            self.close()

    def receive(self) -> None:
        """Read and discard what the client sends; only its disconnecting matters."""
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
        """Signal the end to the client; the hub closes the connection."""
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
    """A queue to a server thread that waits for the content to send."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[bytes | Response | None] = queue.SimpleQueue()
        self.is_closed = False
        self.has_unsent = False
        self.is_ending = False

    def close_if_stalled(self) -> None:
        """Do nothing: the thread that waits belongs to the server, which has its own timeout."""

    def answer(self, response: Response) -> None:
        self._queue.put(response)

    def send(self, content: bytes) -> None:
        self._queue.put(content)

    def end(self) -> None:
        self._queue.put(None)
        self.is_closed = True

    def wait_for_answer(self) -> Response:
        """Wait for the single answer and return it."""
        answer = self._queue.get()
        assert isinstance(answer, Response)  # noqa: S101 - a poll subscriber sends nothing else
        return answer

    def stream(self) -> Iterator[bytes]:
        """Yield the content as it is sent, until the end."""
        try:
            while isinstance(content := self._queue.get(), bytes):
                yield content
        finally:
            self.is_closed = True  # the client has disconnected: the server closes the generator

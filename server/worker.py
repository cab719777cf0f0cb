"""gunicorn worker that slow clients cannot block: a thread serves a request only when all of it has arrived.

Reading requests and sending answers wait on the main thread. gunicorn's own threads wait for both, for any time:
sixteen clients that send half a line each would stop the API for everybody else.

    accept ──▶ arriving ──▶ a thread ──▶ leaving ──▶ kept alive ──▶ arriving …
                  │ 10 s: 408               │ 60 s: cut
                  └───────▶ parting ◀───────┘
                               │ when the client closes, 2 s at most
                               ▼
                             closed
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from itertools import takewhile
from selectors import EVENT_READ, EVENT_WRITE
from typing import NamedTuple, TypeVar

from gunicorn.http import get_parser
from gunicorn.http.errors import NoMoreData
from gunicorn.http.message import Request
from gunicorn.workers.gthread import TConn, ThreadWorker

from server.arrival import Arrival, Progress
from server.crowd import Waiting
from server.outbox import Outbox

ARRIVES_WITHIN_S = 10.0
LEAVES_WITHIN_S = 60.0
PARTS_WITHIN_S = 2.0
READ_BYTES = 64 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REFUSALS = {
    Progress.HEAD_TOO_LARGE: "431 Request Header Fields Too Large",
    Progress.BODY_TOO_LARGE: "413 Content Too Large",
}
TOO_LATE = "408 Request Timeout"
IS_HEALTH_CHECK = re.compile(rb"(?:GET|HEAD) /(?:healthz|readyz)[ ?]")
HEALTH_THREADS = 2

V = TypeVar("V")


class Leaving(NamedTuple):
    """An answer that is being sent: its deadline, and the thread's result for the connection."""

    ends_at_s: float
    outcome: Future[bool]


class PatientWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's threaded worker with waiting places. Everything but `handle_request` runs on its one main thread.

    The five public methods override gunicorn's; the dictionaries have the oldest connection first. Health checks have
    threads of their own: whoever asks learns that the process lives, and that it is not ready, when all others wait.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._arriving: Waiting[Arrival] = Waiting()
        self._leaving: Waiting[Leaving] = Waiting()
        self._parting: dict[TConn, float] = {}  # the deadline

    def init_process(self) -> None:
        """Make the threads of health checks, then run until told to stop."""
        self._health_pool = ThreadPoolExecutor(HEALTH_THREADS, thread_name_prefix="health")
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        """Wait for the complete next request. Called for a new connection, and for one with more data."""
        if self.cfg.is_ssl:
            super().enqueue_req(conn)  # only a thread can read TLS: end TLS in front of us
            return
        if conn.parser is None:
            conn.sock = Outbox(conn.sock)
        early = conn.parser.unreader.take_buffered() if conn.parser else b""
        self._arriving[conn] = Arrival(time.monotonic() + ARRIVES_WITHIN_S)
        self._watch(conn, EVENT_READ, self._read)
        if early:
            self._go_on(conn, early)

    def handle_request(self, req: Request, conn: TConn) -> bool:
        """Serve one request, in a thread."""
        if not self.cfg.is_ssl:
            conn.sock.setblocking(False)
            req._expected_100_continue = False  # noqa: SLF001 - the body is here
            if any(name == "TRANSFER-ENCODING" for name, _ in req.headers):
                req.body = BytesIO(req.body.read())  # a wrong chunk is found here, as an error of the client
        return bool(super().handle_request(req, conn))

    def finish_request(self, conn: TConn, fs: Future[bool]) -> None:
        """Send the rest of the answer, then close the connection or keep it."""
        if self.cfg.is_ssl:
            super().finish_request(conn, fs)
        elif _is_flushed(conn):
            self._finish(conn, fs)
        else:
            self._leaving[conn] = Leaving(time.monotonic() + LEAVES_WITHIN_S, fs)
            self._watch(conn, EVENT_WRITE, self._write)

    def murder_pending(self) -> None:
        """Close connections after their deadline, and what one address has beyond its share.

        Called after the events of each turn, and once a second. During a turn nothing that waits may be closed: its own
        event may be next.
        """
        super().murder_pending()
        self._drop_surplus(self._arriving)
        self._drop_surplus(self._leaving)
        now_s = time.monotonic()
        for conn in _late(self._arriving, lambda arrival: arrival.ends_at_s <= now_s):
            self._refuse(conn, TOO_LATE if self._arriving[conn].received else "")
        for conn in _late(self._leaving, lambda leaving: leaving.ends_at_s <= now_s):
            self._drop(conn, self._leaving)
        for conn in _late(self._parting, lambda ends_at_s: ends_at_s <= now_s):
            self._drop(conn, self._parting)

    # -- arriving

    def _read(self, conn: TConn) -> None:
        piece = _received(conn.sock)
        if piece:
            self._go_on(conn, piece)
        elif piece is not None:
            self._refuse(conn)

    def _go_on(self, conn: TConn, piece: bytes) -> None:
        progress = self._arriving[conn].add(piece)
        if progress is Progress.WHOLE:
            self._serve(conn)
        elif progress is Progress.EXPECTING:
            _send(conn.sock, CONTINUE)
        elif progress in REFUSALS:
            self._refuse(conn, REFUSALS[progress])

    def _serve(self, conn: TConn) -> None:
        self.poller.unregister(conn.sock)
        received = self._arriving.pop(conn).received
        conn.parser = get_parser(self.cfg, _nothing_but(bytes(received)), conn.client)
        conn.initialized = True  # with this parser, not with one that reads from the socket
        pool = self._health_pool if IS_HEALTH_CHECK.match(received) else self.tpool
        served: Future[bool] = pool.submit(self.handle, conn)
        served.add_done_callback(lambda outcome: self.method_queue.defer(self.finish_request, conn, outcome))

    def _refuse(self, conn: TConn, status: str = "") -> None:
        self.poller.unregister(conn.sock)
        del self._arriving[conn]
        if status:
            _send(conn.sock, f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        self._part(conn)

    # -- leaving

    def _write(self, conn: TConn) -> None:
        if _is_flushed(conn):
            self.poller.unregister(conn.sock)
            self._finish(conn, self._leaving.pop(conn).outcome)

    def _finish(self, conn: TConn, outcome: Future[bool]) -> None:
        if outcome.cancelled() or outcome.exception() or not outcome.result():
            self._part(conn)  # gunicorn's own close would block until the client closes
        else:
            super().finish_request(conn, outcome)

    # -- parting

    def _part(self, conn: TConn) -> None:
        """Send the end of the stream, then wait: a client cut off while sending loses the answer (RFC 9112, 9.6)."""
        self._parting[conn] = time.monotonic() + PARTS_WITHIN_S
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            self._watch(conn, EVENT_READ, self._read_rest)
        except OSError:  # is gone already
            self._drop(conn, self._parting)

    def _read_rest(self, conn: TConn) -> None:
        if _received(conn.sock) == b"":
            self._drop(conn, self._parting)

    def _drop_surplus(self, place: Waiting[V]) -> None:
        """Keep one address from taking every place: its oldest connections go, without a word."""
        for conn in place.take_surplus():
            self._drop(conn, place)

    def _drop(self, conn: TConn, place: MutableMapping[TConn, V]) -> None:
        del place[conn]
        with contextlib.suppress(KeyError, ValueError):  # is not watched
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def _watch(self, conn: TConn, event: int, then: Callable[[TConn], None]) -> None:
        conn.sock.setblocking(False)
        self.poller.register(conn.sock, event, lambda _sock: then(conn))


def _late(place: Mapping[TConn, V], is_late: Callable[[V], bool]) -> list[TConn]:
    return [conn for conn, _ in takewhile(lambda item: is_late(item[1]), place.items())]


def _is_flushed(conn: TConn) -> bool:
    try:
        return bool(conn.sock.flush())
    except OSError:
        return True  # the client is gone: nothing to wait for


def _received(sock: socket.socket) -> bytes | None:
    """Return what has arrived, b"" at the end, None for nothing yet."""
    try:
        return sock.recv(READ_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _send(sock: socket.socket, line: bytes) -> None:
    with contextlib.suppress(OSError):  # a client that does not accept this short line gets none
        sock.send(line)


def _nothing_but(received: bytes) -> Iterator[bytes]:
    """Yield the parser's input. A body shorter than announced ends here: its connection cannot be reused."""
    yield received
    raise NoMoreData

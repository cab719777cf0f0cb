"""What can a server do that no web framework would? Say bytes, slowly, and hang up."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def saying(
    *chunks: bytes, pause_s: float = 0.0, hold: bool = False, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Answer one connection with `chunks`, `pause_s` apart, and yield the URL; `hold` keeps it open afterwards."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=_serve, args=(listener, chunks, pause_s, hold, tls, over))
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)  # wakes an accept that nobody answered
            thread.join()


def _serve(
    listener: socket.socket,
    chunks: tuple[bytes, ...],
    pause_s: float,
    hold: bool,
    tls: ssl.SSLContext | None,
    over: threading.Event,
) -> None:
    with contextlib.suppress(OSError):
        connection, _ = listener.accept()
        with connection, _wrapped(connection, tls) as speaker:
            speaker.recv(64 * 1024)
            for chunk in chunks:
                speaker.sendall(chunk)
                if over.wait(pause_s):
                    return
            if hold:
                over.wait()


def _wrapped(connection: socket.socket, tls: ssl.SSLContext | None) -> socket.socket:
    connection.getpeername()  # of a peer that has gone, the TLS socket would be left open, and reported much later
    return tls.wrap_socket(connection, server_side=True) if tls else connection


def slowly(text: bytes) -> tuple[bytes, ...]:
    """Return `text` one byte at a time."""
    return tuple(bytes([byte]) for byte in text)

"""How does a thread get rid of a client that has to wait?  It hands the connection over and goes on with the next.

A WSGI server keeps a thread on every request until its answer is out. A follower waits for minutes: so the
connection is taken from the server, who gets one that leads nowhere in its place. What the server still writes or
closes is not the client's. gunicorn and Flask's own server show their socket; under TLS, or under another server,
there is nothing to take.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from typing import Any

SOCKET_KEYS = ("gunicorn.socket", "werkzeug.socket")


def can_take_over(environ: dict[str, Any]) -> bool:
    """Say whether the server shows the client's connection, and nothing but this request is on it."""
    return _find_socket(environ) is not None


def take_over(environ: dict[str, Any]) -> socket.socket:
    """Return the client's connection, non-blocking, client_socket alone from now on. Raises LookupError when it is not found."""
    server_socket = _find_socket(environ)
    if server_socket is None:
        raise LookupError("the server does not show the client's connection")
    client_socket = socket.socket(fileno=os.dup(server_socket.fileno()))
    near, far = socket.socketpair()
    with near, far:  # closed at both ends: a server that writes notices at once and lets go
        os.dup2(near.fileno(), server_socket.fileno(), inheritable=False)
    client_socket.setblocking(False)
    with contextlib.suppress(OSError):  # a UNIX socket has no such option, and needs none
        client_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client_socket


def _find_socket(environ: dict[str, Any]) -> socket.socket | None:
    found = next((environ[name] for name in SOCKET_KEYS if name in environ), None)
    is_plain = isinstance(found, socket.socket) and not isinstance(found, ssl.SSLSocket)
    return found if is_plain and environ.get("SERVER_PROTOCOL", "").startswith("HTTP/1") else None

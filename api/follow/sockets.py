"""Take over the client's connection from the WSGI server, so that a waiting client holds no server thread.

A WSGI server holds a thread for every request until the response is sent, but a follower waits for minutes. So the
connection is taken from the server, which gets an unconnected socket instead: what the server still writes or closes
does not reach the client. gunicorn and Flask's development server expose their socket. Under TLS, or under another
server, the connection cannot be taken over.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from typing import Any

SOCKET_KEYS = ("gunicorn.socket", "werkzeug.socket")


def can_take_over(environ: dict[str, Any]) -> bool:
    """Return whether the server exposes the client's connection, and only this request uses it."""
    return _find_socket(environ) is not None


def take_over(environ: dict[str, Any]) -> socket.socket:
    """Return the client's connection, non-blocking and detached from the server. Raises LookupError if not exposed."""
    server_socket = _find_socket(environ)
    if server_socket is None:
        raise LookupError("the server does not expose the client's connection")
    client_socket = socket.socket(fileno=os.dup(server_socket.fileno()))
    near, far = socket.socketpair()
    with near, far:  # both ends are closed: a server that writes gets an error at once
        os.dup2(near.fileno(), server_socket.fileno(), inheritable=False)
    client_socket.setblocking(False)
    with contextlib.suppress(OSError):  # a UNIX socket does not have this option
        client_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client_socket


def _find_socket(environ: dict[str, Any]) -> socket.socket | None:
    found = next((environ[name] for name in SOCKET_KEYS if name in environ), None)
    is_plain = isinstance(found, socket.socket) and not isinstance(found, ssl.SSLSocket)
    return found if is_plain and environ.get("SERVER_PROTOCOL", "").startswith("HTTP/1") else None

"""A TCP relay that a network fault is made of: it swallows bytes, cuts connections, answers with resets, changes sides.

forward    everything passes
swallow    both sides stay connected, and no byte arrives any more: half-open
cut        all connections end at once with a reset
commit     the next COMMIT is lost with its connection, before it arrived or after it was done
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from dataclasses import dataclass

HOST = "127.0.0.1"
BLOCKED_S = 2.0  # a receiver that takes nothing for so long has stopped
COMMIT = b"\x03COMMIT"  # COM_QUERY and its text, as the driver sends it


@dataclass(eq=False)
class _End:
    socket: socket.socket
    is_client: bool
    peer: _End | None = None
    is_spoilt: bool = False  # bytes of it were swallowed: of no more use
    is_doomed: bool = False  # ends with the answer that comes next


class Relay:
    """Forwards a port of its own to `target`; a thread does it until `close`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = threading.RLock()
        self._is_swallowing = False
        self._commits = 0
        self._is_done_before = False
        self._ends: dict[socket.socket, _End] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server((HOST, 0), backlog=256)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._is_closing = False
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def point_at(self, target: int) -> None:
        """Connect new connections to this port; those that are open stay where they are."""
        with self._lock:
            self._target = target

    def swallow(self) -> None:
        with self._lock:
            self._is_swallowing = True

    def heal(self) -> None:
        """Forward again. Connections that lost bytes end now: no server would understand what follows."""
        with self._lock:
            self._is_swallowing = False
            self._commits = 0
            for end in [end for end in self._ends.values() if end.is_spoilt]:
                self._reset(end)

    def cut(self) -> None:
        with self._lock:
            for end in list(self._ends.values()):
                self._reset(end)

    def lose_commits(self, times: int, *, is_done: bool) -> None:
        """Cut the connections of the next COMMITs: before they reach the server, or once they are done there."""
        with self._lock:
            self._commits, self._is_done_before = times, is_done

    @property
    def commits_to_lose(self) -> int:
        return self._commits

    def close(self) -> None:
        self._is_closing = True
        self._thread.join(5)
        self.cut()
        self._selector.close()
        self._listener.close()

    def _run(self) -> None:
        while not self._is_closing:
            for key, _ in self._selector.select(0.1):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._ends:
                        self._pass_on(self._ends[key.fileobj])

    def _accept(self) -> None:
        client = _End(self._listener.accept()[0], is_client=True)
        if self._is_swallowing:
            client.is_spoilt = True
            self._add(client)
            return
        try:
            server = _End(socket.create_connection((HOST, self._target), timeout=BLOCKED_S), is_client=False)
        except OSError:
            _close(client.socket)
            return
        client.peer, server.peer = server, client
        self._add(client)
        self._add(server)

    def _add(self, end: _End) -> None:
        end.socket.settimeout(BLOCKED_S)
        end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ends[end.socket] = end
        self._selector.register(end.socket, selectors.EVENT_READ)

    def _pass_on(self, end: _End) -> None:
        try:
            sent = end.socket.recv(65536)
        except OSError:
            sent = b""
        if not sent:
            self._reset(end)
        elif self._is_swallowing or end.peer is None:
            end.is_spoilt = True
        elif end.is_doomed:
            self._reset(end)
        elif end.is_client and self._commits and COMMIT in sent:
            self._lose_commit(end, end.peer, sent)
        else:
            self._send(end.peer, sent)

    def _lose_commit(self, client: _End, server: _End, sent: bytes) -> None:
        self._commits -= 1
        if self._is_done_before:
            server.is_doomed = True
            self._send(server, sent)
        else:
            self._reset(client)

    def _send(self, end: _End, sent: bytes) -> None:
        try:
            end.socket.sendall(sent)
        except OSError:
            self._reset(end)

    def _reset(self, end: _End) -> None:
        for one in (end, end.peer):
            if one is not None and self._ends.pop(one.socket, None) is not None:
                self._selector.unregister(one.socket)
                _close(one.socket)


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()

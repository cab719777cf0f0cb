"""Buffer for what a client has not received yet: a thread that has written its answer is free for the next one."""

from __future__ import annotations

import socket
from collections import deque
from typing import Any


class Outbox(socket.socket):
    """A connection whose `sendall` never blocks; `flush` sends later what the client does not accept at once.

    It holds one answer at most: the next request is read when the last answer is sent.
    """

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(fileno=connection.detach())
        self._unsent: deque[memoryview] = deque()

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ARG002 - the signature of sockets
        self._unsent.append(memoryview(data))
        self.flush()

    def flush(self) -> bool:
        """Send what the client accepts now; return whether everything is sent. Raises OSError when it is gone."""
        while self._unsent:
            try:
                sent = self.send(self._unsent[0], socket.MSG_DONTWAIT)  # whatever mode the socket is in
            except BlockingIOError:
                return False
            self._unsent[0] = self._unsent[0][sent:]
            if not self._unsent[0]:
                self._unsent.popleft()
        return True

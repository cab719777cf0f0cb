"""What has a client not taken yet?  It waits here: a thread that has written its answer is free for the next one."""

from __future__ import annotations

import socket
from collections import deque
from typing import Any


class Outbox(socket.socket):
    """A connection whose `sendall` never waits; what the client does not take at once, `flush` sends later.

    It holds as much as one answer: the next request is read when the last answer is gone.
    """

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(fileno=connection.detach())
        self._unsent: deque[memoryview] = deque()

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ARG002 - as of every socket
        self._unsent.append(memoryview(data))
        self.flush()

    def flush(self) -> bool:
        """Send what the client takes now and say whether that is all. Raises OSError when it has gone."""
        while self._unsent:
            try:
                sent = self.send(self._unsent[0], socket.MSG_DONTWAIT)  # whoever made it blocking last
            except BlockingIOError:
                return False
            self._unsent[0] = self._unsent[0][sent:]
            if not self._unsent[0]:
                self._unsent.popleft()
        return True

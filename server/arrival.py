"""Detection of a complete request.

Decides only when a request is complete: gunicorn's parser checks every byte afterwards. A request that the parser
refuses without reading on counts as complete.
"""

from __future__ import annotations

import re
from enum import Enum

HEAD_BYTES = 32 * 1024
BODY_BYTES = 64 * 1024  # the API refuses larger bodies without reading them, see api/contract/parsing.py
CHUNKED_BYTES = 4 * BODY_BYTES  # including the size lines of the chunks
HEAD_ENDS = re.compile(rb"\r?\n\r?\n")  # a bare line feed ends a head, too, and is refused
LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
IS_CHUNKED = re.compile(rb"^transfer-encoding:.*chunked", re.IGNORECASE | re.MULTILINE)
EXPECTS = re.compile(rb"^expect:[ \t]*100-continue", re.IGNORECASE | re.MULTILINE)
CHUNK_SIZE = re.compile(rb"([0-9a-f]{1,15})[ \t]*(?:;.*)?", re.IGNORECASE)


class Progress(Enum):
    """What to do with a request after one more piece of it."""

    PARTIAL = "wait for the next piece"
    EXPECTING = "send 100 Continue, then wait"
    WHOLE = "serve it"
    HEAD_TOO_LARGE = "refuse it: the head does not end"
    BODY_TOO_LARGE = "refuse it: the chunks do not end"


class Arrival:
    """One request as it arrives; `received` may end with the beginning of the next one."""

    def __init__(self, ends_at_s: float) -> None:
        self.ends_at_s = ends_at_s
        self.received = bytearray()
        self._body_at = 0  # 0: the head is incomplete
        self._whole_at = 0  # end of a body of known length
        self._chunk_at = 0  # start of the next size line; 0: no chunks

    def add(self, piece: bytes) -> Progress:
        """Add the next piece and return the progress."""
        searched = max(0, len(self.received) - 3)
        self.received += piece
        if self._body_at:
            return self._progress()
        if head_end := HEAD_ENDS.search(self.received, searched):
            expects = self._read_head(head_end.end())
            is_waiting = expects and self._progress() is Progress.PARTIAL
            return Progress.EXPECTING if is_waiting else self._progress()
        return Progress.HEAD_TOO_LARGE if len(self.received) > HEAD_BYTES else Progress.PARTIAL

    def _read_head(self, body_at: int) -> bool:
        """Return whether the client waits for 100 Continue (RFC 9110, 10.1.1)."""
        head, self._body_at = self.received[:body_at], body_at
        if IS_CHUNKED.search(head):
            self._chunk_at = body_at
        elif length := LENGTH.search(head):
            self._whole_at = body_at + int(length[1])
        return bool(EXPECTS.search(head))

    def _progress(self) -> Progress:
        if self._chunk_at:
            if self._has_last_chunk():
                return Progress.WHOLE
            is_endless = len(self.received) - self._body_at > CHUNKED_BYTES
            return Progress.BODY_TOO_LARGE if is_endless else Progress.PARTIAL
        is_refused = self._whole_at - self._body_at > BODY_BYTES
        return Progress.WHOLE if is_refused or len(self.received) >= self._whole_at else Progress.PARTIAL

    def _has_last_chunk(self) -> bool:
        while (line_ends_at := self.received.find(b"\r\n", self._chunk_at)) >= 0:
            size = CHUNK_SIZE.fullmatch(self.received, self._chunk_at, line_ends_at)
            if size is None:
                return True  # the parser refuses it
            if int(size[1], 16) == 0:
                return self.received.find(b"\r\n\r\n", line_ends_at) >= 0  # after the trailers
            self._chunk_at = line_ends_at + 2 + int(size[1], 16) + 2
        return False

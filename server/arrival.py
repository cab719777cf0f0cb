"""Is all of a request here?

Says when, not what: gunicorn's parser judges every byte afterwards. What it refuses without reading on counts as whole.
"""

from __future__ import annotations

import re
from enum import Enum

HEAD_BYTES = 32 * 1024
BODY_BYTES = 64 * 1024  # more than this the API refuses without reading it, see api/contract/parsing.py
CHUNKED_BYTES = 4 * BODY_BYTES  # with what the chunks add
HEAD_ENDS = re.compile(rb"\r?\n\r?\n")  # a bare line feed is refused, not waited for
LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
IS_CHUNKED = re.compile(rb"^transfer-encoding:.*chunked", re.IGNORECASE | re.MULTILINE)
EXPECTS = re.compile(rb"^expect:[ \t]*100-continue", re.IGNORECASE | re.MULTILINE)
CHUNK_SIZE = re.compile(rb"([0-9a-f]{1,15})[ \t]*(?:;.*)?", re.IGNORECASE)


class Progress(Enum):
    """What is to be done with a request after one more piece of it."""

    PARTIAL = "wait for the next piece"
    EXPECTING = "tell the client to go on, then wait"
    WHOLE = "serve it"
    HEAD_TOO_LARGE = "refuse it: the head does not end"
    BODY_TOO_LARGE = "refuse it: the chunks do not end"


class Arrival:
    """One request as it comes in; `received` may end with the beginning of the next one."""

    def __init__(self, ends_at_s: float) -> None:
        self.ends_at_s = ends_at_s
        self.received = bytearray()
        self._body_at = 0  # 0: the head has not ended
        self._whole_at = 0  # of a body of known length
        self._chunk_at = 0  # where the next size line begins; 0: no chunks

    def add(self, piece: bytes) -> Progress:
        """Take the next piece."""
        searched = max(0, len(self.received) - 3)
        self.received += piece
        if self._body_at:
            return self._progress()
        if head_end := HEAD_ENDS.search(self.received, searched):
            expects = self._read_head(head_end.end())
            is_unavailable = expects and self._progress() is Progress.PARTIAL
            return Progress.EXPECTING if is_unavailable else self._progress()
        return Progress.HEAD_TOO_LARGE if len(self.received) > HEAD_BYTES else Progress.PARTIAL

    def _read_head(self, body_at: int) -> bool:
        """Return whether the client waits to be told to go on (RFC 9110, 10.1.1)."""
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
                return True  # refused as it is
            if int(size[1], 16) == 0:
                return self.received.find(b"\r\n\r\n", line_ends_at) >= 0  # behind the trailers
            self._chunk_at = line_ends_at + 2 + int(size[1], 16) + 2
        return False

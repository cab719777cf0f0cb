"""The console of a build, piece by piece: the text in a reply, and the offset of the next one.

Offsets count the bytes of Jenkins' raw log. It strips its own notes out of what it sends, so the length of a reply
says nothing about the next offset: only `X-Text-Size` does.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from dataclasses import dataclass

from worker.upstreams.replies import Reply

_LONGEST_SIZE = 15  # digits: more than any disk holds


@dataclass(frozen=True, kw_only=True)
class Console:
    """A piece of a console. `start` and `next_start` are raw byte offsets; `has_more`: the build may print more."""

    text: str
    start: int
    next_start: int
    has_more: bool


def start_within(head: Reply, *, start: int, at_most_bytes: int) -> int:
    """Return from where to read: `start`, or later when more than `at_most_bytes` has been printed since.

    A log that is shorter than `start` is another one: Jenkins begins at 0, and so do we.
    """
    size_bytes = _size_bytes(head) if head.status == 200 else None
    if size_bytes is None:
        return start
    return max(start if start <= size_bytes else 0, size_bytes - at_most_bytes)


def piece_of(reply: Reply, *, start: int, is_cut: bool, at_most_bytes: int) -> Console:
    """Return the text of a reply that begins at `start`, at most its last `at_most_bytes`.

    What was cut begins with the next line: half a character, or half of a note, is no text.
    """
    body = reply.body[-at_most_bytes:]
    if is_cut or len(body) < len(reply.body):
        body = body.partition(b"\n")[2] or body
    has_more = reply.headers.get("X-More-Data") == "true"
    decoder = getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(body, final=not has_more)
    unfinished, _ = decoder.getstate()  # the first bytes of a character whose rest is not printed yet
    size_bytes = _size_bytes(reply)
    end = start + len(reply.body) if size_bytes is None else size_bytes
    return Console(text=text, start=start, next_start=end - len(unfinished), has_more=has_more)


def _size_bytes(reply: Reply) -> int | None:
    """Return where the raw log ends, None when a proxy has removed the header."""
    text = reply.headers.get("X-Text-Size", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_SIZE else None

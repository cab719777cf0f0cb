"""Console output of builds, kept in the database while a build is followed, so that reading needs no upstream."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.database.models import ConsoleChunk

CHARACTERS = 1_000_000  # of one build's console are kept
PAGE_CHARACTERS = 64_000


@dataclass(frozen=True, kw_only=True)
class LogPage:
    """A piece of a console from `start`; `next_start` is where the following one begins."""

    text: str
    start: int
    next_start: int
    is_end: bool  # of what is kept so far


def position(session: Session, job_id: str) -> tuple[int, int]:
    """Return (our next offset in characters, Jenkins' next offset in bytes)."""
    last = session.scalar(
        select(ConsoleChunk).where(ConsoleChunk.job_id == job_id).order_by(ConsoleChunk.start.desc()).limit(1)
    )
    return (last.start + len(last.text), last.upstream_next) if last else (0, 0)


def append(session: Session, job_id: str, text: str, *, after: tuple[int, int], upstream_next: int) -> None:
    """Keep a piece that was read at `after`; a piece that is already there, or is too much, is not kept."""
    start, _ = position(session, job_id)
    if not text or start != after[0] or start >= CHARACTERS:
        return
    session.add(ConsoleChunk(job_id=job_id, start=start, upstream_next=upstream_next, text=text[: CHARACTERS - start]))


def read(session: Session, job_id: str, *, start: int) -> LogPage:
    """Return at most PAGE_CHARACTERS from `start`."""
    first = select(func.max(ConsoleChunk.start)).where(ConsoleChunk.job_id == job_id, ConsoleChunk.start <= start)
    chunks = session.scalars(
        select(ConsoleChunk)
        .where(
            ConsoleChunk.job_id == job_id,
            ConsoleChunk.start >= func.coalesce(first.scalar_subquery(), 0),
            ConsoleChunk.start < start + PAGE_CHARACTERS,
        )
        .order_by(ConsoleChunk.start)
    )
    text = ""
    for chunk in chunks:
        if chunk.start + len(chunk.text) > start:
            text += chunk.text[max(0, start - chunk.start) :]
    text = text[:PAGE_CHARACTERS]
    end = start + len(text)
    return LogPage(text=text, start=start, next_start=end, is_end=end >= position(session, job_id)[0])


def tail(session: Session, job_id: str, characters: int) -> str:
    """Return the last characters that are kept."""
    end, _ = position(session, job_id)
    return read(session, job_id, start=max(0, end - characters)).text

"""Outages and pauses of upstreams, kept in the database so that all workers know of them.

several steps in a row got no answer   ─▶ in doubt: no step is sent, a worker probes at once
the probe gets none either             ─▶ down: no step is sent, a worker probes again at growing intervals
a probe is answered                    ─▶ open again; few steps at first (`slots`)
an administrator pauses it             ─▶ no step is sent until it is resumed
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from common.database.models import UpstreamStatus
from common.workflows import EXTERNAL, Upstream

PROBE_PAUSES_S = (2.0, 4.0, 8.0, 15.0)  # between probes of what is down; the last one is repeated
PROBE_LEASE_S = 15.0  # a worker that has claimed a probe has this long before another one does it
REASON_CHARACTERS = 500


class HoldCode(StrEnum):
    """Why a step is held back: a code that clients see."""

    OUTAGE = "outage"
    PAUSED = "paused"
    BUSY = "busy"


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Why a step is held back. The text stays the same while the hold lasts: each new one would be an event."""

    code: HoldCode
    reason: str


def read(session: Session, names: Iterable[Upstream] = EXTERNAL) -> dict[str, UpstreamStatus]:
    """Return the status of these upstreams, by name; those that no worker has used yet are absent."""
    statement = select(UpstreamStatus).where(UpstreamStatus.name.in_(list(names)))
    rows = session.scalars(statement.execution_options(populate_existing=True))
    return {status.name: status for status in rows}


def hold_on(status: UpstreamStatus) -> Hold | None:
    """Return why no step may be sent there, None when it is open."""
    label = Upstream(status.name).label
    if status.paused_at is not None:
        return Hold(code=HoldCode.PAUSED, reason=f"{label} is paused by {status.paused_by}: {status.pause_reason}")
    if status.look_at is not None:
        reason = f"{label} is not answering. The step continues by itself once it does."
        return Hold(code=HoldCode.OUTAGE, reason=reason)
    return None


def record_unavailable(session: Session, upstream: Upstream, reason: str, now: datetime, *, enough: int) -> bool:
    """Record that a step got no answer; after `enough` in a row a probe is due, and until then no step is sent.

    Returns whether the upstream is known to be down: then the attempt does not count.
    """
    status = _locked(session, upstream)
    status.failures += 1
    status.reason = reason[:REASON_CHARACTERS]
    if status.look_at is None and 0 < enough <= status.failures:
        status.look_at = now
    return status.down_since is not None


def record_answer(session: Session, visits: Collection[Upstream]) -> None:
    """Record that a step got its answers: the failures before it were not in a row."""
    session.execute(
        update(UpstreamStatus)
        .where(UpstreamStatus.name.in_(visits), UpstreamStatus.failures > 0, UpstreamStatus.look_at.is_(None))
        .values(failures=0, reason=None)
    )


@dataclass(frozen=True, kw_only=True)
class DueProbe:
    """An upstream that is to be probed, and when that was due."""

    upstream: Upstream
    due_at: datetime


def due_probes(session: Session, now: datetime) -> list[DueProbe]:
    """Return what is to be probed now."""
    rows = session.scalars(select(UpstreamStatus).where(UpstreamStatus.look_at <= now))
    return [DueProbe(upstream=Upstream(status.name), due_at=status.look_at) for status in rows if status.look_at]


def claim_probe(session: Session, *, probe: DueProbe, now: datetime) -> bool:
    """Return whether the probe is the caller's: each goes to one caller, and to another if that does not report."""
    is_as_seen = (UpstreamStatus.name == probe.upstream, UpstreamStatus.look_at == probe.due_at)
    result = session.execute(
        update(UpstreamStatus).where(*is_as_seen).values(look_at=now + timedelta(seconds=PROBE_LEASE_S))
    )
    return bool(cast("Any", result).rowcount)


def mark_up(session: Session, upstream: Upstream, now: datetime) -> datetime | None:
    """Open it again. Returns since when it was down, None when it was only in doubt."""
    status = _locked(session, upstream)
    was_down_since = status.down_since
    status.failures, status.looks = 0, 0
    status.reason = status.look_at = status.down_since = None
    if was_down_since is not None:
        status.open_since = now
    return was_down_since


def mark_down(session: Session, upstream: Upstream, reason: str, now: datetime) -> bool:
    """Regard it as down until another probe. Returns whether it was not before."""
    status = _locked(session, upstream)
    is_new = status.down_since is None
    status.look_at = now + timedelta(seconds=PROBE_PAUSES_S[min(status.looks, len(PROBE_PAUSES_S) - 1)])
    status.looks += 1
    status.down_since = status.down_since or now
    status.reason = reason[:REASON_CHARACTERS]
    return is_new


def pause(session: Session, upstream: Upstream, *, by: str, reason: str, now: datetime) -> UpstreamStatus:
    """Send no further step there; what runs ends. Pausing again changes who and why."""
    status = _locked(session, upstream)
    status.paused_at = status.paused_at or now
    status.paused_by, status.pause_reason = by, reason
    return status


def resume(session: Session, upstream: Upstream, now: datetime) -> UpstreamStatus:
    """End a pause, if there is one; few steps are sent at first."""
    status = _locked(session, upstream)
    if status.paused_at is not None:
        status.open_since = now
    status.paused_at = status.paused_by = status.pause_reason = None
    return status


def _locked(session: Session, upstream: Upstream) -> UpstreamStatus:
    """Return the row, creating it if missing: the API may be used before the first worker has started."""
    statement = select(UpstreamStatus).where(UpstreamStatus.name == upstream).with_for_update()
    status = session.scalar(statement.execution_options(populate_existing=True))
    if status is None:
        status = UpstreamStatus(name=upstream, failures=0, looks=0, next_call_us=0)
        session.add(status)
    return status

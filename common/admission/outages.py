"""Does an upstream answer, and may it be used?  Known to all workers, because it is kept in the database.

steps got no answer, several in a row   ─▶ in doubt: nothing goes, a worker looks at once
the look gets none either               ─▶ down: nothing goes, a worker looks again, ever more rarely
a look is answered                      ─▶ open again; few at first (`traffic`)
an administrator pauses it              ─▶ nothing goes until it is resumed
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

PROBE_PAUSES_S = (2.0, 4.0, 8.0, 15.0)  # pauses between looks at what is down; the last one goes on
PROBE_LEASE_S = 15.0  # who has begun to look has this long before another one does
REASON_CHARACTERS = 500


class HoldCode(StrEnum):
    """Why a step may not go to its upstream now: a code that clients see."""

    OUTAGE = "outage"
    PAUSED = "paused"
    BUSY = "busy"


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Why, for people: the same text as long as it lasts, or followers would be told again and again."""

    code: HoldCode
    reason: str


def read(session: Session, names: Iterable[Upstream] = EXTERNAL) -> dict[str, UpstreamStatus]:
    """Return what is known of these upstreams, by name; of one that no worker has worked with yet, nothing."""
    statement = select(UpstreamStatus).where(UpstreamStatus.name.in_(list(names)))
    rows = session.scalars(statement.execution_options(populate_existing=True))
    return {gate.name: gate for gate in rows}


def hold_on(gate: UpstreamStatus) -> Hold | None:
    """Say why nothing may go there, None when it may."""
    label = Upstream(gate.name).label
    if gate.paused_at is not None:
        return Hold(code=HoldCode.PAUSED, reason=f"{label} is paused by {gate.paused_by}: {gate.pause_reason}")
    if gate.look_at is not None:
        reason = f"{label} is not answering. This goes on by itself once it does."
        return Hold(code=HoldCode.OUTAGE, reason=reason)
    return None


def record_unavailable(session: Session, upstream: Upstream, reason: str, now: datetime, *, enough: int) -> bool:
    """Note that a step got no answer; after `enough` in a row somebody is to look, and until then nothing goes.

    Returns whether the upstream is known to be down: then it is not the step's fault at all.
    """
    gate = _locked(session, upstream)
    gate.failures += 1
    gate.reason = reason[:REASON_CHARACTERS]
    if gate.look_at is None and 0 < enough <= gate.failures:
        gate.look_at = now
    return gate.down_since is not None


def record_answer(session: Session, visits: Collection[Upstream]) -> None:
    """Note that a step got its answers: the failures before it were not in a row."""
    session.execute(
        update(UpstreamStatus)
        .where(UpstreamStatus.name.in_(visits), UpstreamStatus.failures > 0, UpstreamStatus.look_at.is_(None))
        .values(failures=0, reason=None)
    )


@dataclass(frozen=True, kw_only=True)
class Probe:
    """An upstream that is to be looked at, and when that was due."""

    upstream: Upstream
    due_at: datetime


def due_probes(session: Session, now: datetime) -> list[Probe]:
    """Return what is to be looked at now."""
    rows = session.scalars(select(UpstreamStatus).where(UpstreamStatus.look_at <= now))
    return [Probe(upstream=Upstream(gate.name), due_at=gate.look_at) for gate in rows if gate.look_at]


def claim_probe(session: Session, *, look: Probe, now: datetime) -> bool:
    """Return whether the look is the caller's to do: each goes to one, and to another one if that does not report."""
    is_as_seen = (UpstreamStatus.name == look.upstream, UpstreamStatus.look_at == look.due_at)
    result = session.execute(
        update(UpstreamStatus).where(*is_as_seen).values(look_at=now + timedelta(seconds=PROBE_LEASE_S))
    )
    return bool(cast("Any", result).rowcount)


def mark_up(session: Session, upstream: Upstream, now: datetime) -> datetime | None:
    """Let steps go again. Returns since when it was down, None when it was only in doubt."""
    gate = _locked(session, upstream)
    was_down_since = gate.down_since
    gate.failures, gate.looks = 0, 0
    gate.reason = gate.look_at = gate.down_since = None
    if was_down_since is not None:
        gate.open_since = now
    return was_down_since


def mark_down(session: Session, upstream: Upstream, reason: str, now: datetime) -> bool:
    """Take it for down until another look. Returns whether that is news."""
    gate = _locked(session, upstream)
    is_news = gate.down_since is None
    gate.look_at = now + timedelta(seconds=PROBE_PAUSES_S[min(gate.looks, len(PROBE_PAUSES_S) - 1)])
    gate.looks += 1
    gate.down_since = gate.down_since or now
    gate.reason = reason[:REASON_CHARACTERS]
    return is_news


def pause(session: Session, upstream: Upstream, *, by: str, reason: str, now: datetime) -> UpstreamStatus:
    """Let no further step go there; what is at work ends. Pausing again changes who and why."""
    gate = _locked(session, upstream)
    gate.paused_at = gate.paused_at or now
    gate.paused_by, gate.pause_reason = by, reason
    return gate


def resume(session: Session, upstream: Upstream, now: datetime) -> UpstreamStatus:
    """End a pause, if there is one; few steps go at first."""
    gate = _locked(session, upstream)
    if gate.paused_at is not None:
        gate.open_since = now
    gate.paused_at = gate.paused_by = gate.pause_reason = None
    return gate


def _locked(session: Session, upstream: Upstream) -> UpstreamStatus:
    """Return the row, made if it is missing: the API may be asked before the first worker has started."""
    statement = select(UpstreamStatus).where(UpstreamStatus.name == upstream).with_for_update()
    gate = session.scalar(statement.execution_options(populate_existing=True))
    if gate is None:
        gate = UpstreamStatus(name=upstream, failures=0, looks=0, next_call_us=0)
        session.add(gate)
    return gate

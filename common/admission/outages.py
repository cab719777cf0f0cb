"""Outages and pauses of upstreams, kept in the database so that all workers know of them.

several steps in a row got no answer   ─▶ in doubt: no step is sent, a worker probes at once
the probe gets none either             ─▶ down: no step is sent, a worker probes again at growing intervals
a probe is answered                    ─▶ open again; few steps at first (`slots`)
an administrator pauses it             ─▶ no step is sent until it is resumed
it refuses our login                   ─▶ no step is sent until it accepts it (`refusals`)

All workers need the row of an upstream. Each change of it is one statement that commits by itself (`Database.execute`),
so no process holds the row's lock while it does something else, or nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, case, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from common import horizons
from common.admission import refusals
from common.database.engine import Database
from common.database.models import UpstreamStatus
from common.notifications import outbox
from common.notifications.outbox import News
from common.states import NotificationKind
from common.workflows import EXTERNAL, Upstream

PROBE_PAUSES_S = (2.0, 4.0, 8.0, 15.0)  # between probes of what is down; the last one is repeated
PROBE_LEASE_S = 15.0  # a worker that has claimed a probe has this long before another one does it
LOOK_AHEAD_S = max(PROBE_LEASE_S, *PROBE_PAUSES_S) + horizons.SKEW_S  # no probe is planned for later than this
REASON_CHARACTERS = 500
LONGEST_HOLD_S = 7 * 86_400.0  # a step that waits so long for an outage or a refusal to end has failed
LONGEST_HOLD = "7 days"


class HoldCode(StrEnum):
    """Why a step is held back: a code that clients see."""

    OUTAGE = "outage"
    REFUSED = "refused"
    PAUSED = "paused"
    BUSY = "busy"


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Why a step is held back. The text stays the same while the hold lasts: each new one would be an event.

    `cause` is the part of it that is still true when the step has failed because of it, "" if it cannot fail so.
    `since`: when what can fail it began; None: it cannot, or that is not known yet.
    """

    code: HoldCode
    reason: str
    cause: str = ""
    since: datetime | None = None


def read(session: Session, names: Iterable[Upstream] = EXTERNAL) -> dict[str, UpstreamStatus]:
    """Return the status of these upstreams, by name, with refusals; those that no worker has used yet are absent."""
    statement = select(UpstreamStatus).where(UpstreamStatus.name.in_(list(names)))
    with_refusals = statement.options(joinedload(UpstreamStatus.refusals))
    rows = session.scalars(with_refusals.execution_options(populate_existing=True)).unique()
    return {status.name: status for status in rows}


def hold_on(status: UpstreamStatus, login: str | None = None) -> Hold | None:
    """Return why no step may be sent there, None when it is open.

    `login` is that of the asking worker: others do not hold it, and in its own trial a step may go. None: for people.
    """
    label = Upstream(status.name).label
    if status.paused_at is not None:
        return Hold(code=HoldCode.PAUSED, reason=f"{label} is paused by {status.paused_by}: {status.pause_reason}")
    if status.look_at is not None:
        cause = f"{label} is not answering"
        reason = f"{cause}. The step continues by itself once it does."
        return Hold(code=HoldCode.OUTAGE, reason=reason, cause=cause, since=status.down_since)
    refusal = refusals.of(status.refusals, login)
    if refusal is not None and (login is None or refusal.trial_since is None):
        return refused(refusal.cause, refusal.since)
    return None


def refused(cause: str, since: datetime | None = None) -> Hold:
    """Return the hold of a step whose upstream refuses our login."""
    reason = f"{cause}. The platform team has been notified. The step continues by itself once this is corrected."
    return Hold(code=HoldCode.REFUSED, reason=reason, cause=cause, since=since)


def record_unavailable(db: Database, upstream: Upstream, reason: str, now: datetime, *, enough: int) -> None:
    """Record that a step got no answer; after `enough` in a row a probe is due, and until then no step is sent.

    Counted once more if the answer to the statement is lost: then a probe finds out the sooner.
    """
    is_enough = UpstreamStatus.look_at.is_(None) & (UpstreamStatus.failures + 1 >= enough)
    look_at = case((is_enough, now), else_=UpstreamStatus.look_at) if enough > 0 else UpstreamStatus.look_at
    _change(
        db,
        upstream,
        (UpstreamStatus.look_at, look_at),  # first: MySQL would compare with the new number of failures
        (UpstreamStatus.failures, UpstreamStatus.failures + 1),
        (UpstreamStatus.reason, reason[:REASON_CHARACTERS]),
    )


def is_down(session: Session, upstream: Upstream) -> bool:
    """Say whether the upstream is known to be down: then an attempt that got no answer does not count."""
    status = read(session, (upstream,)).get(upstream)
    return status is not None and status.down_since is not None


def record_answer(db: Database, visits: Collection[Upstream]) -> None:
    """Record that a step got its answers: the failures before it were not in a row."""
    db.execute(
        update(UpstreamStatus)
        .where(UpstreamStatus.name.in_(visits), UpstreamStatus.failures > 0, UpstreamStatus.look_at.is_(None))
        .values(failures=0, reason=None)
    )


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A probe that is due, or claimed: then another worker may send it at `due_at`. `looks`: probes before it."""

    upstream: Upstream
    due_at: datetime
    looks: int
    down_since: datetime | None


def due_probes(session: Session, now: datetime) -> list[Probe]:
    """Return what is to be probed now, or was to be probed before the clock was set back."""
    too_far = now + timedelta(seconds=LOOK_AHEAD_S)
    is_due = or_(UpstreamStatus.look_at <= now, UpstreamStatus.look_at > too_far)
    rows = session.scalars(select(UpstreamStatus).where(is_due))
    return [
        Probe(upstream=Upstream(row.name), due_at=row.look_at, looks=row.looks, down_since=row.down_since)
        for row in rows
        if row.look_at
    ]


def claim_probe(db: Database, probe: Probe, now: datetime) -> Probe | None:
    """Return the probe as the caller's, None when it is another's, who has PROBE_LEASE_S to report."""
    until = now + timedelta(seconds=PROBE_LEASE_S)
    return replace(probe, due_at=until) if _change_probed(db, probe, (UpstreamStatus.look_at, until)) else None


def mark_up(db: Database, probe: Probe, now: datetime) -> bool:
    """Open the upstream of a claimed probe again. Returns whether the claim still held."""
    news = None
    if probe.down_since is not None:
        down_s = round((now - probe.down_since).total_seconds())
        about = {"upstream": probe.upstream.value, "since": probe.down_since.isoformat(), "down_s": down_s}
        news = News(NotificationKind.UPSTREAM_UP, about, now)
    return _change_probed(
        db,
        probe,
        (UpstreamStatus.failures, 0),
        (UpstreamStatus.looks, 0),
        (UpstreamStatus.reason, None),
        (UpstreamStatus.look_at, None),
        (UpstreamStatus.down_since, None),
        (UpstreamStatus.open_since, now if probe.down_since else UpstreamStatus.open_since),
        news=news,
    )


def mark_down(db: Database, probe: Probe, reason: str, now: datetime) -> bool:
    """Regard the upstream of a claimed probe as down until the next one. Returns whether the claim still held."""
    pause_s = PROBE_PAUSES_S[min(probe.looks, len(PROBE_PAUSES_S) - 1)]
    about = {"upstream": probe.upstream.value, "since": now.isoformat(), "reason": reason}
    return _change_probed(
        db,
        probe,
        (UpstreamStatus.look_at, now + timedelta(seconds=pause_s)),
        (UpstreamStatus.looks, probe.looks + 1),
        (UpstreamStatus.down_since, probe.down_since or now),
        (UpstreamStatus.reason, reason[:REASON_CHARACTERS]),
        news=None if probe.down_since else News(NotificationKind.UPSTREAM_DOWN, about, now),
    )


def pause(
    db: Database, upstream: Upstream, *, by: str, reason: str, now: datetime, within: Session | None = None
) -> None:
    """Send no further step there; what runs ends. Pausing again changes who and why.

    `within`: as in `Database.execute`.
    """
    _change(
        db,
        upstream,
        (UpstreamStatus.paused_at, case((UpstreamStatus.paused_at.is_(None), now), else_=UpstreamStatus.paused_at)),
        (UpstreamStatus.paused_by, by),
        (UpstreamStatus.pause_reason, reason),
        within=within,
    )


def resume(db: Database, upstream: Upstream, now: datetime, *, within: Session | None = None) -> None:
    """End a pause and a hold by refusal, if there is one; few steps are sent at first.

    `within`: as in `Database.execute`.
    """
    was_paused = UpstreamStatus.paused_at.is_not(None)
    _change(
        db,
        upstream,
        (UpstreamStatus.open_since, case((was_paused, now), else_=UpstreamStatus.open_since)),  # first, as above
        (UpstreamStatus.paused_at, None),
        (UpstreamStatus.paused_by, None),
        (UpstreamStatus.pause_reason, None),
        within=within,
    )
    refusals.end_by_hand(db, upstream, now, within=within)


Assignment = tuple[Any, Any]  # a column and its new value, in the order in which MySQL assigns them


def _change(db: Database, upstream: Upstream, *values: Assignment, within: Session | None = None) -> None:
    """Change the row, creating it if missing: the API may be used before the first worker has started."""
    changed = _update((UpstreamStatus.name == upstream,), values)
    if db.execute(changed, within=within).rowcount:
        return
    with suppress(IntegrityError):  # another one has created it
        db.execute(insert(UpstreamStatus).values(name=upstream, failures=0, looks=0, next_call_us=0), within=within)
    db.execute(changed, within=within)


def _change_probed(db: Database, probe: Probe, *values: Assignment, news: News | None = None) -> bool:
    """Change the row if nobody has claimed the probe since, and return whether that is so."""
    is_as_seen = (UpstreamStatus.name == probe.upstream, UpstreamStatus.look_at == probe.due_at)
    return outbox.run(db, _update(is_as_seen, values), news)


def _update(where: Iterable[ColumnElement[bool]], values: Iterable[Assignment]) -> Any:
    return update(UpstreamStatus).where(*where).ordered_values(*values)

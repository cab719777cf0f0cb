"""Concurrency slots and rate limits of the upstreams, kept in the database so that all workers share them.

Four holds keep a step from its upstream:

    outage   steps got no answer, and a probe got none either: nothing is sent until a probe is answered
    refused  it refuses our login, or every call of a kind: one step is sent once we stand well there again
    paused   an administrator has paused the upstream
    busy     the upstream is at its concurrency limit, or others have waited longer

A step that is held back is *parked* (`steps.parked_at`): it uses no attempt, the time limit of its wait is suspended,
and no message is sent for it until there is room: those that have waited longest go first (`dispatch.take_parked`).
After an outage or a pause there is room for one step at first, and for twice as many every few seconds.

A *slot* is the right to run a step on an upstream: acquired with the claim, released with its outcome, free by itself
when the claim's lease ends.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Update, and_, case, func, not_, select, update
from sqlalchemy.orm import Session

from common import horizons
from common.admission import outages, refusals
from common.admission.outages import Hold, HoldCode
from common.admission.refusals import Logins
from common.config.settings import Settings
from common.config.upstreams import settings_of
from common.database.engine import Database, retry_insert
from common.database.ids import EPOCH
from common.database.models import Refusal, Slot, Step, UpstreamStatus
from common.states import CLAIMABLE
from common.workflows import EXTERNAL, Upstream

RAMP_S = 5.0  # after each such period, twice as many may run
MICROSECOND = timedelta(microseconds=1)
COMMIT_US = 20_000  # a reserved turn is at least this far ahead: by then its statement is committed
IS_PARKED = (Step.parked_at.is_not(None), Step.state.in_(CLAIMABLE))


@dataclass(frozen=True, kw_only=True)
class UpstreamLimits:
    """The limits of all workers together on one upstream. `calls_per_s` 0: unlimited.

    `login` is what this process logs in with (`refusals.Logins`): a hold by refusal is that of one login.
    """

    at_once: int
    calls_per_s: float = 0.0
    login: str = ""


Limits = Mapping[Upstream, UpstreamLimits]
NO_LOGINS: Logins = {}


def limits_of(settings: Settings, logins: Logins = NO_LOGINS) -> Limits:
    """Return the limits of every upstream."""
    found = {upstream: settings_of(settings, upstream) for upstream in EXTERNAL}
    return {
        upstream: UpstreamLimits(at_once=each.concurrency, calls_per_s=each.calls_per_s, login=logins.get(upstream, ""))
        for upstream, each in found.items()
    }


def prepare(db: Database, limits: Limits) -> None:
    """Create missing rows; every worker's clock does this first.

    A worker of the previous version, which may still run, claims parked steps and leaves them marked so.
    """

    def work(session: Session) -> None:
        now = db.now()
        left = Step.upstream.in_(list(Upstream)) & Step.parked_at.is_not(None) & Step.state.not_in(CLAIMABLE)
        for step in session.scalars(select(Step).where(left).with_for_update(skip_locked=True)):
            step.parked_at = None
        known = set(session.scalars(select(UpstreamStatus.name)))
        slots = {(slot.upstream, slot.number) for slot in session.scalars(select(Slot))}
        session.add_all(UpstreamStatus(name=name) for name in limits if name not in known)
        session.add_all(
            Slot(upstream=name, number=number, until=now)
            for name, limit in limits.items()
            for number in range(limit.at_once)
            if (name, number) not in slots
        )

    retry_insert(db.transaction, work)


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A claim that is about to be made: its token, its end, and the present time."""

    token: str
    until: datetime
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Admission:
    """A step may run. `is_doubted`: the last steps got no answer, so an answer has to be recorded.

    `trials` are the holds for which it is the trial, so an accepted call has to be recorded.
    """

    slots: tuple[tuple[Upstream, int], ...]
    is_doubted: bool
    trials: tuple[Refusal, ...] = ()


def acquire(
    session: Session, step: Step, visits: Collection[Upstream], claim: Lease, limits: Limits
) -> Admission | Hold:
    """Acquire a slot of every upstream that the step visits, or return why it is held back."""
    known = outages.read(session, visits)
    if hold := hold_on_any(known, visits, limits):
        return hold
    limited = [name for name in visits if name in limits]
    if limited and step.parked_at is None and has_parked(session, step.upstream, *visits):
        return busy(visits)  # those that wait already go first
    slots = []
    for name in limited:
        slot = _free_slot(session, name, allowed_at(limits[name], known.get(name), claim.now), claim.now)
        if slot is None:
            return busy((name,))
        slots.append(slot)
    for slot in slots:
        slot.holder, slot.until = claim.token, claim.until
    return Admission(
        slots=tuple((Upstream(slot.upstream), slot.number) for slot in slots),
        is_doubted=any(status.failures for status in known.values()),
        trials=tuple(trial for name in visits if (trial := _trial(limits.get(name), known.get(name)))),
    )


def hold_on_any(
    known: Mapping[str, UpstreamStatus], visits: Collection[Upstream], limits: Limits | None = None
) -> Hold | None:
    """Return why one of these upstreams is closed, None when all are open: to workers with these limits' logins."""
    for name in visits:
        login = limits[name].login if limits and name in limits else None
        if (status := known.get(name)) and (hold := outages.hold_on(status, login)):
            return hold
    return None


def has_parked(session: Session, *queues: str) -> bool:
    """Say whether any step of these queues is parked; of any queue when none is named."""
    some = select(Step.id).where(Step.upstream.in_(queues or list(Upstream)), *IS_PARKED).limit(1)
    return session.scalar(some) is not None


def allowed_at(limit: UpstreamLimits, status: UpstreamStatus | None, now: datetime) -> int:
    """Return how many steps at once may run there: in a trial one, after an outage or a pause few at first."""
    if status is None:
        return limit.at_once
    if _trial(limit, status):
        return 1
    opened_at = max(filter(None, (status.open_since, refusals.opened_at(status.refusals, limit.login))), default=None)
    if opened_at is None or opened_at > now + timedelta(seconds=horizons.SKEW_S):  # the clock was set back since
        return limit.at_once
    doublings = int((now - opened_at).total_seconds() / RAMP_S)
    return min(limit.at_once, 1 << min(max(doublings, 0), 16))


def _trial(limit: UpstreamLimits | None, status: UpstreamStatus | None) -> Refusal | None:
    """Return the hold of this login for which one step at a time may go, None when there is no hold."""
    return refusals.of(status.refusals, limit.login) if limit and status else None


def busy(visits: Collection[Upstream]) -> Hold:
    """Return the hold of a step whose upstreams are open, but at their limits."""
    names = " or ".join(name.label for name in visits)
    return Hold(code=HoldCode.BUSY, reason=f"{names} is at its concurrency limit; this step is queued.")


def _free_slot(session: Session, upstream: Upstream, allowed: int, now: datetime) -> Slot | None:
    """Return a free slot, locked; slots that others are acquiring are skipped, so nobody waits."""
    free = select(Slot).where(Slot.upstream == upstream, Slot.number < allowed, not_(_is_taken(now))).limit(1)
    return session.scalar(free.with_for_update(skip_locked=True).execution_options(populate_existing=True))


def release(session: Session, admission: Admission, holder: str, now: datetime) -> None:
    """Release the slots of a claim."""
    for upstream, number in admission.slots:
        is_held = (Slot.upstream == upstream, Slot.number == number, Slot.holder == holder)
        session.execute(update(Slot).where(*is_held).values(holder=None, until=now))


def extensions(admission: Admission, holder: str, until: datetime) -> list[Update]:
    """Return a statement for each slot of a claim that prolongs it; one that matches no row shows that it is lost."""
    return [
        update(Slot).where(Slot.upstream == upstream, Slot.number == number, Slot.holder == holder).values(until=until)
        for upstream, number in admission.slots
    ]


def shorten(session: Session, holder: str, until: datetime) -> None:
    """Release the slots of a dead worker's claim at `until`; one that is locked stays until its lease is over."""
    held = select(Slot).where(Slot.holder == holder, Slot.until > until)
    for slot in session.scalars(held.with_for_update(skip_locked=True)):
        slot.until = until


def reserve_call(db: Database, upstream: Upstream, every_s: float) -> datetime:
    """Reserve the next time at which a call may be sent there, and return it.

    One statement that commits by itself, as in `outages`. Its answer has the new value: MySQL, "LAST_INSERT_ID(expr)";
    SQLite, "RETURNING".
    """
    every_us, earliest_us = round(every_s * 1e6), (db.now() - EPOCH) // MICROSECOND + COMMIT_US
    row = update(UpstreamStatus).where(UpstreamStatus.name == upstream)
    is_possible = UpstreamStatus.next_call_us <= earliest_us + round(horizons.CALL_S * 1e6)
    reserved_next_us = case((is_possible, UpstreamStatus.next_call_us), else_=earliest_us)
    if db.is_sqlite:
        next_us = func.max(reserved_next_us, earliest_us) + every_us
        reserved = row.values(next_call_us=next_us).returning(UpstreamStatus.next_call_us)
        reserved_us = db.transaction(lambda session: session.execute(reserved).scalar_one())
    else:
        next_us = func.greatest(reserved_next_us, earliest_us) + every_us
        reserved_us = db.execute(row.values(next_call_us=func.last_insert_id(next_us))).lastrowid
    return EPOCH + (reserved_us - every_us) * MICROSECOND


def in_use(session: Session, now: datetime) -> dict[str, int]:
    """Return how many slots are taken at each upstream that has any taken."""
    taken = select(Slot.upstream, func.count()).where(_is_taken(now)).group_by(Slot.upstream)
    return {row.upstream: row[1] for row in session.execute(taken)}


def _is_taken(now: datetime) -> ColumnElement[bool]:
    return and_(Slot.until > now, Slot.until <= now + timedelta(seconds=horizons.LEASE_S))

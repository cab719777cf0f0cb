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

from collections.abc import Collection, Mapping, Sequence
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
from common.workflows import APP, EXTERNAL, Upstream

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


# -- one step -----------------------------------------------------------------------------------------------------


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
    if limited and step.parked_at is None and _has_parked(session, step.upstream, *visits):
        return busy(visits)  # those that wait already go first
    slots = []
    for name in limited:
        slot = _free_slot(session, name, _allowed(limits[name], known.get(name), claim.now), claim.now)
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


# -- what waits ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Parked:
    """A step in the queue of an upstream, or in that of the comparisons, which need several upstreams at once."""

    since: datetime
    step_id: str
    nudge_at: datetime | None


def has_parked(session: Session) -> bool:
    """Say whether any step is parked at all."""
    return _has_parked(session, *Upstream)


def admissible(session: Session, limits: Limits, now: datetime, *, on_the_way_s: float) -> list[str]:
    """Return the ids of the parked steps for which there is room now, of each queue those that have waited longest.

    A step that was sent less than `on_the_way_s` ago counts as about to arrive.
    """
    known = outages.read(session)
    room = _room(session, known, limits, now)
    queues: dict[Upstream, list[Parked]] = {}
    for name in Upstream:
        places = _places(room, name)
        queue = _queue(session, name, 2 * max(places, 1))
        arriving = sum(_is_arriving(parked, now + timedelta(seconds=on_the_way_s), now) for parked in queue)
        _take_places(room, name, arriving)
        queues[name] = [parked for parked in queue if parked.nudge_at is None]
    ours = queues.pop(Upstream.SLIPWAY)
    if hold_on_any(known, APP, limits):
        ours = []  # they need all of them, and other steps must not wait for that
    found = []
    while ours and _is_first(ours[0], queues):
        if _places(room, Upstream.SLIPWAY) < 1:
            _take_places(room, Upstream.SLIPWAY, 1)  # reserved: else they might never be free at the same time
            break
        _take_places(room, Upstream.SLIPWAY, 1)
        found.append(ours.pop(0))
    for name, queue in queues.items():
        going = queue[: max(0, room[name])]
        _take_places(room, name, len(going))
        found += going
    found += ours[: max(0, _places(room, Upstream.SLIPWAY))]
    return [parked.step_id for parked in found]


def visited_from(queue: Upstream) -> tuple[Upstream, ...]:
    """Return the upstreams that the steps of a queue visit: for our own queue, all those that comparisons read."""
    return APP if queue is Upstream.SLIPWAY else (queue,)


def _places(room: Mapping[Upstream, int], name: Upstream) -> int:
    """Return how many more may be sent: of the comparisons as many as to the fullest upstream that they read."""
    return min(room[each] for each in visited_from(name))


def _take_places(room: dict[Upstream, int], name: Upstream, count: int) -> None:
    for each in visited_from(name):
        room[each] -= count


def _is_first(ours: Parked, queues: Mapping[Upstream, Sequence[Parked]]) -> bool:
    """Say whether a comparison has waited longer than every step that waits for an upstream that it reads."""
    return all(not queues[name] or ours.since <= queues[name][0].since for name in APP)


def _is_arriving(parked: Parked, until: datetime, now: datetime) -> bool:
    return parked.nudge_at is not None and now < parked.nudge_at <= until


def _queue(session: Session, upstream: Upstream, limit: int) -> list[Parked]:
    waiting = select(Step.parked_at, Step.id, Step.nudge_at).where(Step.upstream == upstream, *IS_PARKED)
    rows = session.execute(waiting.order_by(Step.parked_at).limit(limit))
    return [Parked(since=since, step_id=step_id, nudge_at=at) for since, step_id, at in rows if since]


def _room(session: Session, known: Mapping[str, UpstreamStatus], limits: Limits, now: datetime) -> dict[Upstream, int]:
    """Return how many more steps may be sent to each upstream; below 0 where a limit was lowered."""
    taken = in_use(session, now)
    room: dict[Upstream, int] = {}
    for name in EXTERNAL:
        allowed = 0 if hold_on_any(known, (name,), limits) else _allowed(limits[name], known.get(name), now)
        room[name] = allowed - taken.get(name, 0)
    return room


# -- inside -------------------------------------------------------------------------------------------------------


def _allowed(limit: UpstreamLimits, status: UpstreamStatus | None, now: datetime) -> int:
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


def _has_parked(session: Session, *upstreams: str) -> bool:
    return session.scalar(select(Step.id).where(Step.upstream.in_(upstreams), *IS_PARKED).limit(1)) is not None

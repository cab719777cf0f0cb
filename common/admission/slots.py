"""May a step go to its upstream now?  Known to all workers, because it is kept in the database.

    outage   steps failed for want of an answer, and a plain look got none either: nothing goes until a look is answered
    paused   an administrator wants the upstream left alone
    busy     as many steps are at work there as may be at once, or others have waited longer

A step that may not go is *parked* (`steps.parked_at`): it uses no attempt, its waits stand still, and no message is
sent for it until there is room: those that wait longest go first (`due.take_parked`). After an outage or a pause there
is room for one at first, and for twice as many every few seconds.

A *slot* is a step's place at work: taken with the claim, given back with its outcome, free by itself when the claim's
lease ends.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from common.admission import outages
from common.admission.outages import Hold, HoldCode
from common.config.settings import Settings
from common.config.upstreams import settings_of
from common.database.engine import Database, Now
from common.database.ids import EPOCH
from common.database.models import Slot, Step, UpstreamStatus
from common.states import CLAIMABLE
from common.workflows import APP, EXTERNAL, Upstream

RAMP_S = 5.0  # after this much, twice as many may go as before
MICROSECOND = timedelta(microseconds=1)
COMMIT_US = 20_000  # a turn for a call is this far ahead at least: until then the others know that it is taken
IS_PARKED = (Step.parked_at.is_not(None), Step.state.in_(CLAIMABLE))

_retry_insert = Retrying(retry=retry_if_exception_type(IntegrityError), stop=stop_after_attempt(10), reraise=True)


@dataclass(frozen=True, kw_only=True)
class UpstreamLimits:
    """What all workers together may ask of one upstream. `calls_per_s` 0: as many as they like."""

    at_once: int
    calls_per_s: float = 0.0


Limits = Mapping[Upstream, UpstreamLimits]


def limits_of(settings: Settings) -> Limits:
    """Return the limits of every upstream."""
    found = {upstream: settings_of(settings, upstream) for upstream in EXTERNAL}
    return {
        upstream: UpstreamLimits(at_once=each.concurrency, calls_per_s=each.calls_per_s)
        for upstream, each in found.items()
    }


def prepare(db: Database, shares: Limits) -> None:
    """Make the rows that are missing; every worker's clock begins with it.

    A worker of the version before, which may still be running, claims what is parked and leaves it marked so.
    """

    def work(session: Session) -> None:
        now = db.now()
        left = Step.upstream.in_(list(Upstream)) & Step.parked_at.is_not(None) & Step.state.not_in(CLAIMABLE)
        session.execute(update(Step).where(left).values(parked_at=None))
        known = set(session.scalars(select(UpstreamStatus.name)))
        slots = {(slot.upstream, slot.number) for slot in session.scalars(select(Slot))}
        session.add_all(UpstreamStatus(name=name) for name in shares if name not in known)
        session.add_all(
            Slot(upstream=name, number=number, until=now)
            for name, share in shares.items()
            for number in range(share.at_once)
            if (name, number) not in slots
        )

    _retry_insert(db.transaction, work)


# -- one step -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A claim that is about to be made: who, until when at most, and what time it is."""

    token: str
    until: datetime
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Admission:
    """A step may go. `is_doubted`: the last steps got no answer, so an answer is news."""

    slots: tuple[tuple[Upstream, int], ...]
    is_doubted: bool


def acquire(
    session: Session, step: Step, visits: Collection[Upstream], claim: Lease, shares: Limits
) -> Admission | Hold:
    """Take a slot at every upstream that the step visits, or say why it may not go."""
    known = outages.read(session, visits)
    if hold := hold_on_any(known, visits):
        return hold
    limited = [name for name in visits if name in shares]
    if limited and step.parked_at is None and _has_parked(session, step.upstream, *visits):
        return busy(visits)  # whoever comes now waits behind those
    slots = []
    for name in limited:
        slot = _free_slot(session, name, _allowed(shares[name], known.get(name), claim.now), claim.now)
        if slot is None:
            return busy((name,))
        slots.append(slot)
    for slot in slots:
        slot.holder, slot.until = claim.token, claim.until
    return Admission(
        slots=tuple((Upstream(slot.upstream), slot.number) for slot in slots),
        is_doubted=any(gate.failures for gate in known.values()),
    )


def hold_on_any(known: Mapping[str, UpstreamStatus], visits: Collection[Upstream]) -> Hold | None:
    """Say why one of these upstreams takes nothing, None when all of them do."""
    return next((hold for name in visits if (gate := known.get(name)) and (hold := outages.hold_on(gate))), None)


def busy(visits: Collection[Upstream]) -> Hold:
    """Say why a step waits though its upstreams are open."""
    there = " or ".join(name.label for name in visits)
    return Hold(code=HoldCode.BUSY, reason=f"As much as may be is at work on {there}, or others wait longer.")


def _free_slot(session: Session, upstream: Upstream, allowed: int, now: datetime) -> Slot | None:
    """Return a free one, locked; those that others are just taking are passed over, so nobody waits."""
    free = select(Slot).where(Slot.upstream == upstream, Slot.number < allowed, Slot.until <= now).limit(1)
    return session.scalar(free.with_for_update(skip_locked=True).execution_options(populate_existing=True))


def release(session: Session, admission: Admission, holder: str, now: datetime) -> None:
    """Give back what a claim has taken."""
    for upstream, number in admission.slots:
        is_held = (Slot.upstream == upstream, Slot.number == number, Slot.holder == holder)
        session.execute(update(Slot).where(*is_held).values(holder=None, until=now))


def shorten(session: Session, holder: str, until: datetime) -> None:
    """Give back at `until` what the claim of a dead worker has taken."""
    session.execute(update(Slot).where(Slot.holder == holder, Slot.until > until).values(until=until))


def reserve_call(session: Session, upstream: Upstream, every_s: float, clock: Now) -> datetime:
    """Take the next moment at which a call may go there, and return it."""
    gate = session.scalars(select(UpstreamStatus).where(UpstreamStatus.name == upstream).with_for_update()).one()
    now_us = (clock() - EPOCH) // MICROSECOND  # after the lock: a wait for it must not eat the moment
    at_us = max(gate.next_call_us, now_us + COMMIT_US)
    gate.next_call_us = at_us + round(every_s * 1e6)
    return EPOCH + at_us * MICROSECOND


def in_use(session: Session, now: datetime) -> dict[str, int]:
    """Return how many slots are taken at each upstream that has any taken."""
    taken = select(Slot.upstream, func.count()).where(Slot.until > now).group_by(Slot.upstream)
    return {row.upstream: row[1] for row in session.execute(taken)}


# -- what waits ---------------------------------------------------------------------------------------------------


Sendable = tuple[str, datetime | None, int]  # a step's id, its `nudge_at`, its `nudges`


@dataclass(frozen=True, kw_only=True)
class Parked:
    """A step that waits in the line of an upstream, or in that of the comparisons, which need several at once."""

    since: datetime
    sendable: Sendable


def has_parked(session: Session) -> bool:
    """Say whether any step is parked at all."""
    return _has_parked(session, *Upstream)


def admissible(session: Session, shares: Limits, now: datetime, *, on_the_way_s: float) -> list[Sendable]:
    """Return the parked steps for which there is room now, of each line those that wait longest.

    A step that was sent less than `on_the_way_s` ago is taken for one that is about to arrive.
    """
    known = outages.read(session)
    room = _room(session, known, shares, now)
    lines: dict[Upstream, list[Parked]] = {}
    for name in Upstream:
        places = _places(room, name)
        line = _line(session, name, 2 * max(places, 1))
        arriving = sum(_is_arriving(parked, now + timedelta(seconds=on_the_way_s), now) for parked in line)
        _take_places(room, name, arriving)
        lines[name] = [parked for parked in line if parked.sendable[1] is None]
    ours = lines.pop(Upstream.SLIPWAY)
    if hold_on_any(known, APP):
        ours = []  # they need all of them, and nobody is kept waiting for their sake
    found = []
    while ours and _is_first(ours[0], lines):
        if _places(room, Upstream.SLIPWAY) < 1:
            _take_places(room, Upstream.SLIPWAY, 1)  # set aside, or they would never be free at the same time
            break
        _take_places(room, Upstream.SLIPWAY, 1)
        found.append(ours.pop(0))
    for name, line in lines.items():
        going = line[: max(0, room[name])]
        _take_places(room, name, len(going))
        found += going
    found += ours[: max(0, _places(room, Upstream.SLIPWAY))]
    return [parked.sendable for parked in found]


def visited_from(line: Upstream) -> tuple[Upstream, ...]:
    """Return whom those visit that wait in a line: all whom comparisons read, where the line is our own."""
    return APP if line is Upstream.SLIPWAY else (line,)


def _places(room: Mapping[Upstream, int], name: Upstream) -> int:
    """Return how many more may go: of the comparisons as many as to the fullest of those that they read."""
    return min(room[each] for each in visited_from(name))


def _take_places(room: dict[Upstream, int], name: Upstream, count: int) -> None:
    for each in visited_from(name):
        room[each] -= count


def _is_first(ours: Parked, lines: Mapping[Upstream, Sequence[Parked]]) -> bool:
    """Say whether a comparison has waited longer than whoever waits for one of those that it reads."""
    return all(not lines[name] or ours.since <= lines[name][0].since for name in APP)


def _is_arriving(parked: Parked, until: datetime, now: datetime) -> bool:
    nudge_at = parked.sendable[1]
    return nudge_at is not None and now < nudge_at <= until


def _line(session: Session, upstream: Upstream, limit: int) -> list[Parked]:
    waiting = select(Step.parked_at, Step.id, Step.nudge_at, Step.nudges).where(Step.upstream == upstream, *IS_PARKED)
    rows = session.execute(waiting.order_by(Step.parked_at).limit(limit))
    return [Parked(since=since, sendable=(step_id, at, nudges)) for since, step_id, at, nudges in rows if since]


def _room(session: Session, known: Mapping[str, UpstreamStatus], shares: Limits, now: datetime) -> dict[Upstream, int]:
    """Return how many more steps may go to each upstream; below 0 where a share has shrunk."""
    taken = in_use(session, now)
    room: dict[Upstream, int] = {}
    for name in EXTERNAL:
        allowed = 0 if hold_on_any(known, (name,)) else _allowed(shares[name], known.get(name), now)
        room[name] = allowed - taken.get(name, 0)
    return room


# -- inside -------------------------------------------------------------------------------------------------------


def _allowed(share: UpstreamLimits, gate: UpstreamStatus | None, now: datetime) -> int:
    if gate is None or gate.open_since is None:
        return share.at_once
    doublings = int((now - gate.open_since).total_seconds() / RAMP_S)
    return min(share.at_once, 1 << min(max(doublings, 0), 16))  # below 0 when the database's clock was put back


def _has_parked(session: Session, *upstreams: str) -> bool:
    return session.scalar(select(Step.id).where(Step.upstream.in_(upstreams), *IS_PARKED).limit(1)) is not None

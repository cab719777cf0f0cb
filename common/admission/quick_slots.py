"""Slots acquired and released with statements that are made once, at an upstream where nothing is wrong or waits.

That is what nearly every step finds. In any other case nothing is acquired here, and `slots.acquire` decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Select, bindparam, exists, null, or_, select, true, update

from common import horizons
from common.admission.slots import RAMP_S, Admission, Lease, Limits, UpstreamLimits
from common.database.engine import matched
from common.database.models import Base
from common.states import CLAIMABLE
from common.workflows import Upstream

FULL_AGAIN = timedelta(seconds=16 * RAMP_S)  # so long after an outage, a pause or a hold no step is kept back by it

_upstreams, _refusals, _slots, _steps = (
    Base.metadata.tables[name] for name in ("upstreams", "refusals", "slots", "steps")
)

_is_refused = exists().where(
    _refusals.c.upstream == bindparam("upstream"),
    _refusals.c.login == bindparam("login"),
    or_(_refusals.c.since.is_not(None), _refusals.c.over_at > bindparam("lately")),
)
_has_parked = exists().where(
    _steps.c.upstream == bindparam("upstream"),
    _steps.c.parked_at.is_not(None),
    or_(*(_steps.c.state == state for state in sorted(CLAIMABLE))),
)
OPEN = select(true()).where(
    _upstreams.c.name == bindparam("upstream"),
    _upstreams.c.failures == 0,
    _upstreams.c.paused_at.is_(None),
    _upstreams.c.look_at.is_(None),
    or_(_upstreams.c.open_since.is_(None), _upstreams.c.open_since <= bindparam("lately")),
    ~_is_refused,
)
OPEN_AND_NOBODY_WAITS = OPEN.where(~_has_parked)
FREE_SLOT = (
    select(_slots.c.number)
    .where(
        _slots.c.upstream == bindparam("upstream"),
        _slots.c.number < bindparam("at_once"),
        or_(_slots.c.until <= bindparam("now"), _slots.c.until > bindparam("too_far")),
    )
    .limit(1)
    .with_for_update(skip_locked=True)  # slots that others are acquiring are left out, so nobody waits
)
TAKE = (
    update(_slots)
    .where(_slots.c.upstream == bindparam("at"), _slots.c.number == bindparam("place"))
    .values(holder=bindparam("new_holder"), until=bindparam("new_until"))
)
HAND_ON = TAKE.where(_slots.c.holder == bindparam("former"))
RELEASE = (
    update(_slots)
    .where(
        _slots.c.upstream == bindparam("at"),
        _slots.c.number == bindparam("place"),
        _slots.c.holder == bindparam("former"),
    )
    .values(holder=null(), until=bindparam("now"))
)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The slots of the claim that ends in the same transaction, and its token."""

    slots: tuple[tuple[Upstream, int], ...]
    token: str


def acquire(
    connection: Connection, visits: Collection[Upstream], lease: Lease, limits: Limits, ending: Ending | None = None
) -> Admission | None:
    """Acquire a slot of the one upstream that the step visits; None: it has to be acquired with `slots.acquire`.

    A slot goes on with its lane to the next step at the same upstream, also past steps that are parked there. So those
    wait for a few steps of a lane at most, jobs that were begun end before others begin, and an upstream at its limit
    costs no parking at every step of every lane. A lane that comes from elsewhere queues behind those that are parked.
    """
    if not visits:
        return Admission(slots=(), is_doubted=False)
    name, *others = visits
    limit = limits.get(name)
    if others or limit is None:
        return None
    kept = dict(ending.slots).get(name, limit.at_once) if ending else limit.at_once
    if ending is not None and kept < limit.at_once:
        is_kept = _is(OPEN, connection, name, limit, lease) and _hold(connection, name, kept, lease, ending.token)
        return _admission(name, kept) if is_kept else None
    if not _is(OPEN_AND_NOBODY_WAITS, connection, name, limit, lease):
        return None
    free = _free(connection, name, limit, lease)
    if free is None:
        return None
    _hold(connection, name, free, lease)
    return _admission(name, free)


def _admission(upstream: Upstream, number: int) -> Admission:
    return Admission(slots=((upstream, number),), is_doubted=False)


def _is(state: Select[bool], connection: Connection, upstream: Upstream, limit: UpstreamLimits, lease: Lease) -> bool:
    given = {"upstream": upstream, "login": limit.login, "lately": lease.now - FULL_AGAIN}
    return connection.execute(state, given).scalar() is not None


def _free(connection: Connection, upstream: Upstream, limit: UpstreamLimits, lease: Lease) -> int | None:
    too_far = lease.now + timedelta(seconds=horizons.LEASE_S)
    given = {"upstream": upstream, "at_once": limit.at_once, "now": lease.now, "too_far": too_far}
    return connection.execute(FREE_SLOT, given).scalar()


def _hold(connection: Connection, upstream: Upstream, number: int, lease: Lease, former: str | None = None) -> bool:
    given = {"at": upstream, "place": number, "new_holder": lease.token, "new_until": lease.until}
    if former is None:
        return bool(matched(connection.execute(TAKE, given)))
    return bool(matched(connection.execute(HAND_ON, {**given, "former": former})))


def release(connection: Connection, held: Iterable[tuple[Upstream, int]], holder: str, now: datetime) -> None:
    """Release these slots of a claim."""
    for upstream, number in held:
        connection.execute(RELEASE, {"at": upstream, "place": number, "former": holder, "now": now})

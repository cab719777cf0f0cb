"""The queues of parked steps: which of them may be sent to their upstreams now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.admission import outages
from common.admission.slots import IS_PARKED, Limits, allowed_at, hold_on_any, in_use
from common.database.models import Step, UpstreamStatus
from common.workflows import APP, EXTERNAL, Upstream


@dataclass(frozen=True, kw_only=True)
class Parked:
    """A step in the queue of an upstream, or in that of the comparisons, which need several upstreams at once."""

    since: datetime
    step_id: str
    nudge_at: datetime | None


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
        allowed = 0 if hold_on_any(known, (name,), limits) else allowed_at(limits[name], known.get(name), now)
        room[name] = allowed - taken.get(name, 0)
    return room

"""The state of an upstream, as administrators see it, and how many steps wait for it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.admission import refusals, slots
from common.database.models import Step, UpstreamStatus
from common.workflows import Upstream

PARKED_COUNTED = 10_000  # the maximum of `parked`


class UpstreamState(StrEnum):
    """open: in use · in_doubt: steps got no answer, and a worker probes whether it is down · down: a worker probes it
    until it answers · refused: it refuses Slipway's account, or all calls of a kind, and a worker checks until that is
    over · paused: by an administrator. Steps are dispatched only to an upstream that is open.
    """

    OPEN = "open"
    IN_DOUBT = "in_doubt"
    DOWN = "down"
    REFUSED = "refused"
    PAUSED = "paused"


def state_of(status: UpstreamStatus | None) -> dict[str, Any]:
    """Return what is shown of an upstream's state: the fields of `UpstreamShown` from `state` to `next_look_at`."""
    state, since, reason, remedy = UpstreamState.OPEN, status.open_since if status else None, None, None
    next_look_at = status.look_at if status else None
    refusal = refusals.of(status.refusals, None) if status else None
    if status is not None and status.paused_at is not None:
        state, since, reason = UpstreamState.PAUSED, status.paused_at, status.pause_reason
    elif status is not None and status.look_at is not None:
        state = UpstreamState.DOWN if status.down_since else UpstreamState.IN_DOUBT
        since, reason = status.down_since, status.reason
    elif refusal is not None:
        state, since, next_look_at = UpstreamState.REFUSED, refusal.since, refusal.look_at
        reason, remedy = refusal.cause, refusal.remedy
    return {
        "state": state,
        "since": since,
        "reason": reason,
        "remedy": remedy,
        "paused_by": status.paused_by if status else None,
        "next_look_at": next_look_at,
    }


def parked_steps(session: Session, name: Upstream) -> int:
    """Count the steps that are held back, PARKED_COUNTED at most."""
    some = select(Step.id).where(Step.upstream == name, *slots.IS_PARKED).limit(PARKED_COUNTED)
    return session.scalar(select(func.count()).select_from(some.subquery())) or 0

"""What is due and has not been started: how many steps of each upstream, and since when the oldest of them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.database.ids import EPOCH
from common.database.models import Step
from common.states import CLAIMABLE


def due_steps(session: Session, now: datetime) -> dict[str, tuple[int, datetime]]:
    """Return the number of steps that are due and are not held back, and the time of the oldest, by upstream."""
    is_due = (Step.nudge_at > EPOCH, Step.parked_at.is_(None), Step.state.in_(CLAIMABLE), Step.due_at <= now)
    name = Step.upstream + ""  # with the plain column, SQLite would group all steps, including finished ones
    rows = session.execute(select(name, func.count(), func.min(Step.due_at)).where(*is_due).group_by(name))
    return {upstream: (count, since) for upstream, count, since in rows if since is not None}

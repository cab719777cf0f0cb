"""The queue of each target: what it gets, in which order, who sends to it now, and when it is tried again.

    outbox ──distribute──▶ the end of every target's queue ──next_delivery──▶ accepted: deleted
                                                                       └─▶ not accepted: tried again, before all others

One worker at a time sends to a target (`claim`), so that the order holds. What a target has not accepted is sent again
under the same id, also when only its answer was lost: receivers ignore an id that they have seen.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from common import horizons
from common.database import expiry
from common.database.engine import Database, matched, retry_insert
from common.database.models import Delivery, Notification, NotificationTarget
from common.notifications import bodies
from common.notifications.outbox import RETENTION
from common.states import NotificationKind

log = logging.getLogger(__name__)

LEASE_S = 60.0  # of a claim; longer than a delivery takes
RETRY_PAUSES_S = (5.0, 15.0, 60.0, 300.0, 900.0)  # the last one is repeated
LONGEST_PAUSE_S = 3600.0  # that a target may ask for itself, too
AT_ONCE = 100  # notifications that one transaction distributes
WAITING_COUNTED = 10_000
DELETES_EVERY = 300  # rounds
REASON_CHARACTERS = 500


@dataclass(frozen=True)
class Target:
    """A target of the settings: the name of its queue, and what people know it by."""

    name: str
    host: str


@dataclass(frozen=True)
class TargetClaim:
    """The right to send to a target."""

    target: str
    token: str
    failures: int


@dataclass(frozen=True, kw_only=True)
class Due:
    """A delivery that is next. `is_expired`: it has waited for longer than anything is kept."""

    number: int
    id: str
    kind: str
    body: str
    attempt: int
    is_expired: bool


def prepare(db: Database, targets: Sequence[Target]) -> None:
    """Make the rows of targets that are new."""

    def work(session: Session) -> None:
        known = set(session.scalars(select(NotificationTarget.name)))
        session.add_all(
            NotificationTarget(name=each.name, host=each.host) for each in targets if each.name not in known
        )

    retry_insert(lambda: db.transaction(work))


def distribute(db: Database, targets: Sequence[Target]) -> int:
    """Put what is new in the outbox into the queue of each target, and return how much that was.

    Locks wait for nobody but other distributions: what a process has inserted and not committed yet is not seen, and
    targets are locked last, for as long as it takes to number what they get. What happened to one job stays in its
    order: a distribution ends at the first notification that another one has taken.
    """
    if not db.read(_find_new):
        return 0  # most rounds: a transaction that writes would be for nothing

    def work(session: Session) -> int:
        taken = _take(session, _find_new(session))
        bodies_of = {each.id: _compose(session, each) for each in taken}
        rows = _lock(session, [each.name for each in targets])
        for each in taken:
            each.queued_at, each.body = db.now(), bodies_of[each.id]
            if each.body is not None:
                _append(session, rows, each)
        return len(taken)

    return db.transaction(work)


def _find_new(session: Session) -> Sequence[str]:
    """Return the ids of what is in no queue, oldest first. Those of a kind unknown here are left to newer workers."""
    is_new = (Notification.queued_at.is_(None), Notification.kind.in_(list(NotificationKind)))
    return session.scalars(select(Notification.id).where(*is_new).order_by(Notification.id).limit(AT_ONCE)).all()


def _take(session: Session, ids: Sequence[str]) -> list[Notification]:
    """Lock these, up to the first one that another distribution has: it may be of the same job as the next."""
    is_new = (Notification.id.in_(ids), Notification.queued_at.is_(None))
    locked = select(Notification).where(*is_new).with_for_update(skip_locked=True)
    free = {each.id: each for each in session.scalars(locked.execution_options(populate_existing=True))}
    return [free[each] for each in takewhile(free.__contains__, ids)]


def _compose(session: Session, notification: Notification) -> str | None:
    """Return the body, None where there can be none: one row must not hold up all others."""
    try:
        return bodies.compose(session, notification)
    except (LookupError, TypeError, ValueError, AttributeError):
        log.exception("notification %s (%s) cannot be composed: nobody gets it", notification.id, notification.kind)
        return None


def _lock(session: Session, names: Sequence[str]) -> Sequence[NotificationTarget]:
    """Lock the rows of targets, in one order."""
    wanted = select(NotificationTarget).where(NotificationTarget.name.in_(names)).order_by(NotificationTarget.name)
    return session.scalars(wanted.with_for_update().execution_options(populate_existing=True)).all()


def _append(session: Session, targets: Sequence[NotificationTarget], notification: Notification) -> None:
    until = notification.at + RETENTION + timedelta(days=1)
    for each in targets:
        each.queued += 1
        session.add(
            Delivery(
                target=each.name,
                number=each.queued,
                notification_id=notification.id,
                attempts=0,
                expires_at=until,
            )
        )


class Outbox:
    """Distributes what is new, and now and then deletes what is old. Any number may run."""

    def __init__(self, db: Database, targets: Sequence[Target]) -> None:
        self._db = db
        self._targets = targets
        self._rounds = 0

    def distribute(self) -> None:
        if self._rounds == 0:
            prepare(self._db, self._targets)
        if self._rounds % DELETES_EVERY == 0:
            delete_expired(self._db)
        self._rounds += 1
        while distribute(self._db, self._targets) == AT_ONCE:
            continue


def has_deliveries(db: Database, target: Target) -> bool:
    """Say whether anything waits for the target: in most rounds nothing does, and nothing is written then."""
    some = select(Delivery.number).where(Delivery.target == target.name).limit(1)
    return db.read(lambda session: session.scalar(some)) is not None


def waiting(session: Session) -> dict[str, int]:
    """Map each target to the number of its deliveries, WAITING_COUNTED at most."""
    found = {}
    for name in session.scalars(select(NotificationTarget.name)):
        some = select(Delivery.number).where(Delivery.target == name).limit(WAITING_COUNTED).subquery()
        found[name] = session.scalar(select(func.count()).select_from(some)) or 0
    return found


def is_due(db: Database, target: Target) -> bool:
    """Say whether the target need not be left alone now."""
    now = db.now()
    is_free = _is_reached(NotificationTarget.retry_at, now, LONGEST_PAUSE_S)
    found = select(NotificationTarget.name).where(NotificationTarget.name == target.name, is_free)
    return db.read(lambda session: session.scalar(found)) is not None


def rest(db: Database, claimed: TargetClaim, *, problem: str, pause_s: float) -> None:
    """End a claim, and leave the target alone for a while; `problem` says why it did not accept what it got."""

    def work(session: Session) -> None:
        row = _held(session, claimed)
        if row is None:
            return
        now = db.now()
        row.failures = row.failures + 1 if problem else 0
        row.failing_since = (row.failing_since or now) if problem else None
        row.reason = problem[:REASON_CHARACTERS] or None
        row.retry_at = now + timedelta(seconds=pause_s)
        row.claim_token = row.lease_until = None

    db.transaction(work)


def claim(db: Database, target: Target, *, lease_s: float = LEASE_S) -> TargetClaim | None:
    """Claim a target to which something may be sent now; None: another worker does, or it is to be left alone."""
    now, token = db.now(), secrets.token_hex(16)
    changed = (
        update(NotificationTarget)
        .where(
            NotificationTarget.name == target.name,
            _is_reached(NotificationTarget.lease_until, now, lease_s),
            _is_reached(NotificationTarget.retry_at, now, LONGEST_PAUSE_S),
        )
        .values(claim_token=token, lease_until=now + timedelta(seconds=lease_s))
    )
    if not matched(db.execute(changed)):
        return None
    failures = db.read(
        lambda session: session.scalar(
            select(NotificationTarget.failures).where(NotificationTarget.name == target.name)
        )
    )
    return TargetClaim(target.name, token, failures or 0)


def _is_reached(column: Any, now: datetime, at_most_s: float) -> ColumnElement[bool]:
    """Say whether a time is past, or further ahead than it can have been set: the clock was set back then."""
    return or_(column.is_(None), column <= now, column > now + timedelta(seconds=at_most_s + horizons.SKEW_S))


def next_delivery(db: Database, claimed: TargetClaim) -> Due | None:
    """Return what the target gets next, None when its queue is empty."""
    wanted = (
        select(Delivery, Notification)
        .join(Notification, Notification.id == Delivery.notification_id)
        .where(Delivery.target == claimed.target)
        .order_by(Delivery.number)
        .limit(1)
    )
    row = db.read(lambda session: session.execute(wanted).first())
    if row is None:
        return None
    delivery, notification = row
    return Due(
        number=delivery.number,
        id=notification.id,
        kind=notification.kind,
        body=notification.body or "{}",
        attempt=delivery.attempts + 1,
        is_expired=notification.at + RETENTION <= db.now(),
    )


def record_accepted(db: Database, claimed: TargetClaim, due: Due) -> bool:
    """Delete what the target has accepted, and renew the claim. Returns whether it still held."""

    def work(session: Session) -> bool:
        row = _held(session, claimed)
        if row is None:
            return False
        _delete(session, claimed, due)
        row.failures, row.failing_since, row.reason, row.retry_at = 0, None, None, None
        row.lease_until = db.now() + timedelta(seconds=LEASE_S)
        return True

    return db.repeatable(work)


def record_refused(
    db: Database, claimed: TargetClaim, due: Due, *, reason: str, jitter: float = 1.0, retry_after_s: float = 0.0
) -> None:
    """Leave the target alone for a while, which grows with each failure in a row; its queue stays as it is."""

    def work(session: Session) -> None:
        row = _held(session, claimed)
        if row is None:
            return
        now = db.now()
        pause_s = RETRY_PAUSES_S[min(row.failures, len(RETRY_PAUSES_S) - 1)] * jitter
        row.failures += 1
        row.failing_since = row.failing_since or now
        row.reason = reason[:REASON_CHARACTERS]
        row.retry_at = now + timedelta(seconds=min(LONGEST_PAUSE_S, max(pause_s, retry_after_s)))
        row.claim_token = row.lease_until = None
        delivery = session.get(Delivery, (claimed.target, due.number))
        if delivery is not None:
            delivery.attempts = due.attempt

    db.transaction(work)


def drop(db: Database, claimed: TargetClaim, due: Due) -> bool:
    """Delete what has waited for longer than it is kept. Returns whether the claim still held."""

    def work(session: Session) -> bool:
        if _held(session, claimed) is None:
            return False
        _delete(session, claimed, due)
        return True

    return db.repeatable(work)


def release(db: Database, claimed: TargetClaim) -> None:
    """End a claim, if it still holds."""
    of_claim = (NotificationTarget.name == claimed.target, NotificationTarget.claim_token == claimed.token)
    db.execute(update(NotificationTarget).where(*of_claim).values(claim_token=None, lease_until=None))


def delete_expired(db: Database) -> None:
    """Delete what nobody gets any more: queues of targets that were removed first, then the outbox."""
    expiry.delete_expired(db, Delivery)
    expiry.delete_expired(db, Notification)


def _held(session: Session, claimed: TargetClaim) -> NotificationTarget | None:
    of_claim = select(NotificationTarget).where(NotificationTarget.name == claimed.target)
    row = session.scalar(of_claim.with_for_update().execution_options(populate_existing=True))
    return row if row is not None and row.claim_token == claimed.token else None


def _delete(session: Session, claimed: TargetClaim, due: Due) -> None:
    delivery = session.get(Delivery, (claimed.target, due.number))
    if delivery is not None:
        session.delete(delivery)

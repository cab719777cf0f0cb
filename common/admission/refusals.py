"""Holds of upstreams that refuse our login, kept in the database so that all workers with this login know of them.

an upstream refuses us in general        ─▶ held: no step is sent; a worker asks at growing intervals how we stand there
we stand well again                      ─▶ trial: one step at a time is sent
a trial is refused in general            ─▶ held again, for longer
a trial is refused, nobody knows why     ─▶ held again
a call like the refused one is accepted  ─▶ over; few steps at first (`slots`)
trials pass without such a call          ─▶ over as well, after TRIAL_S

A hold is that of one login: workers that have another one, because their settings were corrected, are free, and workers
that still have the refused one cannot hold them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from common import horizons
from common.database.engine import Database
from common.database.models import Refusal
from common.notifications import outbox
from common.notifications.outbox import News
from common.states import NotificationKind
from common.workflows import Upstream

PAUSES_S = (2.0, 4.0, 8.0, 15.0, 30.0, 60.0)  # between checks in vain; the last one is repeated
LONGEST_TRIAL_PAUSE_S = 600.0
TRIAL_SHARE = 20  # a refused trial is followed by a pause of this part of the time that the hold has lasted
TRIAL_S = 60.0
CHECK_LEASE_S = 15.0  # a worker that has claimed a check or a question has this long before another one does it
ABANDONED_S = 30.0  # a check that is overdue for so long: no worker uses the login any more
FORGOTTEN_S = 30 * 86_400.0  # what holds nothing is kept for so long
CHARACTERS = 500

Logins = Mapping[Upstream, str]  # what this process logs in with: a keyed hash for each upstream


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why calls are refused, and its remedy. `is_write`: the refused call would have changed something."""

    cause: str
    remedy: str
    is_write: bool


def hold(db: Database, upstream: Upstream, login: str, found: Cause, now: datetime) -> bool:
    """Hold the upstream for this login. Returns whether it was not held: then the operator has to be informed.

    Safe to repeat: steps that were under way when it began change nothing; a refused trial makes the pause longer.
    """
    row = find(db, upstream, login) or _insert(db, upstream, login, now)
    if row.since is None:
        about = {"upstream": upstream.value, "since": now.isoformat(), "reason": found.cause, "remedy": found.remedy}
        news = News(NotificationKind.UPSTREAM_REFUSED, about, now)
        return _change(db, row, Refusal.since.is_(None), news=news, **_begun(found, now))
    if row.trial_since is not None:
        pause_s = max(pause_after_s(row.looks + 1), _pause_of_trial_s(row, now))
        look_at, is_write = now + timedelta(seconds=pause_s), row.is_write or found.is_write
        is_this_trial = Refusal.trial_since == row.trial_since
        _change(db, row, is_this_trial, trial_since=None, look_at=look_at, looks=row.looks + 1, is_write=is_write)
    return False


def trial_undecided(db: Database, row: Refusal, now: datetime) -> None:
    """Record that this trial was refused, and nobody could be asked why: the next check comes before another trial."""
    look_at = now + timedelta(seconds=pause_after_s(row.looks + 1))
    is_this_trial = Refusal.trial_since == row.trial_since
    _change(db, row, is_this_trial, trial_since=None, look_at=look_at, looks=row.looks + 1)


def find(db: Database, upstream: Upstream, login: str) -> Refusal | None:
    """Return what is known of this login, held or not; None: it was never refused."""
    return db.read(lambda session: session.get(Refusal, (upstream, login)))


def claim_question(db: Database, upstream: Upstream, login: str, now: datetime) -> Refusal | None:
    """Claim the question what a refusal means, while nothing is held: one worker at a time asks it.

    None: another worker asks, or has just found out that we are refused. Whoever claims it, calls `answered` after it;
    the claim of a worker that dies ends by itself.
    """
    row = find(db, upstream, login) or _insert(db, upstream, login, now)
    is_asked = now < row.look_at <= now + timedelta(seconds=CHECK_LEASE_S)
    return None if row.since is not None or is_asked else claim_check(db, row, now)


def answered(db: Database, question: Refusal, now: datetime) -> None:
    """End the claim of a question that led to no hold."""
    _change(db, question, Refusal.since.is_(None) & (Refusal.look_at == question.look_at), look_at=now)


def pause_after_s(looks: int) -> float:
    """Return the pause after so many checks in vain."""
    return PAUSES_S[min(looks, len(PAUSES_S) - 1)]


# -- checks -------------------------------------------------------------------------------------------------------


def due(session: Session, logins: Logins, now: datetime) -> list[Refusal]:
    """Return the holds of these logins that are to be checked now."""
    return [row for row in held(session) if logins.get(Upstream(row.upstream)) == row.login and _is_due(row, now)]


def _is_due(row: Refusal, now: datetime) -> bool:
    """Say whether it is to be checked, or is so late only because the clock was set back since."""
    longest_s = max(PAUSES_S[-1], TRIAL_S, CHECK_LEASE_S, _pause_of_trial_s(row, now)) + horizons.SKEW_S
    return row.look_at <= now or row.look_at > now + timedelta(seconds=longest_s)


def held(session: Session) -> list[Refusal]:
    """Return the holds of all logins."""
    return list(session.scalars(select(Refusal).where(Refusal.since.is_not(None)).order_by(Refusal.upstream)))


def claim_check(db: Database, row: Refusal, now: datetime) -> Refusal | None:
    """Return the hold as the caller's to check, None when another worker has claimed it."""
    until = now + timedelta(seconds=CHECK_LEASE_S)
    if not _change(db, row, Refusal.look_at == row.look_at, look_at=until):
        return None
    row.look_at = until
    return row


def check_failed(db: Database, row: Refusal, now: datetime) -> None:
    """Record that a claimed check found us refused still, or got no answer."""
    look_at = now + timedelta(seconds=pause_after_s(row.looks + 1))
    _change(db, row, Refusal.look_at == row.look_at, look_at=look_at, looks=row.looks + 1)


def begin_trial(db: Database, row: Refusal, now: datetime) -> None:
    """Record that a claimed check passed: one step at a time may go."""
    _change(
        db, row, Refusal.look_at == row.look_at, trial_since=now, look_at=now + timedelta(seconds=TRIAL_S)
    )  # fmt: skip


def end(db: Database, row: Refusal, now: datetime, *, is_accepted: bool) -> bool:
    """End a hold, and return whether it was still the same. `is_accepted`: a trial made a call like the refused one."""
    accepted = {"accepted_at": now} if is_accepted else {}
    since = row.since.isoformat() if row.since else None
    news = News(NotificationKind.UPSTREAM_ACCEPTED, {"upstream": row.upstream, "since": since}, now)
    return _change(db, row, Refusal.since == row.since, news=news, **_over(now), **accepted)


def end_by_hand(db: Database, upstream: Upstream, now: datetime, *, within: Session | None = None) -> None:
    """End the holds of all logins at an upstream; few steps are sent at first. `within`: as in `Database.execute`."""
    held = update(Refusal).where(Refusal.upstream == upstream, Refusal.since.is_not(None))
    db.execute(held.values(**_over(now)), within=within)


def end_abandoned(db: Database, now: datetime) -> list[Refusal]:
    """End the holds of logins that no running worker has, and return them; forget what has long been over."""
    overdue = now - timedelta(seconds=ABANDONED_S)
    is_old = (Refusal.since.is_(None), Refusal.look_at < now - timedelta(seconds=FORGOTTEN_S))

    def find(session: Session) -> tuple[list[Refusal], bool]:
        abandoned = select(Refusal).where(Refusal.since.is_not(None), Refusal.look_at < overdue)
        return list(session.scalars(abandoned)), session.scalar(
            select(Refusal.login).where(*is_old).limit(1)
        ) is not None

    abandoned, has_old = db.read(find)
    if has_old:
        db.execute(delete(Refusal).where(*is_old))
    return [row for row in abandoned if _change(db, row, Refusal.look_at == row.look_at, **_over(now))]


# -- trials -------------------------------------------------------------------------------------------------------


def of(refusals: Collection[Refusal], login: str | None) -> Refusal | None:
    """Return the hold among `refusals` that concerns a process with this login; None: one of anybody's."""
    return next((row for row in refusals if row.since is not None and login in (None, row.login)), None)


def opened_at(refusals: Collection[Refusal], login: str) -> datetime | None:
    """Return when the last hold of this login ended."""
    return next((row.over_at for row in refusals if row.login == login), None)


def accepted_at(session: Session, upstream: Upstream, login: str) -> datetime | None:
    """Return when a trial with this login was last accepted."""
    row = session.get(Refusal, (upstream, login))
    return row.accepted_at if row else None


def is_trial_over(row: Refusal, now: datetime) -> bool:
    """Say whether trials have passed for so long that nothing is held any more, though none made the refused call."""
    if row.trial_since is None:
        return False
    is_of_the_future = row.trial_since > now + timedelta(seconds=horizons.SKEW_S)  # the clock was set back since
    return is_of_the_future or now >= row.trial_since + timedelta(seconds=TRIAL_S)


# -- inside -------------------------------------------------------------------------------------------------------


def _begun(found: Cause, now: datetime) -> dict[str, Any]:
    return {
        "since": now,
        "cause": found.cause[:CHARACTERS],
        "remedy": found.remedy[:CHARACTERS],
        "is_write": found.is_write,
        "looks": 0,
        "look_at": now + timedelta(seconds=PAUSES_S[0]),
        "trial_since": None,
    }


def _over(now: datetime) -> dict[str, Any]:
    return {"since": None, "trial_since": None, "look_at": now, "over_at": now}


def _insert(db: Database, upstream: Upstream, login: str, now: datetime) -> Refusal:
    """Return the row of a login that nothing holds, or what another worker has made meanwhile."""
    values = {"cause": "", "remedy": "", "is_write": False, "looks": 0, "look_at": now}
    try:
        db.execute(insert(Refusal).values(upstream=upstream, login=login, **values))
    except IntegrityError:
        if (made := find(db, upstream, login)) is not None:
            return made
        raise
    return Refusal(upstream=upstream, login=login, **values)


def _change(db: Database, row: Refusal, still: ColumnElement[bool], *, news: News | None = None, **values: Any) -> bool:
    """Change a row if it is `still` as it was seen, and return whether it was."""
    key = (Refusal.upstream == row.upstream, Refusal.login == row.login)
    return outbox.run(db, update(Refusal).where(*key, still).values(**values), news)


def _pause_of_trial_s(row: Refusal, now: datetime) -> float:
    held_s = (now - row.since).total_seconds() if row.since else 0.0
    return min(LONGEST_TRIAL_PAUSE_S, held_s / TRIAL_SHARE)

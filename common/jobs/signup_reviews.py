"""Reviews of sign-ups: the person confirms the e-mail address, and an administrator approves, before anything is made.

    unconfirmed ─▶ waiting ─▶ approved      the job begins
         │    └──▶ confirmed                the same, where nobody has to approve
         └─▶ lapsed    └─▶ expired          nobody answered in time: the job is cancelled, its sealed password wiped
    rejected, cancelled                     the same, by an administrator

The settings say which of the two are needed. The job is accepted at once and pending until the review is decided. Each
change locks the job first, as everywhere, and then the review.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.config.settings import Settings
from common.database.engine import Database
from common.database.models import Job, SignupReview, User
from common.database.repeats import is_away
from common.jobs import interventions, lifecycle, outbox
from common.jobs.interventions import NotPossibleError
from common.jobs.lifecycle import Pending
from common.plain_text import harmless
from common.states import OPEN, UNDECIDED, JobState, ReviewState
from common.vault import sealed_passwords

log = logging.getLogger(__name__)

PENDING = {
    ReviewState.UNCONFIRMED: Pending(
        code="confirmation", reason="The person has to confirm the e-mail address: a mail has the link."
    ),
    ReviewState.WAITING: Pending(
        code="approval", reason="An administrator has to approve this sign-up. Nothing is made before."
    ),
}
REFUSED = frozenset({ReviewState.REJECTED, ReviewState.EXPIRED, ReviewState.LAPSED, ReviewState.CANCELLED})
STOPPED = frozenset({JobState.CANCELLING, JobState.CANCELLED})
ASKED_INPUT = "email_confirmation"  # of the job: the person was asked to confirm the address
CONFIRMED_INPUT = "email_confirmed"  # of the job: the person has proved that the address is theirs
UNCONFIRMED_FOR = timedelta(days=7)  # at most, while mails cannot be sent or are asked for again
LINK_LIVES = timedelta(hours=24)
ENDED_AT_ONCE = 100


def first_state(config: Settings) -> ReviewState | None:
    """Return in which state the review of a new sign-up begins, None where it needs none."""
    if config.signup_confirmation:
        return ReviewState.UNCONFIRMED
    return ReviewState.WAITING if config.signup_approval else None


def ends_at(state: ReviewState, config: Settings, now: datetime) -> datetime:
    """Return when a review that begins in this state ends at the latest, if nobody answers."""
    return now + (UNCONFIRMED_FOR if state is ReviewState.UNCONFIRMED else _answered_within(config))


def begin(session: Session, job: Job, state: ReviewState, *, now: datetime, ends_at: datetime) -> None:
    """Open the review of a sign-up whose job was accepted as pending, and have the mail sent if it needs one."""
    session.add(SignupReview(id=job.id, user_id=job.subject_id, state=state, created_at=now, expires_at=ends_at))
    if state is ReviewState.UNCONFIRMED:
        job.input = {**job.input, ASKED_INPUT: True}
        outbox.put(session, job.subject_id, outbox.CONFIRM_SIGNUP, now=now, expires_at=ends_at)


def hash_of(token: str) -> str:
    """Return what is stored of the token in a link: so many random bits need neither salt nor a slow hash."""
    return sha256(token.encode()).hexdigest()


def renew_link(session: Session, user_id: str, token: str, now: datetime) -> Job | None:
    """Store the token of the link that is about to be mailed; an earlier one is void. Returns the job.

    None when nothing is left to be confirmed.
    """
    awaited = (SignupReview.user_id == user_id, SignupReview.state == ReviewState.UNCONFIRMED)
    review_id = session.scalar(select(SignupReview.id).where(*awaited).limit(1))
    if review_id is None:
        return None
    job, review = _lock(session, review_id)
    if review.state is not ReviewState.UNCONFIRMED:
        return None
    review.token_hash = hash_of(token)
    review.expires_at = min(now + LINK_LIVES, review.created_at + UNCONFIRMED_FOR)
    return job


class Answered(NamedTuple):
    """The job of a sign-up, and whether it was this answer that changed it: the same one may come twice."""

    job: Job
    is_new: bool


def confirm(session: Session, token: str, config: Settings, now: datetime) -> Answered:
    """Let the job go on, or wait for an administrator. Raises NotPossibleError `invalid_link`. Twice is fine."""
    review_id = session.scalar(select(SignupReview.id).where(SignupReview.token_hash == hash_of(token)))
    if review_id is None:
        raise NotPossibleError("invalid_link", "The link is unknown, or a later mail has replaced it.")
    job, review = _lock(session, review_id)
    is_too_late = review.state in UNDECIDED and review.expires_at <= now
    if is_too_late or review.state in REFUSED or job.state in STOPPED:
        raise NotPossibleError("invalid_link", "The link has expired, or the sign-up has ended.")
    if review.confirmed_at is not None:
        return Answered(job, is_new=False)
    review.confirmed_at = session.get_one(User, review.user_id).email_confirmed_at = now
    job.input = {**job.input, CONFIRMED_INPUT: True}
    if config.signup_approval:
        _await_answer(session, job, review, config, now)
    else:
        _decide(review, ReviewState.CONFIRMED, by=None, now=now)
        _let_begin(session, job, now)
    return Answered(job, is_new=True)


def approve(session: Session, review_id: str, *, by: str | None, now: datetime) -> Answered:
    """Let the job begin; `by` is the id of an administrator. Raises NotPossibleError `not_waiting`. Twice is fine."""
    job, review = _lock(session, review_id)
    if review.state is ReviewState.APPROVED:
        return Answered(job, is_new=False)
    if review.state is ReviewState.UNCONFIRMED:
        raise NotPossibleError("not_waiting", "The person has not confirmed the e-mail address yet.")
    _require_in_time(job, review, now)
    _decide(review, ReviewState.APPROVED, by=by, now=now)
    _let_begin(session, job, now)
    return Answered(job, is_new=True)


def reject(session: Session, review_id: str, *, by: str | None, reason: str, now: datetime) -> SignupReview:
    """Cancel the job. Its names can be signed up with again, with the same password. Raises NotPossibleError."""
    job, review = _lock(session, review_id)
    _require_in_time(job, review, now)
    review.reason = harmless(reason)
    _end(session, job, review, ReviewState.REJECTED, by=by, now=now)
    return review


def expire(db: Database) -> None:
    """Cancel sign-ups that nobody answered in time, a hundred at most. Safe to call from any number of clocks.

    Waits for nobody's lock, and one that cannot be ended keeps no other from it: the next call tries it again. Raises
    only what says that the database is away.
    """
    now = db.now()
    is_over = (SignupReview.state.in_(sorted(UNDECIDED)), SignupReview.expires_at <= now)
    over = select(SignupReview.id).where(*is_over).limit(ENDED_AT_ONCE)
    for review_id in db.read(lambda session: session.scalars(over).all()):
        try:
            db.transaction(partial(_expire, review_id, now))
        except Exception as error:
            if is_away(error):
                raise
            log.exception("signup_not_ended", extra={"job_id": review_id})


def is_never_confirmed(job: Job, review: SignupReview) -> bool:
    """Say whether the person was asked to confirm the e-mail address and never did, whatever ended the sign-up."""
    was_asked = ASKED_INPUT in job.input or review.state in (ReviewState.UNCONFIRMED, ReviewState.LAPSED)
    return was_asked and review.confirmed_at is None


def describe(review: SignupReview) -> str:
    """Return what has become of the sign-up, for the person."""
    match review.state:
        case ReviewState.UNCONFIRMED | ReviewState.WAITING:
            return PENDING[review.state].reason
        case ReviewState.REJECTED:
            return f"An administrator has rejected this sign-up: {review.reason}"
        case ReviewState.LAPSED:
            return "The e-mail address was not confirmed in time. Sign up again."
        case ReviewState.EXPIRED:
            return "No administrator has answered in time. Sign up again with the same password."
        case ReviewState.CANCELLED:
            return "The sign-up was cancelled. Sign up again with the same password."
        case _:
            return f"The sign-up was {review.state.value}."


def _answered_within(config: Settings) -> timedelta:
    return timedelta(days=config.signup_approval_days)


def _await_answer(session: Session, job: Job, review: SignupReview, config: Settings, now: datetime) -> None:
    review.state, review.expires_at = ReviewState.WAITING, now + _answered_within(config)
    sealed_passwords.expire_at(session, job.id, review.expires_at)
    lifecycle.keep_pending(session, job, PENDING[ReviewState.WAITING], now)


def _let_begin(session: Session, job: Job, now: datetime) -> None:
    sealed_passwords.expire_at(session, job.id, now + sealed_passwords.LIVES)
    lifecycle.begin(session, job, now)


def _expire(review_id: str, now: datetime, session: Session) -> None:
    try:
        job, review = _lock(session, review_id, skip_locked=True)
    except NotPossibleError:  # gone, or being answered
        return
    if review.state not in UNDECIDED or review.expires_at > now:  # somebody was quicker
        return
    if job.state not in OPEN:  # cancelled by a process that knew no reviews, during an upgrade
        _decide(review, ReviewState.CANCELLED, by=None, now=now)
        return
    state = ReviewState.LAPSED if review.state is ReviewState.UNCONFIRMED else ReviewState.EXPIRED
    _end(session, job, review, state, by=None, now=now)


def _end(
    session: Session, job: Job, review: SignupReview, state: ReviewState, *, by: str | None, now: datetime
) -> None:
    _decide(review, state, by=by, now=now)
    session.flush()
    interventions.cancel(session, job.id, now, code=state.value, reason=describe(review))


def _require_in_time(job: Job, review: SignupReview, now: datetime) -> None:
    """Raises NotPossibleError when an answer comes too late: the password may have been deleted already."""
    _require_undecided(review)
    if job.state not in OPEN:
        raise NotPossibleError("not_waiting", "The job of this sign-up is over. The person has to sign up again.")
    if review.expires_at <= now:
        raise NotPossibleError("not_waiting", "The time for an answer is over. The person has to sign up again.")


def _require_undecided(review: SignupReview) -> None:
    if review.state not in UNDECIDED:
        raise NotPossibleError("not_waiting", f"The sign-up is {review.state.value} already.")


def _decide(review: SignupReview, state: ReviewState, *, by: str | None, now: datetime) -> None:
    _require_undecided(review)
    review.state, review.decided_at, review.decided_by = state, now, by


def _lock(session: Session, review_id: str, *, skip_locked: bool = False) -> tuple[Job, SignupReview]:
    """Raises NotPossibleError when retention has deleted both meanwhile, or, with `skip_locked`, they are locked."""
    job = lifecycle.lock(session, review_id, skip_locked=skip_locked)
    review = session.get(SignupReview, review_id, with_for_update={"skip_locked": skip_locked}, populate_existing=True)
    if job is None or review is None:
        raise NotPossibleError("not_waiting", "There is no such sign-up any more.")
    return job, review

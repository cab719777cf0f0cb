"""What a refused call means for its step, and checks of the upstreams that refuse our login.

our standing there   refused before                                     the step
not asked            the upstream is held, and this step is no trial    is parked
no answer, or asked
by another worker    –                                                  is tried again, ever later; no attempt is used
Missing              –                                                  fails at once
Good                 fewer than four times, one after another           is tried again, soon
Good                 four times                                         fails
Held                 –                                                  is parked, and the upstream is held
Held                 and a trial of another step was accepted since     is tried again as after any temporary failure
Held, or no answer   for as long as an outage may last                  fails
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from common import horizons
from common.admission import outages, refusals
from common.admission.outages import Hold
from common.admission.refusals import Cause, Logins
from common.admission.slots import Limits
from common.database.engine import Database
from common.database.models import Refusal
from common.errors import Permanent, Refused, StepError, Transient
from common.jobs import outcomes
from common.jobs.claims import Claim
from common.jobs.outcomes import UNDECIDED, UNEXPLAINED, RefusedBefore
from common.workflows import DELAY_AT_MOST_S, Upstream
from worker.upstreams import Upstreams
from worker.upstreams.http import Deadline
from worker.upstreams.standing import Good, Held, Missing, Standing

log = logging.getLogger(__name__)

STANDING_S = 10.0  # all calls of one question together, each in its turn; below `refusals.CHECK_LEASE_S`
PAUSES_S = (5.0, 15.0, 40.0)  # between the tries of a call that is refused though our account works
FIRST_UNDECIDED_S, UNDECIDED_FACTOR = 5.0, 3.0  # the pauses while nobody knows: tries of a week have to remain readable

Ask = Callable[[Upstream, Refused | None], Standing]


@dataclass(frozen=True, kw_only=True)
class HoldUpstream:
    """Every call, or every call of this kind, is refused."""

    cause: Cause


@dataclass(frozen=True, kw_only=True)
class TryAgain:
    """This step alone is refused. `delay_s`: None is what its retry policy says."""

    delay_s: float | None


@dataclass(frozen=True, kw_only=True)
class AskAgain:
    """Nobody knows yet. `is_unavailable`: the upstream did not answer the question."""

    delay_s: float
    reason: str
    is_unavailable: bool


@dataclass(frozen=True, kw_only=True)
class GiveUp:
    """Trying again cannot help."""

    reason: str


Decision = HoldUpstream | TryAgain | AskAgain | GiveUp


def asking(upstreams: Upstreams) -> Ask:
    """Return the function that asks for our standing, for a limited time and only by reading."""
    return lambda upstream, refused: upstreams.within(Deadline.within(STANDING_S)).standing(upstream, refused)


def decide(
    refused: Refused,
    standing: Standing | Transient,
    before: RefusedBefore,
    *,
    accepted_at: datetime | None,
    now: datetime,
) -> Decision:
    """Return what the refusal means: the module's table. `accepted_at`: when a trial there was last accepted.

    `standing` is Transient when nobody could be asked.
    """
    is_too_long = before.since is not None and now - before.since >= timedelta(seconds=outages.LONGEST_HOLD_S)
    match standing:
        case Missing(right=right):
            is_named = not right or right in refused.reason
            return GiveUp(reason=refused.reason if is_named else f"{refused.reason}. It lacks {right}")
        case Good() if before.unexplained >= len(PAUSES_S):
            return GiveUp(reason=refused.reason)
        case Good():
            return TryAgain(delay_s=PAUSES_S[before.unexplained])
        case _ if is_too_long:
            return GiveUp(reason=f"{refused.reason}. Gave up after {outages.LONGEST_HOLD}")
        case Transient(reason=reason, is_unavailable=is_unavailable, retry_after_s=hint_s):
            delay_s = max(hint_s or 0.0, undecided_pause_s(before.undecided))
            said = reason if standing.upstream else refused.reason  # what is ours explains nothing to a reader
            return AskAgain(delay_s=delay_s, reason=said, is_unavailable=is_unavailable)
        case Held(cause=cause, remedy=remedy):
            latest = now + timedelta(seconds=horizons.SKEW_S)  # a later one: the clock was set back since
            if before.held_at is not None and accepted_at is not None and before.held_at < accepted_at <= latest:
                return TryAgain(delay_s=None)
            return HoldUpstream(cause=Cause(cause=cause, remedy=remedy, is_write=refused.is_write))


def undecided_pause_s(undecided: int) -> float:
    """Return the pause before the next try after so many about which nobody could be asked."""
    few = min(undecided, 10)  # the power of thousands fits into no number
    return min(DELAY_AT_MOST_S, FIRST_UNDECIDED_S * UNDECIDED_FACTOR**few)


class Refusals:
    """What refused calls mean for their steps; holds the upstreams that refuse our login in general.

    While an upstream is held, its trial alone asks for our standing; else one worker at a time does, for all: many
    steps may be refused at the same moment, and the calls of all questions would have to wait for each other.
    """

    def __init__(self, db: Database, ask: Ask, limits: Limits) -> None:
        self._db = db
        self._ask = ask
        self._limits = limits

    def meaning_of(self, claim: Claim, refused: Refused, upstream: Upstream) -> Hold | Transient | Permanent:
        """Return why the step is to be parked, or the error that it ends with."""
        login = self._limits[upstream].login if upstream in self._limits else ""
        row = refusals.find(self._db, upstream, login)
        if row is not None and row.since is not None:
            if not _is_trial(claim, row):
                return outages.refused(row.cause)
            meaning = self._judge(claim, refused, upstream, login, standing_after(self._ask, upstream, refused))
            if isinstance(meaning, Transient) and meaning.code == UNDECIDED:  # a trial that stood would end the hold
                refusals.trial_undecided(self._db, row, self._db.now())
            return meaning
        question = refusals.claim_question(self._db, upstream, login, self._db.now())
        if question is None:
            return self._judge(claim, refused, upstream, login, Transient("another worker asks"))
        try:
            return self._judge(claim, refused, upstream, login, standing_after(self._ask, upstream, refused))
        finally:  # once the hold stands, if there is one: nobody asks in between
            refusals.answered(self._db, question, self._db.now())

    def _judge(
        self, claim: Claim, refused: Refused, upstream: Upstream, login: str, standing: Standing | Transient
    ) -> Hold | Transient | Permanent:
        before, now = outcomes.refused_before(self._db, claim), self._db.now()
        accepted_at = self._db.read(lambda session: refusals.accepted_at(session, upstream, login))
        match decide(refused, standing, before, accepted_at=accepted_at, now=now):
            case HoldUpstream(cause=cause):
                if refusals.hold(self._db, upstream, login, cause, now):
                    log_held(upstream, cause)
                return outages.refused(cause.cause)
            case TryAgain(delay_s=delay_s):
                return _coded(UNEXPLAINED, Transient(refused.reason, upstream=refused.upstream, retry_after_s=delay_s))
            case AskAgain(delay_s=delay_s, reason=reason, is_unavailable=is_unavailable):
                again = Transient(
                    reason, upstream=refused.upstream, retry_after_s=delay_s, is_unavailable=is_unavailable
                )
                return _coded(UNDECIDED, again)
            case GiveUp(reason=reason):
                return Permanent(reason, action_by=refused.action_by, upstream=refused.upstream)


def _is_trial(claim: Claim, row: Refusal) -> bool:
    """Say whether the claim was admitted as the trial that the hold has now: not before it, nor as an earlier one."""
    wanted = (row.upstream, row.since, row.trial_since)
    return row.trial_since is not None and wanted in [
        (trial.upstream, trial.since, trial.trial_since) for trial in claim.admission.trials
    ]


def _coded(code: str, transient: Transient) -> Transient:
    transient.code = code
    return transient


# -- to the operator ----------------------------------------------------------------------------------------------


def log_held(upstream: Upstream, cause: Cause) -> None:
    """Inform the operator, once a hold."""
    log.error("upstream_refused", extra={"upstream": upstream.value, "reason": cause.cause, "remedy": cause.remedy})


def log_over(row: Refusal, now: datetime) -> None:
    held_s = round((now - row.since).total_seconds()) if row.since else 0
    log.warning("upstream_accepted", extra={"upstream": row.upstream, "held_s": held_s})


class RefusalProbe:
    """Asks upstreams that refuse our login how we stand there: one worker of those with this login at a time."""

    def __init__(self, db: Database, ask: Ask, logins: Logins) -> None:
        self._db = db
        self._ask = ask
        self._logins = logins

    def run(self) -> None:
        """Check every hold whose check is due, and end those that nobody checks any more."""
        for due in self._db.read(lambda session: refusals.due(session, self._logins, self._db.now())):
            # The check before may have taken most of a claim's time.
            if claimed := refusals.claim_check(self._db, due, self._db.now()):
                self._check(claimed)
        for row in refusals.end_abandoned(self._db, self._db.now()):
            log_over(row, self._db.now())

    def _check(self, row: Refusal) -> None:
        if row.trial_since is not None:  # no trial was refused for so long
            if refusals.end(self._db, row, self._db.now(), is_accepted=False):
                log_over(row, self._db.now())
        elif self._is_refused(Upstream(row.upstream)):
            refusals.check_failed(self._db, row, self._db.now())
        else:
            refusals.begin_trial(self._db, row, self._db.now())

    def _is_refused(self, upstream: Upstream) -> bool:
        try:
            return isinstance(self._ask(upstream, None), Held)
        except StepError:
            return True
        except Exception:  # the other upstreams have to be checked, too
            log.exception("standing_failed", extra={"upstream": upstream.value})
            return True


def standing_after(ask: Ask, upstream: Upstream, refused: Refused) -> Standing | Transient:
    """Return our standing after a refusal; Transient when there is no usable answer, or we could not ask."""
    try:
        return ask(upstream, refused)
    except Transient as unanswered:
        return unanswered
    except Refused as error:
        return Held(cause=error.reason, remedy=f"correct how Slipway logs in to {upstream.label}")
    except StepError:  # an answer that explains nothing
        return Good()
    except Exception:  # here an unknown failure becomes a state: no job may fail for it
        log.exception("standing_failed", extra={"upstream": upstream.value})
        return Transient("an internal error")

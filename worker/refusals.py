"""What a refused call means for its step, and checks of the upstreams that refuse our login.

our standing there   refused before                                     the step
Missing              –                                                  fails at once
Good                 fewer than four times, one after another           is tried again, soon
Good                 four times                                         fails
Held                 –                                                  is parked, and the upstream is held
Held                 and a trial of another step was accepted since     is tried again as after any temporary failure
Held                 for as long as an outage may last                  fails
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.admission import outages, refusals
from common.admission.refusals import Cause, Logins
from common.database.engine import Database
from common.database.models import Refusal
from common.errors import Refused, StepError, Transient
from common.jobs.outcomes import RefusedBefore
from common.workflows import Upstream
from worker.upstreams import Upstreams
from worker.upstreams.http import Deadline
from worker.upstreams.standing import Good, Held, Missing, Standing

log = logging.getLogger(__name__)

STANDING_S = 5.0  # all calls of one question together; below `refusals.CHECK_LEASE_S`
PAUSES_S = (5.0, 15.0, 40.0)  # between the tries of a call that is refused though our account works

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
class GiveUp:
    """Trying again cannot help."""

    reason: str


Decision = HoldUpstream | TryAgain | GiveUp


def asking(upstreams: Upstreams) -> Ask:
    """Return the function that asks for our standing, for a limited time and only by reading."""
    return lambda upstream, refused: upstreams.within(Deadline.within(STANDING_S)).standing(upstream, refused)


def decide(
    refused: Refused, standing: Standing, before: RefusedBefore, *, accepted_at: datetime | None, now: datetime
) -> Decision:
    """Return what the refusal means: the module's table. `accepted_at`: when a trial there was last accepted."""
    match standing:
        case Missing(right=right):
            is_named = not right or right in refused.reason
            return GiveUp(reason=refused.reason if is_named else f"{refused.reason}. It lacks {right}")
        case Held(cause=cause, remedy=remedy):
            if before.since is not None and now - before.since >= timedelta(seconds=outages.LONGEST_HOLD_S):
                return GiveUp(reason=f"{refused.reason}. Gave up after {outages.LONGEST_HOLD}")
            if before.held_at is not None and accepted_at is not None and accepted_at > before.held_at:
                return TryAgain(delay_s=None)
            return HoldUpstream(cause=Cause(cause=cause, remedy=remedy, is_write=refused.is_write))
        case Good():
            if before.unexplained >= len(PAUSES_S):
                return GiveUp(reason=refused.reason)
            return TryAgain(delay_s=PAUSES_S[before.unexplained])


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
        now = self._db.now()
        for due in self._db.read(lambda session: refusals.due(session, self._logins, now)):
            if claimed := refusals.claim_check(self._db, due, now):
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


def standing_after(ask: Ask, upstream: Upstream, refused: Refused) -> Standing:
    """Return our standing after a refusal; what went wrong inside Slipway explains none.

    Raises Transient when the upstream gives no usable answer.
    """
    try:
        return ask(upstream, refused)
    except Transient:
        raise
    except Refused as error:
        return Held(cause=error.reason, remedy=f"correct how Slipway logs in to {upstream.label}")
    except StepError:
        return Good()
    except Exception:  # here an unknown failure becomes a state
        log.exception("standing_failed", extra={"upstream": upstream.value})
        return Good()

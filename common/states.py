"""States of jobs, steps, attempts and resources, and the transitions that are allowed.

Plain data: no framework is imported here.
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """queued: accepted, no step has begun · running · succeeded · failed: every lane has ended, a step of one failed ·
    cancelling: what it began on upstreams is being stopped · cancelled.
    """

    QUEUED = "queued"  # accepted, no step has begun
    RUNNING = "running"  # some step has begun, not all lanes have settled
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # all lanes have settled and some step failed
    CANCELLING = "cancelling"  # to be stopped; what it started on upstreams is being stopped
    CANCELLED = "cancelled"


class StepState(StrEnum):
    """pending: not its turn · ready: its turn, a worker takes it next · running · waiting: the upstream is not ready,
    the step polls again · retrying: an attempt failed temporarily, another follows · succeeded · failed · skipped: done
    by hand, an administrator said · cancelled.
    """

    PENDING = "pending"  # not its turn
    READY = "ready"  # its turn, nobody has begun
    RUNNING = "running"  # claimed, until `lease_until`
    WAITING = "waiting"  # the upstream is not ready: polls again at `due_at`
    RETRYING = "retrying"  # an attempt failed temporarily: the next one begins at `due_at`
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class AppState(StrEnum):
    """making: its parts are being made · incomplete: some may be missing: making them, or removing them, did not
    succeed · ready: it can be built and deployed · removing: its parts are being removed · removed: the name is free.
    """

    MAKING = "making"
    INCOMPLETE = "incomplete"
    READY = "ready"
    REMOVING = "removing"
    REMOVED = "removed"


class RunHealth(StrEnum):
    """healthy: Argo CD said so at the end of the deployment, and nothing was deployed since · progressing: another
    deployment is running · unknown: a later deployment began and did not succeed.
    """

    HEALTHY = "healthy"
    PROGRESSING = "progressing"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """How an attempt ended: succeeded · stumbled: it failed temporarily, another follows unless it was the last ·
    failed: trying again cannot help · lost: its worker died · cancelled. Null while it runs.
    """

    SUCCEEDED = "succeeded"
    TRANSIENT = "stumbled"  # Transient: another attempt follows, or the step has failed for want of attempts
    FAILED = "failed"
    LOST = "lost"  # its worker died: the lease ran out
    CANCELLED = "cancelled"


class Provenance(StrEnum):
    """intended: it may or may not exist yet · created: made for the app, a removal takes it away · adopted: it was
    there before, a removal leaves it · gone.
    """

    INTENDED = "intended"  # written before the create: it may or may not exist
    CREATED = "created"  # we made it: undo may remove it
    ADOPTED = "adopted"  # it was there before us: undo leaves it
    GONE = "gone"


class ReviewState(StrEnum):
    """unconfirmed: the person has to confirm the e-mail address · waiting: for an administrator · confirmed: by the
    person, and nobody had to approve · approved · rejected: by an administrator · lapsed: the address was not confirmed
    in time · expired: no administrator answered in time · cancelled: the job was cancelled.
    """

    UNCONFIRMED = "unconfirmed"
    WAITING = "waiting"
    CONFIRMED = "confirmed"
    APPROVED = "approved"
    REJECTED = "rejected"
    LAPSED = "lapsed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


UNDECIDED = frozenset({ReviewState.UNCONFIRMED, ReviewState.WAITING})  # the others are final


class NotificationKind(StrEnum):
    """What operators may be notified of."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    UPSTREAM_DOWN = "upstream.down"
    UPSTREAM_UP = "upstream.up"  # it answers again
    UPSTREAM_REFUSED = "upstream.refused"  # it refuses our account
    UPSTREAM_ACCEPTED = "upstream.accepted"  # that is over


OPEN = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING})
CLAIMABLE = frozenset({StepState.READY, StepState.WAITING, StepState.RETRYING})
PASSED = frozenset({StepState.SUCCEEDED, StepState.SKIPPED})
UNSETTLED = CLAIMABLE | {StepState.RUNNING}


# -- transitions --------------------------------------------------------------------------------------------------

S, J = StepState, JobState

STEP_TRANSITIONS: frozenset[tuple[StepState, StepState]] = frozenset({
    (S.PENDING, S.PENDING),  # the job is held, and now it says why
    (S.PENDING, S.READY),  # its turn has come
    (S.READY, S.RUNNING),  # claimed
    (S.WAITING, S.RUNNING),
    (S.RETRYING, S.RUNNING),
    (S.RUNNING, S.RUNNING),  # claimed again: the lease ran out
    (S.RUNNING, S.SUCCEEDED),
    (S.RUNNING, S.WAITING),
    (S.RUNNING, S.RETRYING),  # failed temporarily; or the lease ran out and its upstream takes nothing now
    (S.RUNNING, S.FAILED),
    (S.READY, S.READY),  # parked, or parked for another reason
    (S.WAITING, S.WAITING),
    (S.RETRYING, S.RETRYING),
    (S.FAILED, S.READY),  # an intervention: retried
    (S.FAILED, S.SKIPPED),
    (S.PENDING, S.CANCELLED),  # an intervention: the job is cancelled
    (S.READY, S.CANCELLED),
    (S.RUNNING, S.CANCELLED),
    (S.WAITING, S.CANCELLED),
    (S.RETRYING, S.CANCELLED),
})  # fmt: skip

JOB_TRANSITIONS: frozenset[tuple[JobState, JobState]] = frozenset({
    (J.QUEUED, J.RUNNING),  # its first step was claimed
    (J.RUNNING, J.SUCCEEDED),
    (J.RUNNING, J.FAILED),
    (J.QUEUED, J.CANCELLING),
    (J.RUNNING, J.CANCELLING),
    (J.CANCELLING, J.CANCELLED),
    (J.CANCELLING, J.FAILED),  # what it began could not be stopped
    (J.FAILED, J.RUNNING),  # an intervention: a step is retried or skipped
    (J.FAILED, J.CANCELLING),  # the same, of the step that stops what was begun
})  # fmt: skip


class ForbiddenTransitionError(Exception):
    """A fault inside Slipway: a state was about to be written that cannot follow the present one."""

    def __init__(self, what: str, before: StrEnum, after: StrEnum) -> None:
        super().__init__(f"{what} cannot become {after.value}: it is {before.value}")


def require_step_transition(before: StepState, after: StepState) -> None:
    """Raise ForbiddenTransitionError unless a step in the one state may be put into the other."""
    if (before, after) not in STEP_TRANSITIONS:
        raise ForbiddenTransitionError("a step", before, after)


def require_job_transition(before: JobState, after: JobState) -> None:
    """Raise ForbiddenTransitionError unless a job in the one state may be put into the other."""
    if (before, after) not in JOB_TRANSITIONS:
        raise ForbiddenTransitionError("a job", before, after)


# -- scheduling columns -------------------------------------------------------------------------------------------


class Presence(StrEnum):
    """Whether a column of a row has a value in a given state."""

    SET = "set"
    NULL = "null"
    MAY = "may"  # depends on what has happened to the step before


_HELD_BACK = {"nudge_at": Presence.MAY, "parked_at": Presence.MAY}  # at least one of the two is set
_OVER = {
    "due_at": Presence.NULL,
    "nudge_at": Presence.NULL,
    "parked_at": Presence.NULL,
    "claim_token": Presence.NULL,
    "lease_until": Presence.NULL,
    "waiting_since": Presence.MAY,
    "started_at": Presence.SET,
    "finished_at": Presence.SET,
}
_DUE = {
    "due_at": Presence.SET,
    **_HELD_BACK,
    "claim_token": Presence.NULL,
    "lease_until": Presence.NULL,
    "waiting_since": Presence.MAY,
    "started_at": Presence.SET,
    "finished_at": Presence.NULL,
}

SCHEDULING_COLUMNS: dict[StepState, dict[str, Presence]] = {
    S.PENDING: dict.fromkeys(_OVER, Presence.NULL),
    S.READY: {**_DUE, "waiting_since": Presence.NULL, "started_at": Presence.MAY},
    S.RUNNING: {
        "due_at": Presence.NULL,
        "nudge_at": Presence.SET,  # when its lease runs out
        "parked_at": Presence.NULL,
        "claim_token": Presence.SET,
        "lease_until": Presence.SET,
        "waiting_since": Presence.MAY,
        "started_at": Presence.SET,
        "finished_at": Presence.NULL,
    },
    S.WAITING: {**_DUE, "waiting_since": Presence.SET},
    S.RETRYING: _DUE,
    S.SUCCEEDED: {**_OVER, "waiting_since": Presence.NULL},
    S.FAILED: _OVER,
    S.SKIPPED: _OVER,
    S.CANCELLED: {**_OVER, "started_at": Presence.MAY},
}

"""States of jobs, steps, attempts and resources. Plain data: no framework is imported here."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """queued: accepted, no step has begun · running · succeeded · failed: every lane has ended, a step of one failed ·
    cancelling: what it began outside is being stopped · cancelled.
    """

    QUEUED = "queued"  # accepted, no step has begun
    RUNNING = "running"  # some step has begun, not all lanes have settled
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # all lanes have settled and some step failed
    CANCELLING = "cancelling"  # told to stop; what it started outside is being stopped
    CANCELLED = "cancelled"


class StepState(StrEnum):
    """pending: not its turn · ready: its turn, a worker takes it in a moment · running · waiting: the upstream is not
    ready, it looks again · retrying: an attempt stumbled, another follows · succeeded · failed · skipped: done by hand,
    an administrator said · cancelled.
    """

    PENDING = "pending"  # not its turn
    READY = "ready"  # its turn, nobody has begun
    RUNNING = "running"  # claimed, until `lease_until`
    WAITING = "waiting"  # the outside is not ready: looks again at `due_at`
    RETRYING = "retrying"  # an attempt stumbled: the next one begins at `due_at`
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """How an attempt ended: succeeded · stumbled: another follows, or there are none left · failed: trying again cannot
    help · lost: its worker died · cancelled. Null while it goes on.
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


OPEN = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING})
CLAIMABLE = frozenset({StepState.READY, StepState.WAITING, StepState.RETRYING})
PASSED = frozenset({StepState.SUCCEEDED, StepState.SKIPPED})
UNSETTLED = CLAIMABLE | {StepState.RUNNING}

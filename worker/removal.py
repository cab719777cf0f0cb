"""Removal of what we made, one row of the ledger at a time."""

from __future__ import annotations

from collections.abc import Callable

from common.database.models import Resource
from common.errors import Conflict, NotYet
from common.states import Provenance
from worker.context import StepContext

OURS = frozenset({Provenance.INTENDED, Provenance.CREATED})


def is_removed(job: StepContext, row: Resource, remove: Callable[[Resource], bool]) -> bool:
    """Say whether nothing of ours is in the row's place any more, removing what is.

    A call that creates what was only intended may still arrive: raises NotYet until none can. What is in that place
    then and is not ours shows that ours was never created, and is left alone.
    """
    if row.provenance is Provenance.CREATED:
        return remove(row)
    if (left_s := job.may_arrive_for_s(row)) > 0:
        raise NotYet(
            f"{row.ref} may still be created: the attempt that was creating it did not report.", retry_after_s=left_s
        )
    try:
        return remove(row)
    except Conflict:
        return True

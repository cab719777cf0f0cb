"""Is what we made gone?  Asked by everything that removes, one row of the ledger at a time."""

from __future__ import annotations

from collections.abc import Callable

from common.database.models import Resource
from common.errors import Conflict, NotYet
from common.states import Provenance
from worker.context import StepContext

OURS = frozenset({Provenance.INTENDED, Provenance.CREATED})


def is_removed(job: StepContext, row: Resource, remove: Callable[[Resource], bool]) -> bool:
    """Say whether nothing of ours is in the row's place any more, removing what is.

    Of what was only intended, a call may still be on its way: raises NotYet until it can be no more. What is in that
    place then and is not ours shows that ours never came to be, and is left alone.
    """
    if row.provenance is Provenance.CREATED:
        return remove(row)
    if (left_s := job.may_arrive_for_s(row)) > 0:
        raise NotYet(f"{row.ref} may be on its way: whoever was making it did not report back.", retry_after_s=left_s)
    try:
        return remove(row)
    except Conflict:
        return True

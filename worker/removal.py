"""Removal of what we made, one row of the ledger at a time."""

from __future__ import annotations

from common.database.models import Resource
from common.errors import Conflict, NotYet
from common.states import Provenance
from common.workflows import Upstream
from worker.context import StepContext
from worker.upstreams import Upstreams
from worker.upstreams.adapter import Remains, Target

PURGE = "purge"  # the input of a removal that an administrator wants to be final


def is_removed(job: StepContext, upstreams: Upstreams, row: Resource, *, is_marked: bool = True) -> bool | Remains:
    """Remove what the row stands for, and say whether nothing of ours is left in its place, or what is kept elsewhere.

    `is_marked` is False for what was made before objects of its kind were marked.
    A call that creates what was only intended may still arrive: raises NotYet until none can. What is in that place
    then and is not ours shows that ours was never created, and is left alone.
    """
    is_purge = job.option(PURGE) is not None
    target = Target(
        ref=row.ref,
        outside_id=row.outside_id,
        marker=job.marker,
        team=lambda: job.team,
        is_purge=is_purge,
        is_marked=is_marked,
    )
    if row.provenance is Provenance.CREATED:
        return upstreams.remove(Upstream(row.upstream), row.kind, target)
    if (left_s := job.may_arrive_for_s(row)) > 0:
        raise NotYet(
            f"{row.ref} may still be created: the attempt that was creating it did not report.", retry_after_s=left_s
        )
    try:
        return upstreams.remove(Upstream(row.upstream), row.kind, target)
    except Conflict:
        return True

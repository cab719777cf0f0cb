"""The report on what people did in an app's repositories, before it is removed. It only reads."""

from __future__ import annotations

from common.states import Provenance
from common.step_outputs import FORK_HELM, FORK_SOURCE, RemovalPreview, RepositoryActivity
from worker.context import StepContext
from worker.upstreams import Upstreams


def inspect_repositories(job: StepContext, upstreams: Upstreams) -> RemovalPreview:
    """Count for each repository commits that are not the template's and open merge requests; find the last push."""
    app_type = job.worker.catalog.types.get(job.input("type"))
    templates = {FORK_SOURCE.step: app_type.source_template, FORK_HELM.step: app_type.helm_template} if app_type else {}
    found: list[RepositoryActivity] = []
    for row in job.read_earlier("gitlab", "project"):
        if row.provenance is not Provenance.CREATED or row.outside_id is None:
            continue
        activity = upstreams.gitlab.repositories.activity(int(row.outside_id), template=templates.get(row.step))
        if activity is not None:
            found.append(
                {
                    "name": row.ref,
                    "commits": activity.commits,
                    "has_more": activity.has_more,
                    "pushed_at": activity.pushed_at,
                    "pushed_by": activity.pushed_by,
                    "open_merge_requests": activity.open_merge_requests,
                }
            )
    return {"repositories": found}

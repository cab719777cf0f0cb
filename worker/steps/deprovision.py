"""Steps that remove what was made for an app: only what the ledger says we created, last made first."""

from __future__ import annotations

from collections.abc import Callable

from common.database.models import Resource
from common.states import Provenance
from common.step_outputs import FORK_HELM, FORK_SOURCE, Fork, Nothing, Removed, StepOutput
from worker.context import StepContext
from worker.removal import OURS, is_removed
from worker.upstreams import Upstreams


def delete_application(job: StepContext, upstreams: Upstreams) -> Removed:
    """Remove the Argo CD application with what it runs on the cluster."""
    project = job.team.argocd_project
    return _remove(
        job,
        job.read_earlier("argocd", "application"),
        lambda row: upstreams.argocd.remove_application(row.ref, project=project, marker=job.marker),
    )


def delete_repository(job: StepContext, upstreams: Upstreams) -> Removed:
    """Remove the helm repository from Argo CD."""
    return _remove(
        job, job.read_earlier("argocd", "repository"), lambda row: upstreams.argocd.remove_repository(row.ref)
    )


def delete_pipeline(job: StepContext, upstreams: Upstreams) -> Removed:
    """Remove the Jenkins pipeline with its builds."""

    def remove(row: Resource) -> bool:
        folder, _, name = row.ref.rpartition("/")
        return upstreams.jenkins.remove_pipeline(folder, name, marker=job.marker)

    return _remove(job, job.read_earlier("jenkins", "pipeline"), remove)


def delete_helm(job: StepContext, upstreams: Upstreams) -> Removed:
    """Remove the helm repository."""
    return _remove_projects(job, upstreams, made_by=FORK_HELM)


def delete_source(job: StepContext, upstreams: Upstreams) -> Removed:
    """Remove the source repository."""
    return _remove_projects(job, upstreams, made_by=FORK_SOURCE)


def release_name(job: StepContext, _upstreams: Upstreams) -> Nothing:
    """Let the name be used again: nothing of ours has it any more."""
    job.release_name()
    return {}


def _remove_projects(job: StepContext, upstreams: Upstreams, *, made_by: StepOutput[Fork]) -> Removed:
    def remove(row: Resource) -> bool:
        project_id = int(row.outside_id) if row.outside_id else _project_id(upstreams, row.ref)
        if project_id is None:
            return True
        return upstreams.gitlab.remove_project(project_id, path=row.ref, marker=job.marker)

    rows = [row for row in job.read_earlier("gitlab", "project") if row.step == made_by.step]
    return _remove(job, rows, remove)


def _project_id(upstreams: Upstreams, path: str) -> int | None:
    project = upstreams.gitlab.find_project(path)
    return project.id if project else None


def _remove(job: StepContext, rows: list[Resource], remove: Callable[[Resource], bool]) -> Removed:
    """Remove our rows one by one; each is marked when it is gone, so a crash repeats only the last."""
    for row in rows:
        if row.provenance in OURS and is_removed(job, row, remove):
            job.mark_gone(row)
    return {
        "removed": [row.ref for row in rows if row.provenance is not Provenance.ADOPTED],  # also by an earlier attempt
        "kept": [row.ref for row in rows if row.provenance is Provenance.ADOPTED],
    }

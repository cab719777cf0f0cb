"""Steps that remove what was made for an app: only what the ledger says we created, last made first."""

from __future__ import annotations

from common.database.models import Resource
from common.states import Provenance
from common.step_outputs import FORK_HELM, FORK_SOURCE, Fork, NoOutput, Removed, StepOutput
from worker.context import StepContext
from worker.removal import OURS, is_removed
from worker.upstreams import Upstreams


def delete_application(job: StepContext, upstreams: Upstreams) -> Removed:
    """Remove the Argo CD application with what it runs on the cluster."""
    return _remove(job, upstreams, job.read_earlier("argocd", "application"))


def delete_repository(job: StepContext, upstreams: Upstreams) -> Removed:
    """Remove the helm repository from Argo CD."""
    return _remove(job, upstreams, job.read_earlier("argocd", "repository"))


def delete_pipeline(job: StepContext, upstreams: Upstreams) -> Removed:
    """Remove the Jenkins pipeline with its builds."""
    return _remove(job, upstreams, job.read_earlier("jenkins", "pipeline"))


def delete_helm(job: StepContext, upstreams: Upstreams) -> Removed:
    """Remove the helm repository."""
    return _remove_projects(job, upstreams, made_by=FORK_HELM)


def delete_source(job: StepContext, upstreams: Upstreams) -> Removed:
    """Remove the source repository."""
    return _remove_projects(job, upstreams, made_by=FORK_SOURCE)


def release_name(job: StepContext, _upstreams: Upstreams) -> NoOutput:
    """Let the name be used again: nothing of ours has it any more."""
    job.release_name()
    return {}


def _remove_projects(job: StepContext, upstreams: Upstreams, *, made_by: StepOutput[Fork]) -> Removed:
    rows = [row for row in job.read_earlier("gitlab", "project") if row.step == made_by.step]
    return _remove(job, upstreams, rows)


def _remove(job: StepContext, upstreams: Upstreams, rows: list[Resource]) -> Removed:
    """Remove our rows one by one; each is marked when it is gone, so a crash repeats only the last."""
    for row in rows:
        if row.provenance in OURS and is_removed(job, upstreams, row):
            job.mark_gone(row)
    return {
        "removed": [row.ref for row in rows if row.provenance is not Provenance.ADOPTED],  # also by an earlier attempt
        "kept": [row.ref for row in rows if row.provenance is Provenance.ADOPTED],
    }

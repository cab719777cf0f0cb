"""Steps that remove what was made for an app: only what the ledger says we created, last made first."""

from __future__ import annotations

from common.database.models import Resource
from common.jobs.ledger import OURS
from common.states import Provenance
from common.step_outputs import FORK_HELM, FORK_SOURCE, RELEASE_NAME, Fork, KeptResource, Removed, StepOutput
from common.workflows import DEPROVISION
from worker.context import StepContext
from worker.removal import is_removed
from worker.upstreams import Upstreams
from worker.upstreams.adapter import Remains

REMOVALS = [StepOutput(step.name, Removed) for step in DEPROVISION.steps if step.name != RELEASE_NAME.step]


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
    """Remove the helm repository: GitLab keeps it for a while, in nobody's way."""
    return _remove_projects(job, upstreams, made_by=FORK_HELM)


def delete_source(job: StepContext, upstreams: Upstreams) -> Removed:
    """Remove the source repository: GitLab keeps it for a while, in nobody's way."""
    return _remove_projects(job, upstreams, made_by=FORK_SOURCE)


def release_name(job: StepContext, _upstreams: Upstreams) -> Removed:
    """Let the name be used again: nothing of ours has it any more. Say what all steps removed, and what is kept."""
    job.release_name()
    outputs = [output for output in map(job.find_output_of, REMOVALS) if output]  # a skipped step has none
    return {
        "removed": [name for output in outputs for name in output["removed"]],
        "kept": [name for output in outputs for name in output["kept"]],
        "remains": [remains for output in outputs for remains in output.get("remains", ())],
    }


def _remove_projects(job: StepContext, upstreams: Upstreams, *, made_by: StepOutput[Fork]) -> Removed:
    """Remove the projects that a step made. What is kept of one that an earlier attempt removed is read again."""
    rows = [row for row in job.read_earlier("gitlab", "project") if row.step == made_by.step]
    gone = [row for row in rows if row.provenance is Provenance.GONE and row.outside_id]
    left = [upstreams.gitlab.removals.find_remains(int(row.outside_id or 0), path=row.ref) for row in gone]
    output = _remove(job, upstreams, rows)
    return {**output, "remains": [*(_shown(each) for each in left if each), *output["remains"]]}


def _remove(job: StepContext, upstreams: Upstreams, rows: list[Resource]) -> Removed:
    """Remove our rows one by one; each is marked when it is gone, so a crash repeats only the last."""
    remains: list[KeptResource] = []
    for row in rows:
        if row.provenance in OURS and (left := is_removed(job, upstreams, row)):
            job.mark_gone(row)
            remains += [_shown(left)] if isinstance(left, Remains) else []
    return {
        "removed": [row.ref for row in rows if row.provenance is not Provenance.ADOPTED],  # also by an earlier attempt
        "kept": [row.ref for row in rows if row.provenance is Provenance.ADOPTED],
        "remains": remains,
    }


def _shown(left: Remains) -> KeptResource:
    return {"name": left.name, "url": left.url, "until": left.until, "reason": left.reason}

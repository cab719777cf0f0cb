"""Steps that deploy a version of an app to its cluster (the plan: `common/workflows.py`)."""

from __future__ import annotations

from common.config import naming
from common.errors import ActionBy, Conflict, NotYet, Permanent, StepError
from common.jobs.ledger import Entry
from common.step_outputs import SYNC_APPLICATION, ApplicationOutput, Deployed
from worker.context import StepContext
from worker.upstreams import Upstreams
from worker.upstreams.argocd.adapter import application_page
from worker.upstreams.argocd.causes import CLUSTER, Cause
from worker.upstreams.argocd.client import ArgoCD
from worker.upstreams.argocd.errors import SHARED_CHOICES, error_of
from worker.upstreams.argocd.syncs import SyncStatus

POLL = {"first_s": 2.0, "cap_s": 15.0}
AGAIN = {"first_s": 10.0, "cap_s": 60.0}


def sync_application(job: StepContext, upstreams: Upstreams) -> ApplicationOutput:
    """Set the requested tag and start the sync, unless one with our job's id exists."""
    app, project = job.input("app"), job.team.argocd_project
    argocd = upstreams.argocd.in_namespace(job.team.argocd_namespace)
    tag, revision = job.option("image_tag"), job.option("revision")
    if tag is not None:
        job.keep_image_tag(tag)
        argocd.applications.set_helm_parameters(
            app, project=project, marker=job.marker, parameters={"image.tag": tag}, revision=None
        )
    entry = job.resource("argocd", "sync", job.id)
    argocd.syncs.start(
        app,
        project=project,
        marker=job.marker,
        operation_id=job.id,
        revision=revision,
        on_create=lambda: _intend_when_alone(entry),
        on_refuse=entry.withdraw,
    )
    entry.settle(outside_id=job.id, url=application_page(job.settings, job.team, app), found=False)
    return {"application": app}


def _intend_when_alone(entry: Entry) -> None:
    """Record the intent. Raises NotYet while a sync that was asked for may still begin: there would be two."""
    if left_s := entry.may_arrive_for_s():
        raise NotYet("Argo CD may still receive the sync; Slipway is searching for it", retry_after_s=min(left_s, 5.0))
    entry.intend()


def await_healthy(job: StepContext, upstreams: Upstreams) -> Deployed:
    """Wait until our sync has ended and what it made is healthy; health from before the sync does not count.

    A revision that was asked for is of this run only: the application is compared with its own, and may be OutOfSync.
    """
    app = job.output_of(SYNC_APPLICATION)["application"]
    argocd = upstreams.argocd.in_namespace(job.team.argocd_namespace)
    status = argocd.syncs.get(app, project=job.team.argocd_project, operation_id=job.id)
    if status.phase == "failed":
        raise _not_applied(status)
    if status.phase == "errored":
        raise _start_again(job, argocd, app, status)
    if status.phase == "absent":
        raise Permanent("Argo CD has no trace of the sync: it was replaced or its record was removed. Deploy again.")
    if status.phase == "running" or not status.is_reconciled:
        raise NotYet(f"Argo CD is syncing: {status.message or 'running'}", retry_after_s=job.pause_s(**POLL))
    _require_deployed(job, status)
    if status.is_empty:
        reason = "Nothing was deployed: the chart describes no object. Correct it in the app's helm repository."
        raise Permanent(reason, action_by=ActionBy.USER)
    is_as_wanted = status.sync_status == "Synced" or job.option("revision") is not None
    if not is_as_wanted or status.health_status != "Healthy":
        seen = f"{status.sync_status or 'Unknown'}, {status.health_status or 'Unknown'}"
        raise NotYet(f"Argo CD sees {seen}. {_details(status)}".strip(), retry_after_s=job.pause_s(**POLL))
    return {"application": app, "revision": status.revision, "images": list(status.images)}


def _require_deployed(job: StepContext, status: SyncStatus) -> None:
    """Raise Permanent when somebody's later sync has replaced ours and deployed something else."""
    if status.phase != "superseded":
        return
    tag = job.option("image_tag")
    is_deployed = tag is None or f"{naming.image(job.settings, job.input('app'))}:{tag}" in status.images
    if job.option("revision") is not None or not is_deployed:
        runs = ", ".join(status.images) or "nothing"
        raise Permanent(f"Another sync has replaced ours. The application runs {runs}.", action_by=ActionBy.USER)


def _not_applied(status: SyncStatus) -> StepError:
    """Return the error for a sync that could not apply everything: the chart is the user's, the project is not."""
    reason = _why(status)
    match status.failure.cause if status.failure else None:
        case Cause.PROJECT | Cause.UNREACHABLE | Cause.REFUSED:
            return Permanent(reason, action_by=ActionBy.OPERATOR)
        case Cause.SHARED:
            return Conflict(reason, choices=SHARED_CHOICES)
        case _:
            return Permanent(reason, action_by=ActionBy.USER)


def _start_again(job: StepContext, argocd: ArgoCD, app: str, status: SyncStatus) -> StepError:
    """Start a sync again that Argo CD ended with an error, while the wait lasts; return what to raise.

    Such a sync has applied nothing: the cluster or git was away. A chart that cannot be rendered ends like this, too.
    """
    failure = status.failure
    may_pass = failure is None or failure.cause is Cause.UNREACHABLE or failure.place == CLUSTER
    final = None if failure is None or may_pass else error_of(failure, f"syncing {app}")
    if final is not None:
        return final
    wait = job.claim.plan.wait
    pause_s = job.pause_s(**AGAIN)
    if wait is not None and job.waited_s + pause_s >= wait.at_most_s:
        return Permanent(_why(status), action_by=ActionBy.OPERATOR)
    argocd.syncs.start_again(
        app,
        project=job.team.argocd_project,
        marker=job.marker,
        operation_id=job.id,
        revision=job.option("revision"),
    )
    where = f"Argo CD cannot use {failure.place}" if failure and failure.place else "Argo CD ended the sync"
    return NotYet(f"{where}: {status.message}. The sync was started again.", retry_after_s=pause_s)


def _why(status: SyncStatus) -> str:
    return f"Argo CD could not sync: {status.message}. {_details(status)}".strip()


def _details(status: SyncStatus) -> str:
    messages = (*status.conditions, *status.resources_messages, status.health_message)
    return " ".join(text for text in messages if text)

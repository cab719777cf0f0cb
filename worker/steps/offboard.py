"""Steps that close a person's accounts: only those made here; GitLab's is blocked, because it may own work."""

from __future__ import annotations

from common.database.models import Resource
from common.states import Provenance
from common.step_outputs import ClosedAccount, NoOutput
from worker.context import StepContext
from worker.removal import OURS, is_removed
from worker.upstreams import Upstreams

JENKINS_RIGHTS = ("role_assignment", "global_role_assignment", "folder_permissions")


def leave_gitlab_group(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """End the memberships that were made here."""
    return _close(job, upstreams, "gitlab", "member", is_marked=False)


def block_gitlab_user(job: StepContext, upstreams: Upstreams) -> NoOutput:
    """Block the account. It stays in the ledger: it exists, and deleting it would delete the person's projects."""
    for row in _ours(job, "gitlab", "user"):
        is_removed(job, upstreams, row)
    return {}


def revoke_jenkins_role(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Remove the rights first: Jenkins keeps the assignments of deleted users, for the next user of that name."""
    closed = [_close(job, upstreams, "jenkins", kind, is_marked=False) for kind in JENKINS_RIGHTS]
    return {"kept": [ref for each in closed for ref in each["kept"]]}


def delete_jenkins_user(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Delete the account on Jenkins."""
    return _close(job, upstreams, "jenkins", "user", is_marked=False)


def delete_kibana_user(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Delete the Elasticsearch user."""
    return _close(job, upstreams, "elasticsearch", "user", is_marked=True)


def _close(job: StepContext, upstreams: Upstreams, upstream: str, kind: str, *, is_marked: bool) -> ClosedAccount:
    """Remove our rows. What has no marker and was only intended may be somebody else's by now: it is kept."""
    kept = []
    for row in _ours(job, upstream, kind):
        if row.provenance is Provenance.INTENDED and not is_marked:
            kept.append(row.ref)
        elif is_removed(job, upstreams, row):
            job.mark_gone(row)
    return {"kept": kept}


def _ours(job: StepContext, upstream: str, kind: str) -> list[Resource]:
    return [row for row in job.read_earlier(upstream, kind) if row.provenance in OURS]

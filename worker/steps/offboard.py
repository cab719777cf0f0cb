"""Steps that close a person's accounts: only those made here; GitLab's is blocked, because it may own work."""

from __future__ import annotations

from common.config.accounts import Owner
from common.database.models import Resource
from common.states import Provenance
from common.step_outputs import ClosedAccount
from common.workflows import Upstream
from worker.context import StepContext
from worker.removal import OURS, is_removed
from worker.upstreams import Upstreams

JENKINS_RIGHTS = ("role_assignment", "global_role_assignment", "folder_permissions")


def leave_gitlab_group(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """End the memberships that were made here."""
    return _close(job, upstreams, "gitlab", "member", is_marked=False)


def block_gitlab_user(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Block the account. It stays in the ledger: it exists, and deleting it would delete the person's projects."""
    for row in _ours(job, "gitlab", "user"):
        is_removed(job, upstreams, row)
    return {"kept": [], "not_done": _left(job, "gitlab", job.accounts.gitlab)}


def revoke_jenkins_role(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Remove the rights first: Jenkins keeps the assignments of deleted users, for the next user of that name."""
    closed = [_close(job, upstreams, "jenkins", kind, is_marked=False) for kind in JENKINS_RIGHTS]
    return {"kept": [ref for each in closed for ref in each["kept"]], "not_done": ""}


def delete_jenkins_user(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Delete the account on Jenkins."""
    closed = _close(job, upstreams, "jenkins", "user", is_marked=False)
    return {**closed, "not_done": _left(job, "jenkins", job.accounts.jenkins)}


def delete_kibana_user(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Delete the Elasticsearch user."""
    closed = _close(job, upstreams, "elasticsearch", "user", is_marked=True)
    return {**closed, "not_done": _left(job, "elasticsearch", job.accounts.kibana)}


def _close(job: StepContext, upstreams: Upstreams, upstream: str, kind: str, *, is_marked: bool) -> ClosedAccount:
    """Remove our rows. What has no marker and was only intended may be somebody else's by now: it is kept."""
    kept = []
    for row in _ours(job, upstream, kind):
        if row.provenance is Provenance.INTENDED and not is_marked:
            kept.append(row.ref)
        elif is_removed(job, upstreams, row):
            job.mark_gone(row)
    return {"kept": kept, "not_done": ""}


def _left(job: StepContext, upstream: str, owner: Owner) -> str:
    """Return what somebody else has to do; "" when the account was made here, whatever the catalog says by now."""
    rows = job.read_earlier(upstream, "user")
    if owner == "ours" or any(row.provenance is not Provenance.ADOPTED for row in rows):
        return ""
    return f"The account on {Upstream(upstream).label} was not made here and stays open: close it where it is managed."


def _ours(job: StepContext, upstream: str, kind: str) -> list[Resource]:
    return [row for row in job.read_earlier(upstream, kind) if row.provenance in OURS]

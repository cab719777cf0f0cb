"""Steps that close a person's accounts: only those made here; GitLab's is blocked, because it may own work.

A login that was deleted on Jenkins and made anew by hand is somebody else's account: it stays, with its rights.
"""

from __future__ import annotations

from common.config.accounts import Owner
from common.database.models import Resource
from common.jobs.ledger import OURS
from common.states import Provenance
from common.step_outputs import ClosedAccount
from common.workflows import Upstream
from worker.context import StepContext
from worker.removal import is_removed
from worker.upstreams import Upstreams
from worker.upstreams.jenkins.adapter import MARK

NOT_OURS = (
    "The account {login} on Jenkins was kept, with its rights: its description has no line {marker}, so it is not the "
    "one that was made here. If it is this person's all the same, delete it on Jenkins."
)
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
    if _replaced_on_jenkins(job, upstreams):
        rights = [row for kind in JENKINS_RIGHTS for row in _ours(job, "jenkins", kind)]
        return {"kept": [row.ref for row in rights], "not_done": ""}
    closed = [_close(job, upstreams, "jenkins", kind, is_marked=False) for kind in JENKINS_RIGHTS]
    return {"kept": [ref for each in closed for ref in each["kept"]], "not_done": ""}


def delete_jenkins_user(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Delete the account on Jenkins, if it is the one that was made here."""
    replaced = _replaced_on_jenkins(job, upstreams)
    for row in _ours(job, "jenkins", "user"):
        if row.ref not in replaced and is_removed(job, upstreams, row, is_marked=_must_be_marked(job, row)):
            for mark in _ours(job, "jenkins", MARK):
                job.mark_gone(mark)
            job.mark_gone(row)
    left = " ".join(NOT_OURS.format(login=login, marker=job.marker) for login in replaced)
    return {"kept": replaced, "not_done": left or _left(job, "jenkins", job.accounts.jenkins)}


def delete_kibana_user(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Delete the Elasticsearch user."""
    closed = _close(job, upstreams, "elasticsearch", "user", is_marked=True)
    return {**closed, "not_done": _left(job, "elasticsearch", job.accounts.kibana)}


def _replaced_on_jenkins(job: StepContext, upstreams: Upstreams) -> list[str]:
    """Return the logins of ours whose account on Jenkins does not carry our marker, though ours would."""
    logins = [row.ref for row in _ours(job, "jenkins", "user") if _must_be_marked(job, row)]
    return [login for login in logins if upstreams.jenkins.accounts.is_marked(login, marker=job.marker) is False]


def _must_be_marked(job: StepContext, account: Resource) -> bool:
    """Say whether nothing but the marker shows that the account is ours: it was marked, or its creation not confirmed.

    Accounts that were made before there was a marker are ours as far as the ledger says so.
    """
    marks = job.read_earlier("jenkins", MARK)
    is_made = any(row.ref == account.ref and row.provenance is Provenance.CREATED for row in marks)
    return is_made or account.provenance is Provenance.INTENDED


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

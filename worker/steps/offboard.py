"""Steps that close a person's accounts: only those made here; GitLab's is blocked, because it may own work."""

from __future__ import annotations

from collections.abc import Callable

from common.database.models import Resource
from common.states import Provenance
from common.step_outputs import ClosedAccount, Nothing
from worker.context import StepContext
from worker.removal import OURS, is_removed
from worker.upstreams import Upstreams


def leave_gitlab_group(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """End the memberships that were made here."""

    def leave(row: Resource) -> bool:
        user_id = int((row.outside_id or "").rpartition("/")[2])  # not by login: somebody else may have it by now
        return upstreams.gitlab.remove_member(row.ref.rpartition("/")[0], user_id)

    return _close(job, "gitlab", "member", leave, is_marked=False)


def block_gitlab_user(job: StepContext, upstreams: Upstreams) -> Nothing:
    """Block the account. It stays in the ledger: it exists, and deleting it would delete the person's projects."""
    login = job.input("login")

    def block(_row: Resource) -> bool:
        user = upstreams.gitlab.find_user(login)
        return user is None or upstreams.gitlab.block_user(user.id, login=login, marker=job.marker)

    for row in _ours(job, "gitlab", "user"):
        is_removed(job, row, block)
    return {}


def revoke_jenkins_role(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Remove the role first: Jenkins keeps the assignments of deleted users, for the next user of that name."""

    def revoke(row: Resource) -> bool:
        return upstreams.jenkins.unassign_role(job.input("login"), role=row.ref.rpartition("/")[0])

    return _close(job, "jenkins", "role_assignment", revoke, is_marked=False)


def delete_jenkins_user(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Delete the account on Jenkins."""
    login = job.input("login")
    return _close(job, "jenkins", "user", lambda _row: upstreams.jenkins.remove_user(login), is_marked=False)


def delete_kibana_user(job: StepContext, upstreams: Upstreams) -> ClosedAccount:
    """Delete the Elasticsearch user."""
    login = job.input("login")
    return _close(
        job,
        "elasticsearch",
        "user",
        lambda _row: upstreams.elasticsearch.remove_user(login, marker=job.marker),
        is_marked=True,
    )


def _close(
    job: StepContext, upstream: str, kind: str, remove: Callable[[Resource], bool], *, is_marked: bool
) -> ClosedAccount:
    """Remove our rows. What has no marker and was only intended may be somebody else's by now: it is kept."""
    kept = []
    for row in _ours(job, upstream, kind):
        if row.provenance is Provenance.INTENDED and not is_marked:
            kept.append(row.ref)
        elif is_removed(job, row, remove):
            job.mark_gone(row)
    return {"kept": kept}


def _ours(job: StepContext, upstream: str, kind: str) -> list[Resource]:
    return [row for row in job.read_earlier(upstream, kind) if row.provenance in OURS]

"""GitLab as one of the worker's upstreams."""

from __future__ import annotations

from common.config.settings import WorkerSettings
from common.config.upstreams import route_to
from common.workflows import Upstream
from worker.upstreams.adapter import Adapter, CheckContext, Login, Remains, Target
from worker.upstreams.check import Check
from worker.upstreams.gitlab.checks import GitLabChecks
from worker.upstreams.gitlab.client import GitLab
from worker.upstreams.gitlab.standing import standing
from worker.upstreams.http import Http
from worker.upstreams.probe import Probe


def login(settings: WorkerSettings) -> Login:
    """Name JSON on every call, as GitLab's own clients do: while it is read-only, it explains itself to JSON alone."""
    token = settings.gitlab_token.get_secret_value()
    return Login(headers={"PRIVATE-TOKEN": token, "Content-Type": "application/json"})


def checks(context: CheckContext) -> tuple[Check, ...]:
    settings = context.settings
    reader, calls_per_s = settings.gitlab_read_user or "", settings.gitlab_calls_per_second
    cloning = _cloning(settings)
    return GitLabChecks(context.probe, context.catalog, cloning=cloning, reader=reader, calls_per_s=calls_per_s).all()


def _cloning(settings: WorkerSettings) -> Probe | None:
    """Return a probe as git connects: with the token that only reads, and without ours, which may read everything."""
    token, user = settings.gitlab_read_token, settings.gitlab_read_user
    if token is None or user is None:
        return None
    route = route_to(settings, Upstream.GITLAB)
    http = Http(
        Upstream.GITLAB.label,
        settings.gitlab_url,
        auth=(user, token.get_secret_value()),
        ca_file=route.ca_file,
        proxy=route.proxy,
    )
    return Probe(http, setting="GITLAB_URL", url=settings.gitlab_url)


def remove_project(client: GitLab, target: Target) -> bool | Remains:
    """Remove a project, and return what GitLab keeps; one whose id was never recorded is found by its path."""
    is_known = bool(target.outside_id)
    project_id = int(target.outside_id) if target.outside_id else client.projects.find_id(target.ref)
    if project_id is None:
        return True
    kept = client.removals.remove(
        project_id, path=target.ref, marker=target.marker, is_known=is_known, purge=target.is_purge
    )
    return kept or True


def remove_member(client: GitLab, target: Target) -> bool:
    """End a membership, by the user's id: somebody else may have the login by now."""
    user_id = int((target.outside_id or "").rpartition("/")[2])
    return client.groups.remove_member(target.ref.rpartition("/")[0], user_id)


def block_user(client: GitLab, target: Target) -> bool:
    """Block the account, which can be undone: deleting it would delete the person's projects."""
    user = client.accounts.find_user(target.ref)
    return user is None or client.accounts.block_user(user.id, login=target.ref, marker=target.marker)


ADAPTER = Adapter(
    upstream=Upstream.GITLAB,
    login=login,
    client=GitLab,
    checks=checks,
    standing=standing,
    probe=("api", "v4", "version"),
    removals={"project": remove_project, "member": remove_member, "user": block_user},
)

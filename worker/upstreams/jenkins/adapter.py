"""Jenkins as one of the worker's upstreams."""

from __future__ import annotations

from common.config.settings import WorkerSettings
from common.workflows import Upstream
from worker.upstreams.adapter import Adapter, CheckContext, Login, Target
from worker.upstreams.check import Check
from worker.upstreams.jenkins.checks import JenkinsChecks
from worker.upstreams.jenkins.client import Jenkins
from worker.upstreams.jenkins.roles import GLOBAL
from worker.upstreams.jenkins.standing import standing

MARK = "user_marker"  # the kind in the ledger of our line in an account's description; older accounts have none


def login(settings: WorkerSettings) -> Login:
    return Login(
        headers={"Accept-Language": "en"},  # error texts are localised
        auth=(settings.jenkins_auth_id, settings.jenkins_auth_token.get_secret_value()),
    )


def checks(context: CheckContext) -> tuple[Check, ...]:
    return JenkinsChecks(context.probe, context.settings, context.catalog).all()


def remove_pipeline(client: Jenkins, target: Target) -> bool:
    """Delete the pipeline with its builds."""
    folder, _, name = target.ref.rpartition("/")
    return client.pipelines.remove(folder, name, marker=target.marker)


def unassign_role(client: Jenkins, target: Target) -> bool:
    """Take the role back."""
    role, _, login = target.ref.rpartition("/")
    return client.roles.unassign(login, role=role)


def unassign_global_role(client: Jenkins, target: Target) -> bool:
    """Take the global role back."""
    role, _, login = target.ref.rpartition("/")
    return client.roles.unassign(login, role=role, role_type=GLOBAL)


def remove_folder_permissions(client: Jenkins, target: Target) -> bool:
    """Take the permissions in the folder back."""
    folder, _, login = target.ref.rpartition("/")
    return client.folder_permissions.remove(login, folder=folder)


def remove_user(client: Jenkins, target: Target) -> bool:
    """Delete the account."""
    return client.accounts.remove_user(target.ref, marker=target.marker if target.is_marked else None)


ADAPTER = Adapter(
    upstream=Upstream.JENKINS,
    login=login,
    client=Jenkins,
    checks=checks,
    standing=standing,
    probe=("whoAmI", "api", "json"),
    removals={
        "pipeline": remove_pipeline,
        "role_assignment": unassign_role,
        "global_role_assignment": unassign_global_role,
        "folder_permissions": remove_folder_permissions,
        "user": remove_user,
    },
)

"""Argo CD as one of the worker's upstreams."""

from __future__ import annotations

from common.config.catalog import CatalogTeam
from common.config.settings import WorkerSettings
from common.workflows import Upstream
from worker.upstreams.adapter import Adapter, CheckContext, Login, Target
from worker.upstreams.argocd.checks import ArgoCDChecks
from worker.upstreams.argocd.client import LIMITS, ArgoCD, Credentials, argocd_headers
from worker.upstreams.argocd.standing import standing
from worker.upstreams.check import Check


def login(settings: WorkerSettings) -> Login:
    return Login(headers=argocd_headers(settings.argocd_token.get_secret_value()))


def read_credentials(settings: WorkerSettings) -> Credentials | None:
    """Return what Argo CD reads repositories with, None when operators have given it credentials themselves."""
    user, token = settings.gitlab_read_user, settings.gitlab_read_token
    return Credentials(username=user, password=token.get_secret_value()) if user and token else None


def application_page(settings: WorkerSettings, team: CatalogTeam, app: str) -> str:
    """Return the address of an application for people."""
    place = f"{team.argocd_namespace}/{app}" if team.argocd_namespace else app
    return f"{settings.argocd_url}/applications/{place}"


def checks(context: CheckContext) -> tuple[Check, ...]:
    return ArgoCDChecks(
        context.probe,
        context.settings,
        context.catalog,
        clone_base=context.clone_base,
        namespaces=context.namespaces,
    ).all()


def remove_application(client: ArgoCD, target: Target) -> bool:
    """Delete the application with everything that it runs on the cluster."""
    team = target.team()
    applications = client.in_namespace(team.argocd_namespace).applications
    return applications.remove(target.ref, project=team.argocd_project, marker=target.marker)


def remove_repository(client: ArgoCD, target: Target) -> bool:
    """Take the repository out of Argo CD; it has no marker: the caller knows that it is ours."""
    return client.repositories.remove(target.ref)


ADAPTER = Adapter(
    upstream=Upstream.ARGOCD,
    login=login,
    client=ArgoCD,
    checks=checks,
    standing=standing,
    probe=("api", "version"),
    limits=LIMITS,
    removals={"application": remove_application, "repository": remove_repository},
)

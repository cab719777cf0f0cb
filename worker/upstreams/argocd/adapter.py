"""Argo CD as one of the worker's upstreams."""

from __future__ import annotations

from common.config.settings import WorkerSettings
from common.workflows import Upstream
from worker.upstreams.adapter import Adapter, CheckContext, Login, Target
from worker.upstreams.argocd.checks import ArgoCDChecks
from worker.upstreams.argocd.client import LIMITS, ArgoCD, argocd_headers
from worker.upstreams.check import Check


def login(settings: WorkerSettings) -> Login:
    return Login(headers=argocd_headers(settings.argocd_token.get_secret_value()))


def checks(context: CheckContext) -> tuple[Check, ...]:
    return ArgoCDChecks(context.probe, context.settings, context.catalog, clone_base=context.clone_base).all()


def remove_application(client: ArgoCD, target: Target) -> bool:
    """Delete the application with everything that it runs on the cluster."""
    return client.applications.remove(target.ref, project=target.team().argocd_project, marker=target.marker)


def remove_repository(client: ArgoCD, target: Target) -> bool:
    """Take the repository out of Argo CD; it has no marker: the caller knows that it is ours."""
    return client.repositories.remove(target.ref)


ADAPTER = Adapter(
    upstream=Upstream.ARGOCD,
    login=login,
    client=ArgoCD,
    checks=checks,
    probe=("api", "version"),
    limits=LIMITS,
    removals={"application": remove_application, "repository": remove_repository},
)

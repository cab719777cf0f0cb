"""The plugins that Jenkins needs: for Slipway's own calls, and for the pipelines of the bundled templates."""

from __future__ import annotations

from collections.abc import Iterable

from common.config.catalog import Catalog

ALWAYS = {
    "cloudbees-folder": "Folders",
    "workflow-job": "Pipeline: Job",
    "workflow-cps": "Pipeline: Groovy",
    "git": "Git",
    "credentials": "Credentials",
    "pipeline-model-definition": "Pipeline: Declarative",
    "credentials-binding": "Credentials Binding",
    "durable-task": "Durable Task",
    "ws-cleanup": "Workspace Cleanup",
}
BY_AUTHORIZATION = {
    "role-strategy": ("role-strategy", "Role-based Authorization Strategy"),
    "matrix": ("matrix-auth", "Matrix Authorization Strategy"),
}
DOCKER = ("docker-workflow", "Docker Pipeline")
KUBERNETES = ("kubernetes", "Kubernetes")
REALMS = {
    "ldap": "LDAP",
    "active-directory": "Active Directory",
    "saml": "SAML",
    "oic-auth": "OpenID Connect",
    "azure-ad": "Microsoft Entra ID",
    "google-login": "Google",
    "github-oauth": "GitHub",
    "gitlab-oauth": "GitLab",
    "keycloak": "Keycloak",
    "crowd2": "Crowd",
    "cas-plugin": "CAS",
    "reverse-proxy-auth-plugin": "a reverse proxy",
}
"""Plugins that bring a security realm of their own: Jenkins does not say which realm is active."""


def needed(catalog: Catalog) -> dict[str, str]:
    """Return the plugins that this catalog needs, by id, with their titles."""
    rights = dict(BY_AUTHORIZATION[team.jenkins_authorization] for team in catalog.teams.values())
    agents = dict(KUBERNETES if _uses_pods(path) else DOCKER for path in _jenkinsfiles(catalog))
    return {**rights, **ALWAYS, **agents}


def realms_among(installed: Iterable[str]) -> str:
    """Return the realms that the installed plugins bring, as text; "" for none."""
    return ", ".join(REALMS[plugin] for plugin in sorted(installed) if plugin in REALMS)


def _jenkinsfiles(catalog: Catalog) -> set[str]:
    return {app_type.jenkinsfile for app_type in catalog.types.values()}


def _uses_pods(jenkinsfile: str) -> bool:
    """Return whether the template's pipeline builds in a pod: the variant's name says so."""
    return jenkinsfile.endswith((".kaniko", ".buildah"))

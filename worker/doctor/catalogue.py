"""Where is looked, and through what?"""

from __future__ import annotations

from functools import cache

from common.config.catalog import Catalog
from common.config.settings import WorkerSettings
from worker import upstreams
from worker.doctor.broker import BrokerChecks
from worker.doctor.database import DatabaseChecks
from worker.doctor.settings import OwnChecks
from worker.upstreams.argocd.checks import ArgoCDChecks
from worker.upstreams.check import Check, CheckFailedError, Group
from worker.upstreams.elasticsearch.checks import ElasticsearchChecks
from worker.upstreams.gitlab.checks import GitLabChecks
from worker.upstreams.http import Http
from worker.upstreams.jenkins.checks import JenkinsChecks
from worker.upstreams.probe import Probe, json_object


def groups_for(settings: WorkerSettings, catalog: Catalog) -> list[Group]:
    """Return all checks; none of them has looked yet."""
    ways = upstreams.open_connections(settings)
    gitlab = Probe(ways.gitlab, setting="GITLAB_URL", url=settings.gitlab_url)
    jenkins = Probe(ways.jenkins, setting="JENKINS_URL", url=settings.jenkins_url)
    argocd = Probe(ways.argocd, setting="ARGO_URL", url=settings.argocd_url)
    elasticsearch = Probe(ways.elasticsearch, setting="KIBANA_URL", url=settings.elasticsearch_url)

    @cache
    def clone_base() -> str:
        return _clone_base(gitlab, catalog)

    tables = {
        "Settings": OwnChecks(settings, catalog).table(),
        "Database": DatabaseChecks(settings.db_url.get_secret_value()).table(),
        "Broker": BrokerChecks(settings).table(),
        "GitLab": GitLabChecks(gitlab, catalog, cloning=_cloning(settings)).table(),
        "Jenkins": JenkinsChecks(jenkins, settings, catalog).table(),
        "Elasticsearch": ElasticsearchChecks(elasticsearch, settings, catalog).table(),
        "Argo CD": ArgoCDChecks(argocd, settings, catalog, clone_base=clone_base).table(),
    }
    return [Group(name=name, checks=_distinct(table)) for name, table in tables.items()]


def _distinct(table: tuple[Check, ...]) -> tuple[Check, ...]:
    """Return each check once: teams may share a place."""
    return tuple({check.name: check for check in table}.values())


def _cloning(settings: WorkerSettings) -> Probe | None:
    """Return the way of git, with the token that reads and without ours, which would open everything."""
    token, user = settings.gitlab_read_token, settings.gitlab_read_user
    if token is None or user is None:
        return None
    ca_file = str(settings.ca_file) if settings.ca_file else None
    http = Http("GitLab", settings.gitlab_url, auth=(user, token.get_secret_value()), ca_file=ca_file)
    return Probe(http, setting="GITLAB_URL", url=settings.gitlab_url)


def _clone_base(gitlab: Probe, catalog: Catalog) -> str:
    """Return what the addresses of GitLab's repositories begin with, "" when it does not say."""
    template = min(kind.helm_template for kind in catalog.types.values())
    try:
        project = json_object(gitlab.get("api", "v4", "projects", template))
    except CheckFailedError:  # GitLab's own checks say so
        return ""
    url, path = str(project.get("http_url_to_repo", "")), str(project.get("path_with_namespace", ""))
    return url.removesuffix(f"/{path}.git") if path and url.endswith(f"/{path}.git") else ""

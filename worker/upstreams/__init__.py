"""Which upstreams can a step talk to?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from common.config.settings import WorkerSettings
from common.workflows import Upstream
from worker.upstreams.argocd import client
from worker.upstreams.argocd.client import ArgoCD, argocd_headers
from worker.upstreams.elasticsearch.client import Elasticsearch
from worker.upstreams.gitlab.client import GitLab
from worker.upstreams.http import Deadline, Http, RateLimit
from worker.upstreams.jenkins.client import Jenkins

NO_RATE_LIMITERS: Mapping[Upstream, RateLimit] = {}


@dataclass(frozen=True, kw_only=True)
class Upstreams:
    """One client each; they share their connections over all threads of the process."""

    gitlab: GitLab
    jenkins: Jenkins
    argocd: ArgoCD
    elasticsearch: Elasticsearch

    def within(self, deadline: Deadline) -> Upstreams:
        """Return the same clients with every call bounded by `deadline`."""
        return Upstreams(
            gitlab=self.gitlab.within(deadline),
            jenkins=self.jenkins.within(deadline),
            argocd=self.argocd.within(deadline),
            elasticsearch=self.elasticsearch.within(deadline),
        )

    def reading(self) -> Upstreams:
        """Return the same clients, unable to write: a call that would raises WouldWrite, and nothing is sent."""
        return Upstreams(
            gitlab=self.gitlab.reading(),
            jenkins=self.jenkins.reading(),
            argocd=self.argocd.reading(),
            elasticsearch=self.elasticsearch.reading(),
        )


@dataclass(frozen=True, kw_only=True)
class Connections:
    """The way to each upstream, with our credentials."""

    gitlab: Http
    jenkins: Http
    argocd: Http
    elasticsearch: Http

    def to(self, upstream: Upstream) -> Http:
        """Return the way to one of the four."""
        way: Http = getattr(self, upstream.value)
        return way


def connect(settings: WorkerSettings) -> Upstreams:
    """Make the clients; nothing is called yet."""
    return clients(open_connections(settings))


def clients(ways: Connections) -> Upstreams:
    """Make the clients that speak through these ways."""
    return Upstreams(
        gitlab=GitLab(ways.gitlab),
        jenkins=Jenkins(ways.jenkins),
        argocd=ArgoCD(ways.argocd),
        elasticsearch=Elasticsearch(ways.elasticsearch),
    )


def open_connections(settings: WorkerSettings, paces: Mapping[Upstream, RateLimit] = NO_RATE_LIMITERS) -> Connections:
    """Make what the clients speak through, each at its pace; nothing is called yet."""
    ca_file = str(settings.ca_file) if settings.ca_file else None
    pool_size = settings.worker_concurrency
    return Connections(
        gitlab=Http(
            Upstream.GITLAB.label,
            settings.gitlab_url,
            headers={"PRIVATE-TOKEN": settings.gitlab_token.get_secret_value()},
            ca_file=ca_file,
            pool_size=pool_size,
            pace=paces.get(Upstream.GITLAB),
        ),
        jenkins=Http(
            Upstream.JENKINS.label,
            settings.jenkins_url,
            headers={"Accept-Language": "en"},  # error texts are localised
            auth=(settings.jenkins_auth_id, settings.jenkins_auth_token.get_secret_value()),
            ca_file=ca_file,
            pool_size=pool_size,
            pace=paces.get(Upstream.JENKINS),
        ),
        argocd=Http(
            Upstream.ARGOCD.label,
            settings.argocd_url,
            headers=argocd_headers(settings.argocd_token.get_secret_value()),
            limits=client.LIMITS,  # it renders charts and lists remote repositories before it answers
            ca_file=ca_file,
            pool_size=pool_size,
            pace=paces.get(Upstream.ARGOCD),
        ),
        elasticsearch=Http(
            Upstream.ELASTICSEARCH.label,
            settings.elasticsearch_url,
            auth=(settings.elasticsearch_user, settings.elasticsearch_password.get_secret_value()),
            ca_file=ca_file,
            pool_size=pool_size,
            pace=paces.get(Upstream.ELASTICSEARCH),
        ),
    )

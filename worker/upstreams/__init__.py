"""Which upstreams can a step talk to?"""

from __future__ import annotations

from dataclasses import dataclass

from common.settings import Settings
from worker.upstreams import argocd
from worker.upstreams.argocd import ArgoCD, argocd_headers
from worker.upstreams.elasticsearch import Elasticsearch
from worker.upstreams.gitlab import GitLab
from worker.upstreams.http import Deadline, Http
from worker.upstreams.jenkins import Jenkins


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
class Ways:
    """The way to each upstream, with our credentials."""

    gitlab: Http
    jenkins: Http
    argocd: Http
    elasticsearch: Http


def connect(settings: Settings) -> Upstreams:
    """Make the clients; nothing is called yet."""
    ways = open_ways(settings)
    return Upstreams(
        gitlab=GitLab(ways.gitlab),
        jenkins=Jenkins(ways.jenkins),
        argocd=ArgoCD(ways.argocd),
        elasticsearch=Elasticsearch(ways.elasticsearch),
    )


def open_ways(settings: Settings) -> Ways:
    """Make what the clients speak through; nothing is called yet."""
    ca_file = str(settings.ca_file) if settings.ca_file else None
    pool_size = settings.worker_concurrency
    return Ways(
        gitlab=Http(
            "GitLab",
            settings.gitlab_url,
            headers={"PRIVATE-TOKEN": settings.gitlab_token.get_secret_value()},
            ca_file=ca_file,
            pool_size=pool_size,
        ),
        jenkins=Http(
            "Jenkins",
            settings.jenkins_url,
            headers={"Accept-Language": "en"},  # error texts are localised
            auth=(settings.jenkins_auth_id, settings.jenkins_auth_token.get_secret_value()),
            ca_file=ca_file,
            pool_size=pool_size,
        ),
        argocd=Http(
            "Argo CD",
            settings.argo_url,
            headers=argocd_headers(settings.argo_token.get_secret_value()),
            limits=argocd.LIMITS,  # it renders charts and lists remote repositories before it answers
            ca_file=ca_file,
            pool_size=pool_size,
        ),
        elasticsearch=Http(
            "Elasticsearch",
            settings.kibana_url,
            auth=(settings.kibana_user, settings.kibana_pwd.get_secret_value()),
            ca_file=ca_file,
            pool_size=pool_size,
        ),
    )

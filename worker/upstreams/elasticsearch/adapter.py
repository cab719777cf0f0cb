"""Elasticsearch as one of the worker's upstreams."""

from __future__ import annotations

from common.config.settings import WorkerSettings
from common.workflows import Upstream
from worker.upstreams.adapter import Adapter, CheckContext, Login, Target
from worker.upstreams.check import Check
from worker.upstreams.elasticsearch.checks import ElasticsearchChecks
from worker.upstreams.elasticsearch.client import Elasticsearch
from worker.upstreams.elasticsearch.standing import standing


def login(settings: WorkerSettings) -> Login:
    return Login(auth=(settings.elasticsearch_user, settings.elasticsearch_password.get_secret_value()))


def checks(context: CheckContext) -> tuple[Check, ...]:
    return ElasticsearchChecks(context.probe, context.settings, context.catalog).all()


def remove_user(client: Elasticsearch, target: Target) -> bool:
    """Delete the user, then invalidate the API keys, which would outlive it."""
    client.users.remove(target.ref, marker=target.marker)
    client.rights.invalidate_keys(target.ref)
    return True


ADAPTER = Adapter(
    upstream=Upstream.ELASTICSEARCH,
    login=login,
    client=Elasticsearch,
    checks=checks,
    standing=standing,
    probe=("_security", "_authenticate"),
    removals={"user": remove_user},
)

"""What does Prometheus get?  The numbers of every process of this API, and what the database and the broker know."""

from __future__ import annotations

from typing import ClassVar

from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

from api.contract.endpoint import Policy, ResponseBody
from api.service import service
from api.serving.routing import route
from common.telemetry import metrics

blueprint = Blueprint("metrics", __name__)


class MetricsPage(ResponseBody):
    """`docs/metrics.md` says what is in it."""

    media_type: ClassVar[str] = "text/plain"


@route(
    blueprint,
    "GET",
    "/metrics",
    policy=Policy.SCRAPER,
    answers={200: MetricsPage},
    raises=("no_metrics_token",),
    base="",
)
def show_metrics() -> Response:
    """Read what is counted and measured, as Prometheus does."""
    shown = CollectorRegistry()
    shown.register(service().backlog)
    if values.ValueClass is values.MutexValue:
        shown.register(metrics.API)
    else:
        # Under gunicorn, whichever of its processes is asked tells the numbers of all of them.
        MultiProcessCollector(shown)  # type: ignore[no-untyped-call] # ships no types for it
    return Response(generate_latest(shown), content_type=CONTENT_TYPE_PLAIN_0_0_4)

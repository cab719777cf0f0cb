"""The metrics endpoint: counters of all processes of this API, and gauges queried from the database and the broker."""

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
    """Metrics in Prometheus' text format; `docs/metrics.md` describes them."""

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
    """Read the metrics in Prometheus' text format."""
    shown = CollectorRegistry()
    shown.register(service().backlog)
    if values.ValueClass is values.MutexValue:
        shown.register(metrics.API)
    else:
        # Under gunicorn, the process that serves the scrape reports the counters of all processes.
        MultiProcessCollector(shown)  # type: ignore[no-untyped-call] # ships no types for it
    return Response(generate_latest(shown), content_type=CONTENT_TYPE_PLAIN_0_0_4)

"""The metrics are documented, and the alerts and the dashboard ask for what exists."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
import yaml
from support.checkout import ROOT

from common.telemetry import metrics
from common.telemetry.metrics import QueriedGauge

SUFFIXES = re.compile(r"_(bucket|count|sum|total)$")


PARTS = {"histogram": ("_bucket", "_count", "_sum")}
OF_A_SCRAPE = {"job", "instance", "namespace", "pod"}
SELECTOR = re.compile(r"\b(slipway_\w+|up|process_\w+)(?:\{([^}]*)\})?")


def _documented() -> dict[str, set[str]]:
    """Return the labels of each metric, by the names that Prometheus stores."""
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(slipway_\w+)` \| (\w+) \| (.*?) \|", text, re.MULTILINE)
    return {
        f"{name}{part}": set(re.findall(r"`(\w+)`", labels)) | ({"le"} if part == "_bucket" else set())
        for name, kind, labels in rows
        for part in PARTS.get(kind, ("",))
    }


def _alerts() -> list[str]:
    groups = yaml.safe_load((ROOT / "deploy/helm/slipway/files/alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def _queries() -> list[str]:
    dashboard = json.loads((ROOT / "deploy/helm/slipway/files/dashboard.json").read_text(encoding="utf-8"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def test_every_metric_is_in_the_document() -> None:
    counted = {family.name for registry in (metrics.API, metrics.WORKER) for family in registry.collect()}
    looked_up = {each.name for each in metrics.QUERIED_GAUGES}

    documented = {SUFFIXES.sub("", name) for name in _documented()}
    assert {name for name in counted if not name.startswith("process_")} | looked_up == documented


def test_whatever_can_be_looked_up_is_among_what_is_looked_up() -> None:
    declared = {each for each in vars(metrics).values() if isinstance(each, QueriedGauge)}

    assert declared == set(metrics.QUERIED_GAUGES)


@pytest.mark.parametrize("expressions", [_alerts, _queries])
def test_alerts_and_the_dashboard_ask_for_metrics_and_labels_that_there_are(
    expressions: Callable[[], list[str]],
) -> None:
    known = _documented()
    found = expressions()

    assert found
    for expression in found:
        used = SELECTOR.findall(expression)
        labels = OF_A_SCRAPE.union(*(known.get(name, ()) for name, _ in used))
        matched = set(re.findall(r"(\w+) *[=!]~?\"", " ".join(matchers for _, matchers in used)))
        grouped = {label for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(", ")}
        assert {name for name, _ in used if name.startswith("slipway_")} <= known.keys(), expression
        assert used, expression
        assert matched | grouped <= labels, expression


def test_every_alert_is_shown_in_the_dashboard() -> None:
    """Whoever is alerted sees the graph that belongs to it: the panel's description names the alert."""
    rules = (ROOT / "deploy/helm/slipway/files/alerts.yml").read_text(encoding="utf-8")
    dashboard = (ROOT / "deploy/helm/slipway/files/dashboard.json").read_text(encoding="utf-8")

    named = set(re.findall(r"alert: (\w+)", rules))
    assert named - set(re.findall(r"Slipway[A-Z]\w+", dashboard)) == set()

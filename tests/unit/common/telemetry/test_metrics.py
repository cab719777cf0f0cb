"""The metrics are documented, and the rules of the alerts name metrics that exist."""

from __future__ import annotations

import re

from support.checkout import ROOT

from common.telemetry import metrics
from common.telemetry.metrics import QueriedGauge

SUFFIXES = re.compile(r"_(bucket|count|sum|total)$")


def _documented() -> set[str]:
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `(slipway_\w+)`", text, re.MULTILINE))


def test_every_metric_is_in_the_document() -> None:
    counted = {family.name for registry in (metrics.API, metrics.WORKER) for family in registry.collect()}
    looked_up = {each.name for each in metrics.QUERIED_GAUGES}

    documented = {SUFFIXES.sub("", name) for name in _documented()}
    assert {name for name in counted if not name.startswith("process_")} | looked_up == documented


def test_whatever_can_be_looked_up_is_among_what_is_looked_up() -> None:
    declared = {each for each in vars(metrics).values() if isinstance(each, QueriedGauge)}

    assert declared == set(metrics.QUERIED_GAUGES)


def test_every_alert_is_about_metrics_that_there_are() -> None:
    rules = (ROOT / "docs/alerts.yml").read_text(encoding="utf-8")

    named = set(re.findall(r"slipway_\w+", rules))
    known = {name for each in _documented() for name in (each, f"{each}_count", f"{each}_sum", f"{each}_bucket")}
    assert named
    assert named <= known

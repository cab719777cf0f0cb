"""A deployment comes up only on an image that is in the registry, on the Argo CD stand-in as on a cluster."""

from __future__ import annotations

from typing import Any

import pytest
from support.argocd_desk import CHART, Desk

from harbour.registry import Registry

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  selector: {matchLabels: {a: {{ .Release.Name }}}}
  template: {spec: {containers: [{name: app, image: "r.example/shop:{{ .Values.image.tag }}"}]}}
"""
LATE = 'Deployment "shop" exceeded its progress deadline'


@pytest.fixture
def registry(desk: Desk) -> Registry:
    desk.service.registry = Registry()
    desk.git.add("public/app", {"Chart.yaml": CHART, "templates/deployment.yaml": DEPLOYMENT})
    desk.create(repository="public/app")
    return desk.service.registry


def pod(desk: Desk) -> dict[str, Any]:
    nodes = desk.ask("GET", "applications/shop/resource-tree?project=dev")[1]["nodes"]
    return next(node for node in nodes if node["kind"] == "Pod")


def test_an_image_that_was_never_pushed_leaves_the_deployment_degraded(desk: Desk, registry: Registry) -> None:
    registry.push("r.example/shop:2")

    status = desk.sync()

    assert status["operationState"]["phase"] == "Succeeded"
    assert (status["sync"]["status"], status["health"]["status"]) == ("Synced", "Degraded")
    assert status["resources"][0]["health"] == {"status": "Degraded", "message": LATE}
    assert pod(desk)["info"][0] == {"name": "Status Reason", "value": "ImagePullBackOff"}
    assert pod(desk)["health"] == {"status": "Degraded", "message": 'Back-off pulling image "r.example/shop:1"'}


def test_an_image_that_was_pushed_is_healthy(desk: Desk, registry: Registry) -> None:
    registry.push("r.example/shop:1", commit="0" * 40)

    assert desk.sync()["health"]["status"] == "Healthy"
    assert pod(desk)["info"][0] == {"name": "Status Reason", "value": "Running"}


def test_a_push_afterwards_brings_the_deployment_up(desk: Desk, registry: Registry) -> None:
    degraded = desk.sync()["health"]["status"]

    registry.push("r.example/shop:1")

    assert (degraded, desk.read()["status"]["health"]["status"]) == ("Degraded", "Healthy")

"""What a sync may do on a cluster, and whose objects it meets there, as Argo CD decides it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.argocd_desk import CHART, CONFIG_MAP, Desk

NAMESPACE_RULE = {"group": "", "kind": "Namespace"}
NO_SERVICE = "resource :Service is not permitted in project dev"
STRAY = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: stray\n  namespace: kube-system\n"
WIDE = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: wide\n"
WIDGET = "apiVersion: example.com/v1\nkind: Widget\nmetadata:\n  name: w\n"
BAD_DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: bad\nspec: {}\n"
HOOK = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-pre
  annotations: {argocd.argoproj.io/hook: PreSync}
spec:
  template: {spec: {containers: [{name: x, image: x}]}}
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  selector: {matchLabels: {a: {{ .Release.Name }}}}
  template: {spec: {containers: [{name: app, image: "x:{{ .Values.image.tag }}"}]}}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
spec: {selector: {a: {{ .Release.Name }}}}
"""


def chart(desk: Desk, *templates: str, name: str = "chart") -> str:
    files = {f"templates/{number}.yaml": text for number, text in enumerate(templates)}
    desk.git.add(f"public/{name}", {"Chart.yaml": CHART, **files})
    return f"public/{name}"


def rules(desk: Desk, **spec: Any) -> None:
    desk.service.projects["dev"] = {key: value for key, value in (desk.service.projects["dev"] | spec).items() if value}


def ended(status: dict[str, Any]) -> tuple[str, str]:
    return status["operationState"]["phase"], status["operationState"]["message"]


def results(status: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = status["operationState"]["syncResult"].get("resources", [])
    return [(row["kind"], row["status"], row["message"]) for row in rows]


# -- what the project allows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "is_allowed"),
    [
        ({}, True),
        ({"clusterResourceWhitelist": []}, False),
        ({"clusterResourceWhitelist": [{"group": "*", "kind": "*"}]}, True),
        ({"clusterResourceWhitelist": [{"group": "", "kind": "Name*"}]}, True),
        ({"clusterResourceWhitelist": [{"group": "apps", "kind": "Namespace"}]}, False),
        ({"clusterResourceWhitelist": [NAMESPACE_RULE | {"name": "sho*"}]}, True),
        ({"clusterResourceWhitelist": [NAMESPACE_RULE | {"name": "dev-*"}]}, False),
        ({"clusterResourceBlacklist": [NAMESPACE_RULE]}, False),
        ({"clusterResourceBlacklist": [NAMESPACE_RULE | {"name": "other"}]}, True),
    ],
)
def test_the_first_sync_needs_a_project_that_allows_the_namespace(
    desk: Desk, spec: dict[str, Any], is_allowed: bool
) -> None:
    rules(desk, **spec)
    desk.create()

    status = desk.sync()

    reason = "resource :Namespace is not permitted in project dev"
    refused = ("Failed", f"one or more synchronization tasks are not valid: {reason}")
    assert ended(status) == (("Succeeded", "successfully synced (all tasks run)") if is_allowed else refused)
    assert is_allowed or results(status) == [("Namespace", "SyncFailed", reason)]


def test_a_namespace_that_is_there_is_not_asked_about(desk: Desk) -> None:
    desk.create()
    desk.sync()
    rules(desk, clusterResourceWhitelist=[])

    assert ended(desk.sync())[0] == "Succeeded"
    assert ended(desk.sync())[1] == "successfully synced (all tasks run)"


def test_a_project_made_without_rules_allows_nothing(desk: Desk) -> None:
    made = desk.ask("POST", "projects", {"project": {"metadata": {"name": "new"}, "spec": {}}})

    status, code, text = desk.refusal("POST", "applications", desk.application(project="new"))

    assert made[0] == 200
    assert (status, code) == (400, 3)
    assert "is not permitted in project 'new'" in text


@pytest.mark.parametrize(
    ("template", "spec", "reason"),
    [
        (WIDE, {}, "resource rbac.authorization.k8s.io:ClusterRole is not permitted in project dev"),
        (
            STRAY,
            {"destinations": [{"name": "dev-cluster", "namespace": "sho*"}]},
            "namespace kube-system is not permitted in project 'dev'",
        ),
        (SERVICE, {"namespaceResourceBlacklist": [{"group": "", "kind": "Serv*"}]}, NO_SERVICE),
        (SERVICE, {"namespaceResourceWhitelist": [{"group": "apps", "kind": "*"}]}, NO_SERVICE),
    ],
)
def test_one_object_that_is_not_permitted_ends_the_sync_before_anything_is_applied(
    desk: Desk, template: str, spec: dict[str, Any], reason: str
) -> None:
    rules(desk, **spec)
    desk.create(repository=chart(desk, template))

    status = desk.sync()

    assert ended(status) == ("Failed", f"one or more synchronization tasks are not valid: {reason}")
    assert [each[1:] for each in results(status)] == [("SyncFailed", reason)]
    assert desk.service.live_on("dev-cluster") == {}


def test_with_every_namespace_allowed_a_chart_reaches_into_others(desk: Desk) -> None:
    desk.create(repository=chart(desk, STRAY))

    assert ended(desk.sync())[0] == "Succeeded"
    assert "/ConfigMap:kube-system/stray" in desk.service.live_on("dev-cluster")


@pytest.mark.parametrize(
    ("rule", "is_allowed"),
    [
        ({"name": "dev-cluster", "namespace": "*"}, True),
        ({"name": "dev-*", "namespace": "sh?p"}, True),
        ({"server": "https://dev-cluster.invalid:6443", "namespace": "shop"}, True),
        ({"name": "dev-cluster", "namespace": "!shop"}, False),
        ({"name": "ops-cluster", "namespace": "*"}, False),
    ],
)
def test_a_destination_needs_a_rule_for_its_cluster_and_namespace(
    desk: Desk, rule: dict[str, str], is_allowed: bool
) -> None:
    rules(desk, destinations=[rule])

    status, said = desk.ask("POST", "applications", desk.application())

    assert status == (200 if is_allowed else 400), said


def test_an_application_whose_project_is_gone_is_a_400_until_it_is_back(desk: Desk) -> None:
    desk.create()
    kept = desk.service.projects.pop("dev")
    calls = [
        ("GET", "applications/shop?project=dev"),
        ("POST", "applications/shop/sync"),
        ("DELETE", "applications/shop?project=dev"),
    ]

    refusals = [desk.refusal(method, path, {"project": "dev"}) for method, path in calls]
    desk.service.projects["dev"] = kept

    text = 'app is not allowed in project "dev", or the project does not exist'
    assert refusals == [(400, 3, text)] * 3
    assert desk.read()["metadata"]["name"] == "shop"


# -- what is there already --------------------------------------------------------------------------------------------


def foreign_service(name: str = "shop") -> dict[str, Any]:
    metadata = {"name": name, "namespace": name, "labels": {"owner": "platform"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": {"app": "theirs"}}}


def managed(desk: Desk, name: str = "shop") -> dict[str, dict[str, Any]]:
    rows = desk.ask("GET", f"applications/{name}/managed-resources?project=dev")[1].get("items", [])
    return {row["kind"]: row for row in rows}


def test_somebody_elses_object_is_seen_before_the_sync_taken_by_it_and_removed_with_the_application(
    desk: Desk,
) -> None:
    desk.service.live_objects = [{"cluster": "dev-cluster", "manifest": foreign_service()}]
    before = desk.create(repository=chart(desk, DEPLOYMENT, SERVICE))["status"]
    seen = managed(desk)

    after = desk.sync()
    taken = json.loads(managed(desk)["Service"]["liveState"])
    desk.ask("DELETE", "applications/shop?project=dev&propagationPolicy=foreground")
    desk.clock.at += 60
    gone = desk.ask("GET", "applications/shop?project=dev")[0]

    live = json.loads(seen["Service"]["liveState"])
    assert [(row["kind"], row["health"]["status"]) for row in before["resources"]] == [
        ("Service", "Healthy"),
        ("Deployment", "Missing"),
    ]
    assert before["health"]["status"] == "Healthy"
    assert live["metadata"]["labels"] == {"owner": "platform"}
    assert "argocd.argoproj.io/tracking-id" not in str(live)
    assert seen["Deployment"]["liveState"] == "null"
    assert ("Service", "Synced", "service/shop configured") in results(after)
    assert taken["metadata"]["annotations"] == {"argocd.argoproj.io/tracking-id": "shop:/Service:shop/shop"}
    assert (gone, desk.service.live_objects) == (404, [])
    assert "/Service:shop/shop" not in desk.service.live_on("dev-cluster")


@pytest.mark.parametrize(("option", "phase"), [([], "Succeeded"), (["FailOnSharedResource=true"], "Failed")])
def test_only_what_another_application_has_is_shared(desk: Desk, option: list[str], phase: str) -> None:
    for name in ("one", "two"):
        app = desk.application(name)
        app["spec"]["source"]["helm"]["releaseName"] = "shared"
        app["spec"]["destination"]["namespace"] = "shared"
        app["spec"]["syncPolicy"]["syncOptions"] = ["CreateNamespace=true", *option]
        assert desk.ask("POST", "applications", app)[0] == 200
        desk.clock.at += 60
    desk.sync("one")

    status = desk.sync("two")

    sentence = "ConfigMap/shared-cm is part of applications argocd/two and one"
    assert ended(status)[0] == phase
    if phase == "Failed":
        assert ended(status)[1] == f"Shared resource found: {sentence}"
        assert [(each["type"], each["message"]) for each in status["conditions"]] == [
            ("SharedResourceWarning", sentence)
        ]
    else:
        assert desk.read("one")["status"]["sync"]["status"] == "OutOfSync"


def test_just_created_an_application_has_no_resources_yet(desk: Desk) -> None:
    created = desk.ask("POST", "applications", desk.application())[1]["status"]
    desk.clock.at += 1

    compared = desk.read()["status"]

    assert ("resources" in created, "reconciledAt" in created) == (False, False)
    assert [(row["kind"], row["name"], row["status"]) for row in compared["resources"]] == [
        ("ConfigMap", "shop-cm", "OutOfSync")
    ]
    assert compared["reconciledAt"]


# -- what the chart holds ---------------------------------------------------------------------------------------------


def test_a_chart_that_renders_nothing_is_synced_and_healthy(desk: Desk) -> None:
    desk.create(repository=chart(desk, "{{- if false }}x{{ end }}"))

    status = desk.sync()

    assert (status["sync"]["status"], status["health"]["status"]) == ("Synced", "Healthy")
    assert ended(status) == ("Succeeded", "successfully synced (no more tasks)")
    assert "resources" not in status
    assert [each[0] for each in results(status)] == ["Namespace"]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("a: {{ .Values.missing.name }}", "nil pointer evaluating interface {}.name"),
        ("data:\n  a: {x\n  b: 1", "YAML parse error on shop/templates/0.yaml"),
        ("{{ noSuchFunction }}", 'function "noSuchFunction" not defined'),
        ("{{ if true }}", "unexpected EOF"),
    ],
)
def test_a_chart_that_does_not_render_is_a_400_with_helms_own_words(desk: Desk, template: str, words: str) -> None:
    status, code, text = desk.refusal("POST", "applications", desk.application(repository=chart(desk, template)))

    assert (status, code) == (400, 3)
    assert "Unable to generate manifests in .: rpc error: code = Unknown desc = failed to execute helm template" in text
    assert words in text


@pytest.mark.parametrize("name", ["Two", "a" * 54])
def test_a_release_name_that_helm_refuses_is_a_400(desk: Desk, name: str) -> None:
    assert "invalid release name" in desk.refusal("POST", "applications", desk.application(name))[2]


@pytest.mark.parametrize(
    ("template", "message", "kinds"),
    [
        (WIDGET, "could not find the requested resource", ["Widget"]),
        (
            BAD_DEPLOYMENT,
            'Deployment.apps "bad" is invalid: [spec.selector: Required value',
            ["Namespace", "Deployment"],
        ),
    ],
)
def test_what_the_cluster_does_not_take_fails_the_sync(
    desk: Desk, template: str, message: str, kinds: list[str]
) -> None:
    desk.create(repository=chart(desk, template))

    status = desk.sync()

    assert ended(status)[0] == "Failed"
    assert message in ended(status)[1]
    assert [each[0] for each in results(status)] == kinds


def test_only_what_changed_is_out_of_sync(desk: Desk) -> None:
    desk.create(repository=chart(desk, DEPLOYMENT, SERVICE))
    desk.sync()
    spec = desk.read()["spec"]
    spec["source"]["helm"]["parameters"][0]["value"] = "2"

    desk.ask("PUT", "applications/shop/spec?project=dev", spec)

    states = {row["kind"]: row["status"] for row in desk.read()["status"]["resources"]}
    assert states == {"Service": "Synced", "Deployment": "OutOfSync"}


def test_without_a_chart_the_plain_files_are_applied(desk: Desk) -> None:
    desk.git.add("public/plain", {"cm.yaml": STRAY})
    app = desk.application(repository="public/plain")
    del app["spec"]["source"]["helm"]
    desk.ask("POST", "applications", app)
    desk.clock.at += 60

    status = desk.sync()

    assert (status["sourceType"], status["sync"]["status"]) == ("Directory", "Synced")


def test_the_tree_goes_down_to_the_pod(desk: Desk) -> None:
    desk.create(repository=chart(desk, DEPLOYMENT))
    desk.sync()

    nodes = desk.ask("GET", "applications/shop/resource-tree?project=dev")[1]["nodes"]

    assert [node["kind"] for node in nodes] == ["Deployment", "ReplicaSet", "Pod"]
    assert nodes[2]["parentRefs"][0]["uid"] == nodes[1]["uid"]
    assert nodes[2]["images"] == ["x:1"]


# -- what takes long --------------------------------------------------------------------------------------------------


def test_a_hook_that_runs_holds_the_sync_until_it_is_stopped(desk: Desk) -> None:
    desk.service.are_hooks_running = True
    desk.create(repository=chart(desk, HOOK, CONFIG_MAP.replace("{{ .Values.image.tag | quote }}", "x")))
    running = desk.sync()
    busy = desk.refusal("POST", "applications/shop/sync", {"project": "dev"})

    stopped = desk.ask("DELETE", "applications/shop/operation?project=dev")
    terminating = desk.read()["status"]["operationState"]["phase"]
    desk.clock.at += 60
    status = desk.read()["status"]

    assert ended(running) == ("Running", "waiting for completion of hook batch/Job/shop-pre")
    assert [(row["kind"], row.get("hook")) for row in running["resources"]] == [("ConfigMap", None), ("Job", True)]
    assert busy == (400, 9, "another operation is already in progress")
    assert (stopped, terminating) == ((200, {}), "Terminating")
    assert ended(status) == ("Failed", "Operation terminated")
    assert results(status)[1] == ("Job", "Synced", "Terminated")
    assert [row["health"]["status"] for row in status["resources"]] == ["Missing"]


def test_a_hook_that_ends_lets_the_sync_go_on(desk: Desk) -> None:
    desk.service.are_hooks_running = True
    desk.create(repository=chart(desk, HOOK, CONFIG_MAP.replace("{{ .Values.image.tag | quote }}", "x")))
    desk.sync()

    desk.service.are_hooks_running = False
    desk.clock.at += 60

    assert ended(desk.read()["status"])[0] == "Succeeded"


def test_without_the_controller_nothing_begins_and_then_everything_does(desk: Desk) -> None:
    desk.create()
    desk.service.is_controller_away = True
    desk.ask("POST", "applications/shop/sync", {"project": "dev"})
    created = desk.ask("POST", "applications", desk.application("new"))
    desk.clock.at += 3600

    asked, unseen = desk.read(), desk.read("new")["status"]
    desk.service.is_controller_away = False
    desk.clock.at += 60

    assert created[0] == 200
    assert ("operation" in asked, "operationState" in asked["status"]) == (True, False)
    assert "reconciledAt" not in unseen
    assert ended(desk.read()["status"])[0] == "Succeeded"
    assert "reconciledAt" in desk.read("new")["status"]


def test_a_deletion_hangs_with_its_objects(desk: Desk) -> None:
    desk.create()
    desk.sync()
    desk.service.are_deletions_hanging = True

    first, again = (desk.ask("DELETE", "applications/shop?project=dev&propagationPolicy=foreground") for _ in range(2))
    desk.clock.at += 3600
    shown = desk.read()
    created = desk.refusal("POST", "applications", desk.application())
    desk.service.are_deletions_hanging = False

    assert (first, again) == ((200, {}), (200, {}))
    assert shown["metadata"]["deletionTimestamp"]
    assert shown["status"]["health"]["status"] == "Progressing"
    assert shown["status"]["resources"][0]["health"] == {"status": "Progressing", "message": "Pending deletion"}
    assert created[:2] == (400, 3)
    assert desk.ask("GET", "applications/shop?project=dev")[0] == 404


def test_the_deletion_on_a_cluster_that_is_away_says_so_and_ends_when_it_is_back(desk: Desk) -> None:
    desk.create()
    desk.sync()
    desk.service.clusters_away = ["dev-cluster"]
    desk.ask("DELETE", "applications/shop?project=dev")
    desk.clock.at += 60

    conditions = desk.read()["status"]["conditions"]
    desk.service.clusters_away = []

    assert [each["type"] for each in conditions] == ["DeletionError"]
    assert "failed to get cluster info" in conditions[0]["message"]
    assert desk.ask("GET", "applications/shop?project=dev")[0] == 404


def test_without_cascade_the_objects_stay(desk: Desk) -> None:
    desk.create()
    desk.sync()

    desk.ask("DELETE", "applications/shop?project=dev&cascade=false")

    assert desk.ask("GET", "applications/shop?project=dev")[0] == 404
    assert "/ConfigMap:shop/shop-cm" in desk.service.live_on("dev-cluster")

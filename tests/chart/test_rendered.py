"""The chart as helm renders it: valid, shut in, without secrets, in the networks of compose, and safe to upgrade."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr
from support import helm
from support.certificates import certify
from support.checkout import ROOT
from support.composition import load
from support.helm import NAMESPACE, VALUE_SETS, of_kind, pods
from support.settings import NAMES

from common.config import settings
from common.config.settings import FlowerSettings, Settings, WorkerSettings
from common.workflows import WORKFLOWS, Upstream

KINDS = {"migrate": Settings, "api": Settings, "worker": WorkerSettings, "flower": FlowerSettings}
OF_OTHERS = {"POD_IP", "FLOWER_MAX_TASKS", "FLOWER_URL_PREFIX"}
OF_OPERATORS = ("external-secrets.io/", "keda.sh/", "monitoring.coreos.com/", "gateway.networking.k8s.io/")
ALLOWED_VOLUMES = {"configMap", "downwardAPI", "emptyDir", "projected", "secret"}
VERSIONS = ("1.29", helm.KUBERNETES, "1.37")  # the oldest that the chart takes, a usual one, the newest
FROZEN = ROOT / "tests/chart/immutable.yaml"
DATABASE_PORT, REDIS_PORTS, FRONT_PORTS = {3306}, {6379, 26379}, {8000, 5555}
NETWORKS = {name: set(said["networks"]) for name, said in load()["services"].items() if "networks" in said}

every_set = pytest.mark.parametrize("name", VALUE_SETS)


@every_set
def test_every_helm_finds_no_fault_and_renders_the_same(name: str) -> None:
    rendered = [helm.render(name, program) for program in helm.programs()] or [helm.render(name)]

    for program in helm.programs():
        linted = helm.run(program, "lint", "--strict", str(helm.CHART), "--values", str(VALUE_SETS[name]))
        assert linted.returncode == 0, linted.stdout + linted.stderr
    assert all(each == rendered[0] for each in rendered)


@every_set
def test_objects_are_what_kubernetes_takes(name: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="`make chart` installs it").validate

    for each in helm.render(name):
        if not each["apiVersion"].startswith(OF_OPERATORS):
            for version in VERSIONS:
                validate(each, version, strict=True)


def test_all_that_is_missing_is_reported_at_once() -> None:
    program = next(iter(helm.programs()), None) or pytest.skip(helm.MISSING)
    flags = ("--set", "flower.expose=true", "--set", "worker.groups.builds.queues={jenkins}")
    version = ("--kube-version", f"{helm.KUBERNETES}.0")

    refused = helm.run(program, "template", helm.RELEASE, str(helm.CHART), *version, *flags)

    assert refused.returncode != 0
    for text in ("config.GITLAB_URL is not set", "database.host is not set", "the queue gitlab", "flower.urlPrefix"):
        assert text in refused.stderr


@every_set
def test_pods_pass_the_pod_security_standard_restricted(name: str) -> None:
    """Source: Kubernetes, "Pod Security Standards", Restricted."""
    for pod in pods(helm.render(name)):
        of_pod, container = pod.spec["securityContext"], pod.container
        shut_in = container["securityContext"]
        assert of_pod["runAsNonRoot"] is True
        assert of_pod["runAsUser"] == 10001
        assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert shut_in["allowPrivilegeEscalation"] is False
        assert shut_in["capabilities"] == {"drop": ["ALL"]}
        assert shut_in["readOnlyRootFilesystem"] is True
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys()
        assert not any("hostPort" in port for port in container.get("ports", ()))
        assert {kind for each in pod.spec["volumes"] for kind in each.keys() - {"name"}} <= ALLOWED_VOLUMES
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["enableServiceLinks"] is False
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}


@every_set
def test_no_secret_is_in_a_manifest_and_every_variable_is_a_setting(name: str) -> None:
    objects = helm.render(name)

    assert of_kind(objects, "Secret") == []
    for pod in pods(objects):
        for variable in pod.environment:
            field = settings.WorkerSettings.model_fields.get(variable.lower())
            assert variable.lower() in NAMES or variable in OF_OTHERS or variable.startswith("OTEL_")
            assert not field or "SecretStr" not in str(field.annotation) or variable in ("DB_URL", "REDIS_URL")
    assert not re.search(r"://[^/\s\"]*:[^/\s\"@]+@", json.dumps(objects))


@every_set
def test_a_process_starts_with_what_its_pod_is_given(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certify(tmp_path)
    for key in NAMES:
        monkeypatch.delenv(key.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    for number, pod in enumerate(pods(helm.render(name))):
        place = tmp_path / str(number)
        place.mkdir()
        for file, is_required in pod.secret_files().items():
            if is_required or (file == "gitlab_read_token" and "GITLAB_READ_USER" in pod.environment):
                made = (
                    f"operator:{'p' * 6}{os.urandom(8).hex()}" if file == "flower_basic_auth" else os.urandom(20).hex()
                )
                (place / file).write_text(made)
        with monkeypatch.context() as patch:
            for key, value in pod.environment.items():
                there = re.sub(r"/etc/(slipway/[\w-]+-ca/ca.pem|ssl/certs/[\w.-]+)", str(tmp_path / "ca.pem"), value)
                patch.setenv(key, there)
            patch.setenv("SECRETS_DIR", str(place))

            config = settings.load(KINDS[pod.process])

        read = {key for key, value in config if isinstance(value, SecretStr)}
        assert read >= {"redis_url"}
        if isinstance(config, Settings):
            assert not config.cookie_secure or config.db_url.get_secret_value().count(":") >= 2


@every_set
def test_files_are_mounted_that_settings_name(name: str) -> None:
    for pod in pods(helm.render(name)):
        mounts = [each["mountPath"] for each in pod.container["volumeMounts"]]
        named = re.findall(r"/etc/slipway/[\w./-]+", " ".join(pod.environment.values()))
        assert {each["name"] for each in pod.container["volumeMounts"]} == {
            each["name"] for each in pod.spec["volumes"]
        }
        assert all(any(file.startswith(mount) for mount in mounts) for file in named)
        assert "/run/secrets" not in mounts  # tokens of service accounts are below it


@every_set
def test_pods_reach_what_their_services_in_compose_reach(name: str) -> None:
    objects = helm.render(name)
    policies = {each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"] for each in
                of_kind(objects, "NetworkPolicy")}  # fmt: skip
    started = {pod.process: pod for pod in pods(objects)}
    is_exposed = "expose: true" in VALUE_SETS[name].read_text(encoding="utf-8")

    assert policies.keys() == started.keys()
    for process, policy in policies.items():
        selector = policy["podSelector"]["matchLabels"]
        assert selector.items() <= started[process].labels.items()
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        wanted = NETWORKS[process] - (set() if process == "api" or is_exposed else {"front"})
        assert _networks(policy) == wanted


def _networks(policy: dict[str, Any]) -> set[str]:
    """Return the networks of compose that have the same effect as a policy."""
    egress = policy["egress"]
    outgoing = {port["port"] for rule in egress for port in rule.get("ports", ())}
    incoming = {port["port"] for rule in policy.get("ingress", ()) for port in rule["ports"]}
    found = {
        "data": bool(outgoing & (DATABASE_PORT | REDIS_PORTS)),
        "front": bool(incoming & FRONT_PORTS),
        "upstreams": any("ports" not in rule for rule in egress),
    }
    return {network for network, is_reached in found.items() if is_reached}


@every_set
def test_only_those_that_use_the_database_or_the_broker_reach_it(name: str) -> None:
    for policy in of_kind(helm.render(name), "NetworkPolicy"):
        process = policy["metadata"]["labels"]["app.kubernetes.io/component"]
        ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule.get("ports", ())}
        assert bool(ports & DATABASE_PORT) == (process != "flower")
        assert bool(ports & REDIS_PORTS) == (process != "migrate")


@every_set
def test_selectors_find_pods_and_no_pod_is_of_two_deployments(name: str) -> None:
    objects = helm.render(name)
    labels = [pod.labels for pod in pods(objects)]
    selectors = [
        each["spec"]["selector"].get("matchLabels", each["spec"]["selector"])
        for each in of_kind(objects, "Deployment", "Service", "PodDisruptionBudget", "ServiceMonitor", "PodMonitor")
    ]

    assert all(any(selector.items() <= each.items() for each in labels) for selector in selectors)
    for deployment in of_kind(objects, "Deployment"):
        wanted = deployment["spec"]["selector"]["matchLabels"]
        assert sum(wanted.items() <= each.items() for each in labels) == 1
        assert not wanted.keys() & {"app.kubernetes.io/version", "helm.sh/chart"}


@every_set
def test_deployments_are_probed_over_http_and_given_time_to_end(name: str) -> None:
    longest_s = max(step.limit_s for flow in WORKFLOWS.values() for step in flow.steps)
    paths = {"api": {"/healthz", "/readyz"}, "worker": {"/healthz"}, "flower": {"/healthcheck", "/flower/healthcheck"}}

    for pod in pods(of_kind(helm.render(name), "Deployment")):
        probes = [value for key, value in pod.container.items() if key.endswith("Probe")]
        assert {each["httpGet"]["path"] for each in probes} <= paths[pod.process]
        assert {each["httpGet"]["port"] for each in probes} == {pod.container["ports"][0]["name"]}
        grace_s = pod.spec["terminationGracePeriodSeconds"]
        assert grace_s > {"worker": longest_s, "api": 30 + 10, "flower": 10}[pod.process]


@every_set
def test_workers_take_all_queues(name: str) -> None:
    commands = [pod.container["command"] for pod in pods(helm.render(name)) if pod.process == "worker"]
    taken = {queue for command in commands if "-Q" in command for queue in command[-1].split(",")}

    assert commands
    assert taken == {upstream.value for upstream in Upstream} or all("-Q" not in command for command in commands)


@every_set
def test_what_scales_a_deployment_leaves_its_replicas_alone(name: str) -> None:
    objects = helm.render(name)
    deployments = {each["metadata"]["name"]: each["spec"] for each in of_kind(objects, "Deployment")}
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in
              of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")}  # fmt: skip

    assert scaled <= deployments.keys()
    assert {each for each, spec in deployments.items() if "replicas" not in spec} == scaled


@every_set
def test_a_migration_needs_nothing_that_is_installed_after_it(name: str) -> None:
    objects = helm.render(name)
    hooks = [each for each in objects if "helm.sh/hook" in each["metadata"].get("annotations", {})]
    others = [each for each in objects if each not in hooks]
    (job,) = of_kind(hooks, "Job")
    volumes = str(job["spec"]["template"]["spec"]["volumes"])

    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "default"
    for each in hooks:
        annotations = each["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert int(annotations["helm.sh/hook-weight"]) < 0 or each is job
        assert "before-hook-creation" in annotations["helm.sh/hook-delete-policy"]  # a Job cannot be changed
    for each in of_kind(others, "ExternalSecret"):
        assert f"'{each['spec']['target']['name']}'" not in volumes
    assert not re.search("-catalog|-dashboard", volumes)


def test_nothing_that_cannot_be_changed_changes() -> None:
    """An upgrade that changes such a field fails: write another name, or a note for those who upgrade.

    SLIPWAY_RECORD=1 writes what is rendered now into the file.
    """
    rendered = {name: _immutable(helm.render(name)) for name in VALUE_SETS}
    if os.environ.get("SLIPWAY_RECORD"):
        helm.write(FROZEN, rendered)

    frozen = yaml.safe_load(FROZEN.read_text(encoding="utf-8"))
    assert rendered == frozen
    everywhere = [(key, json.dumps(value)) for each in rendered.values() for key, value in each.items()]
    assert len(dict(everywhere)) == len(set(everywhere)), "two sets of values give one object two selectors"


def _immutable(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what Kubernetes lets nobody change: selectors, and the address of a Service. Jobs are hooks, made anew."""
    found = {}
    for each in of_kind(objects, "Deployment", "Service", "StatefulSet", "PersistentVolumeClaim"):
        assert each["kind"] in ("Deployment", "Service"), "say here which of its fields cannot be changed"
        fields = ("selector",) if each["kind"] == "Deployment" else ("clusterIP", "type")
        found[f"{each['kind']}/{each['metadata']['name']}"] = {key: each["spec"].get(key) for key in fields}
    return found


def test_probes_and_prometheus_are_trusted_hosts() -> None:
    (api,) = [pod for pod in pods(helm.render("production-rds-elasticache")) if pod.process == "api"]
    names = [each["name"] for each in api.container["env"]]

    hosts = f"slipway.example.com,slipway,slipway.{NAMESPACE},slipway.{NAMESPACE}.svc,$(POD_IP)"
    assert api.environment["TRUSTED_HOSTS"] == hosts
    assert names.index("POD_IP") < names.index("TRUSTED_HOSTS")


def test_numbers_are_written_as_numbers() -> None:
    (api,) = [pod for pod in pods(helm.render("production-rds-elasticache")) if pod.process == "api"]

    numbers = {key: api.environment[key] for key in ("LOGIN_FAILURES_PER_ADDRESS", "GITLAB_CALLS_PER_SECOND")}
    assert numbers == {"LOGIN_FAILURES_PER_ADDRESS": "1000000", "GITLAB_CALLS_PER_SECOND": "7.5"}


def test_alerts_lead_to_the_runbook() -> None:
    (rules,) = of_kind(helm.render("production-rds-elasticache"), "PrometheusRule")
    urls = {rule["annotations"]["runbook_url"] for group in rules["spec"]["groups"] for rule in group["rules"]}
    base = "https://git.example.com/platform/slipway/-/blob/main/docs/runbook.md#"

    assert all(url.startswith(base) for url in urls)
    assert "{{ $labels.upstream }}" in json.dumps(rules)


def test_prometheus_understands_the_alerts_and_the_dashboard(tmp_path: Path) -> None:
    promtool = helm.require("promtool")
    dashboard = json.loads((helm.CHART / "files/dashboard.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    records = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m").replace("$namespace", ".*")}
        for number, query in enumerate(queries)
    ]
    as_rules = helm.write(tmp_path / "dashboard.yml", {"groups": [{"name": "dashboard", "rules": records}]})

    checked = helm.run(promtool, "check", "rules", str(helm.CHART / "files/alerts.yml"), str(as_rules))

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_fires_when_it_should_and_none_does_when_all_is_well(tmp_path: Path) -> None:
    promtool = helm.require("promtool")
    cases = (ROOT / "tests/chart/alerts.yml").read_text(encoding="utf-8")
    file = tmp_path / "alerts.yml"
    file.write_text(cases.replace("RULES", str(helm.CHART / "files/alerts.yml")), encoding="utf-8")

    tested = helm.run(promtool, "test", "rules", str(file))

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_flower_below_a_path_is_not_rewritten_and_the_api_is() -> None:
    objects = helm.render("path-prefix-flower")
    (route,) = of_kind(objects, "HTTPRoute")
    flower, api = route["spec"]["rules"]
    ingresses = {each["metadata"]["name"]: each for each in of_kind(objects, "Ingress")}
    prefixed = ingresses["slipway"]["metadata"]["annotations"]["nginx.ingress.kubernetes.io/x-forwarded-prefix"]

    assert "filters" not in flower
    assert [each["type"] for each in api["filters"]] == ["RequestHeaderModifier", "URLRewrite"]
    assert prefixed == api["matches"][0]["path"]["value"] == "/slipway"
    assert ingresses["slipway"]["spec"]["rules"][0]["http"]["paths"][0]["path"] == "/slipway(/|$)(.*)"
    assert "rewrite" not in json.dumps(ingresses["slipway-flower"]["metadata"])

"""The Helm chart without helm: its reference is current, and it says of each process what docker-compose.yml says."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from support.checkout import ROOT
from support.composition import load
from support.settings import NAMES, NEWER

from common.config.settings import FlowerSettings, Settings, WorkerSettings
from common.workflows import WORKFLOWS, Upstream
from deploy import chart

CHART = ROOT / chart.CHART
TEMPLATES = {file.name: file.read_text(encoding="utf-8") for file in (CHART / "templates").iterdir()}
VALUE_SETS = sorted((ROOT / "tests/chart/values").glob("*.yaml"))
OF_OTHERS = {"POD_IP", "FLOWER_MAX_TASKS", "FLOWER_URL_PREFIX"}  # Kubernetes', and Flower's own
KINDS = {"migrate": Settings, "api": Settings, "worker": WorkerSettings, "flower": FlowerSettings}
UNUSED = {"migrate": {"redis_password", "redis_sentinel_password", "metrics_token"}}
IN_THE_ENVIRONMENT = {"db_url", "redis_url"}  # without their passwords
COMPOSE = load()["services"]


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("path", [chart.CHART / "values.schema.json", chart.CHART / "README.md"])
def test_the_reference_of_the_values_is_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == chart.files()[path], "type: make docs"


@pytest.mark.parametrize("values", VALUE_SETS, ids=lambda file: file.stem)
def test_the_examples_keep_to_the_schema(values: Path) -> None:
    jsonschema.Draft7Validator(chart.schema()).validate(yaml.safe_load(values.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"config": {"GITLAB_URI": "https://gitlab.example.com"}},
        {"config": {"GITLAB_TOKEN": "a secret"}},
        {"config": {"DB_URL": "mysql+pymysql://somewhere/slipway"}},
        {"config": {"PROXY_COUNT": 9}},
        {"worker": {"groups": {"builds": {"queues": ["jenkin"]}}}},
        {"worker": {"terminationGracePeriodSeconds": 30}},
        {"api": {"replica": 2}},
    ],
    ids=json.dumps,
)
def test_what_cannot_work_is_refused_by_the_schema(wrong: dict[str, Any]) -> None:
    assert not jsonschema.Draft7Validator(chart.schema()).is_valid(wrong)


def test_templates_use_values_that_there_are() -> None:
    known = {path for path, _ in _paths(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")))}
    used = {path for text in TEMPLATES.values() for path in re.findall(r"\.Values\.([\w.]+)", text)}

    assert used
    assert {path for path in used if path not in known and not path.startswith("config.")} == set()


def _paths(values: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found.append((f"{before}{name}", value))
        if isinstance(value, dict):
            found += _paths(value, f"{before}{name}.")
    return found


def test_variables_that_templates_set_are_settings() -> None:
    set_here = set(re.findall(r'(?:dict|set \$env) "([A-Z_]+)"', TEMPLATES["_settings.tpl"])) | {"POD_IP"}

    assert {name for name in set_here if name.lower() not in NAMES} == OF_OTHERS
    assert {name.upper() for name in chart.OF_THE_CHART} <= set_here


def test_a_process_is_handed_the_secrets_that_it_reads_and_those_of_compose() -> None:
    text = TEMPLATES["_settings.tpl"].partition('{{- define "slipway.secrets" -}}')[2].partition("{{- end }}")[0]
    listed = yaml.safe_load(text)
    handed = {process: {*each["required"], *each["optional"]} for process, each in listed.items()}

    assert handed.keys() == {"api", "worker", "flower", "migrate"}
    for process, names in handed.items():
        assert names >= set(COMPOSE[process]["secrets"])
        read = {field for field, said in KINDS[process].model_fields.items() if chart.is_secret(said)}
        assert {NEWER.get(name, name) for name in names} == read - IN_THE_ENVIRONMENT - UNUSED.get(process, set())


def test_a_worker_may_end_the_longest_step() -> None:
    longest_s = max(step.limit_s for flow in WORKFLOWS.values() for step in flow.steps)
    grace = chart.schema()["properties"]["worker"]["properties"]["terminationGracePeriodSeconds"]

    assert grace["minimum"] > longest_s
    assert f"{longest_s:.0f} s at most" in TEMPLATES["worker.yaml"]


def test_the_queues_are_those_of_the_workers() -> None:
    groups = chart.schema()["properties"]["worker"]["properties"]["groups"]["additionalProperties"]
    listed = re.search(r"range \$queue := list (.*?) }}", TEMPLATES["checks.yaml"])

    assert listed is not None
    assert groups["properties"]["queues"]["items"]["enum"] == [upstream.value for upstream in Upstream]
    assert re.findall(r'"(\w+)"', listed[1]) == [upstream.value for upstream in Upstream]


def test_the_chart_installs_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    said = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))

    assert said["appVersion"] == version


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", (CHART / "README.md").read_text(encoding="utf-8"))

    assert [link for link in links if not (CHART / link).exists()] == []

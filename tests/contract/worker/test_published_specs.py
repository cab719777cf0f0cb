"""The requests that we send match the vendors' published descriptions.

The descriptions are cut from the published ones and closed: a misspelt field or query parameter is refused here, where
the servers ignore it without a word. They are not part of the project; without them these tests are skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema_rs
import pytest
from support.checkout import ROOT

from common.errors import NotYet
from harbour.elasticsearch.app import Elasticsearch as ElasticsearchService
from harbour.faults import Call
from harbour.gitlab.app import GitLab as GitLabService
from harbour.world import Harbour
from worker.upstreams.argocd.client import ArgoCD, Credentials, argocd_headers
from worker.upstreams.elasticsearch.client import Elasticsearch
from worker.upstreams.gitlab.client import GitLab
from worker.upstreams.http import Http

SPECS = ROOT.parent / "shared" / "specs"
MARKER = "slipway:anna:7f3c"
PASSWORD = "Correct-Horse-Battery-9"

pytestmark = pytest.mark.skipif(not SPECS.is_dir(), reason="the published descriptions are not at hand")


class Description:
    """One OpenAPI document (2 or 3.0) that says of a call what is wrong with its request."""

    def __init__(self, name: str) -> None:
        self._document = json.loads((SPECS / name).read_text())

    def problems(self, method: str, path: str, body: str) -> list[str]:
        address = urlsplit(path)
        operation = self._operation(method, address.path)
        if operation is None:
            return [f"{method} {address.path} is not described"]
        parameters = [self._resolved(each) for each in operation.get("parameters", [])]
        described = {each["name"] for each in parameters if each["in"] == "query"}
        unknown = [f"unknown parameter {name}" for name in parse_qs(address.query) if name not in described]
        return unknown + self._body_problems(operation, parameters, body)

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        for template, operations in self._document["paths"].items():
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and method.lower() in operations:
                operation: dict[str, Any] = operations[method.lower()]
                return operation
        return None

    def _body_problems(self, operation: dict[str, Any], parameters: list[dict[str, Any]], body: str) -> list[str]:
        schema = self._body_schema(operation, parameters)
        if schema is None:
            return ["a body where none is described"] if body else []
        definitions = {key: self._document.get(key, {}) for key in ("components", "definitions")}
        validator = jsonschema_rs.Draft4Validator({"allOf": [schema], **definitions})
        return [error.message for error in validator.iter_errors(json.loads(body))]

    def _body_schema(self, operation: dict[str, Any], parameters: list[dict[str, Any]]) -> dict[str, Any] | None:
        in_body = [each["schema"] for each in parameters if each["in"] == "body"]
        if "requestBody" in operation:
            in_body = [self._resolved(operation["requestBody"])["content"]["application/json"]["schema"]]
        return in_body[0] if in_body else None

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        target: Any = self._document
        if "$ref" not in node:
            return node
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        resolved: dict[str, Any] = target
        return resolved


def assert_described(name: str, calls: list[Call]) -> None:
    description = Description(name)

    assert calls
    found = [(call.method, call.path, description.problems(call.method, call.path, call.body)) for call in calls]
    assert [each for each in found if each[-1]] == []


def nothing() -> None:
    """Declare no intent."""


def test_gitlab(gitlab: GitLabService, eventually: Callable[[Callable[[], Any]], Any]) -> None:
    client = GitLab(Http("GitLab", gitlab.url, headers={"PRIVATE-TOKEN": gitlab.config.gitlab_token}))

    user = client.accounts.ensure_user(
        login="anna", email="anna@corp.example", name="Anna", password=PASSWORD, marker=MARKER, on_create=nothing
    )
    for level in (20, 30):
        client.groups.ensure_member("dev", user.id, access_level=level, on_create=nothing)
    fork = client.projects.ensure_fork(
        "templates/Spring_Template", namespace="dev", path="shop", marker=MARKER, on_create=nothing
    )
    eventually(lambda: gitlab.state.projects[fork.id].settled)
    client.projects.ensure_branch_open(fork.id, client.projects.await_import(fork.id).default_branch or "")

    methods = {call.method for call in gitlab.calls}
    assert methods == {"GET", "POST", "PUT", "DELETE"}
    assert_described("gitlab.json", gitlab.calls)


@pytest.mark.parametrize("version", ["8.17", "9.0"])
def test_elasticsearch(elasticsearch: ElasticsearchService, version: str) -> None:
    config = elasticsearch.config
    http = Http("Elasticsearch", elasticsearch.url, auth=(config.elasticsearch_user, config.elasticsearch_password))
    user = {"login": "anna", "password": PASSWORD, "email": "anna@corp.example", "marker": MARKER}

    for name in ("Anna Bell", "Anna Ring"):
        Elasticsearch(http).users.ensure(**user, roles=["dev"], full_name=name, on_create=nothing)

    assert len(elasticsearch.writes()) == 2
    assert_described(f"elasticsearch-{version}.json", elasticsearch.calls)


def test_argocd(harbour: Harbour) -> None:
    config = harbour.config
    client = ArgoCD(Http("Argo CD", harbour.argocd.url, headers=argocd_headers(config.argocd_token)))
    url = f"{harbour.gitlab.url}/templates/Helm_Template.git"

    reader = Credentials(username=config.gitlab_user, password=config.gitlab_read_token)
    client.repositories.ensure(url, credentials=reader, on_create=nothing)
    for tag in ("1", "2"):
        client.applications.ensure(
            "shop",
            project="dev",
            repository_url=url,
            path=".",
            revision="main",
            release_name="shop",
            helm_parameters={"image.tag": tag},
            cluster="dev-cluster",
            namespace="dev-shop",
            marker="app-1",
            on_create=nothing,
        )

    deploy(client)
    with pytest.raises(NotYet):
        client.applications.remove("shop", project="dev", marker="app-1")
    client.repositories.remove(url)

    assert {call.method for call in harbour.argocd.writes()} == {"POST", "PUT", "DELETE"}
    described = [call for call in harbour.argocd.calls if "/repocreds" not in call.path]  # the excerpt lacks it
    assert_described("argocd.json", described)


def deploy(client: ArgoCD) -> None:
    client.applications.set_helm_parameters(
        "shop", project="dev", marker="app-1", parameters={"image.tag": "3"}, revision="HEAD"
    )
    client.syncs.start("shop", project="dev", marker="app-1", operation_id="job-1", revision="HEAD", on_create=nothing)
    assert client.syncs.get("shop", project="dev", operation_id="job-1").phase == "running"
    client.syncs.terminate("shop", project="dev", operation_id="job-1")


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/v4/users", '{"usernam":"x"}'), ("/api/v4/users?nam=x", "{}"), ("/api/v4/nothing", "{}")],
)
def test_a_misspelt_request_would_be_noticed(path: str, body: str) -> None:
    assert Description("gitlab.json").problems("POST", path, body)

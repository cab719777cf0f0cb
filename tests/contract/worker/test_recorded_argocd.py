"""What the Argo CD client makes of what a real Argo CD answered: try again, wait, whose fault, not found.

The recordings lie beside the project, where there are any; `argocd/test_kinds_of_answers.py` has the kinds in the
project's own words, and always runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
from support.checkout import ROOT
from support.scripted import Answer, Request, Scripted

from common.errors import Conflict, NotYet, Permanent, Refused, Transient
from worker.upstreams.argocd.causes import Cause
from worker.upstreams.argocd.client import MARKER, ArgoCD, Credentials
from worker.upstreams.argocd.schemas import Object, Objects, Registrations
from worker.upstreams.argocd.standing import NO_SUCH_NAME, standing
from worker.upstreams.argocd.sync_status import read_status
from worker.upstreams.replies import Reply
from worker.upstreams.standing import Held

RECORDINGS = ROOT.parent / "shared" / "upstream" / "recorded" / "argocd-3.5.1"
READER = Credentials(username="reader", password="c4nary")
pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="there are no recordings beside the project")


@dataclass(frozen=True)
class Recorded:
    """One call: `name` is its file and case."""

    name: str
    method: str
    path: str
    query: dict[str, str]
    body: Any
    answer: Answer

    @property
    def segments(self) -> list[str]:
        return [unquote(part) for part in self.path.removeprefix("/api/v1/").split("/")]


def recorded() -> Iterator[Recorded]:
    for file in sorted(RECORDINGS.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            row = json.loads(line)
            asked, said = row["request"], row["response"]
            path, _, query = asked["path"].partition("?")
            yield Recorded(
                name=f"{file.stem}:{row['case']}",
                method=asked["method"],
                path=path,
                query={key: values[0] for key, values in parse_qs(query).items()},
                body=asked.get("body"),
                answer=Answer(said["status"], said.get("body")),
            )


ALL = list(recorded()) if RECORDINGS.is_dir() else []

# -- the calls of our client ------------------------------------------------------------------------------------------


KNOWN = {
    "/api/version": {"Version": "v3.5.1"},
    "/api/v1/session/userinfo": {"loggedIn": True, "username": "slipway"},
    "/api/v1/projects": {"items": None},
}


def connection_to(call: Recorded) -> Scripted:
    """Return a connection on which Argo CD answers this call as recorded, and others as it does in that case."""

    def script(request: Request) -> Answer:
        path = "/" + request.path
        if "/can-i/" in path:
            return Answer(200, {"value": "no" if call.name.startswith("access:") else "yes"})
        if path.endswith(NO_SUCH_NAME):
            is_away = "kubernetes-api-down" in call.name
            return denied() if is_away else Answer(404, {"code": 5, "message": "not found"})
        if path in KNOWN and call.path != path:
            return Answer(200, KNOWN[path])
        is_it = request.method == call.method and path == unquote(call.path)
        if is_it and call.method == "PUT" and call.answer.status == 200:
            return Answer(200, request.options["json"])
        return call.answer if is_it else usual(request, call)

    return Scripted("Argo CD", script)


def denied() -> Answer:
    return Answer(403, {"code": 7, "message": "permission denied"})


def usual(request: Request, call: Recorded) -> Answer:
    """Answer as an Argo CD does that has our application, unless the call makes it."""
    if request.method == "PUT":
        return Answer(200, request.options["json"])
    if request.path.endswith(("/applications", "/repositories", "/repocreds")):
        return Answer(200, {"items": registrations(call)} if request.path.endswith("/repositories") else {})
    if request.method != "GET":
        return Answer(200, {})
    is_made = call.method == "POST" and call.segments == ["applications"]
    return call.answer if is_made and call.answer.status == 200 else application(None if is_made else call)


def registrations(call: Recorded) -> list[dict[str, str]]:
    """List the repository that is to be removed, as long as Argo CD did not say that it is gone."""
    if call.method != "DELETE" or call.answer.status == 200 or "-unknown" in call.name or "-again" in call.name:
        return []
    return [{"repo": call.segments[1], "project": call.query.get("appProject", "")}]


def application(call: Recorded | None) -> Answer:
    if call is None:
        return Answer(404, {"code": 5, "message": "not found"})
    metadata = {"name": call.segments[1], "uid": "u", "annotations": {MARKER: "slipway:1"}}
    status = {"operationState": {"phase": "Succeeded", "finishedAt": "2026-01-01T00:00:00Z"}}
    return Answer(200, {"metadata": metadata, "spec": {"project": "dev"}, "status": status})


def nothing() -> None:
    """Declare no intent."""


def calls_of(call: Recorded) -> Callable[[ArgoCD], object] | None:
    """Return how our client makes this call, None when it never does."""
    return of_an_application(call) or of_a_sync(call) or of_git(call)


def of_an_application(call: Recorded) -> Callable[[ArgoCD], object] | None:
    project = call.query.get("project", "dev")
    match call.method, call.segments:
        case "GET", ["applications", name] if "project" in call.query:
            return lambda client: client.applications.find(name, project) or "absent"
        case "GET", ["applications", name, "managed-resources"]:
            return lambda client: client.applications.foreign_objects(live(name), project)
        case "POST", ["applications"] if call.query and isinstance(call.body, dict) and "spec" in call.body:
            return lambda client: create(client, call.body)
        case "PUT", ["applications", name, "spec"]:
            rows = call.body["source"]["helm"]["parameters"]
            wanted = {row["name"]: row["value"] + "-new" for row in rows}
            return lambda client: client.applications.set_helm_parameters(
                name, project=project, marker="slipway:1", parameters=wanted
            )
        case "DELETE", ["applications", name]:
            return lambda client: client.applications.remove(name, project=project, marker="slipway:1")
    return None


def of_a_sync(call: Recorded) -> Callable[[ArgoCD], object] | None:
    match call.method, call.segments:
        case "POST", ["applications", name, "sync"]:
            return lambda client: client.syncs.start(
                name, project=call.body["project"], marker="slipway:1", operation_id="other", on_create=nothing
            )
        case "DELETE", ["applications", name, "operation"]:
            return lambda client: client.syncs.terminate(name, project=call.query["project"])
    return None


def of_git(call: Recorded) -> Callable[[ArgoCD], object] | None:
    match call.method, call.segments:
        case "GET", ["repositories"]:
            return lambda client: client.repositories.with_own_credentials()
        case "POST", ["repositories"] if call.body.get("repo"):
            return lambda client: client.repositories.ensure(
                call.body["repo"], credentials=None, project=call.body.get("project"), is_new=True, on_create=nothing
            )
        case "DELETE", ["repositories", url]:
            return lambda client: client.repositories.remove(url, project=call.query.get("appProject"))
        case "POST", ["repocreds"]:
            return lambda client: client.templates.ensure(call.body["url"], READER)
    return None


def create(client: ArgoCD, body: dict[str, Any]) -> object:
    source, destination = body["spec"].get("source", {}), body["spec"].get("destination", {})
    return client.applications.ensure(
        body["metadata"]["name"],
        project=body["spec"]["project"] or "dev",
        repository_url=source.get("repoURL", ""),
        path=source.get("path", "."),
        revision=source.get("targetRevision", ""),
        release_name="release",
        helm_parameters={},
        cluster=destination.get("name", ""),
        namespace=destination.get("namespace", ""),
        marker="slipway:1",
        on_create=nothing,
    )


def live(name: str) -> Object:
    shown = {"metadata": {"name": name, "uid": "u"}, "spec": {}, "status": {"resources": [{"kind": "Service"}]}}
    return read(shown, Object)


def read(body: Any, shape: Any) -> Any:
    content = json.dumps(body).encode()
    return Reply(upstream="Argo CD", method="GET", path="/", status=200, headers={}, body=content).read_as(shape)


def outcome(http: Scripted, make: Callable[[ArgoCD], object]) -> str:
    """Return what comes of a call; of a refusal, by our standing after it."""
    try:
        made = make(ArgoCD(http))
    except NotYet:
        return "wait"
    except Conflict:
        return "conflict"
    except Transient as error:
        return "outage" if error.is_unavailable else "again"
    except Refused as error:
        return "held" if isinstance(standing(http, error), Held) else str(error.action_by)
    except Permanent as error:
        return str(error.action_by)
    return "absent" if made == "absent" else "done"


# -- what is to come of each ------------------------------------------------------------------------------------------

EXPECTED = (  # the first that matches the name; what is not listed and was a 200 is "done"
    (r"access:without-rights-list-.*|applications:chart-with-nothing|removals:gone-never-synced", "done"),
    (r"access:without-rights-.*|applications:spec-of-absent", "operator"),
    # what the Kubernetes API, the repo server or the controller does not answer is an outage of Argo CD
    (r"outages:kubernetes-api-down-(get|get-absent|create|sync|register|project)", "held"),
    (r"outages:repo-server-(down|hangs)-(register|create|spec|sync)", "outage"),
    (r"outages:repo-server-(down|hangs)-delete", "done|wait"),
    (r"outages:.*-get-absent", "absent"),
    # git that fails passes, git that refuses is the operator's
    (r"git:(create|sync|spec)-while-git-(answers-503|takes-30s)", "again"),
    (r"git:(create|sync|spec)-while-git-answers-40[34]", "operator"),
    (r"repositories:register-git-answers-.*|repositories:register-(refused-connection|unknown-host)", "again"),
    (r"repositories:register-in-project.*", "done"),
    (r"repositories:register-(good|same-again|public.*)", "done"),
    (r"repositories:register-.*", "operator"),
    (r"repositories:remove-(unknown|public-again)", "done"),
    (r"repositories:remove-in-project-without-naming-it", "again|outage"),
    (r"clusters:cluster-unreachable-create", "again"),
    (r"projects:fenced-other-source", "again"),
    # the chart and the revision are the user's
    (r"applications:(spec-)?(revision-absent|path-.*|chart-.*|name-.*|release-name-.*)|syncs:revision-absent", "user"),
    (r"applications:repository-unregistered-private|rotation:sync-.*(stale|after-rotation).*", "operator"),
    (r"rotation:template-create-different", "conflict"),
    (r"rotation:register-new-password-no-upsert", "conflict"),
    # the project's rules are the operator's
    (r"applications:(spec-other-)?(project|cluster).*|projects:(project-gone|fenced-outside).*", "operator|done"),
    (r"syncs:(sync-while-running|sync-window-closed)|removals:sync-while-being-deleted", "wait"),
    (r"syncs:(absent-application|wrong-project)", "operator"),
    (r"removals:create-while-being-deleted|applications:(create-.*|namespace-invalid)", "conflict|done"),
    (r".*:(get-absent|get-with-other-project|gone|gone-at-last|cluster-back.*|after-delete.*).*", "absent"),
    (r".*:(delete-absent|terminate-.*)", "done|wait"),
    (r".*delete.*", "done|wait|absent"),
)


def expected(call: Recorded) -> str:
    found = next((wanted for name, wanted in EXPECTED if re.fullmatch(name, call.name)), None)
    return found or ("done" if call.answer.status == 200 else "nothing is declared")


OURS = [pytest.param(call, id=call.name) for call in ALL if calls_of(call)]


@pytest.mark.parametrize("call", OURS)
def test_each_recorded_answer_leads_to_what_is_declared(call: Recorded) -> None:
    make = calls_of(call)
    assert make is not None

    assert outcome(connection_to(call), make) in expected(call).split("|")


def test_most_of_what_was_recorded_is_a_call_of_our_client() -> None:
    assert len(OURS) > 200


ENDS = {
    "clusters:cluster-unreachable-after-sync": ("errored", Cause.UNREACHABLE, "the cluster"),
    "projects:blacklisted-namespace-ended": ("failed", Cause.PROJECT, ""),
    "projects:fenced-chart-that-reaches-outside-ended": ("failed", Cause.PROJECT, ""),
    "takeover:fail-on-shared-ended": ("failed", Cause.SHARED, ""),
    "syncs:ended-invalid": ("failed", Cause.UNKNOWN, ""),
    "syncs:terminated": ("failed", Cause.UNKNOWN, ""),
}


@pytest.mark.parametrize("name", ENDS)
def test_each_recorded_end_of_a_sync_says_whose_it_is(name: str) -> None:
    app = read(answer_of(name), Object)
    info = (app.status.operationState.operation.info or [])[0]

    status = read_status(app, info.value)

    assert status.failure is not None
    assert (status.phase, status.failure.cause, status.failure.place) == ENDS[name]


def answer_of(name: str) -> Any:
    return next(call.answer.body for call in ALL if call.name == name)


def test_a_chart_that_rendered_nothing_is_seen() -> None:
    assert read_status(read(answer_of("syncs:empty-chart-ended"), Object), "op-1").is_empty
    assert not read_status(read(answer_of("takeover:taken-synced"), Object), "op-1").is_empty


def test_an_application_that_was_just_created_has_not_been_compared() -> None:
    app = read(answer_of("takeover:create-in-a-taken-namespace"), Object)

    assert (app.is_compared, app.has_applied) == (False, False)


def test_somebody_elses_service_is_found_before_the_first_sync() -> None:
    names = ("takeover:taken-before-sync", "takeover:taken-managed-resources")
    shown = {call.path: call.answer for call in ALL if call.name in names}
    client = ArgoCD(Scripted("Argo CD", lambda request: shown[f"/{request.path}"]))

    with pytest.raises(Conflict, match="Service traefik in the namespace traefik"):
        client.syncs.start("traefik", project="dev", marker="slipway:1", operation_id="op", on_create=nothing)


def test_every_recorded_object_has_the_shape_that_we_read() -> None:
    for call in ALL:
        body = call.answer.body
        if call.answer.status != 200 or call.method != "GET" or not isinstance(body, dict):
            continue
        match call.segments:
            case ["applications"]:
                read(body, Objects)
            case ["applications", _]:
                read(body, Object)
            case ["repositories"]:
                read(body, Registrations)


def test_a_templates_service_is_seen_in_the_list() -> None:
    rows = {row.repo: row.inheritedCreds for row in read(answer_of("rotation:list-with-template"), Registrations).items}

    assert rows["http://git.example.com/deploy.git"]
    assert not rows["http://git.example.com/good.git"]

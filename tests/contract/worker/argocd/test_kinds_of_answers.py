"""What the Argo CD client makes of each kind of answer: try again, wait, whose fault, not found.

The texts are Argo CD's own for a situation, shortened, with other names.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.scripted import Answer, Request, Script, Scripted

from common.errors import ActionBy, Conflict, NotYet, Permanent, Refused, StepError, Transient
from worker.upstreams.argocd.causes import Cause, read_failure
from worker.upstreams.argocd.client import MARKER, ArgoCD, Credentials
from worker.upstreams.argocd.ownership import TRACKING_ID
from worker.upstreams.argocd.standing import NO_SUCH_NAME, standing
from worker.upstreams.standing import Good, Held, Missing, Standing

USER, OPERATOR = ActionBy.USER, ActionBy.OPERATOR
LOOK = "api/v1/applications/shop"
METADATA = {"name": "shop", "uid": "u-1", "annotations": {MARKER: "app-1"}}
COMPARED = {"reconciledAt": "2026-01-01T00:00:00Z", "sync": {"status": "OutOfSync"}}
REFUSED = "connection refused"
READER = Credentials(username="reader", password="c4nary")
RESOLVING = "error resolving repo revision: "
GIT = "rpc error: code = Unknown desc = failed to list refs: "
SPEC = "application spec for shop is invalid: InvalidSpecError: "
TESTED = f"{SPEC}repository not accessible: repositories not accessible: error testing repository connectivity: "
RENDERED = f"{SPEC}Unable to generate manifests in .: rpc error: code = Unknown desc = "
HELM = "`helm template . --name-template shop <api versions removed> --include-crds` failed exit status 1: Error: "
FORBIDDEN = 'forbidden: User "system:serviceaccount:argocd:controller"'
LIVE = "ComparisonError: Failed to load live state: failed to get cluster info for "


def denied(text: str = "permission denied") -> Answer:
    return refused(403, 7, text)


def absent() -> Answer:
    return refused(404, 5, 'applications.argoproj.io "x" not found')


def refused(status: int, code: int, text: str) -> Answer:
    return Answer(status, {"error": text, "code": code, "message": text})


def application(*, synced: bool = True, **status: Any) -> Answer:
    state = {"operationState": {"phase": "Succeeded", "finishedAt": "2026-01-01T00:00:00Z"}} if synced else {}
    return Answer(200, {"metadata": METADATA, "spec": {"project": "dev"}, "status": state | status})


def argocd(script: Script) -> tuple[ArgoCD, Scripted]:
    http = Scripted("Argo CD", script)
    return ArgoCD(http), http


def sync_answered(answer: Answer) -> ArgoCD:
    """Return a client whose application is there, and whose sync is answered so."""
    return argocd(lambda request: answer if request.method == "POST" else application())[0]


def start(client: ArgoCD) -> None:
    client.syncs.start("shop", project="dev", marker="app-1", operation_id="job-1", on_create=lambda: None)


# -- whose fault ------------------------------------------------------------------------------------------------------

TEXTS = [
    (9, f"{RESOLVING}{GIT}authentication required: HTTP Basic: Access denied.", Permanent, OPERATOR),
    (9, f"{RESOLVING}{GIT}repository not found: not there", Permanent, OPERATOR),
    (9, f"{RESOLVING}{GIT}authorization failed: no", Permanent, OPERATOR),
    (3, f"{TESTED}x509: certificate signed by unknown authority", Permanent, OPERATOR),
    (9, f'{RESOLVING}{GIT}unexpected requesting "http://git/x" status code: 503', Transient, None),
    (3, f'{TESTED}unexpected requesting "http://git/x" status code: 500', Transient, None),
    (3, f'{TESTED}unexpected requesting "http://git/x" status code: 502', Transient, None),
    (3, f'{TESTED}unexpected requesting "http://git/x" status code: 429', Transient, None),
    (3, f"{TESTED}fatal: unable to access 'http://git/x': The requested URL returned error: 504", Transient, None),
    (9, f'{RESOLVING}{GIT}Get "http://git/x": context deadline exceeded', Transient, None),
    (9, f"{RESOLVING}unable to resolve 'no-such' to a commit SHA", Permanent, USER),
    (3, f"{RENDERED}unable to resolve 'i/o timeout' to a commit SHA", Permanent, USER),
    (3, f"{RENDERED}failed running helm: {HELM}shop/templates/cm.yaml:3:27: nil pointer", Permanent, USER),
    (3, f"{RENDERED}failed running helm: {HELM}execution error: connection refused, says the chart", Permanent, USER),
    (3, f"{RENDERED}failed running helm: `helm template .` failed timeout after 1m30s", Transient, None),
    (3, f"{RENDERED}chart: app path does not exist", Permanent, USER),
    (3, f"{RENDERED}error reading helm chart from <path>/Chart.yaml: no such file or directory", Permanent, USER),
    (3, 'app is not allowed in project "dev", or the project does not exist', Permanent, OPERATOR),
    (3, f"{SPEC}'c' and 'shop' do not match any of the allowed destinations", Permanent, OPERATOR),
    (3, "destination spec for shop is invalid: there are no clusters with this name", Permanent, OPERATOR),
    (3, "application 'shop' in namespace 'teams' is not allowed to use project dev", Permanent, OPERATOR),
    (9, "another operation is already in progress", NotYet, None),
    (9, "application is deleting", NotYet, None),
]  # fmt: skip


FETCHED = f"{RENDERED}failed to initialize repository resources: Failed to fetch default: `git fetch origin` failed "
TEXTS += [  # git's own command, which Argo CD runs for a chart after it has listed the refs
    (3, f"{FETCHED}exit status 128: fatal: unable to access 'https://g/x': Could not resolve host: g", Transient, None),
    (3, f"{FETCHED}exit status 128: fatal: Failed to connect to g port 443 after 3 ms", Transient, None),
    (3, f"{FETCHED}exit status 128: fatal: the remote end hung up unexpectedly", Transient, None),
    (3, f"{FETCHED}exit status 128: fatal: could not read Username for 'https://g'", Permanent, OPERATOR),
    (3, f"{FETCHED}exit status 128: fatal: repository 'https://g/x.git/' not found", Permanent, OPERATOR),
    (3, f"{FETCHED}exit status 128: fatal: SSL certificate problem: unable to get issuer", Permanent, OPERATOR),
    (3, f"{FETCHED}exit status 128: fatal: remote error: upload-pack: not our ref 1234567890", Permanent, USER),
    (3, f"{RENDERED}`git checkout --force 12` failed exit status 128: unable to read tree (12)", Permanent, USER),
    (3, f"{RENDERED}`helm dependency build` failed exit status 1: x509: unknown authority", Permanent, USER),
    (3, f"{RENDERED}`helm dependency build` failed exit status 1: 503 Service Unavailable", Transient, None),
]


@pytest.mark.parametrize(("code", "text", "error", "by"), TEXTS, ids=[text[-50:] for _, text, _, _ in TEXTS])
def test_a_refusal_is_read_by_its_text(code: int, text: str, error: type[StepError], by: ActionBy | None) -> None:
    with pytest.raises(error) as raised:
        start(sync_answered(refused(400, code, text)))

    assert getattr(raised.value, "action_by", None) is by
    assert raised.value.upstream == "Argo CD"


AWAY = [
    (500, 2, f'error getting k8s server version: Get "https://c/version": {REFUSED}', "the cluster", False),
    (500, 2, f'failed to get API resources: Get "https://c/api/v1": connect: {REFUSED}', "the cluster", False),
    (400, 3, f'{TESTED}Get "http://git/info/refs": connect: {REFUSED}', "git", False),
    (400, 9, 'code = Unavailable desc = connection error: desc = "transport: Error"', "its repo server", True),
    (500, 2, "application refresh deadline exceeded", "its application controller", True),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "text", "place", "is_outage"), AWAY, ids=[each[3] for each in AWAY])
def test_what_cannot_be_reached_is_named(status: int, code: int, text: str, place: str, is_outage: bool) -> None:
    with pytest.raises(Transient, match=f"cannot reach {place} ") as raised:
        start(sync_answered(refused(status, code, text)))

    assert raised.value.is_unavailable is is_outage


REFUSALS = [
    ('failed to get server version: Get "https://c/version": tls: x509: certificate signed by unknown', "the cluster"),
    ("cluster info: the server has asked for the client to provide credentials", "the cluster"),
    (f"{RESOLVING}{GIT}tls: failed to verify certificate: x509: certificate has expired", "git"),
]


@pytest.mark.parametrize(("text", "place"), REFUSALS, ids=[text[-30:] for text, _ in REFUSALS])
def test_what_refuses_argo_cd_is_named(text: str, place: str) -> None:
    with pytest.raises(Permanent, match=f"{place} refuses Argo CD ") as raised:
        start(sync_answered(refused(400, 3, text)))

    assert raised.value.action_by is OPERATOR


def test_helms_own_words_are_shown_whole() -> None:
    chain = (
        RENDERED + "x " * 200 + f"failed running helm: {HELM}cm.yaml:3:27 at <.Values.missing.name>: nil pointer\n\n"
    )

    with pytest.raises(Permanent, match=r"cm\.yaml:3:27 at '\.Values\.missing\.name': nil pointer$"):
        start(sync_answered(refused(400, 3, chain + "Use --debug flag to render out invalid YAML")))


# -- a 403 without a word ---------------------------------------------------------------------------------------------

KNOWN = {
    "api/version": Answer(200, {"Version": "v3.5.1"}),
    "api/v1/session/userinfo": Answer(200, {"loggedIn": True, "username": "slipway"}),
    "api/v1/projects": Answer(200, {"items": None}),
}


def denying(*, can: bool, probe: Answer, text: str = "permission denied") -> Script:
    """Return a script that denies the application; `probe` is the answer to a look for one that cannot exist."""

    def script(request: Request) -> Answer:
        if "/can-i/" in request.path:
            return Answer(200, {"value": "yes" if can else "no"})
        if request.path.endswith(NO_SUCH_NAME):
            return probe
        return KNOWN.get(request.path, denied(text))

    return script


def standing_after(script: Script, call: Callable[[ArgoCD], object]) -> tuple[Refused, Standing, Scripted]:
    client, http = argocd(script)
    with pytest.raises(Refused) as raised:
        call(client)
    return raised.value, standing(http, raised.value), http


def look(client: ArgoCD) -> object:
    return client.applications.find("shop", "dev")


def test_a_missing_right_is_named() -> None:
    refusal, found, http = standing_after(denying(can=False, probe=denied()), look)

    assert found == Missing(right="the right to get applications (dev/shop)")
    assert refusal.action_by is OPERATOR
    assert "GET api/v1/account/can-i/applications/get/dev/shop" in http.sent()


def test_an_argo_cd_that_cannot_look_refuses_everybody() -> None:
    _, found, http = standing_after(denying(can=True, probe=denied()), look)

    assert isinstance(found, Held)
    assert "Kubernetes API" in found.cause
    assert http.requests[-1].params == {"project": "dev"}


def test_one_application_that_is_denied_is_hidden() -> None:
    refusal, found, _ = standing_after(denying(can=True, probe=absent()), look)

    assert found == Good()
    assert "it is absent, or our token may not see it" in refusal.reason


@pytest.mark.parametrize("answer", [refused(503, 14, "connection error"), Answer(502, "<html>")])
def test_a_question_that_is_not_answered_is_tried_again(answer: Answer) -> None:
    script = denying(can=True, probe=denied())

    with pytest.raises(Transient):
        standing_after(lambda request: answer if "/can-i/" in request.path else script(request), look)


WAYS = {
    "look": look,
    "sync": start,
    "parameters": lambda client: client.applications.set_helm_parameters(
        "shop", project="dev", marker="app-1", parameters={"image.tag": "2"}
    ),
    "remove": lambda client: client.applications.remove("shop", project="dev", marker="app-1"),
    "terminate": lambda client: client.syncs.terminate("shop", project="dev"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_denied_call_about_an_application_says_what_shows_its_cause(way: str) -> None:
    """The look before succeeds where there is one: Kubernetes goes away in between."""
    away = denying(can=True, probe=denied())

    def script(request: Request) -> Answer:
        is_look = request.method == "GET" and request.path == LOOK
        return application() if is_look and way != "look" else away(request)

    _, found, _ = standing_after(script, WAYS[way])

    assert isinstance(found, Held)


@pytest.mark.parametrize(("can", "expected"), [(False, Missing), (True, Good)])
def test_a_denial_with_its_reason_names_the_right(can: bool, expected: type[Standing]) -> None:
    text = "permission denied: applications, get, dev/shop, sub: slipway, iat: 2026-01-01T00:00:00Z"

    refusal, found, _ = standing_after(denying(can=can, probe=denied(), text=text), look)

    assert isinstance(found, expected)
    assert "lacks a permission" in refusal.reason


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("repositories, create, https://git/a/b.git, sub: x", "repositories/create/https://git/a/b.git"),
        ("projects, get, dev", "projects/get/dev"),
    ],
)
def test_a_right_is_asked_for_as_the_denial_spells_it(text: str, asked: str) -> None:
    script = denying(can=False, probe=denied(), text=f"permission denied: {text}")

    _, _, http = standing_after(script, lambda client: client.templates.renew("https://git/a/", READER))

    assert f"GET api/v1/account/can-i/{asked}" in http.sent()


WITHOUT_KUBERNETES = refused(500, 2, f'Post "https://k/api/v1/namespaces/argocd/secrets": {REFUSED}')


@pytest.mark.parametrize(
    ("projects", "expected"),
    [
        (refused(500, 2, 'Get "https://k/apis/argoproj.io/v1alpha1/appprojects": i/o timeout'), Held),
        (Answer(200, {"items": None}), Held),  # it shows nothing: Argo CD's own word stands
        (Answer(200, {"items": [{"metadata": {"name": "dev"}}]}), Good),  # it is back
    ],
)
def test_a_500_about_its_kubernetes_api_refuses_everybody_until_it_is_back(
    projects: Answer, expected: type[Standing]
) -> None:
    def script(request: Request) -> Answer:
        if request.method == "POST":
            return WITHOUT_KUBERNETES
        if request.path.startswith("api/v1/projects"):
            return projects
        return KNOWN.get(request.path, Answer(200, {}))

    refusal, found, _ = standing_after(script, lambda client: client.templates.renew("https://git/a/", READER))

    assert isinstance(found, expected)
    assert "cannot reach its Kubernetes API" in refusal.reason


# -- a first sync -----------------------------------------------------------------------------------------------------


def object_of(live: str | None, target: str | None, *, kind: str = "Service") -> dict[str, Any]:
    """Return a managed resource whose states carry these tracking ids; live None: it does not exist."""

    def state(tracking: str | None) -> str:
        annotations = {TRACKING_ID: tracking} if tracking else {}
        labels = {"app.kubernetes.io/instance": "shop", "app.kubernetes.io/managed-by": "Helm"}
        return json.dumps({"metadata": {"annotations": annotations, "labels": labels}, "data": {"key": "c4nary"}})

    shown = "null" if live is None else state(live)
    return {"kind": kind, "namespace": "shop", "name": "web", "liveState": shown, "targetState": state(target)}


def first_sync(*objects: dict[str, Any], health: str = "Healthy", **status: Any) -> tuple[ArgoCD, Scripted]:
    resources = [{"kind": "Service", "name": "web", "health": {"status": health}}]

    def script(request: Request) -> Answer:
        if request.path.endswith("/managed-resources"):
            return Answer(200, {"items": list(objects)})
        return application(synced=False, **(COMPARED | {"resources": resources} | status))

    return argocd(script)


OURS = "shop:/Service:shop/web"
THEIRS = [
    pytest.param(object_of("", OURS), id="made by hand or by helm"),
    pytest.param(object_of("grafana:/Service:shop/web", OURS), id="of another application"),
    pytest.param(object_of("", ""), id="a release of helm, before 3.0: its label proves nothing"),
    pytest.param(object_of("shop:/Service:other/copied", OURS), id="copied with the annotations of ours"),
]


@pytest.mark.parametrize("theirs", THEIRS)
def test_a_first_sync_that_would_change_somebody_elses_object_is_refused(theirs: dict[str, Any]) -> None:
    client, http = first_sync(theirs)

    with pytest.raises(Conflict, match="Service web in the namespace shop") as raised:
        start(client)

    assert "c4nary" not in raised.value.reason
    assert raised.value.choices
    assert not [call for call in http.sent() if call.startswith("POST")]


@pytest.mark.parametrize(
    "ours",
    [
        pytest.param(object_of(None, OURS), id="not there"),
        pytest.param(object_of(OURS, OURS), id="left by an application of this name"),
        pytest.param(object_of(OURS, None), id="no longer in the chart"),
    ],
)
def test_a_first_sync_that_changes_only_our_own_begins(ours: dict[str, Any]) -> None:
    client, http = first_sync(ours)

    start(client)

    assert http.sent()[-1] == f"POST {LOOK}/sync"


def test_a_cluster_without_these_names_is_not_read() -> None:
    client, http = first_sync(health="Missing")

    start(client)

    assert http.sent() == [f"GET {LOOK}", f"GET {LOOK}", f"POST {LOOK}/sync"]
    assert http.requests[1].params == {"project": "dev", "refresh": "normal"}


def test_an_application_that_was_synced_is_not_compared_again() -> None:
    client, http = argocd(lambda _: application())

    start(client)

    assert http.sent() == [f"GET {LOOK}", f"POST {LOOK}/sync"]


BARREN = [
    pytest.param([], "Error", id="the cluster was away"),
    pytest.param([{"kind": "Service", "name": "web", "status": "SyncFailed"}], "Failed", id="not permitted"),
    pytest.param([{"kind": "Namespace", "name": "shop", "status": "Synced"}], "Failed", id="only the namespace"),
    pytest.param([{"kind": "Job", "status": "Synced", "hookType": "PreSync"}], "Failed", id="only a hook"),
]


def ended(results: list[dict[str, Any]], phase: str) -> dict[str, Any]:
    state = {"phase": phase, "finishedAt": "2026-01-01T00:00:00Z", "syncResult": {"resources": results}}
    return {"operationState": state}


@pytest.mark.parametrize(("results", "phase"), BARREN)
def test_a_sync_that_applied_nothing_is_not_the_first(results: list[dict[str, Any]], phase: str) -> None:
    client, http = first_sync(object_of("", OURS), **ended(results, phase))

    with pytest.raises(Conflict, match="Service web in the namespace shop"):
        start(client)
    with pytest.raises(NotYet):
        client.applications.remove("shop", project="dev", marker="app-1")

    assert [request.params["cascade"] for request in http.requests if request.method == "DELETE"] == ["false"]
    assert not [call for call in http.sent() if call.startswith("POST")]


def test_what_a_sync_applied_in_part_is_not_taken_for_somebody_elses() -> None:
    """Before 3.0 our own objects carry no tracking id either."""
    parts = [{"kind": "Service", "status": "Synced"}, {"kind": "Deployment", "status": "SyncFailed"}]
    client, http = first_sync(object_of("", ""), **ended(parts, "Failed"))

    start(client)

    assert http.sent()[-1] == f"POST {LOOK}/sync"


@pytest.mark.parametrize(
    ("status", "error", "by"),
    [
        ({"reconciledAt": None}, NotYet, None),
        ({"sync": {"status": ""}}, NotYet, None),
        ({"sync": {"status": "Unknown"}}, NotYet, None),
        (
            {
                "sync": {"status": "Unknown"},
                "conditions": [{"type": "ComparisonError", "message": RENDERED + HELM + "x"}],
            },
            Permanent,
            USER,
        ),
        (
            {
                "sync": {"status": "Unknown"},
                "conditions": [{"type": "ComparisonError", "message": GIT + "authentication required"}],
            },
            Permanent,
            OPERATOR,
        ),
        (
            {
                "sync": {"status": "Unknown"},
                "conditions": [{"type": "ComparisonError", "message": LIVE + "c: connection refused"}],
            },
            Transient,
            None,
        ),
    ],
)
def test_nothing_is_synced_before_it_was_compared(
    status: dict[str, Any], error: type[StepError], by: ActionBy | None
) -> None:
    client, http = first_sync(object_of("", OURS), **status)

    with pytest.raises(error) as raised:
        start(client)

    assert getattr(raised.value, "action_by", None) is by
    assert not [call for call in http.sent() if call.startswith("POST")]


@pytest.mark.parametrize(("theirs", "cascade"), [(object_of("", OURS), "false"), (object_of(OURS, OURS), "true")])
def test_the_removal_of_what_was_never_synced_leaves_somebody_elses(theirs: dict[str, Any], cascade: str) -> None:
    client, http = first_sync(theirs)

    with pytest.raises(NotYet):
        client.applications.remove("shop", project="dev", marker="app-1")

    (deletion,) = [request for request in http.requests if request.method == "DELETE"]
    assert deletion.params["cascade"] == cascade


@pytest.mark.parametrize("status", [{"reconciledAt": None, "sync": {"status": ""}}, {"sync": {"status": "Unknown"}}])
def test_the_removal_of_what_was_never_compared_touches_nothing_on_the_cluster(status: dict[str, Any]) -> None:
    """Before 3.0 Argo CD would delete what carries its label: a release of helm of the same name."""
    client, http = first_sync(**(status | {"resources": None}))

    with pytest.raises(NotYet):
        client.applications.remove("shop", project="dev", marker="app-1")

    (deletion,) = [request for request in http.requests if request.method == "DELETE"]
    assert deletion.params["cascade"] == "false"


# -- applications in a namespace of their own -------------------------------------------------------------------------


def test_applications_of_another_namespace_are_asked_for_there() -> None:
    _, found, http = standing_after(
        denying(can=True, probe=denied()), lambda client: look(client.in_namespace("team-apps"))
    )

    assert isinstance(found, Held)
    assert any(call.endswith("can-i/applications/get/dev/team-apps/shop") for call in http.sent())
    assert [request.params for request in http.requests if "/applications/" in request.path and request.params] == [
        {"project": "dev", "appNamespace": "team-apps"}
    ] * 2


# -- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("tasks are not valid: resource :Namespace is not permitted in project dev", Cause.PROJECT),
        ("namespace kube-system is not permitted in project 'dev'", Cause.PROJECT),
        ("Application referencing project dev which does not exist", Cause.PROJECT),
        ("Shared resource found: ConfigMap/cm is part of applications argocd/a and b", Cause.SHARED),
        ("one or more objects failed to apply, reason: Deployment.apps is invalid", Cause.UNKNOWN),
        ('repository not found for url "http://git/timeout.git" and project ""', Cause.UNKNOWN),
        ("Operation terminated", Cause.UNKNOWN),
    ],
)  # fmt: skip
def test_the_end_of_a_sync_is_read_by_its_text(text: str, cause: Cause) -> None:
    assert read_failure(text).cause is cause


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RENDERED + HELM + "no such function", "cannot render the chart while comparing shop"),
        (GIT + "authentication required", "git refuses Argo CD while comparing shop"),
        (
            LIVE.removeprefix("ComparisonError: ") + "c: connection refused",
            "cannot reach the cluster while comparing shop",
        ),
        ("something new", "Argo CD failed while comparing shop with git and the cluster: something new"),
    ],
)
def test_a_comparison_that_fails_says_with_what(text: str, said: str) -> None:
    conditions = [{"type": "OrphanedResourceWarning"}, {"type": "ComparisonError", "message": text}]
    client = argocd(lambda _request: application(conditions=conditions))[0]

    assert said in client.applications.comparison_error("shop", "dev")


NOT_PERMITTED = "resource :Namespace is not permitted in project dev"
ENDS = [  # the sync's message, one of its resources, whose fault
    (
        "one or more synchronization tasks are not valid",  # all that 2.14 says
        {"kind": "Namespace", "name": "shop", "status": "SyncFailed", "message": NOT_PERMITTED},
        Cause.PROJECT,
    ),
    (
        "one or more objects failed to apply",
        {"kind": "Namespace", "name": "shop", "status": "SyncFailed", "message": f"is {FORBIDDEN} cannot create"},
        Cause.REFUSED,
    ),
    (
        "one or more synchronization tasks completed unsuccessfully",
        {"kind": "Job", "name": "db", "status": "Synced", "hookPhase": "Failed", "message": "reached the limit"},
        Cause.UNKNOWN,
    ),
]


@pytest.mark.parametrize(("message", "resource", "cause"), ENDS, ids=[message for message, _, _ in ENDS])
def test_the_end_of_a_sync_is_read_by_its_resources_too(message: str, resource: dict[str, str], cause: Cause) -> None:
    operation = {"info": [{"name": "slipway-job", "value": "job-1"}]}
    state = {
        "phase": "Failed",
        "message": message,
        "finishedAt": "2026-01-01T00:00:00Z",
        "operation": operation,
        "syncResult": {"resources": [resource, {"kind": "Service", "name": "shop", "status": "Synced"}]},
    }
    client, _ = argocd(lambda _: application(operationState=state))

    status = client.syncs.get("shop", project="dev", operation_id="job-1")

    assert status.failure is not None
    assert (status.phase, status.failure.cause) == ("failed", cause)
    assert status.resources_messages == (f"{resource['kind']} {resource['name']}: {resource['message']}",)

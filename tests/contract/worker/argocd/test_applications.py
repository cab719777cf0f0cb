"""The Argo CD client creates each object once, changes nothing of others, and reads every reply correctly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from common.errors import ActionBy, Conflict, NotYet, Permanent, StepError, Transient
from harbour.argocd.app import ArgoCD as StandIn
from harbour.config import HarbourConfig
from harbour.faults import Fault
from harbour.gitlab.app import GitLab
from worker.upstreams.argocd.client import LIMITS, MARKER, Application, ArgoCD, Credentials, Repository, argocd_headers
from worker.upstreams.argocd.manifest import application, canonical_url, chart, corrected, holds, is_same_repository
from worker.upstreams.http import Http

PASSWORD = "glpat-canary"
CHART = "."
REPOSITORIES = "api/v1/repositories"
APPLICATIONS = "api/v1/applications"


class Intents:
    """An `on_create` that notes how many writes the stand-in had seen when it ran."""

    def __init__(self, service: StandIn) -> None:
        self._service = service
        self.after_writes: list[int] = []

    def __call__(self) -> None:
        self.after_writes.append(len(self._service.writes()))


class Down(Intents):
    def __call__(self) -> None:
        raise Transient("the ledger is down")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the tests ask for, and of whom."""

    argocd: ArgoCD
    repository_url: str
    parameters: Mapping[str, str]
    revision: str = "main"
    project: str = "dev"
    marker: str = "app-1"

    def ensure(self, what: str, intents: Callable[[], None] | None = None) -> Repository | Application:
        if what == "repository":
            return self.repository(intents)
        return self.application(intents)

    def repository(
        self, intents: Callable[[], None] | None = None, *, password: str = PASSWORD, is_new: bool = False
    ) -> Repository:
        return self.argocd.repositories.ensure(
            self.repository_url,
            credentials=Credentials(username="reader", password=password),
            is_new=is_new,
            on_create=intents or never,
        )

    def application(self, intents: Callable[[], None] | None = None, *, name: str = "shop") -> Application:
        return self.argocd.applications.ensure(
            name,
            project=self.project,
            repository_url=self.repository_url,
            path=CHART,
            revision=self.revision,
            release_name=name,
            helm_parameters=self.parameters,
            cluster=f"{self.project}-cluster",
            namespace=f"{self.project}-{name}",
            marker=self.marker,
            on_create=intents or never,
        )


def never() -> None:
    raise AssertionError("nothing was to be created")


def harbour_config(root: Path) -> HarbourConfig:
    return HarbourConfig(
        root=root,
        gitlab_token="t",
        gitlab_user="reader",
        gitlab_read_token=PASSWORD,
        jenkins_user="provisioner",
        jenkins_token="t",
        argocd_token="argo-token",
        elasticsearch_user="elastic",
        elasticsearch_password="t",
    )


@pytest.fixture(scope="module")
def repository_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a chart in a real repository; nobody here writes to it."""
    gitlab = GitLab(harbour_config(tmp_path_factory.mktemp("gitlab")))
    url = gitlab.start()
    yield f"{url}/templates/Helm_Template.git"
    gitlab.stop()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[StandIn]:
    service = StandIn(harbour_config(tmp_path))
    service.start()
    yield service
    service.stop()


@pytest.fixture
def intents(service: StandIn) -> Intents:
    return Intents(service)


@pytest.fixture
def http(service: StandIn) -> Http:
    return Http("Argo CD", service.url, headers=argocd_headers("Bearer argo-token"), limits=LIMITS)


@pytest.fixture
def wanted(http: Http, repository_url: str) -> Wanted:
    return Wanted(argocd=ArgoCD(http), repository_url=repository_url, parameters={"image.tag": "1"})


@pytest.fixture
def registered(wanted: Wanted) -> Wanted:
    """Return the same once its repository is registered: no application without."""
    wanted.repository(lambda: None)
    return wanted


def prepared(wanted: Wanted, what: str) -> Wanted:
    if what == "application":
        wanted.repository(lambda: None)
    return wanted


def writes_to(service: StandIn, path: str) -> list[str]:
    return [call.method for call in service.writes() if path in call.path]


def failure(code: int, message: str) -> str:
    return json.dumps({"error": message, "code": code, "message": message})


def stored(http: Http, name: str = "shop", project: str = "dev") -> Any:
    """Return the application as Argo CD has it."""
    return http.send("GET", "api", "v1", "applications", name, params={"project": project}).json()


# -- what holds for both ----------------------------------------------------------------------------------------------

BOTH = pytest.mark.parametrize(("what", "path"), [("repository", REPOSITORIES), ("application", APPLICATIONS)])


@BOTH
def test_twice_is_one_write(wanted: Wanted, service: StandIn, intents: Intents, what: str, path: str) -> None:
    prepared(wanted, what)
    before = len(service.writes())

    first = wanted.ensure(what, intents)
    second = wanted.ensure(what)

    assert (first.found, second.found) == (False, True)
    assert replace(second, found=False) == first
    assert writes_to(service, path) == ["POST"]
    assert intents.after_writes == [before]


@BOTH
@pytest.mark.parametrize("kind", ["lost", "truncate"])
def test_a_lost_reply_is_unknown_and_converges(
    wanted: Wanted, service: StandIn, intents: Intents, what: str, path: str, kind: str
) -> None:
    prepared(wanted, what)
    service.inject(Fault(kind=kind, method="POST", path=path, times=1))

    with pytest.raises(Transient):
        wanted.ensure(what, intents)
    again = wanted.ensure(what)

    assert again.found
    assert writes_to(service, path) == ["POST"]
    assert len(intents.after_writes) == 1


@BOTH
def test_a_request_that_never_arrived_is_made_again(
    wanted: Wanted, service: StandIn, intents: Intents, what: str, path: str
) -> None:
    prepared(wanted, what)
    service.inject(Fault(kind="reset", method="POST", path=path, times=1))

    with pytest.raises(Transient):
        wanted.ensure(what, intents)
    again = wanted.ensure(what, intents)

    assert not again.found
    assert len(intents.after_writes) == 2


@pytest.mark.parametrize("what", ["repository", "application"])
def test_nothing_is_created_when_the_intent_cannot_be_written(wanted: Wanted, service: StandIn, what: str) -> None:
    prepared(wanted, what)
    before = service.snapshot()

    with pytest.raises(Transient, match="ledger"):
        wanted.ensure(what, Down(service))

    assert service.snapshot() == before


RBAC = "permission denied: applications, create, dev/shop, sub: slipway, iat: 2026-01-01T00:00:00Z"
GIT = "error testing repository connectivity: "
ANSWERS = [
    (401, failure(16, "invalid session: token is revoked, please re-login"), Permanent, "token"),
    (403, failure(7, "permission denied"), Permanent, "absent, or our token may not see it"),
    (403, failure(7, RBAC), Permanent, "applications, create, dev/shop"),
    (403, failure(7, "cannot sync: blocked by sync window"), NotYet, "sync window"),
    (400, failure(9, "another operation is already in progress"), NotYet, "busy"),
    (400, failure(9, "application is deleting"), NotYet, "busy"),
    (400, failure(9, "unable to resolve revision"), Permanent, "unable to resolve"),
    (400, failure(3, "app is not allowed in project"), Permanent, "not allowed in project"),
    (400, failure(3, "repository not accessible: authentication required"), Permanent, "git refuses"),
    (400, failure(3, "repository not accessible: dial tcp: i/o timeout"), Transient, "cannot reach git"),
    (500, failure(2, GIT + "authentication required: HTTP Basic: Access denied"), Permanent, "git refuses"),
    (500, failure(2, GIT + "authorization failed"), Permanent, "git refuses"),
    (500, failure(2, GIT + "Repository not found."), Permanent, "git refuses"),
    (500, failure(2, GIT + "x509: certificate signed by unknown authority"), Permanent, "git refuses"),
    (500, failure(2, GIT + "dial tcp: lookup git: no such host"), Transient, "cannot reach git"),
    (500, failure(2, GIT + "connect: connection refused"), Transient, "cannot reach git"),
    (500, failure(2, GIT + "context deadline exceeded"), Transient, "cannot reach git"),
    (500, failure(2, "something else"), Transient, "something else"),
    (503, failure(14, "connection error: connect: connection refused"), Transient, ""),
    (504, failure(4, "timeout"), Transient, ""),
    (409, failure(10, "the object has been modified"), Transient, "another change"),
    (415, "Invalid content type", Permanent, "415"),
    (307, "", Permanent, "ARGO_URL"),
    (502, "<html>Bad Gateway</html>", Transient, "502"),
    (429, failure(8, "too many requests"), Transient, ""),
    (404, "404 page not found", Permanent, ""),
]


@BOTH
@pytest.mark.parametrize(("status", "body", "error", "says"), ANSWERS)
def test_each_answer_to_a_creation_ends_as_declared(
    wanted: Wanted,
    service: StandIn,
    intents: Intents,
    what: str,
    path: str,
    status: int,
    body: str,
    error: type[StepError],
    says: str,
) -> None:
    service.inject(Fault(kind="status", method="POST", path=path, status=status, body=body))

    with pytest.raises(error) as raised:
        wanted.ensure(what, intents)

    assert says in raised.value.reason
    assert raised.value.upstream == "Argo CD"
    assert getattr(raised.value, "action_by", ActionBy.OPERATOR) is ActionBy.OPERATOR


@BOTH
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, failure(16, "no session information"), Permanent),
        (403, failure(7, RBAC), Permanent),
        (500, failure(2, "boom"), Transient),
        (503, "", Transient),
        (200, "<html>a proxy</html>", Transient),
        (200, '{"items": "none"}', Transient),
    ],
)
def test_each_answer_to_a_look_ends_as_declared(
    wanted: Wanted, service: StandIn, what: str, path: str, status: int, body: str, error: type[StepError]
) -> None:
    service.inject(Fault(kind="status", method="GET", path=path, status=status, body=body))

    with pytest.raises(error):
        wanted.ensure(what)

    assert service.writes() == []


def test_a_wrong_token_stops_at_the_first_look(wanted: Wanted, service: StandIn) -> None:
    http = Http("Argo CD", service.url, headers=argocd_headers("wrong"))

    with pytest.raises(Permanent, match="token"):
        replace(wanted, argocd=ArgoCD(http)).repository()


@pytest.mark.parametrize("token", ["abc", "Bearer abc", "bearer  abc", " abc "])
def test_a_token_may_come_with_its_word(token: str) -> None:
    headers = argocd_headers(token)

    assert headers["Authorization"] == "Bearer abc"
    assert headers["Content-Type"] == "application/json"


# -- repositories -----------------------------------------------------------------------------------------------------


def test_another_spelling_is_the_same_repository(registered: Wanted, service: StandIn) -> None:
    spelled = registered.repository_url.removesuffix(".git") + "/"

    again = replace(registered, repository_url=spelled).repository()

    assert again == Repository(url=registered.repository_url, found=True)
    assert writes_to(service, REPOSITORIES) == ["POST"]


def test_the_same_repository_in_a_project_is_another_one(registered: Wanted, intents: Intents) -> None:
    scoped = registered.argocd.repositories.ensure(
        registered.repository_url, credentials=None, project="dev", on_create=intents
    )

    assert not scoped.found


def test_wrong_credentials_are_the_operators_to_mend(wanted: Wanted, service: StandIn, intents: Intents) -> None:
    with pytest.raises(Permanent, match="git refuses") as raised:
        wanted.repository(intents, password="wrong-canary")

    assert raised.value.action_by is ActionBy.OPERATOR
    assert "canary" not in raised.value.reason
    assert service.repositories == {}


def test_an_echoed_password_is_scrubbed(wanted: Wanted, service: StandIn, intents: Intents) -> None:
    message = f"{GIT}authentication required for https://reader:{PASSWORD}@git"
    service.inject(Fault(kind="status", method="POST", path=REPOSITORIES, status=500, body=failure(2, message)))

    with pytest.raises(Permanent) as raised:
        wanted.repository(intents)

    assert "canary" not in raised.value.reason


def test_a_git_that_is_down_is_tried_again(wanted: Wanted, intents: Intents) -> None:
    with pytest.raises(Transient):
        replace(wanted, repository_url="http://127.0.0.1:1/gone.git").repository(intents)


def test_somebody_faster_with_other_settings_is_found(wanted: Wanted, http: Http, service: StandIn) -> None:
    credentials = {"username": "reader", "password": PASSWORD}
    body = {"repo": wanted.repository_url, "type": "git", "insecure": True, **credentials}

    class Faster(Intents):
        def __call__(self) -> None:
            http.send("POST", "api", "v1", "repositories", json=body)

    again = wanted.repository(Faster(service))

    assert again.found


def test_a_repository_that_we_may_not_see_is_a_conflict(wanted: Wanted, service: StandIn, intents: Intents) -> None:
    message = "existing repository spec is different; use upsert flag to force update"
    service.inject(Fault(kind="status", method="POST", path=REPOSITORIES, status=400, body=failure(3, message)))

    with pytest.raises(Conflict) as raised:
        wanted.repository(intents)

    assert raised.value.choices


# -- applications -----------------------------------------------------------------------------------------------------


def test_an_application_is_what_was_asked_for(registered: Wanted, http: Http, intents: Intents) -> None:
    made = registered.application(intents)

    shown = stored(http)
    assert made == Application(name="shop", uid=shown["metadata"]["uid"], found=False)
    assert shown["metadata"]["annotations"][MARKER] == "app-1"
    assert shown["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "slipway"
    assert shown["metadata"]["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]
    assert shown["spec"]["destination"] == {"name": "dev-cluster", "namespace": "dev-shop"}
    assert "automated" not in shown["spec"]["syncPolicy"]


def test_a_drifted_application_is_put_back(registered: Wanted, http: Http, service: StandIn, intents: Intents) -> None:
    replace(registered, parameters={"image.tag": "2", "stray": "x"}).application(intents)

    again = registered.application()

    rows = stored(http)["spec"]["source"]["helm"]["parameters"]
    assert again.found
    assert rows == [{"name": "image.tag", "value": "1", "forceString": True}]
    assert writes_to(service, APPLICATIONS) == ["POST", "PUT"]


@pytest.mark.parametrize("value", ["1,service.type=LoadBalancer", "{{ .Values }}", "a\nb", "--set", "true", "1e3", ""])
def test_a_parameter_is_the_string_that_it_was(
    registered: Wanted, http: Http, service: StandIn, intents: Intents, value: str
) -> None:
    odd = replace(registered, parameters={"image.tag": value})

    odd.application(intents)
    odd.application()

    row = stored(http)["spec"]["source"]["helm"]["parameters"][0]
    assert (row.get("value", ""), row["forceString"]) == (value, True)
    assert writes_to(service, APPLICATIONS) == ["POST"]


def test_another_apps_application_is_a_conflict_and_unchanged(
    registered: Wanted, service: StandIn, intents: Intents
) -> None:
    replace(registered, marker="app-10").application(intents)
    before = service.snapshot()

    with pytest.raises(Conflict) as raised:
        registered.application()

    assert raised.value.choices
    assert service.snapshot() == before


def test_an_application_without_marker_is_a_conflict(registered: Wanted, service: StandIn) -> None:
    shown = json.dumps({"metadata": {"name": "shop", "uid": "u"}, "spec": {"project": "dev"}})
    service.inject(Fault(kind="status", method="GET", path="applications/shop", status=200, body=shown))

    with pytest.raises(Conflict):
        registered.application()


def test_the_name_in_another_project_is_a_conflict_and_unchanged(
    registered: Wanted, service: StandIn, intents: Intents
) -> None:
    replace(registered, project="ops").application(intents)
    before = service.snapshot()

    with pytest.raises(Conflict, match="another project"):
        registered.application()

    assert service.snapshot() == before


def test_somebody_faster_is_a_conflict_and_unchanged(registered: Wanted, service: StandIn) -> None:
    theirs = replace(registered, marker="app-2")

    class Faster(Intents):
        def __call__(self) -> None:
            theirs.application(Intents(service))

    with pytest.raises(Conflict):
        registered.application(Faster(service))

    assert theirs.application().found


def test_an_application_that_we_may_not_see_is_a_conflict(
    registered: Wanted, service: StandIn, intents: Intents
) -> None:
    message = "existing application spec is different, use upsert flag to force update"
    service.inject(Fault(kind="status", method="POST", path=APPLICATIONS, status=400, body=failure(3, message)))

    with pytest.raises(Conflict, match="cannot see"):
        registered.application(intents)


def test_an_application_that_is_being_deleted_is_waited_for(registered: Wanted, service: StandIn) -> None:
    metadata = {"name": "shop", "uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    shown = json.dumps({"metadata": metadata, "spec": {}})
    service.inject(Fault(kind="status", method="GET", path="applications/shop", status=200, body=shown))

    with pytest.raises(NotYet, match="being deleted"):
        registered.application()


def test_a_200_that_kept_half_is_not_believed(registered: Wanted, service: StandIn, intents: Intents) -> None:
    service.inject(Fault(kind="status", method="PUT", path="/spec", status=200, body='{"project": "dev"}'))
    metadata = {"name": "shop", "uid": "u", "annotations": {MARKER: "app-1"}}
    shown = json.dumps({"metadata": metadata, "spec": {"project": "dev"}})
    service.inject(Fault(kind="status", method="GET", path="applications/shop", status=200, body=shown))

    with pytest.raises(Permanent, match="did not keep"):
        registered.application(intents)


@pytest.mark.parametrize("name", ["", "Shop", "-shop", "shop-", "shop.dev", "a/b", "..", "x" * 54, "shop\n", "ä"])
def test_a_bad_name_is_refused_before_anything_is_sent(wanted: Wanted, service: StandIn, name: str) -> None:
    with pytest.raises(Permanent) as raised:
        wanted.application(name=name)

    assert raised.value.action_by is ActionBy.USER
    assert service.calls == []


# -- the description --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://GitLab.example/Grp/shop.git",
        "HTTPS://gitlab.example/Grp/shop",
        " https://gitlab.example/Grp/shop/ ",
        "https://gitlab.example/Grp/shop.git/",
    ],
)
def test_a_url_has_one_spelling(url: str) -> None:
    assert canonical_url(url) == "https://gitlab.example/Grp/shop.git"
    assert is_same_repository(url, "https://gitlab.example/grp/Shop")


SPEC = application(
    project="dev",
    source=chart("https://git/a.git", "chart", "main", "shop", {"b": "", "a": "1"}),
    cluster="c",
    namespace="dev-shop",
)


def test_defaults_and_omissions_are_no_difference() -> None:
    shown = json.loads(json.dumps(SPEC))
    shown["source"]["helm"]["parameters"][1].pop("value")
    shown["syncPolicy"]["automated"] = {"prune": True}

    assert holds(shown, SPEC)


@pytest.mark.parametrize(
    "shown", [None, {}, [], "x", {**SPEC, "source": "x"}, {**SPEC, "syncPolicy": {"syncOptions": 1}}]
)
def test_anything_else_is_a_difference(shown: Any) -> None:
    assert not holds(shown, SPEC)


def test_a_correction_keeps_what_is_not_ours() -> None:
    shown = {
        "ignoreDifferences": ["x"],
        "destination": {"server": "https://elsewhere"},
        "syncPolicy": {"retry": {"limit": 2}, "syncOptions": ["Replace=true"]},
    }

    mended = corrected(shown, SPEC)

    assert holds(mended, SPEC)
    assert mended["ignoreDifferences"] == ["x"]
    assert mended["destination"] == SPEC["destination"]
    assert mended["syncPolicy"]["retry"] == {"limit": 2}

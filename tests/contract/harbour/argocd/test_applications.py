"""Does the Argo CD stand-in lay the traps that Argo CD does, and does it really read git?"""

from __future__ import annotations

import base64
import functools
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from support.argocd import SERVICE

from harbour.argocd.app import ArgoCD
from harbour.config import HarbourConfig
from harbour.server import Fault, Service

PASSWORD = "glpat-canary"
SPEC: dict[str, Any] = {
    "project": "dev",
    "destination": {"name": "dev-cluster", "namespace": "dev-shop"},
    "syncPolicy": {"syncOptions": ["CreateNamespace=true"]},
}
APPLICATIONS = "/api/v1/applications"
REPOSITORIES = "/api/v1/repositories"
DIFFERENT = "existing application spec is different, use upsert flag to force update"


class Git(SimpleHTTPRequestHandler):
    """Serves bare repositories as plain files to whoever has the password; the paths asked for are kept."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        expected = base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") == f"Basic {expected}" or self.path.startswith("/public"):
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Keep quiet."""


class Clock:
    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Client:
    """Speaks HTTP to the stand-in with the right token and content type, unless told otherwise."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, path: str, body: Any = None, **params: Any) -> requests.Response:
        text = None if body is None else json.dumps(body)
        return requests.request(
            method, self.url + path, params=params, data=text, headers=self.headers, allow_redirects=False, timeout=20
        )

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.send("GET", path, **params)

    def create(self, repo: str, name: str = "shop", *, upsert: bool = False, **spec: Any) -> requests.Response:
        return self.send("POST", APPLICATIONS, application(repo, name, **spec), upsert=str(upsert).lower())

    def read(self, name: str = "shop") -> Any:
        return self.get(f"{APPLICATIONS}/{name}", project="dev").json()


def application(repo: str, name: str = "shop", *, source: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    read_from = {"repoURL": repo, "path": "chart", "targetRevision": "main"} | (source or {})
    metadata = {"name": name, "annotations": {"slipway": "1"}, "finalizers": ["resources-finalizer.argocd.argoproj.io"]}
    return {"metadata": metadata, "spec": SPEC | {"source": read_from} | spec}


def failure(reply: requests.Response) -> tuple[int, int, str]:
    """Return status, gRPC code and text of an error body."""
    body = reply.json()
    assert body["error"] == body["message"]
    return reply.status_code, body["code"], body["message"]


@pytest.fixture(scope="module")
def git_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the repositories `private.git` and `public.git`: a chart in `chart`, and `docs` without one."""
    root = tmp_path_factory.mktemp("git")
    work = root / "work"
    (work / "chart").mkdir(parents=True)
    (work / "docs").mkdir()
    (work / "chart" / "templates").mkdir()
    (work / "chart" / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 0.1.0\n")
    (work / "chart" / "templates" / "service.yaml").write_text(SERVICE)
    (work / "docs" / "README.md").write_text("nothing to deploy\n")
    author = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for arguments in (("init", "-q", "-b", "main"), ("add", "."), (*author, "commit", "-q", "-m", "one")):
        subprocess.run(["git", *arguments], cwd=work, check=True)
    for name in ("private.git", "public.git"):
        subprocess.run(["git", "clone", "-q", "--bare", str(work), str(root / name)], check=True)
        subprocess.run(["git", "update-server-info"], cwd=root / name, check=True)
    return root


@pytest.fixture
def git(git_root: Path) -> Iterator[tuple[str, list[str]]]:
    """Return the address of the git server and the list of what it was asked for."""
    asked: list[str] = []
    handler = type("Handler", (Git,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(git_root)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def private(git: tuple[str, list[str]]) -> str:
    return f"{git[0]}/private.git"


@pytest.fixture
def public(git: tuple[str, list[str]]) -> str:
    return f"{git[0]}/public.git"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def argocd(config: HarbourConfig, clock: Clock) -> Iterator[ArgoCD]:
    service = ArgoCD(config, now=clock)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def client(argocd: ArgoCD) -> Client:
    token = argocd.config.argocd_token
    return Client(argocd.url, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})


@pytest.fixture
def repository(private: str) -> dict[str, str]:
    return {"repo": private, "type": "git", "username": "reader", "password": PASSWORD}


# -- what holds for all calls -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        (None, "no session information"),
        ("Basic eA==", "no session information"),
        ("Bearer x", "no session information"),
        ("Bearer x.y.z", "invalid session: "),
    ],
)
def test_without_a_good_token_everything_is_a_401(client: Client, authorization: str | None, message: str) -> None:
    client.headers["Authorization"] = authorization  # type: ignore[assignment] # requests drops a header of None

    status, code, text = failure(client.get(REPOSITORIES))

    assert (status, code) == (401, 16)
    assert text.startswith(message)


def test_a_token_that_repeats_the_word_is_a_bad_one(client: Client) -> None:
    client.headers["Authorization"] = client.headers["Authorization"].replace("Bearer ", "Bearer Bearer ")

    assert client.get(REPOSITORIES).status_code == 401


def test_userinfo_and_version_answer_200_to_a_bad_token(client: Client) -> None:
    good = client.get("/api/v1/session/userinfo").json(), client.get("/api/version").json()
    client.headers["Authorization"] = "Bearer x"

    bad = client.get("/api/v1/session/userinfo"), client.get("/api/version")

    assert good[0] == {"loggedIn": True, "username": "provisioner", "iss": "argocd"}
    assert "HelmVersion" in good[1]
    assert [reply.status_code for reply in bad] == [200, 200]
    assert [reply.json() for reply in bad] == [{}, {"Version": "v3.5.1"}]


@pytest.mark.parametrize("content_type", [None, "application/json; charset=utf-8", "text/plain"])
@pytest.mark.parametrize(("method", "path"), [("POST", REPOSITORIES), ("DELETE", f"{APPLICATIONS}/x")])
def test_any_other_content_type_is_a_415(client: Client, method: str, path: str, content_type: str | None) -> None:
    client.headers["Content-Type"] = content_type  # type: ignore[assignment] # requests drops a header of None

    reply = client.send(method, path)

    assert (reply.status_code, reply.text) == (415, "Invalid content type\n")


def test_the_router_answers_in_plain_text(client: Client) -> None:
    unknown, wrong = client.get("/api/v1/nothing"), client.send("PUT", REPOSITORIES, {})

    assert (unknown.status_code, wrong.status_code) == (404, 405)
    assert unknown.headers["Content-Type"].startswith("text/plain")


def test_health_needs_no_token(client: Client) -> None:
    reply = requests.get(f"{client.url}/healthz", timeout=5)

    assert (reply.status_code, reply.text) == (200, "ok")


def test_each_team_has_a_cluster(client: Client) -> None:
    names = {item["name"] for item in client.get("/api/v1/clusters").json()["items"]}

    assert names >= {"dev-cluster", "ops-cluster"}


# -- repositories -----------------------------------------------------------------------------------------------------


def test_a_repository_is_tested_stored_and_shown_without_its_password(
    client: Client, git: tuple[str, list[str]], repository: dict[str, str]
) -> None:
    reply = client.send("POST", REPOSITORIES, repository)

    untested = {"status": "", "message": "", "attemptedAt": None}
    listed = client.get(REPOSITORIES)
    assert reply.status_code == 200
    assert reply.json() == {"repo": repository["repo"], "type": "git", "connectionState": untested}
    assert git[1][0] == "/private.git/info/refs?service=git-upload-pack"
    assert listed.json()["items"][0]["connectionState"]["status"] == "Successful"
    assert PASSWORD not in reply.text + listed.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"password": "wrong"}, "authentication required"),
        ({"username": "", "password": ""}, "authentication required"),
        ({"repo": "http://127.0.0.1:1/x.git"}, "dial tcp 127.0.0.1:1: connect: connection refused"),
        ({"repo": "/etc"}, "repository not found"),
        ({"repo": "--upload-pack=touch /tmp/x"}, "repository not found"),
        ({"repo": "ext::sh -c true"}, "repository not found"),
    ],
)
def test_a_repository_out_of_reach_is_a_500_and_not_stored(
    argocd: ArgoCD, client: Client, repository: dict[str, str], changes: dict[str, str], message: str
) -> None:
    before = argocd.snapshot()

    status, code, text = failure(client.send("POST", REPOSITORIES, repository | changes))

    assert (status, code) == (500, 2)
    doing = "error testing repository connectivity: unable to ls-remote HEAD on repository: failed to list refs: "
    assert text.startswith(doing)
    assert message in text
    assert PASSWORD not in text
    assert argocd.snapshot() == before


def test_a_connection_that_git_loses_is_no_unknown_error(client: Client) -> None:
    server = Service()
    url = server.start()
    server.inject(Fault(kind="reset"))

    text = failure(client.send("POST", REPOSITORIES, {"repo": f"{url}/public.git", "type": "git"}))[2]
    server.stop()

    assert "connection reset by peer" in text


def test_a_missing_repository_is_told_from_a_closed_one(client: Client, git: tuple[str, list[str]]) -> None:
    reply = client.send("POST", REPOSITORIES, {"repo": f"{git[0]}/public-none.git", "type": "git"})

    assert "repository not found" in failure(reply)[2]


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_repository_of_this_machine_is_not_read(client: Client, git_root: Path, prefix: str) -> None:
    reply = client.send("POST", REPOSITORIES, {"repo": f"{prefix}{git_root}/public.git", "type": "git"})

    assert failure(reply)[:2] == (500, 2)


def test_a_silent_git_server_is_given_up(argocd: ArgoCD, client: Client) -> None:
    argocd.git_timeout_s = 0.2
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.git"

        reply = client.send("POST", REPOSITORIES, {"repo": url, "type": "git"})

    assert failure(reply)[2].endswith("context deadline exceeded (Client.Timeout exceeded while awaiting headers)")


def test_a_projects_own_repository_is_stored_untested(client: Client, repository: dict[str, str]) -> None:
    reply = client.send("POST", REPOSITORIES, repository | {"password": "wrong", "project": "dev"})

    assert reply.status_code == 200
    shown = client.get(f"{REPOSITORIES}/{quote(repository['repo'], safe='')}", appProject="dev").json()
    assert shown["connectionState"]["status"] == "Failed"


def test_an_equal_repository_is_no_change_and_a_different_one_is_a_400(
    argocd: ArgoCD, client: Client, repository: dict[str, str]
) -> None:
    client.send("POST", REPOSITORIES, repository)
    before = argocd.snapshot()

    equal = client.send("POST", REPOSITORIES, repository | {"no_such_field": "x", "insecure": False})
    different = client.send("POST", REPOSITORIES, repository | {"insecure": True, "enableLfs": True})

    assert equal.status_code == 200
    status, code, text = failure(different)
    assert (status, code) == (400, 3)
    assert text.startswith("existing repository spec is different; use upsert flag to force update")
    assert text.endswith('difference in keys "EnableLfs,Insecure"')
    assert argocd.snapshot() == before


def test_without_a_type_the_same_body_is_different_the_second_time(client: Client, repository: dict[str, str]) -> None:
    del repository["type"]

    replies = [client.send("POST", REPOSITORIES, repository) for _ in range(2)]

    assert [reply.status_code for reply in replies] == [200, 400]
    assert "type" not in replies[0].json()
    assert failure(replies[1])[2].endswith('"Type"')


def test_an_upsert_that_changes_something_answers_the_password(client: Client, repository: dict[str, str]) -> None:
    client.send("POST", REPOSITORIES, repository)

    equal = client.send("POST", REPOSITORIES, repository, upsert="true")
    changed = client.send("POST", REPOSITORIES, repository | {"enableLfs": True}, upsert="true")

    assert "password" not in equal.json()
    assert changed.json()["password"] == PASSWORD


@pytest.mark.parametrize("spelling", [str.upper, lambda url: url.removesuffix(".git"), lambda url: f" {url} "])
def test_spellings_of_one_url_are_one_repository(client: Client, repository: dict[str, str], spelling: Any) -> None:
    client.send("POST", REPOSITORIES, repository)

    reply = client.get(f"{REPOSITORIES}/{quote(spelling(repository['repo']), safe='')}")

    assert reply.json()["repo"] == repository["repo"]


def test_a_missing_repository_is_a_403_and_so_is_one_with_a_slash(client: Client, repository: dict[str, str]) -> None:
    client.send("POST", REPOSITORIES, repository)
    path = f"{REPOSITORIES}/{quote(repository['repo'] + '/', safe='')}"

    replies = [client.get(path), client.send("DELETE", path)]

    assert [failure(reply) for reply in replies] == [(403, 7, "permission denied")] * 2


def test_deleting_a_repository_needs_its_project_when_there_are_two(client: Client, repository: dict[str, str]) -> None:
    for project in ("dev", "ops"):
        client.send("POST", REPOSITORIES, repository | {"project": project})
    path = f"{REPOSITORIES}/{quote(repository['repo'], safe='')}"

    vague, named = client.send("DELETE", path), client.send("DELETE", path, appProject="dev")

    assert failure(vague)[:2] == (500, 2)
    assert (named.status_code, named.json()) == (200, {})
    assert [item["project"] for item in client.get(REPOSITORIES).json()["items"]] == ["ops"]


def test_a_connection_is_remembered_for_an_hour(
    client: Client, clock: Clock, git: tuple[str, list[str]], repository: dict[str, str]
) -> None:
    client.send("POST", REPOSITORIES, repository)
    asked, counts = git[1], []

    for after_s, force in ((0, "false"), (3600, "false"), (1, "false"), (0, "true")):
        clock.at += after_s
        before = len(asked)
        client.get(REPOSITORIES, forceRefresh=force)
        counts.append(len(asked) > before)

    assert counts == [True, False, True, True]


def test_a_post_without_a_payload_is_a_400(client: Client) -> None:
    assert failure(client.send("POST", REPOSITORIES)) == (400, 3, "missing payload in request")


# -- making applications ----------------------------------------------------------------------------------------------


def test_a_new_application_gets_its_status_a_little_later(client: Client, clock: Clock, public: str) -> None:
    created = client.create(public).json()
    clock.at += 1

    status = client.read()["status"]

    assert created["status"]["health"] == {}
    assert created["status"]["sync"]["status"] == ""
    assert "reconciledAt" not in created["status"]
    assert (status["sync"]["status"], status["health"]["status"]) == ("OutOfSync", "Missing")
    assert len(status["sync"]["revision"]) == 40
    assert status["reconciledAt"].endswith("Z")


def test_a_private_repository_is_read_with_what_was_registered(
    client: Client, private: str, repository: dict[str, str]
) -> None:
    before = failure(client.create(private))
    client.send("POST", REPOSITORIES, repository)

    after = client.create(private)

    assert before[:2] == (400, 3)
    assert "InvalidSpecError: repository not accessible: repositories not accessible: &Repository{" in before[2]
    assert before[2].endswith("authentication required: HTTP Basic: Access denied.\n")
    assert after.status_code == 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"project": "none"}, 'app is not allowed in project "none", or the project does not exist'),
        ({"destination": {"name": "moon"}}, "there are no clusters with this name: moon"),
        ({"destination": {"server": "https://moon"}}, 'cluster "https://moon" not found'),
        (
            {"destination": {"name": "dev-cluster", "server": "https://dev-cluster.invalid:6443"}},
            "application destination can't have both name and server defined",
        ),
        ({"destination": {"name": "ops-cluster"}}, "do not match any of the allowed destinations in project 'dev'"),
        ({"source": {"targetRevision": "gone"}}, "unable to resolve 'gone' to a commit SHA"),
        ({"source": {"targetRevision": "--help"}}, "unable to resolve '--help' to a commit SHA"),
        ({"source": {"path": "none"}}, "Unable to generate manifests in none: "),
        ({"source": {"path": "docs", "helm": {"releaseName": "x"}}}, "Unable to generate manifests in docs: "),
        ({"source": {"path": "/etc"}}, "/etc: app path is absolute"),
        ({"source": {"path": "../.."}}, "../..: app path outside root"),
        ({"source": {"path": ""}}, "spec.source.repoURL and either spec.source.path or spec.source.chart are required"),
    ],
)
def test_an_invalid_application_is_a_400_that_says_why(
    argocd: ArgoCD, client: Client, public: str, changes: dict[str, Any], message: str
) -> None:
    before = argocd.snapshot()

    status, code, text = failure(client.create(public, **changes))

    assert (status, code) == (400, 3)
    assert message in text
    assert argocd.snapshot() == before


def test_a_bad_name_is_only_noticed_after_everything_slow(
    client: Client, git: tuple[str, list[str]], public: str
) -> None:
    source = {"helm": {"releaseName": "shop"}}
    status, code, text = failure(client.create(public, name="Shop_Dev", source=source))

    assert (status, code) == (400, 3)
    assert 'metadata.name: Invalid value: "Shop_Dev"' in text
    assert git[1] != []


def test_without_validation_a_broken_application_is_kept_and_shows_it(
    client: Client, clock: Clock, public: str
) -> None:
    body = application(public, source={"path": "none"})

    reply = client.send("POST", APPLICATIONS, body, validate="false")
    clock.at += 1

    status = client.read()["status"]
    assert reply.status_code == 200
    assert (status["sync"]["status"], status["conditions"][0]["type"]) == ("Unknown", "ComparisonError")


def test_an_equal_application_is_answered_and_a_different_one_refused(
    argocd: ArgoCD, client: Client, public: str
) -> None:
    first = client.create(public).json()
    before = argocd.snapshot()

    equal = client.create(public, syncPolcy={"automated": {}})
    different = client.create(public, destination={"name": "dev-cluster", "namespace": "dev-other"})

    assert equal.json()["metadata"]["uid"] == first["metadata"]["uid"]
    assert failure(different) == (400, 3, DIFFERENT)
    assert argocd.snapshot() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"ignoreDifferences": []},
        {"source": {"helm": {"parameters": []}}},
        {"syncPolicy": {"syncOptions": []}},
    ],
)
def test_an_empty_list_makes_the_same_body_different(client: Client, public: str, changes: dict[str, Any]) -> None:
    assert [client.create(public, **changes).status_code for _ in range(2)] == [200, 400]


@pytest.mark.parametrize(
    "changes",
    [
        {"source": {"helm": {}}},
        {"source": {"helm": {"parameters": [{"name": "a", "value": "", "forceString": False}]}}},
        {"syncPolicy": {"automated": {"prune": False}}},
        {"syncPolicy": {"automated": {}}},
    ],
)
def test_zero_values_do_not_make_it_different(client: Client, public: str, changes: dict[str, Any]) -> None:
    assert [client.create(public, **changes).status_code for _ in range(2)] == [200, 200]


def test_an_explicit_false_is_not_absent(client: Client, public: str) -> None:
    client.create(public, syncPolicy={"automated": {"prune": False}})

    assert client.read()["spec"]["syncPolicy"] == {"automated": {"prune": False}}
    assert client.create(public, syncPolicy={"automated": {}}).status_code == 400


def test_an_upsert_merges_annotations_and_replaces_finalizers(client: Client, public: str) -> None:
    client.create(public)
    body = application(public, destination={"name": "dev-cluster", "namespace": "dev-other"})
    body["metadata"] = {"name": "shop", "annotations": {"more": "2"}}

    metadata = client.send("POST", APPLICATIONS, body, upsert="true").json()["metadata"]

    assert metadata["annotations"] == {"slipway": "1", "more": "2"}
    assert "finalizers" not in metadata
    assert metadata["generation"] == 2


# -- reading, changing, deleting --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "project", "expected"),
    [
        ("shop", None, (200, None)),
        ("shop", "dev", (200, None)),
        ("shop", "ops", (404, 5)),
        ("none", None, (403, 7)),
        ("none", "dev", (404, 5)),
        ("none", "moon", (404, 5)),
    ],
)
def test_only_who_names_the_project_learns_that_it_is_missing(
    client: Client, public: str, name: str, project: str | None, expected: tuple[int, int | None]
) -> None:
    client.create(public)

    reply = client.get(f"{APPLICATIONS}/{name}", project=project)

    assert (reply.status_code, reply.json().get("code")) == expected
    if expected[0] == 404:
        assert reply.json()["message"] == f'applications.argoproj.io "{name}" not found'


def test_a_list_by_name_or_project_is_empty_rather_than_an_error(client: Client, public: str) -> None:
    client.create(public)

    counts = [
        len(client.get(APPLICATIONS, **query).json()["items"] or ())
        for query in ({}, {"name": "shop"}, {"name": "none"}, {"projects": "dev"}, {"projects": ["ops", "moon"]})
    ]

    assert counts == [1, 1, 0, 1, 0]


def test_a_spec_is_replaced_once_and_answered_alone(client: Client, public: str) -> None:
    client.create(public)
    spec = application(public, source={"helm": {"parameters": [{"name": "image.tag", "value": "2"}]}})["spec"]

    replies = [client.send("PUT", f"{APPLICATIONS}/shop/spec", spec, project="dev") for _ in range(2)]

    assert [reply.json() for reply in replies] == [spec, spec]
    assert client.read()["metadata"]["generation"] == 2


def test_a_spec_is_checked_as_a_new_one_is(client: Client, public: str) -> None:
    client.create(public)
    spec = application(public, source={"path": "none"})["spec"]

    assert failure(client.send("PUT", f"{APPLICATIONS}/shop/spec", spec, project="dev"))[:2] == (400, 3)
    assert failure(client.send("PUT", f"{APPLICATIONS}/none/spec", spec))[:2] == (403, 7)


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("merge", {"spec": {"destination": {"namespace": "dev-other"}}}),
        ("json", [{"op": "replace", "path": "/spec/destination/namespace", "value": "dev-other"}]),
        (
            None,
            [
                {"op": "test", "path": "/spec/project", "value": "dev"},
                {"op": "add", "path": "/spec/destination/namespace", "value": "dev-other"},
            ],
        ),
    ],
)
def test_a_patch_is_json_in_a_text(client: Client, public: str, kind: str | None, patch: Any) -> None:
    client.create(public)

    reply = client.send(
        "PATCH", f"{APPLICATIONS}/shop", {"project": "dev", "patchType": kind, "patch": json.dumps(patch)}
    )

    assert reply.json()["spec"]["destination"] == {"name": "dev-cluster", "namespace": "dev-other"}


@pytest.mark.parametrize(
    ("kind", "patch"),
    [("strategic", "{}"), ("merge", "{"), ("json", '[{"op":"remove","path":"/spec/none"}]'), ("json", "{}x")],
)
def test_a_bad_patch_is_a_400(client: Client, public: str, kind: str, patch: str) -> None:
    client.create(public)

    reply = client.send("PATCH", f"{APPLICATIONS}/shop", {"project": "dev", "patchType": kind, "patch": patch})

    assert failure(reply)[:2] == (400, 3)


def test_deleting_is_accepted_twice_and_done_later(argocd: ArgoCD, client: Client, clock: Clock, public: str) -> None:
    client.create(public)
    path, query = f"{APPLICATIONS}/shop", {"project": "dev", "propagationPolicy": "foreground"}

    replies = [client.send("DELETE", path, **query) for _ in range(2)]
    metadata = client.read()["metadata"]
    clock.at += argocd.delete_s

    assert [(reply.status_code, reply.json()) for reply in replies] == [(200, {})] * 2
    assert metadata["deletionTimestamp"]
    plain = "resources-finalizer.argocd.argoproj.io"
    assert metadata["finalizers"] == [plain, f"{plain}/foreground"]
    assert client.send("DELETE", path, **query).status_code == 404


def test_what_is_created_again_may_be_about_to_vanish(
    argocd: ArgoCD, client: Client, clock: Clock, public: str
) -> None:
    client.create(public)
    client.send("DELETE", f"{APPLICATIONS}/shop", project="dev")

    again = client.create(public)
    clock.at += argocd.delete_s

    assert again.status_code == 200
    assert "deletionTimestamp" in again.json()["metadata"]
    assert client.get(f"{APPLICATIONS}/shop", project="dev").status_code == 404


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"cascade": "false"}, (200, 404)),
        ({"cascade": "false", "propagationPolicy": "foreground"}, (400, 200)),
        ({"propagationPolicy": "orphan"}, (400, 200)),
        ({"cascade": "perhaps"}, (400, 200)),
    ],
)
def test_how_to_delete_is_checked(
    client: Client, public: str, query: dict[str, str], expected: tuple[int, int]
) -> None:
    client.create(public)

    reply = client.send("DELETE", f"{APPLICATIONS}/shop", project="dev", **query)

    assert (reply.status_code, client.get(f"{APPLICATIONS}/shop", project="dev").status_code) == expected


@pytest.mark.parametrize("path", ["/applications/argocd/shop", "/applications/shop"])
def test_a_link_shows_a_person_the_application(client: Client, public: str, path: str) -> None:
    client.create(public, source={"helm": {"parameters": [{"name": "image.tag", "value": "<7>"}]}})

    opened = requests.get(client.url + path, headers={"Accept": "text/html,*/*"}, timeout=5)
    asked = requests.get(client.url + path, timeout=5)

    assert opened.status_code == 200
    assert all(text in opened.text for text in (public, "dev-cluster", "image.tag", "&lt;7&gt;"))
    assert asked.status_code == 404


def test_the_state_survives_and_its_snapshot_holds_no_password(
    argocd: ArgoCD, client: Client, clock: Clock, private: str, repository: dict[str, str]
) -> None:
    client.send("POST", REPOSITORIES, repository)
    client.create(private)

    again = ArgoCD(argocd.config, now=clock)
    again.load(json.loads(json.dumps(argocd.dump())))

    assert again.snapshot() == argocd.snapshot()
    assert PASSWORD not in str(argocd.snapshot())

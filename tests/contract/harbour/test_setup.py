"""Empty stand-ins are set up as the real servers are: each call answers, and refuses, as theirs does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.upstream_setup import FIRST_ADMINISTRATORS, empty_harbour

from harbour import templates
from harbour.template_export import export
from harbour.world import Harbour

ROOT_TOKEN = {"PRIVATE-TOKEN": FIRST_ADMINISTRATORS["gitlab_token"]}
JENKINS_ADMIN = ("admin", FIRST_ADMINISTRATORS["jenkins_token"])
SLIPWAY_ACCOUNT = {"data": {"accounts.slipway": "apiKey"}}
POLICY = "g, slipway, role:s\np, role:s, projects, get, dev, allow\np, role:s, applications, sync, dev/*, allow"


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[Harbour]:
    opened = empty_harbour(tmp_path / "harbour")
    opened.start()
    yield opened
    opened.stop()


# -- GitLab ------------------------------------------------------------------------------------------------------------


def gitlab(harbour: Harbour, method: str, call: str, token: str = "", **body: Any) -> requests.Response:
    headers = {"PRIVATE-TOKEN": token} if token else ROOT_TOKEN
    return requests.request(method, f"{harbour.gitlab.url}/api/v4{call}", json=body, headers=headers, timeout=5)


def new_user(harbour: Harbour, username: str, **options: Any) -> int:
    made = gitlab(
        harbour,
        "POST",
        "/users",
        username=username,
        name=username,
        email=f"{username}@example.com",
        force_random_password=True,
        skip_confirmation=True,
        **options,
    )
    number: int = made.json()["id"]
    return number


def token_of(harbour: Harbour, user_id: int, *scopes: str) -> str:
    made = gitlab(harbour, "POST", f"/users/{user_id}/personal_access_tokens", name="t", scopes=list(scopes))
    text: str = made.json()["token"]
    return text


def test_an_empty_gitlab_has_its_administrator_and_nothing_else(harbour: Harbour) -> None:
    users, groups = gitlab(harbour, "GET", "/users").json(), gitlab(harbour, "GET", "/groups").json()

    assert ([each["username"] for each in users], groups) == (["root"], [])


def test_a_personal_access_token_acts_for_its_owner_within_its_scopes(harbour: Harbour) -> None:
    user_id = new_user(harbour, "slipway", admin=True)
    api, reading = token_of(harbour, user_id, "api"), token_of(harbour, user_id, "read_repository")

    assert gitlab(harbour, "GET", "/user", api).json()["username"] == "slipway"
    assert gitlab(harbour, "GET", "/personal_access_tokens/self", api).json()["scopes"] == ["api"]
    assert gitlab(harbour, "GET", "/user", reading).json()["error"] == "insufficient_scope"
    assert gitlab(harbour, "GET", "/user", "glpat-none").status_code == 401


def test_only_an_administrators_token_creates_users(harbour: Harbour) -> None:
    token = token_of(harbour, new_user(harbour, "ada"), "api")

    refused = gitlab(harbour, "POST", "/users", token, username="eve", name="Eve", email="eve@example.com")

    assert refused.status_code == 403


@pytest.mark.parametrize("scopes", [["everything"], "api", ["admin_mode"]])
def test_a_token_with_scopes_that_its_owner_cannot_have_is_refused(harbour: Harbour, scopes: object) -> None:
    user_id = new_user(harbour, "ada")

    refused = gitlab(harbour, "POST", f"/users/{user_id}/personal_access_tokens", name="t", scopes=scopes)

    assert refused.status_code == 400


def test_a_path_is_given_once(harbour: Harbour) -> None:
    first = gitlab(harbour, "POST", "/groups", name="dev", path="dev")
    second = gitlab(harbour, "POST", "/groups", name="dev", path="dev")

    assert (first.status_code, second.status_code) == (201, 400)


def test_a_template_is_empty_until_it_is_pushed_and_its_branch_is_then_protected(
    harbour: Harbour, tmp_path: Path
) -> None:
    group = gitlab(harbour, "POST", "/groups", name="templates", path="templates").json()["id"]
    gitlab(harbour, "POST", "/projects", name="Flask_Template", namespace_id=group, path="Flask_Template")
    path = "/projects/templates%2FFlask_Template"
    before = gitlab(harbour, "GET", path).json()
    reader = token_of(harbour, new_user(harbour, "reader"), "read_repository")

    export(tmp_path / "t")
    pushes = [push(harbour, tmp_path / "t/Flask_Template", text) for text in (reader, ROOT_TOKEN["PRIVATE-TOKEN"])]
    after = gitlab(harbour, "GET", path).json()

    assert (before["default_branch"], before["empty_repo"]) == (None, True)
    assert [code == 0 for code in pushes] == [False, True]
    assert (after["default_branch"], after["empty_repo"]) == ("main", False)
    (rule,) = gitlab(harbour, "GET", f"{path}/protected_branches").json()
    assert (rule["name"], rule["push_access_levels"][0]["access_level"]) == ("main", 40)


def push(harbour: Harbour, place: Path, token: str) -> int:
    url = harbour.gitlab.url.replace("://", f"://oauth2:{token}@") + "/templates/Flask_Template.git"
    return subprocess.run(["git", "-C", str(place), "push", "-q", url, "HEAD:main"], check=False).returncode


def test_a_groups_token_reads_this_group_and_no_other(harbour: Harbour) -> None:
    for path in ("dev", "ops"):
        group = gitlab(harbour, "POST", "/groups", name=path, path=path).json()["id"]
        gitlab(harbour, "POST", "/projects", name="shop", path="shop", namespace_id=group)
    made = gitlab(harbour, "POST", "/groups/dev/access_tokens", name="j", scopes=["read_repository"], access_level=20)

    login = ("anything", made.json()["token"])
    found = [
        requests.get(f"{harbour.gitlab.url}/{path}/shop.git/info/refs?service={service}", auth=login, timeout=5)
        for path, service in (("dev", "git-upload-pack"), ("ops", "git-upload-pack"), ("dev", "git-receive-pack"))
    ]

    assert [each.status_code for each in found] == [200, 404, 403]


# -- Jenkins -----------------------------------------------------------------------------------------------------------


def jenkins(harbour: Harbour, path: str, data: str | bytes = b"", **options: Any) -> requests.Response:
    given = {"auth": JENKINS_ADMIN, "allow_redirects": False} | options
    return requests.post(f"{harbour.jenkins.url}{path}", data=data, timeout=5, **given)


def install(harbour: Harbour, *plugins: str) -> None:
    for plugin in plugins:
        document = f'<jenkins><install plugin="{plugin}@latest"/></jenkins>'
        assert jenkins(harbour, "/pluginManager/installNecessaryPlugins", document).status_code == 302


def strategy(**roles: Any) -> str:
    return json.dumps({"jenkins": {"authorizationStrategy": {"roleBased": {"roles": roles}}}})


def test_an_empty_jenkins_has_no_plugins_and_no_role_strategy(harbour: Harbour) -> None:
    shown = requests.get(
        f"{harbour.jenkins.url}/pluginManager/api/json?tree=plugins[shortName]", auth=JENKINS_ADMIN, timeout=5
    )
    roles = requests.get(f"{harbour.jenkins.url}/role-strategy/strategy/getAllRoles", auth=JENKINS_ADMIN, timeout=5)

    assert (shown.json()["plugins"], roles.status_code) == ([], 404)


def test_configuration_as_code_needs_its_plugin_and_that_of_the_strategy(harbour: Harbour) -> None:
    document = strategy(**{"global": [{"name": "admin", "permissions": ["Overall/Administer"], "entries": []}]})
    without = jenkins(harbour, "/configuration-as-code/apply", document)
    install(harbour, "configuration-as-code")
    with_one = jenkins(harbour, "/configuration-as-code/apply", document)
    install(harbour, "role-strategy")
    unknown = jenkins(harbour, "/configuration-as-code/apply", '{"jenkins": {"unknown": 1}}')

    assert [each.status_code for each in (without, with_one, unknown)] == [404, 500, 500]


def test_whoever_forgets_themselves_in_the_strategy_is_locked_out(harbour: Harbour) -> None:
    install(harbour, "configuration-as-code", "role-strategy")

    jenkins(harbour, "/configuration-as-code/apply", strategy(**{"global": []}))

    assert jenkins(harbour, "/configuration-as-code/apply", strategy()).status_code == 403


def test_a_credential_of_an_id_is_created_once_in_a_folder(harbour: Harbour) -> None:
    install(harbour, "cloudbees-folder", "credentials")
    folder = "<com.cloudbees.hudson.plugins.folder.Folder/>"
    jenkins(harbour, "/createItem?name=dev", folder, headers={"Content-Type": "application/xml"})
    kind = "com.cloudbees.plugins.credentials.impl.UsernamePasswordCredentialsImpl"
    document = f"<{kind}><id>gitlab</id><username>j</username><password>p</password></{kind}>"
    path = "/job/dev/credentials/store/folder/domain/_/createCredentials"

    made = [jenkins(harbour, path, document, headers={"Content-Type": "application/xml"}) for _ in range(2)]

    assert [each.status_code for each in made] == [200, 409]


def test_an_administrator_cannot_create_somebody_elses_api_token(harbour: Harbour) -> None:
    form = {"username": "slipway", "password1": "long enough", "password2": "long enough", "email": "s@example.com"}
    jenkins(harbour, "/securityRealm/createAccountByAdmin", form)  # type: ignore[arg-type] # a form
    path = "descriptorByName/jenkins.security.ApiTokenProperty/generateNewToken?newTokenName=t"

    refused = jenkins(harbour, f"/user/slipway/{path}")
    own = jenkins(harbour, f"/me/{path}").json()["data"]["tokenValue"]

    assert refused.status_code == 403
    assert jenkins(harbour, f"/me/{path}", auth=("admin", own)).status_code == 200


# -- Argo CD -----------------------------------------------------------------------------------------------------------


def argocd(harbour: Harbour, method: str, path: str, token: str = "", body: Any = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return requests.request(method, f"{harbour.argocd.url}{path}", json=body, headers=headers, timeout=5)


def patch(harbour: Harbour, name: str, document: object) -> int:
    url = f"{harbour.argocd.url}/kubernetes/api/v1/namespaces/argocd/configmaps/{name}"
    token = FIRST_ADMINISTRATORS["argocd_token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"}
    return requests.patch(url, data=json.dumps(document), headers=headers, timeout=5).status_code


def log_in(harbour: Harbour, password: str = FIRST_ADMINISTRATORS["argocd_token"]) -> requests.Response:
    return argocd(harbour, "POST", "/api/v1/session", body={"username": "admin", "password": password})


def test_only_the_right_password_begins_a_session(harbour: Harbour) -> None:
    refused, accepted = log_in(harbour, "wrong"), log_in(harbour)
    who = argocd(harbour, "GET", "/api/v1/session/userinfo", accepted.json()["token"]).json()

    assert (refused.status_code, refused.json()["message"]) == (401, "Invalid username or password")
    assert who["username"] == "admin"


def test_a_token_needs_an_account_that_may_have_one(harbour: Harbour) -> None:
    admin = log_in(harbour).json()["token"]
    answers = [argocd(harbour, "POST", "/api/v1/account/slipway/token", admin, {}).status_code]
    for capabilities in ("login", "login, apiKey"):
        patch(harbour, "argocd-cm", {"data": {"accounts.slipway": capabilities}})
        answers.append(argocd(harbour, "POST", "/api/v1/account/slipway/token", admin, {}).status_code)

    assert answers == [404, 400, 200]


def test_an_account_may_do_what_its_policy_lists_and_nothing_else(harbour: Harbour) -> None:
    admin = log_in(harbour).json()["token"]
    patch(harbour, "argocd-cm", SLIPWAY_ACCOUNT)
    token = argocd(harbour, "POST", "/api/v1/account/slipway/token", admin, {}).json()["token"]
    for name in ("dev", "ops"):
        argocd(harbour, "POST", "/api/v1/projects", admin, {"project": {"metadata": {"name": name}, "spec": {}}})
    before = argocd(harbour, "GET", "/api/v1/projects/dev", token).status_code
    patch(harbour, "argocd-rbac-cm", {"data": {"policy.slipway.csv": POLICY}})

    read = [argocd(harbour, "GET", f"/api/v1/projects/{name}", token).status_code for name in ("dev", "ops")]
    may = [
        argocd(harbour, "GET", f"/api/v1/account/can-i/applications/{what}", token).json()["value"]
        for what in ("sync/dev/shop", "sync/ops/shop", "create/dev/shop")
    ]

    assert (before, read) == (403, [200, 403])
    assert may == ["yes", "no", "no"]
    assert (
        argocd(harbour, "POST", "/api/v1/projects", token, {"project": {"metadata": {"name": "x"}}}).status_code == 403
    )


# -- all of them -------------------------------------------------------------------------------------------------------


def test_what_was_set_up_is_there_after_a_restart(harbour: Harbour) -> None:
    token = token_of(harbour, new_user(harbour, "slipway"), "read_api")
    install(harbour, "git")
    patch(harbour, "argocd-cm", SLIPWAY_ACCOUNT)
    before = harbour.snapshot()
    harbour.stop()

    again = empty_harbour(harbour.config.root)
    again.start()

    assert again.snapshot() == before
    assert gitlab(again, "GET", "/version", token).status_code == 200
    again.stop()


def test_a_template_is_created_once_however_its_branch_is_named() -> None:
    assert templates.repository_of("Spring_Template") == templates.repository_of("Spring_Template", "main")

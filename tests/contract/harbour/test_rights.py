"""Do the stand-ins say what somebody may do, and what is there, as the real ones say it?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from harbour.config import HarbourConfig
from harbour.jenkins.core import Role
from harbour.world import Harbour


class Api:
    """One upstream, as whoever has its credentials sees it."""

    def __init__(self, url: str, **given: Any) -> None:
        self._url = url
        self._given = given

    def send(self, method: str, path: str, **more: Any) -> requests.Response:
        return requests.request(method, self._url + path, allow_redirects=False, timeout=5, **self._given, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.send("GET", path, **more)


@pytest.fixture
def gitlab(harbour: Harbour, config: HarbourConfig) -> Api:
    return Api(f"{harbour.gitlab.url}/api/v4", headers={"PRIVATE-TOKEN": config.gitlab_token})


@pytest.fixture
def jenkins(harbour: Harbour, config: HarbourConfig) -> Api:
    return Api(harbour.jenkins.url, auth=(config.jenkins_user, config.jenkins_token))


@pytest.fixture
def argocd(harbour: Harbour, config: HarbourConfig) -> Api:
    headers = {"Authorization": f"Bearer {config.argocd_token}", "Content-Type": "application/json"}
    return Api(harbour.argocd.url, headers=headers)


@pytest.fixture
def not_an_administrator(harbour: Harbour) -> None:
    harbour.jenkins.roles["globalRoles"]["admin"] = Role(permissions=["hudson.model.Hudson.Read"])


# -- GitLab ------------------------------------------------------------------------------------------------


def test_an_expired_token_is_refused_with_a_reason(harbour: Harbour, gitlab: Api) -> None:
    harbour.gitlab.token_ends_on = datetime.now(UTC).date()

    reply = gitlab.get("/version")

    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token")


def test_a_token_tells_its_end_before_it_comes(harbour: Harbour, gitlab: Api) -> None:
    harbour.gitlab.token_ends_on = datetime(2100, 1, 1, tzinfo=UTC).date()

    assert gitlab.get("/personal_access_tokens/self").json()["expires_at"] == "2100-01-01"


@pytest.mark.parametrize(("scope", "of_a_read"), [("read_api", 200), ("read_repository", 403)])
def test_a_scope_below_api_does_not_write(harbour: Harbour, gitlab: Api, scope: str, of_a_read: int) -> None:
    harbour.gitlab.scopes = (scope,)

    assert gitlab.get("/personal_access_tokens/self").json()["scopes"] == [scope]
    assert gitlab.get("/groups/dev").status_code == of_a_read
    refused = gitlab.send("POST", "/users", json={})
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")


def test_only_an_administrator_is_said_to_be_one_and_makes_users(harbour: Harbour, gitlab: Api) -> None:
    assert gitlab.get("/user").json()["is_admin"] is True

    harbour.gitlab.state.users[1].is_admin = False

    assert "is_admin" not in gitlab.get("/user").json()
    assert gitlab.send("POST", "/users", json={}).status_code == 403


def test_a_groups_projects_are_its_own_newest_first(gitlab: Api) -> None:
    names = [row["path_with_namespace"] for row in gitlab.get("/groups/templates/projects?simple=true").json()]

    assert names[0] == "templates/Helm_Template"
    assert len(names) == 4
    assert gitlab.get("/groups/dev/projects").json() == []
    assert gitlab.get("/groups/moon/projects").status_code == 404


def test_what_must_not_be_forked_is_not_found_by_a_fork(harbour: Harbour, gitlab: Api) -> None:
    template = "/projects/templates%2FHelm_Template"
    project = harbour.gitlab.state.project_at("templates/Helm_Template")
    assert project is not None
    project.forking = "disabled"

    reply = gitlab.send("POST", f"{template}/fork", json={"namespace_path": "dev"})

    assert gitlab.get(template).json()["forking_access_level"] == "disabled"
    assert (reply.status_code, reply.json()) == (404, {"message": "404 Not Found"})


# -- Jenkins -----------------------------------------------------------------------------------------------


def test_the_page_of_all_users_ends_in_a_slash(jenkins: Api) -> None:
    assert jenkins.get("/securityRealm").headers["Location"] == "/securityRealm/"
    assert "automation" in jenkins.get("/securityRealm/").text


@pytest.mark.usefixtures("not_an_administrator")
def test_the_page_of_all_users_is_for_administrators(jenkins: Api) -> None:
    reply = jenkins.get("/securityRealm/")

    assert reply.status_code == 403
    assert reply.headers["X-Required-Permission"] == "hudson.model.Hudson.Administer"


def test_another_security_realm_has_no_such_page_and_makes_no_accounts(harbour: Harbour, jenkins: Api) -> None:
    harbour.jenkins.has_own_users = False

    replies = [jenkins.get("/securityRealm/"), jenkins.send("POST", "/securityRealm/createAccountByAdmin")]

    assert [reply.status_code for reply in replies] == [404, 404]


def test_without_its_plugin_or_as_inactive_the_role_strategy_is_not_there(harbour: Harbour, jenkins: Api) -> None:
    roles = "/role-strategy/strategy/getAllRoles"
    assert jenkins.get(roles).status_code == 200

    harbour.jenkins.has_role_strategy = False
    assert jenkins.get(roles).status_code == 404
    harbour.jenkins.has_role_strategy = True
    del harbour.jenkins.plugins["role-strategy"]
    assert jenkins.get(roles).status_code == 404


def test_plugins_are_listed(jenkins: Api) -> None:
    rows = jenkins.get("/pluginManager/api/json?tree=plugins[shortName,active]").json()["plugins"]

    assert {"shortName": "cloudbees-folder", "active": True} in rows


@pytest.mark.usefixtures("not_an_administrator")
def test_plugins_are_not_for_everybody(jenkins: Api) -> None:
    assert jenkins.get("/pluginManager/api/json").status_code == 403


def test_a_folder_has_credentials_of_its_own(harbour: Harbour, jenkins: Api) -> None:
    harbour.jenkins.folder_credential_ids = {"dev": ["clone-dev"]}
    store = "credentials/store/folder/domain/_/api/json?tree=credentials[id]"

    kept = {team: jenkins.get(f"/job/{team}/{store}").json()["credentials"] for team in ("dev", "ops")}

    assert [row["id"] for row in kept["dev"]] == ["clone-dev"]
    assert kept["ops"] == []
    assert jenkins.get(f"/job/moon/{store}").status_code == 404


# -- Argo CD -----------------------------------------------------------------------------------------------


def test_a_project_shows_what_it_allows(argocd: Api) -> None:
    spec = argocd.get("/api/v1/projects/dev").json()["spec"]

    assert spec["destinations"] == [{"name": "dev-cluster", "namespace": "dev-*"}]
    assert spec["sourceRepos"] == ["*"]
    assert spec["clusterResourceWhitelist"] == [{"group": "", "kind": "Namespace"}]
    assert argocd.get("/api/v1/projects/moon").json()["code"] == 5


def test_a_source_that_the_project_does_not_list_is_refused(harbour: Harbour, argocd: Api) -> None:
    harbour.argocd.projects["dev"]["sourceRepos"] = [f"{harbour.gitlab.url}/*"]  # a * stops at a slash
    source = {"repoURL": f"{harbour.gitlab.url}/templates/Helm_Template.git", "path": "."}
    destination = {"name": "dev-cluster", "namespace": "dev-shop"}
    body = {"metadata": {"name": "shop"}, "spec": {"project": "dev", "source": source, "destination": destination}}

    reply = argocd.send("POST", "/api/v1/applications?validate=false", json=body)

    assert reply.status_code == 400
    assert "is not permitted in project 'dev'" in reply.json()["message"]


def test_what_the_policy_denies_is_said_and_refused(harbour: Harbour, argocd: Api) -> None:
    question = "/api/v1/account/can-i/applications/create/dev/shop"
    assert argocd.get(question).json() == {"value": "yes"}

    harbour.argocd.denied = {("applications", "create"), ("projects", "get"), ("clusters", "get")}

    assert argocd.get(question).json() == {"value": "no"}
    assert argocd.send("POST", "/api/v1/applications", json={}).json()["code"] == 7
    assert argocd.get("/api/v1/projects/dev").json()["code"] == 7
    assert argocd.get("/api/v1/clusters").json()["items"] is None


def test_an_address_in_a_question_is_one_segment(argocd: Api) -> None:
    address = "https%3A%2F%2Fgit.example%2Fdev%2Fshop.git"

    assert argocd.get(f"/api/v1/account/can-i/repositories/create/{address}").json() == {"value": "yes"}
    assert argocd.get("/api/v1/account/can-i/moons/create/x").status_code == 400


def test_an_expired_token_is_nobody(harbour: Harbour, argocd: Api) -> None:
    harbour.argocd.token_problem = "token has invalid claims: token is expired"

    assert argocd.get("/api/v1/session/userinfo").json() == {}
    refused = argocd.get("/api/v1/applications")
    assert (refused.status_code, "token is expired" in refused.text) == (401, True)

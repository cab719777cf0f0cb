"""Situations in which the stand-ins refuse our account, for a while or for good, answer what the real servers do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from harbour import situations
from harbour.config import HarbourConfig
from harbour.control import Control
from harbour.world import Harbour

READ_ONLY = {"message": "You cannot perform write operations on a read-only instance"}
TEMPLATE = "templates/Flask_Template"
JSON = {"Content-Type": "application/json"}


class Account:
    """Our account on one stand-in, as any HTTP client has it."""

    def __init__(self, url: str, **given: Any) -> None:
        self._url = url
        self._given = given

    def send(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {**self._given.get("headers", {}), **more.pop("headers", {})}
        given = self._given | {"headers": headers} | more
        return requests.request(method, self._url + path, allow_redirects=False, timeout=10, **given)


def accounts(harbour: Harbour) -> dict[str, Account]:
    config = harbour.config
    bearer = {"Authorization": f"Bearer {config.argocd_token}"} | JSON
    return {
        "gitlab": Account(harbour.gitlab.url, headers={"PRIVATE-TOKEN": config.gitlab_token}),
        "jenkins": Account(harbour.jenkins.url, auth=(config.jenkins_user, config.jenkins_token)),
        "argocd": Account(harbour.argocd.url, headers=bearer),
        "elasticsearch": Account(
            harbour.elasticsearch.url, auth=(config.elasticsearch_user, config.elasticsearch_password)
        ),
    }


READS = {
    "gitlab": "/api/v4/user",
    "jenkins": "/api/json",
    "argocd": "/api/v1/applications",
    "elasticsearch": "/_security/_authenticate",
}


@pytest.fixture
def our(harbour: Harbour) -> dict[str, Account]:
    return accounts(harbour)


@pytest.fixture
def control(harbour: Harbour) -> Iterator[str]:
    service = Control(harbour)
    yield service.start()
    service.stop()


# -- GitLab ------------------------------------------------------------------------------------------------


def test_a_read_only_gitlab_refuses_writes_by_their_content_type_and_reads_on(
    harbour: Harbour, our: dict[str, Account]
) -> None:
    situations.bring(harbour.gitlab, {"is_read_only": True})
    gitlab = our["gitlab"]

    with_json = gitlab.send("POST", "/api/v4/users", json={"username": "anna"})
    without = gitlab.send("DELETE", "/api/v4/users/2")

    assert (with_json.status_code, with_json.json()) == (403, READ_ONLY)
    assert (without.status_code, without.headers["Location"]) == (301, f"{harbour.gitlab.url}/")
    assert gitlab.send("GET", "/api/v4/users/2").status_code == 200
    assert gitlab.send("PUT", "/api/v4/application/settings", json={}).status_code == 200


def test_a_read_only_gitlab_is_cloned_and_refuses_a_push(
    harbour: Harbour, config: HarbourConfig, tmp_path: Path
) -> None:
    address = harbour.gitlab.url.replace("://", f"://oauth2:{config.gitlab_token}@")
    situations.bring(harbour.gitlab, {"is_read_only": True})

    cloned = _git(tmp_path, "clone", "-q", f"{address}/{TEMPLATE}.git", "work")
    pushed = _git(tmp_path / "work", "push", "origin", "HEAD:refs/heads/other")

    assert cloned.returncode == 0, cloned.stderr
    assert pushed.returncode != 0
    assert "403" in pushed.stderr


def _git(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(place), "GIT_TERMINAL_PROMPT": "0"}
    return subprocess.run(
        ["git", *arguments], cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=30
    )


def test_an_enterprise_gitlab_shows_its_maintenance_mode_in_its_settings(config: HarbourConfig) -> None:
    harbour = Harbour(replace(config, gitlab_edition="ee"))
    harbour.start()
    try:
        before = accounts(harbour)["gitlab"].send("GET", "/api/v4/application/settings").json()
        situations.bring(harbour.gitlab, {"is_read_only": True})
        during = accounts(harbour)["gitlab"].send("GET", "/api/v4/application/settings").json()
    finally:
        harbour.stop()

    assert (before["maintenance_mode"], during["maintenance_mode"]) == (False, True)


@pytest.mark.parametrize(
    ("organisation", "status", "retry_after"), [("maintenance", 503, "60"), ("unavailable", 403, None)]
)
def test_an_organisation_in_maintenance_refuses_reads_and_writes_of_what_is_its_own(
    harbour: Harbour, our: dict[str, Account], organisation: str, status: int, retry_after: str | None
) -> None:
    situations.bring(harbour.gitlab, {"organisation": organisation})

    replies = [
        our["gitlab"].send("GET", "/api/v4/groups/dev"),
        our["gitlab"].send("POST", "/api/v4/projects/1/fork", json={}),
    ]

    assert [reply.status_code for reply in replies] == [status, status]
    assert [reply.headers.get("Retry-After") for reply in replies] == [retry_after] * 2
    assert all("organization is" in reply.json()["message"] for reply in replies)
    assert our["gitlab"].send("GET", "/api/v4/user").status_code == 200


@pytest.mark.parametrize(("problem", "words"), [("expired", "Token is expired."), ("revoked", "Token was revoked.")])
def test_a_gitlab_token_that_ended_is_told_apart(
    harbour: Harbour, our: dict[str, Account], problem: str, words: str
) -> None:
    situations.bring(harbour.gitlab, {"token_problem": problem})

    reply = our["gitlab"].send("GET", "/api/v4/version")

    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token")
    assert words in reply.json()["error_description"]


def test_a_gitlab_account_that_is_no_administrator_any_more_reads_and_may_not_write(
    harbour: Harbour, our: dict[str, Account]
) -> None:
    situations.bring(harbour.gitlab, {"is_administrator": False})
    gitlab = our["gitlab"]

    refused = gitlab.send("POST", "/api/v4/groups/dev/members", json={"user_id": 2, "access_level": 30})

    assert (refused.status_code, refused.json()) == (403, {"message": "403 Forbidden"})
    assert "is_admin" not in gitlab.send("GET", "/api/v4/user").json()
    situations.end(harbour.gitlab)
    assert gitlab.send("GET", "/api/v4/user").json()["is_admin"] is True


# -- Jenkins -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start_up", "status", "words"),
    [
        ("getting ready", 503, "Please wait while Jenkins is getting ready to work"),
        ("before users", 401, "HTTP ERROR 401"),
        ("before rights", 403, "Authentication required"),
    ],
)
def test_a_jenkins_that_starts_answers_a_page_and_then_knows_nobody(
    harbour: Harbour, our: dict[str, Account], start_up: str, status: int, words: str
) -> None:
    situations.bring(harbour.jenkins, {"start_up": start_up})

    replies = [our["jenkins"].send("GET", "/api/json"), our["jenkins"].send("POST", "/createItem?name=x", data=b"<x/>")]

    assert [reply.status_code for reply in replies] == [status, status]
    assert words in replies[0].text


def test_before_jenkins_has_read_its_rights_everybody_is_anonymous(harbour: Harbour, our: dict[str, Account]) -> None:
    situations.bring(harbour.jenkins, {"start_up": "before rights"})

    who = our["jenkins"].send("GET", "/whoAmI/api/json")

    assert (who.status_code, who.json()["anonymous"]) == (200, True)


def test_a_revoked_jenkins_token_is_a_401_also_where_no_right_is_needed(
    harbour: Harbour, our: dict[str, Account]
) -> None:
    situations.bring(harbour.jenkins, {"is_token_revoked": True})

    assert our["jenkins"].send("GET", "/whoAmI/api/json").status_code == 401


def test_a_jenkins_account_with_fewer_permissions_is_told_which_one_it_lacks(
    harbour: Harbour, our: dict[str, Account]
) -> None:
    situations.bring(harbour.jenkins, {"our_permissions": ["hudson.model.Hudson.Read"]})

    refused = our["jenkins"].send("POST", "/createItem?name=x", data=b"<x/>", headers={"Content-Type": "text/xml"})

    assert (refused.status_code, refused.headers["X-Required-Permission"]) == (403, "hudson.model.Item.Create")
    assert our["jenkins"].send("GET", "/whoAmI/api/json").json()["anonymous"] is False


# -- Elasticsearch -----------------------------------------------------------------------------------------


def test_without_the_index_of_users_no_password_is_right(harbour: Harbour, our: dict[str, Account]) -> None:
    situations.bring(harbour.elasticsearch, {"is_security_index_away": True})
    url = f"{harbour.elasticsearch.url}/_security/_authenticate"

    ours = our["elasticsearch"].send("GET", "/_security/_authenticate")
    nobody = requests.get(url, timeout=5)
    by_key = requests.get(url, headers={"Authorization": "ApiKey bWFkZTp1cA=="}, timeout=5)

    assert (ours.status_code, nobody.status_code, by_key.status_code) == (401, 401, 503)
    assert "unable to authenticate user [elastic]" in ours.json()["error"]["reason"]
    assert "missing authentication credentials" in nobody.json()["error"]["reason"]


def test_a_privilege_that_our_elasticsearch_user_lost_is_named_and_told(
    harbour: Harbour, our: dict[str, Account]
) -> None:
    situations.bring(harbour.elasticsearch, {"our_privileges": ["monitor"]})
    asked = {"cluster": ["manage_security"]}

    refused = our["elasticsearch"].send("DELETE", "/_security/user/anna")
    held = our["elasticsearch"].send("POST", "/_security/user/_has_privileges", json=asked).json()

    assert refused.status_code == 403
    assert "granted by the cluster privileges [manage_security,all]" in refused.json()["error"]["reason"]
    assert held["cluster"] == {"manage_security": False}


# -- Argo CD -----------------------------------------------------------------------------------------------


def test_a_right_that_argo_cd_denies_is_denied_by_can_i_as_well(harbour: Harbour, our: dict[str, Account]) -> None:
    situations.bring(harbour.argocd, {"denied_rights": ["applications/sync"]})

    refused = our["argocd"].send("POST", "/api/v1/applications/shop/sync", json={"project": "dev"})
    may = our["argocd"].send("GET", "/api/v1/account/can-i/applications/sync/dev/shop").json()

    assert (refused.status_code, refused.json()["message"], may) == (403, "permission denied", {"value": "no"})


# -- all four ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upstream", READS)
@pytest.mark.parametrize(("mode", "status"), [("401", 401), ("403", 403), ("log-in", 302)])
def test_a_proxy_in_front_answers_a_page_of_its_own(
    harbour: Harbour, our: dict[str, Account], upstream: str, mode: str, status: int
) -> None:
    service = harbour.service(upstream)
    assert service is not None
    situations.bring(service, {"front_proxy": mode})

    refused = our[upstream].send("GET", READS[upstream])
    situations.end(service)

    assert (refused.status_code, refused.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert ("Location" in refused.headers) is (mode == "log-in")
    assert our[upstream].send("GET", READS[upstream]).status_code == 200


def test_git_passes_a_proxy_in_front(harbour: Harbour, config: HarbourConfig, tmp_path: Path) -> None:
    situations.bring(harbour.gitlab, {"front_proxy": "log-in"})
    address = harbour.gitlab.url.replace("://", f"://oauth2:{config.gitlab_token}@")

    assert _git(tmp_path, "ls-remote", f"{address}/{TEMPLATE}.git").returncode == 0


@pytest.mark.parametrize(
    ("upstream", "setting"),
    [
        ("gitlab", "GITLAB_TOKEN"),
        ("jenkins", "JENKINS_AUTH_TOKEN"),
        ("argocd", "ARGO_TOKEN"),
        ("elasticsearch", "KIBANA_PWD"),
    ],
)
def test_after_an_exchange_only_the_new_credential_is_accepted(
    harbour: Harbour, control: str, upstream: str, setting: str
) -> None:
    before = accounts(harbour)[upstream]

    replaced = requests.put(f"{control}/credentials", json={"setting": setting, "value": "a.new.one"}, timeout=5)

    assert replaced.status_code == 204
    assert before.send("GET", READS[upstream]).status_code == 401
    assert accounts(harbour)[upstream].send("GET", READS[upstream]).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"setting": "JENKINS_AUTH_ID", "value": "x"}, "setting"),
        ({"setting": "ARGO_TOKEN"}, "value"),
    ],
)
def test_a_wrong_exchange_is_refused_and_names_the_field(control: str, body: object, field: str) -> None:
    reply = requests.put(f"{control}/credentials", json=body, timeout=5)

    assert (reply.status_code, reply.json()["error"]["field"]) == (422, field)

"""Does the Elasticsearch stand-in set the traps that the real one sets?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from harbour.config import HarbourConfig
from harbour.elasticsearch.app import Elasticsearch

PASSWORD = "made-up-for-anna"
ANNA = {"password": PASSWORD, "roles": ["dev"], "full_name": "Anna", "metadata": {"idp": {"managed": True}}}
USER = "/_security/user/anna"

Api = Callable[..., requests.Response]


@pytest.fixture
def api(elasticsearch: Elasticsearch, config: HarbourConfig) -> Iterator[Api]:
    with requests.Session() as session:

        def call(method: str, path: str, login: tuple[str, str] | None = None, /, **json: Any) -> requests.Response:
            credentials = login or (config.elasticsearch_user, config.elasticsearch_password)
            return session.request(
                method, f"{elasticsearch.url}{path}", json=json or None, auth=credentials, timeout=10
            )

        yield call


def test_every_answer_names_the_product_and_wants_a_login(elasticsearch: Elasticsearch, api: Api) -> None:
    anonymous = requests.get(elasticsearch.url, timeout=10)

    assert anonymous.status_code == 401
    assert anonymous.headers["WWW-Authenticate"].startswith("Basic")
    assert anonymous.headers["X-Elastic-Product"] == "Elasticsearch"
    assert anonymous.json()["error"]["type"] == "security_exception"
    assert api("GET", "/").json()["tagline"] == "You Know, for Search"


def test_a_missing_user_is_a_404_without_an_error(api: Api) -> None:
    missing, deleted = api("GET", USER), api("DELETE", USER)

    assert (missing.status_code, missing.json()) == (404, {})
    assert (deleted.status_code, deleted.json()) == (404, {"found": False})


def test_put_creates_and_then_overwrites_everything(api: Api) -> None:
    created = api("PUT", USER, **ANNA)
    api("PUT", f"{USER}/_disable")
    updated = api("POST", USER, password="another-one", roles=[])

    assert (created.json(), updated.json()) == ({"created": True}, {"created": False})
    user = api("GET", USER).json()["anna"]
    assert user == {
        "username": "anna",
        "roles": [],
        "full_name": None,
        "email": None,
        "metadata": {},
        "enabled": True,
    }
    assert api("GET", "/_security/_authenticate", ("anna", PASSWORD)).status_code == 401
    assert api("GET", "/_security/_authenticate", ("anna", "another-one")).status_code == 200


def test_put_without_a_password_keeps_it_and_merges_metadata(api: Api) -> None:
    api("PUT", USER, **ANNA)

    api("PUT", USER, roles=["ops"], metadata={"idp": {"request": "7"}})

    user = api("GET", USER).json()["anna"]
    assert user["metadata"] == {"idp": {"managed": True, "request": "7"}}
    assert (user["roles"], user["full_name"]) == (["ops"], None)
    assert api("GET", "/_security/_authenticate", ("anna", PASSWORD)).json()["username"] == "anna"


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        (USER, {"roles": []}, "password must be specified unless you are updating an existing user"),
        (USER, {"password": PASSWORD}, "roles are missing"),
        (USER, {"password": "12345", "roles": []}, "passwords must be at least [6] characters long"),
        (USER, ANNA | {"metadata": {"_mine": 1}}, "metadata keys may not start with [_]"),
        (USER, ANNA | {"role": "dev"}, "unexpected field [role]"),
        ("/_security/user/ann%C3%A4", ANNA, "invalid user name"),
        (
            "/_security/user/elastic",
            ANNA,
            "user [elastic] is reserved and only the password can be changed",
        ),
        (f"{USER}/_password", {"password": PASSWORD}, "user must exist in order to change password"),
        (f"{USER}/_enable", {}, "only existing users can be enabled"),
        ("/_security/role/superuser", {"cluster": []}, "Role [superuser] is reserved and may not be used."),
    ],
)
def test_refusals(api: Api, path: str, body: dict[str, Any], reason: str) -> None:
    answer = api("PUT", path, **body)

    assert (answer.status_code, answer.json()["status"]) == (400, 400)
    assert reason in answer.json()["error"]["root_cause"][0]["reason"]


def test_a_changed_password_is_the_one_that_counts(api: Api) -> None:
    api("PUT", USER, **ANNA)

    changed = api("POST", f"{USER}/_password", password="another-one")

    assert (changed.status_code, changed.json()) == (200, {})
    assert api("GET", "/", ("anna", PASSWORD)).status_code == 401
    assert api("GET", "/", ("anna", "another-one")).status_code == 200


def test_a_disabled_user_is_not_let_in(api: Api) -> None:
    api("PUT", USER, **ANNA)
    api("PUT", f"{USER}/_disable")

    assert api("GET", "/", ("anna", PASSWORD)).status_code == 401
    assert api("GET", USER).json()["anna"]["enabled"] is False


def test_a_list_of_names_answers_those_that_exist(api: Api) -> None:
    api("PUT", USER, **ANNA)

    answer = api("GET", "/_security/user/anna,nobody,elastic")

    assert set(answer.json()) == {"anna", "elastic"}
    assert answer.json()["elastic"]["metadata"] == {"_reserved": True}


def test_a_user_of_a_team_may_not_manage_users(api: Api) -> None:
    api("PUT", USER, **ANNA)

    answer = api("PUT", "/_security/user/bert", ("anna", PASSWORD), **ANNA)

    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "security_exception")
    assert api("GET", "/_security/user/bert").status_code == 404


def test_a_typing_error_in_a_role_is_accepted_and_grants_nothing(api: Api) -> None:
    api("PUT", USER, **ANNA | {"roles": ["supersuer"]})

    asked = {"cluster": ["manage_security"]}
    mine = api("POST", "/_security/user/_has_privileges", ("anna", PASSWORD), **asked).json()
    administrators = api("POST", "/_security/user/_has_privileges", **asked).json()

    assert mine["has_all_requested"] is False
    assert administrators["cluster"] == {"manage_security": True}


def test_a_role_answers_in_another_shape_and_is_replaced_whole(api: Api) -> None:
    created = api("PUT", "/_security/role/x", cluster=["manage_security"], description="one")
    updated = api("PUT", "/_security/role/x", run_as=[])

    assert (created.json(), updated.json()) == ({"role": {"created": True}}, {"role": {"created": False}})
    assert api("GET", "/_security/role/x").json()["x"]["cluster"] == []
    assert "description" not in api("GET", "/_security/role/x").json()["x"]
    assert api("DELETE", "/_security/role/x").json() == {"found": True}
    assert (api("GET", "/_security/role/x").status_code, api("GET", "/_security/role/x").json()) == (404, {})


def test_the_teams_roles_open_one_space_each_with_privileges_that_kibana_knows(api: Api) -> None:
    role = api("GET", "/_security/role/dev").json()["dev"]
    known = api("GET", "/_security/privilege/kibana-.kibana").json()["kibana-.kibana"]

    grant = role["applications"][0]
    assert grant["resources"] == ["space:dev"]
    assert set(grant["privileges"]) <= set(known)


def test_unknown_routes_carry_a_plain_sentence(api: Api) -> None:
    unknown, wrong = api("GET", "/_nothing"), api("DELETE", "/_security/_authenticate")

    assert (unknown.status_code, isinstance(unknown.json()["error"], str)) == (400, True)
    assert (wrong.status_code, isinstance(wrong.json()["error"], str)) == (405, True)


def test_no_password_is_kept_or_shown(elasticsearch: Elasticsearch, api: Api) -> None:
    api("PUT", USER, **ANNA)

    assert PASSWORD not in str(elasticsearch.snapshot())
    assert "digest" not in api("GET", USER).text

"""The official Elasticsearch clients, unmodified, use the stand-in: product check, users, roles, mappings, API keys."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import elasticsearch8
import elasticsearch9
import pytest

from harbour.config import HarbourConfig
from harbour.elasticsearch.app import Elasticsearch

PASSWORD = "Correct-Horse-Battery-9"
ANNA = {"password": PASSWORD, "roles": ["dev"], "full_name": "Anna Bell", "email": "anna@corp.example"}


@pytest.fixture(params=[elasticsearch8, elasticsearch9], ids=["8", "9"])
def library(request: pytest.FixtureRequest) -> ModuleType:
    module: ModuleType = request.param
    return module


@pytest.fixture
def service(config: HarbourConfig) -> Iterator[Elasticsearch]:
    service = Elasticsearch(config)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def client(library: ModuleType, service: Elasticsearch) -> Iterator[Any]:
    """The library's client, logged in as our administrator."""
    login = (service.config.elasticsearch_user, service.config.elasticsearch_password)
    client = library.Elasticsearch(service.url, basic_auth=login)
    yield client
    client.close()


def test_the_product_check_passes(client: Any) -> None:
    assert client.info()["tagline"] == "You Know, for Search"
    assert client.cluster.health()["status"] == "green"


def test_a_user_is_made_changed_disabled_and_removed(client: Any) -> None:
    made = client.security.put_user(username="anna", **ANNA)
    read = client.security.get_user(username="anna")["anna"]
    client.security.change_password(username="anna", password=f"{PASSWORD}!")
    client.security.disable_user(username="anna")
    disabled = client.security.get_user(username="anna")["anna"]
    client.security.enable_user(username="anna")
    removed = client.security.delete_user(username="anna")

    assert (made["created"], removed["found"]) == (True, True)
    assert {name: read[name] for name in ("roles", "full_name", "enabled")} == {
        "roles": ["dev"], "full_name": "Anna Bell", "enabled": True,
    }  # fmt: skip
    assert disabled["enabled"] is False


def test_somebody_who_is_not_there_is_not_found(library: ModuleType, client: Any) -> None:
    for call in (client.security.get_user, client.security.delete_user):
        with pytest.raises(library.NotFoundError):
            call(username="nobody")


def test_a_wrong_password_and_a_missing_right_are_refused(
    library: ModuleType, client: Any, service: Elasticsearch
) -> None:
    client.security.put_user(username="anna", **ANNA)
    wrong, lacking = (
        library.Elasticsearch(service.url, basic_auth=("anna", password)) for password in ("wrong", PASSWORD)
    )

    with wrong, pytest.raises(library.AuthenticationException):
        wrong.security.authenticate()
    with lacking, pytest.raises(library.AuthorizationException):
        lacking.security.put_user(username="bob", **ANNA)


def test_it_says_who_we_are_and_what_we_may(client: Any, service: Elasticsearch) -> None:
    may = client.security.has_privileges(cluster=["manage_security"])

    assert client.security.authenticate()["username"] == service.config.elasticsearch_user
    assert (may["has_all_requested"], may["cluster"]) == (True, {"manage_security": True})
    assert "kibana-.kibana" in client.security.get_privileges(application="kibana-.kibana")


def test_a_role_is_made_read_and_removed(library: ModuleType, client: Any) -> None:
    made = client.security.put_role(name="qa", cluster=["monitor"], metadata={"team": "qa"})
    read = client.security.get_role(name="qa")["qa"]
    client.security.delete_role(name="qa")

    assert (made["role"]["created"], read["cluster"], read["metadata"]) == (True, ["monitor"], {"team": "qa"})
    with pytest.raises(library.NotFoundError):
        client.security.get_role(name="qa")
    with pytest.raises(library.BadRequestError):
        client.security.put_role(name="superuser", cluster=[])


def test_a_role_mapping_is_made_read_and_removed(library: ModuleType, client: Any) -> None:
    rules = {"field": {"username": "anna"}}

    made = client.security.put_role_mapping(name="of-anna", roles=["dev"], rules=rules, enabled=True)
    again = client.security.put_role_mapping(name="of-anna", roles=["dev", "ops"], rules=rules, enabled=True)
    read = client.security.get_role_mapping(name="of-anna")["of-anna"]
    client.security.delete_role_mapping(name="of-anna")

    assert (made["role_mapping"]["created"], again["role_mapping"]["created"]) == (True, False)
    assert (read["roles"], read["rules"], read["enabled"]) == (["dev", "ops"], rules, True)
    with pytest.raises(library.NotFoundError):
        client.security.get_role_mapping(name="of-anna")


def test_an_api_key_is_made_listed_and_invalidated(client: Any) -> None:
    made = client.security.create_api_key(name="for-ci")
    listed = client.security.get_api_key(id=made["id"])["api_keys"]
    ended = client.security.invalidate_api_key(ids=[made["id"]])
    again = client.security.invalidate_api_key(ids=[made["id"]])

    assert [(each["name"], each["invalidated"]) for each in listed] == [("for-ci", False)]
    assert ended["invalidated_api_keys"] == [made["id"]]
    assert again["previously_invalidated_api_keys"] == [made["id"]]

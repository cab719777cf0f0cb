"""One credential template serves the repositories of a group: made once, renewed with one write, never another's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests

from common.errors import Conflict, Permanent, Transient
from harbour.argocd.app import ArgoCD as StandIn
from harbour.config import HarbourConfig
from harbour.faults import Fault
from harbour.gitlab.app import GitLab
from worker.upstreams.argocd.client import LIMITS, ArgoCD, Credentials, argocd_headers
from worker.upstreams.argocd.credential_templates import prefix_of
from worker.upstreams.http import Http

READER = Credentials(username="cloner", password="gldt-made-up")
REPOSITORIES = "api/v1/repositories"


def nothing() -> None:
    """Declare no intent."""


class Place:
    """An Argo CD that reads from a GitLab whose read token can change."""

    def __init__(self, service: StandIn, gitlab: GitLab) -> None:
        self.service = service
        self.gitlab = gitlab
        headers = argocd_headers(service.config.argocd_token)
        self.argocd = ArgoCD(Http("Argo CD", service.url, headers=headers, limits=LIMITS))
        self.url = f"{gitlab.url}/templates/Helm_Template.git"
        self.prefix = f"{gitlab.url}/templates/"

    def register(self, credentials: Credentials = READER, *, is_new: bool = False) -> bool:
        """Register the repository and say whether it was found."""
        made = self.argocd.repositories.ensure(self.url, credentials=credentials, is_new=is_new, on_create=nothing)
        return made.found

    def rotate(self, token: str) -> Credentials:
        self.gitlab.config = replace(self.gitlab.config, gitlab_read_token=token)
        return replace(READER, password=token)

    def can_read(self) -> bool:
        """Say whether Argo CD can read the repository now, by its own test of it."""
        headers = argocd_headers(self.service.config.argocd_token)
        shown = requests.get(f"{self.service.url}/{REPOSITORIES}?forceRefresh=true", headers=headers, timeout=10).json()
        return all(row["connectionState"]["status"] == "Successful" for row in shown["items"])

    def post(self, what: str, body: dict[str, str], **params: str) -> requests.Response:
        headers = argocd_headers(self.service.config.argocd_token)
        return requests.post(f"{self.service.url}/api/v1/{what}", json=body, params=params, headers=headers, timeout=10)

    def writes(self) -> list[str]:
        return [f"{call.method} {call.path}" for call in self.service.writes()]


@pytest.fixture
def place(config: HarbourConfig, gitlab: GitLab) -> Iterator[Place]:
    service = StandIn(config)
    service.start()
    yield Place(service, gitlab)
    service.stop()


def test_a_repository_is_registered_without_credentials_under_its_groups_template(place: Place) -> None:
    assert place.register() is False

    (row,) = place.service.repositories.values()
    assert {"username", "password"} & row.keys() == set()
    assert place.argocd.templates.find(place.prefix)
    assert place.writes() == ["POST /api/v1/repocreds?upsert=false", f"POST /{REPOSITORIES}?upsert=false"]


def test_the_next_repository_of_the_group_writes_no_template(place: Place) -> None:
    place.register()
    place.url = f"{place.gitlab.url}/templates/Flask_Template.git"

    place.register()

    assert place.writes()[2:] == [f"POST /{REPOSITORIES}?upsert=false"]


def test_a_template_of_another_user_is_a_conflict_and_stays(place: Place) -> None:
    theirs = {"url": place.prefix, "type": "git", "username": "platform", "password": "theirs"}
    place.post("repocreds", theirs)

    for call in (place.register, lambda: place.argocd.templates.renew(place.prefix, READER)):
        with pytest.raises(Conflict, match="platform"):
            call()

    assert place.service.templates[place.prefix] == theirs
    assert place.service.repositories == {}


def test_what_is_registered_gets_its_template_again(place: Place) -> None:
    place.register()
    place.service.templates.clear()

    assert place.register() is True

    assert place.argocd.templates.find(place.prefix)


def test_after_a_rotation_one_write_serves_all(place: Place) -> None:
    place.register()
    renewed = place.rotate("gldt-another")
    assert not place.can_read()

    place.argocd.templates.renew(place.prefix, renewed)

    assert place.can_read()


def test_a_registration_after_a_rotation_renews_the_template(place: Place) -> None:
    place.register()
    renewed = place.rotate("gldt-another")
    place.argocd.repositories.remove(place.url)

    assert place.register(renewed) is False

    assert place.can_read()


def test_a_token_that_git_refuses_is_tried_once(place: Place) -> None:
    with pytest.raises(Permanent, match="git refuses"):
        place.register(replace(READER, password="c4nary"))

    assert place.writes() == ["POST /api/v1/repocreds?upsert=false", f"POST /{REPOSITORIES}?upsert=false"]


def test_own_credentials_outrank_the_template_until_they_are_dropped(place: Place) -> None:
    place.post("repositories", {"repo": place.url, "type": "git", "username": "cloner", "password": READER.password})
    renewed = place.rotate("gldt-another")
    place.argocd.templates.ensure(place.prefix, renewed)
    assert place.argocd.repositories.with_own_credentials() == [place.url]

    place.argocd.repositories.drop_credentials(place.url)

    assert place.argocd.repositories.with_own_credentials() == []
    assert place.can_read()


def test_credentials_stay_while_the_template_cannot_read(place: Place) -> None:
    place.post("repositories", {"repo": place.url, "type": "git", "username": "cloner", "password": READER.password})

    with pytest.raises(Permanent, match="git refuses"):
        place.argocd.repositories.drop_credentials(place.url)

    (row,) = place.service.repositories.values()
    assert row["password"] == READER.password


def test_a_password_in_an_answer_is_neither_read_nor_logged(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    echo = '{"repo": "x", "username": "cloner", "password": "c4nary"}'
    place.service.inject(Fault(kind="status", method="POST", path=REPOSITORIES, status=200, body=echo))

    with caplog.at_level(logging.DEBUG):
        place.register()
        place.argocd.repositories.drop_credentials(place.url)

    assert "c4nary" not in "".join(str(vars(record)) for record in caplog.records)


def test_a_new_repository_is_registered_without_a_list(place: Place) -> None:
    place.register(is_new=True)

    lists = [call for call in place.service.calls if call.method == "GET" and "repositories" in call.path]
    assert lists == []


def test_a_new_repository_that_is_there_with_other_settings_is_found(place: Place) -> None:
    place.argocd.templates.ensure(place.prefix, READER)
    place.post("repositories", {"repo": place.url, "type": "git", "insecure": True})  # type: ignore[dict-item] # a flag

    assert place.register(is_new=True) is True


@pytest.mark.parametrize("kind", ["lost", "truncate", "reset"])
def test_a_lost_reply_to_a_template_converges(place: Place, kind: str) -> None:
    place.service.inject(Fault(kind=kind, method="POST", path="repocreds", times=1))

    with pytest.raises(Transient):
        place.register()

    assert place.register() is False
    assert place.can_read()


def test_a_template_that_we_may_not_see_is_a_conflict(place: Place) -> None:
    text = "existing repository credentials spec is different; use upsert flag to force update"
    body = f'{{"error": "{text}", "code": 3, "message": "{text}"}}'
    place.service.inject(Fault(kind="status", method="POST", path="repocreds", status=400, body=body))

    with pytest.raises(Conflict, match="cannot see"):
        place.register()


def test_the_prefix_is_the_group_with_its_slash() -> None:
    assert prefix_of("https://GitLab.example/a/dev/shop_helm.git") == "https://gitlab.example/a/dev/"

"""Accounts on Jenkins carry our marker in their description, which people may edit; without it they are not ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from common.errors import Conflict, Permanent, Transient
from harbour.config import HarbourConfig
from harbour.faults import Fault
from harbour.jenkins.app import Jenkins as StandIn
from worker.upstreams.http import Http
from worker.upstreams.jenkins.client import Jenkins, User

MARKER = "slipway:user-1"
PASSWORD = "engines weave numbers"
FORM = {"login": "anna", "password": PASSWORD, "name": "Anna Ohm", "email": "anna@example.org"}
OURS = [
    MARKER,
    f"{MARKER}\r\nOn parental leave until May",
    f"On parental leave\n  {MARKER}  \n",
    f"\r\n{MARKER}\r\n",
]
THEIRS = [None, "", "made by hand", "slipway:user-12", f"not {MARKER}", MARKER[:-1], MARKER.upper()]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[StandIn]:
    config = HarbourConfig(
        root=tmp_path,
        gitlab_token="t",
        gitlab_user="reader",
        gitlab_read_token="t",
        jenkins_user="provisioner",
        jenkins_token="api-token",
        argocd_token="t",
        elasticsearch_user="elastic",
        elasticsearch_password="t",
    )
    service = StandIn(config)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def jenkins(service: StandIn) -> Jenkins:
    return Jenkins(Http("Jenkins", service.url, auth=("provisioner", "api-token")))


@pytest.fixture
def anna(jenkins: Jenkins) -> User:
    return jenkins.accounts.ensure_user(**FORM, on_create=lambda: None)


def never() -> None:
    raise AssertionError("nothing was to be written")


def test_a_new_account_is_marked_once(jenkins: Jenkins, service: StandIn, anna: User) -> None:
    intents: list[int] = []

    jenkins.accounts.mark(anna, marker=MARKER, on_create=lambda: intents.append(len(service.writes())))
    jenkins.accounts.mark(jenkins.accounts.ensure_user(**FORM, on_create=never), marker=MARKER, on_create=never)

    assert service.users["anna"].description == MARKER
    assert intents == [1]
    assert len(service.writes()) == 2


@pytest.mark.parametrize("login", ["cas", "sso", "login"])
def test_an_account_that_is_called_like_a_log_in_page_is_marked(jenkins: Jenkins, service: StandIn, login: str) -> None:
    user = jenkins.accounts.ensure_user(**{**FORM, "login": login}, on_create=lambda: None)

    jenkins.accounts.mark(user, marker=MARKER, on_create=lambda: None)

    assert service.users[login].description == MARKER
    assert jenkins.accounts.remove_user(login, marker=MARKER)


def test_what_people_wrote_stays(jenkins: Jenkins, service: StandIn, anna: User) -> None:
    service.users["anna"].description = "Knows\r\nMaven"
    found = jenkins.accounts.ensure_user(**FORM, on_create=never)

    jenkins.accounts.mark(found, marker=MARKER, on_create=lambda: None)

    assert service.users[anna.id].description == f"{MARKER}\nKnows\r\nMaven"


@pytest.mark.parametrize("kind", ["lost", "reset", "truncate"])
def test_a_marking_whose_reply_is_lost_converges(jenkins: Jenkins, service: StandIn, anna: User, kind: str) -> None:
    service.inject(Fault(kind=kind, path="submitDescription", times=1))

    with pytest.raises(Transient):
        jenkins.accounts.mark(anna, marker=MARKER, on_create=lambda: None)
    again = jenkins.accounts.ensure_user(**FORM, on_create=never)
    jenkins.accounts.mark(again, marker=MARKER, on_create=lambda: None)

    assert service.users["anna"].description == MARKER


def test_a_marking_that_did_nothing_is_not_believed(jenkins: Jenkins, service: StandIn, anna: User) -> None:
    service.inject(Fault(kind="status", path="submitDescription", status=302))

    with pytest.raises(Transient, match="does not show"):
        jenkins.accounts.mark(anna, marker=MARKER, on_create=lambda: None)


def test_a_marking_that_is_refused_names_the_permission(jenkins: Jenkins, service: StandIn, anna: User) -> None:
    needed = {"X-Required-Permission": "hudson.model.Hudson.Administer"}
    service.inject(Fault(kind="status", path="submitDescription", status=403, headers=needed))

    with pytest.raises(Permanent, match=r"hudson\.model\.Hudson\.Administer"):
        jenkins.accounts.mark(anna, marker=MARKER, on_create=lambda: None)


@pytest.mark.parametrize("description", OURS)
def test_an_account_of_ours_is_recognised_and_removed(
    jenkins: Jenkins, service: StandIn, anna: User, description: str
) -> None:
    service.users["anna"].description = description

    assert jenkins.accounts.is_marked(anna.id, marker=MARKER) is True
    assert jenkins.accounts.remove_user("anna", marker=MARKER)
    assert "anna" not in service.users
    assert jenkins.accounts.is_marked("anna", marker=MARKER) is None


@pytest.mark.parametrize("description", THEIRS)
def test_an_account_of_somebody_else_stays(
    jenkins: Jenkins, service: StandIn, anna: User, description: str | None
) -> None:
    service.users["anna"].description = description
    before = service.snapshot()

    assert jenkins.accounts.is_marked(anna.id, marker=MARKER) is False
    with pytest.raises(Conflict, match="not the one that was made here"):
        jenkins.accounts.remove_user("anna", marker=MARKER)

    assert service.snapshot() == before


@pytest.mark.parametrize(("who", "status"), [("anna", 302), ("bob", 403)])
def test_people_describe_themselves_and_nobody_else(
    jenkins: Jenkins, service: StandIn, anna: User, who: str, status: int
) -> None:
    jenkins.accounts.ensure_user(**{**FORM, "login": "bob", "name": "Bob"}, on_create=lambda: None)
    service.roles["globalRoles"]["reader"].sids |= {("USER", "anna"), ("USER", "bob")}
    with requests.Session() as browser:
        browser.auth = (who, PASSWORD)
        crumb = browser.get(f"{service.url}/crumbIssuer/api/json", timeout=5).json()
        reply = browser.post(
            f"{service.url}/securityRealm/user/{anna.id}/submitDescription",
            data={"description": "mine"},
            headers={crumb["crumbRequestField"]: crumb["crumb"]},
            allow_redirects=False,
            timeout=5,
        )

    assert reply.status_code == status
    assert service.users["anna"].description == ("mine" if status == 302 else None)

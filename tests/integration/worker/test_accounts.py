"""Accounts that are not ours: memberships and roles are made, nothing else, and what is left to others is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from support.world import Time, World, settings_for

from common.config import catalog
from common.database.engine import Database
from common.database.models import Job
from common.jobs import outputs
from common.states import JobState
from harbour.world import Harbour
from worker.runner import NextAction

pytestmark = pytest.mark.one_database

Name = Callable[[str], str]
Open = Callable[[str], World]


@pytest.fixture
def opened(db: Database, time: Time, harbour: Harbour, tmp_path: Path) -> Open:
    """Return a function that makes a world whose catalog has this section `[accounts]`."""

    def open_world(accounts: str) -> World:
        file = tmp_path / "catalog.toml"
        file.write_text(f"{catalog.read(None)}\n[accounts]\n{accounts}\n", encoding="utf-8")
        config = settings_for(harbour, str(db.engine.url))
        return World(db, time, harbour, config.model_copy(update={"catalog_file": file}))

    return open_world


def _user_by_hand(harbour: Harbour, login: str, **changes: str) -> int:
    """Make a GitLab user as single sign-on does at the first sign-in; return the id."""
    person = {"username": login, "email": f"{login}@example.com", "name": login, "password": "engines weave numbers"}
    url, headers = f"{harbour.gitlab.url}/api/v4/users", {"PRIVATE-TOKEN": harbour.config.gitlab_token}
    answer = requests.post(url, headers=headers, json={**person, **changes}, timeout=5)
    answer.raise_for_status()
    user_id: int = answer.json()["id"]
    return user_id


def _result(world: World, job: Job) -> list[str]:
    result = outputs.result_of(world.job(job), world.step_rows(job))
    return result["not_done"] if result else []


def test_external_accounts_get_memberships_and_roles_only(opened: Open, harbour: Harbour, new_name: Name) -> None:
    world = opened('gitlab = "external"\njenkins = "external"\nkibana = "external"')
    login = new_name("person")
    user_id = _user_by_hand(harbour, login)

    signup = world.drive(world.sign_up(login))
    made = {(row.upstream, row.kind): row.provenance for row in world.ledger(signup)}
    offboard = world.drive(world.accept_for(signup, "offboard"))

    assert (signup.state, offboard.state) == (JobState.SUCCEEDED, JobState.SUCCEEDED)
    assert made == {
        ("gitlab", "user"): "adopted", ("gitlab", "member"): "created", ("jenkins", "role_assignment"): "created",
    }  # fmt: skip
    assert world.step(signup, "create_gitlab_user").output == {"user_id": user_id, "not_done": ""}
    assert [each.split(":")[0] for each in _result(world, signup)] == [
        "The account on Jenkins is not made here", "The account on Kibana is not made here",
    ]  # fmt: skip
    assert "A role mapping there has to give it dev." in _result(world, signup)[1]
    assert {each.partition(" was not made here and stays open")[0] for each in _result(world, offboard)} == {
        "The account on GitLab", "The account on Jenkins", "The account on Elasticsearch",
    }  # fmt: skip
    assert world.clients.gitlab.accounts.find_person(login=login, email=f"{login}@example.com") is not None


def test_a_person_who_has_not_signed_in_yet_is_told_to_and_can_retry(
    opened: Open, harbour: Harbour, new_name: Name
) -> None:
    world = opened('gitlab = "external"\njenkins = "none"\nkibana = "none"')
    login = new_name("person")

    job = world.drive(world.sign_up(login))
    step = world.step(job, "create_gitlab_user")
    _user_by_hand(harbour, login)
    again = world.deliver_again(job, "create_gitlab_user")

    assert (job.state, step.code) == (JobState.FAILED, "rejected")
    assert f"GitLab has no account of {login}@example.com yet: sign in to GitLab once" in str(step.reason)
    assert again.action is NextAction.GO_ON


def test_somebody_elses_account_of_the_same_login_is_a_conflict(opened: Open, harbour: Harbour, new_name: Name) -> None:
    world = opened('gitlab = "external"')
    login = new_name("person")
    _user_by_hand(harbour, login, email=f"another-{login}@example.com")

    job = world.drive(world.sign_up(login))

    assert world.step(job, "create_gitlab_user").code == "conflict"
    assert not [row for row in world.ledger(job) if row.upstream == "gitlab"]


def test_where_accounts_are_none_of_ours_nothing_is_asked_and_that_is_said(opened: Open, new_name: Name) -> None:
    world = opened('gitlab = "none"\njenkins = "none"\nkibana = "none"')
    before = world.call_count()

    job = world.drive(world.sign_up(new_name("person")))

    assert job.state is JobState.SUCCEEDED
    assert world.call_count() == before
    assert world.ledger(job) == []
    assert len(_result(world, job)) == len(world.step_rows(job))


def test_accounts_of_ours_are_made_with_the_identity_of_the_provider(opened: Open, new_name: Name) -> None:
    world = opened('gitlab_provider = "saml"\ngitlab_extern_uid = "{email}"')
    login = new_name("person")

    job = world.drive(world.sign_up(login))

    accounts = world.clients.gitlab.accounts
    found = accounts.find_person(login="", email="", extern_uid=f"{login}@example.com", provider="saml")
    assert (job.state, _result(world, job)) == (JobState.SUCCEEDED, [])
    assert found is not None
    assert {"user_id": found.id, "not_done": ""} == world.step(job, "create_gitlab_user").output


def test_where_people_sign_in_to_gitlab_by_a_provider_the_account_gets_no_password(
    opened: Open, new_name: Name
) -> None:
    world = opened('gitlab_provider = "saml"\ngitlab_extern_uid = "{email}"')
    login = new_name("ada")
    signup = world.drive(world.sign_up(login))
    user = world.harbour.gitlab.state.user_named(login)
    assert user is not None
    before = user.digest

    job = world.drive(world.change_password(signup))

    assert job.state is JobState.SUCCEEDED
    assert user.digest == before
    said = (world.step(job, "set_gitlab_password").output or {})["not_done"]
    assert said.startswith("People sign in to GitLab by saml")

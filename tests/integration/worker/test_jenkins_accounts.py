"""Off-boarding closes the Jenkins account that the sign-up made, and leaves every other one of that name alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete
from support.operators import Hands
from support.world import PASSWORD, World

from common.database.models import Job, Resource
from common.jobs import outputs
from common.states import JobState, Provenance
from harbour.jenkins.core import User
from worker.upstreams.jenkins.adapter import MARK

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)  # Jenkins is what differs here
Name = Callable[[str], str]


@pytest.fixture
def hands(world: World) -> Hands:
    return Hands(world.harbour)


@pytest.fixture
def signup(world: World, new_name: Name) -> Job:
    job = world.drive(world.sign_up(new_name("person")))
    assert job.state is JobState.SUCCEEDED
    return job


def _offboard(world: World, signup: Job) -> Job:
    job = world.drive(world.accept_for(signup, "offboard"))
    assert job.state is JobState.SUCCEEDED, [(step.name, step.reason) for step in world.step_rows(job)]
    return job


def _not_done(world: World, job: Job) -> list[str]:
    result = outputs.result_of(world.job(job), world.step_rows(job))
    return result["not_done"] if result else []


def _account(world: World, signup: Job) -> User | None:
    return world.harbour.jenkins.users.get(signup.input["login"])


def _has_role(world: World, signup: Job) -> bool:
    return ("USER", signup.input["login"]) in world.harbour.jenkins.roles["projectRoles"]["dev"].sids


def _kept(world: World, job: Job, step: str) -> Any:
    output = world.step(job, step).output
    return output["kept"] if output else None


def test_an_account_that_was_made_anew_by_hand_stays_with_its_role(world: World, hands: Hands, signup: Job) -> None:
    login = signup.input["login"]
    hands.remove_jenkins_user(login)
    hands.make_jenkins_user(login)
    hands.describe_jenkins_user(login, "made by hand")
    theirs = _account(world, signup)

    job = _offboard(world, signup)

    assert _account(world, signup) is theirs
    assert _has_role(world, signup)
    assert (_kept(world, job, "revoke_jenkins_role"), _kept(world, job, "delete_jenkins_user")) == (
        [f"dev/{login}"], [login],
    )  # fmt: skip
    (said,) = _not_done(world, job)
    assert said.startswith(f"The account {login} on Jenkins was kept, with its rights: ")
    assert f"slipway:{signup.subject_id}" in said


@pytest.mark.parametrize("text", ["{}\nOn parental leave", "On parental leave\n{}\n", "  {}  "])
def test_an_account_whose_description_people_edited_is_closed(
    world: World, hands: Hands, signup: Job, text: str
) -> None:
    hands.describe_jenkins_user(signup.input["login"], text.format(f"slipway:{signup.subject_id}"))

    job = _offboard(world, signup)

    assert (_account(world, signup), _has_role(world, signup), _not_done(world, job)) == (None, False, [])
    assert {
        row.provenance for row in world.ledger(signup) if row.kind in ("user", MARK) and row.upstream == "jenkins"
    } == {Provenance.GONE}


def test_rights_of_an_account_that_is_gone_are_taken_back(world: World, hands: Hands, signup: Job) -> None:
    hands.remove_jenkins_user(signup.input["login"])

    job = _offboard(world, signup)

    assert (_has_role(world, signup), _not_done(world, job)) == (False, [])


def test_an_account_from_before_there_was_a_marker_is_closed_as_then(world: World, signup: Job) -> None:
    world.db.transaction(lambda session: session.execute(delete(Resource).where(Resource.kind == MARK)))
    account = _account(world, signup)
    assert account is not None
    account.description = None

    job = _offboard(world, signup)

    assert (_account(world, signup), _has_role(world, signup), _not_done(world, job)) == (None, False, [])


def test_an_account_that_the_person_had_before_is_neither_marked_nor_closed(
    world: World, hands: Hands, new_name: Name
) -> None:
    login = new_name("person")
    hands.make_jenkins_user(login, password=PASSWORD)
    signup = world.drive(world.sign_up(login))
    assert signup.state is JobState.SUCCEEDED
    account = _account(world, signup)
    assert account is not None
    assert account.description is None

    _offboard(world, signup)

    assert _account(world, signup) is account

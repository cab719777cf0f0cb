"""Off-boarding closes the Jenkins account that the sign-up made, and leaves every other one of that name alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import delete
from support.operators import Hands
from support.world import PASSWORD, World

from common.database.models import Job, Resource
from common.jobs import interventions, outputs
from common.states import JobState, Provenance, StepState
from harbour.faults import Fault
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


def _offboard(world: World, signup: Job, *, is_kept: bool = False) -> Job:
    job = world.drive(world.accept_for(signup, "offboard"))
    failed = [(step.name, step.code) for step in world.step_rows(job) if step.state is StepState.FAILED]
    assert failed == ([("delete_jenkins_user", "kept")] if is_kept else [])
    return job


def _not_done(world: World, job: Job) -> list[str]:
    result = outputs.result_of(world.job(job), world.step_rows(job))
    return result["not_done"] if result else []


def _account(world: World, signup: Job) -> User | None:
    return world.harbour.jenkins.users.get(signup.input["login"])


def _has_role(world: World, signup: Job) -> bool:
    return ("USER", signup.input["login"]) in world.harbour.jenkins.roles["projectRoles"]["dev"].sids


def _kept(world: World, job: Job) -> list[tuple[str, str]]:
    result = outputs.result_of(world.job(job), world.step_rows(job)) or {}
    return [(each["kind"], each["name"]) for each in result.get("kept", ())]


def test_an_account_that_was_made_anew_by_hand_stays_with_its_role(world: World, hands: Hands, signup: Job) -> None:
    login = signup.input["login"]
    hands.remove_jenkins_user(login)
    hands.make_jenkins_user(login)
    hands.describe_jenkins_user(login, "made by hand")
    theirs = _account(world, signup)

    job = _offboard(world, signup, is_kept=True)

    assert _account(world, signup) is theirs
    assert _has_role(world, signup)
    assert _kept(world, job) == [("role_assignment", f"dev/{login}"), ("user", login)]
    said = world.step(job, "delete_jenkins_user").reason or ""
    assert said.startswith(f"The account {login} on Jenkins was kept, with its rights: ")
    assert f"slipway:{signup.subject_id}" in said


def test_an_off_boarding_does_not_succeed_while_an_account_of_the_person_works(world: World, new_name: Name) -> None:
    """The answer to the creation was lost, and the job ended before anybody could prove whose the account was."""
    signup = world.sign_up(new_name("erin"))
    world.harbour.jenkins.inject(Fault(kind="lost", method="POST", path="createAccountByAdmin", times=1))
    world.drive(signup, until="create_jenkins_user")
    world.runner.run(signup.id, "create_jenkins_user")
    world.db.transaction(lambda session: interventions.cancel(session, signup.id, world.time()))
    assert _account(world, signup) is not None

    job = _offboard(world, signup, is_kept=True)

    assert _account(world, signup) is not None
    assert _kept(world, job) == [("user", signup.input["login"])]
    Hands(world.harbour).remove_jenkins_user(signup.input["login"])
    world.retry(job)
    assert world.drive(job).state is JobState.SUCCEEDED


def test_an_answer_for_nobody_is_no_wrong_password(world: World, new_name: Name) -> None:
    """Behind a proxy that drops logins once, an account that was just made is ours all the same."""
    signup = world.sign_up(new_name("erin"))
    anonymous = '{"anonymous": true, "authenticated": false, "name": "anonymous"}'
    world.harbour.jenkins.inject(Fault(kind="status", status=200, body=anonymous, path="whoAmI", times=1))

    job = world.drive(signup)
    closed = _offboard(world, signup)

    assert (job.state, closed.state) == (JobState.SUCCEEDED, JobState.SUCCEEDED)
    assert _account(world, signup) is None


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

    job = _offboard(world, signup, is_kept=True)

    assert _account(world, signup) is account
    assert _kept(world, job) == [("user", login)]


def test_roles_that_wait_for_the_next_of_that_name_are_told(world: World, hands: Hands, signup: Job) -> None:
    login = signup.input["login"]
    take_back = hands.assign_role(login, role="admin", role_type="globalRoles")

    job = _offboard(world, signup)
    take_back()

    assert _account(world, signup) is None
    assert _kept(world, job) == [("role_assignment", f"admin/{login}")]

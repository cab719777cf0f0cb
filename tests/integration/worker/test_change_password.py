"""A new password on the upstreams: on every account that was made here, with its roles, and on no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.operators import Hands
from support.world import NEW_PASSWORD, PASSWORD, World

from common.database.models import Job
from common.jobs import ledger
from common.states import JobState, Provenance
from harbour import passwords
from harbour.faults import Fault

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)  # the database makes no difference

Name = Callable[[str], str]


def _opens(world: World, login: str, password: str) -> list[bool]:
    """Say which of the three accounts this password is right for: GitLab, Jenkins, Elasticsearch."""
    harbour = world.harbour
    user = harbour.gitlab.state.user_named(login)
    digests = [
        user.digest if user else None,
        harbour.jenkins.users[login].digest,
        harbour.elasticsearch.users[login]["digest"],
    ]
    return [passwords.matches(password, digest, owner=login) for digest in digests]


def _outputs(world: World, job: Job) -> dict[str, str]:
    return {step.name: str((step.output or {}).get("not_done")) for step in world.step_rows(job)}


def test_all_three_accounts_have_the_new_password_and_keep_what_they_were(world: World, new_name: Name) -> None:
    login = new_name("ada")
    signup = world.drive(world.sign_up(login))
    before = {(row.upstream, row.kind, row.ref, row.provenance) for row in world.ledger(signup)}
    roles = world.clients.jenkins.roles

    job = world.drive(world.change_password(signup))

    assert job.state is JobState.SUCCEEDED
    assert (_opens(world, login, PASSWORD), _opens(world, login, NEW_PASSWORD)) == ([False] * 3, [True] * 3)
    assert {(row.upstream, row.kind, row.ref, row.provenance) for row in world.ledger(signup)} == before
    assert world.clients.jenkins.accounts.is_marked(login, marker=f"slipway:{signup.subject_id}")
    assert roles.ensure(login, role="dev", role_type="projectRoles", on_create=lambda: None).found
    said = _outputs(world, job)
    assert "next sign-in" in said["set_gitlab_password"]
    assert "made anew" in said["set_jenkins_password"]


def test_a_change_after_a_change_works_too_and_leaves_one_line_in_the_note(world: World, new_name: Name) -> None:
    login = new_name("ada")
    signup = world.drive(world.sign_up(login))
    world.drive(world.change_password(signup))

    world.drive(world.change_password(signup, "mills grind the corn"))

    user = world.harbour.gitlab.state.user_named(login)
    assert _opens(world, login, "mills grind the corn") == [True] * 3
    assert user is not None
    assert len((user.note or "").splitlines()) == 2


def test_accounts_of_others_keep_their_password(world: World, new_name: Name) -> None:
    """The account of our name was removed by hand, and somebody else made one."""
    login = new_name("ada")
    signup = world.drive(world.sign_up(login))
    world.clients.jenkins.accounts.remove_user(login, marker=None)
    Hands(world.harbour).make_jenkins_user(login, password="it is somebody else's")

    job = world.drive(world.change_password(signup))

    assert job.state is JobState.FAILED
    assert world.step(job, "set_jenkins_password").code == "conflict"
    assert passwords.matches("it is somebody else's", world.harbour.jenkins.users[login].digest, owner=login)


def test_a_change_that_is_refused_does_not_hide_the_account_from_an_off_boarding(world: World, new_name: Name) -> None:
    """A person may edit the description of their own account, and so remove the line that shows it is ours."""
    login = new_name("dora")
    signup = world.drive(world.sign_up(login))
    Hands(world.harbour).describe_jenkins_user(login, "I am Dora")

    change = world.drive(world.change_password(signup))
    leaving = world.drive(world.accept_for(signup, "offboard"))

    assert world.step(change, "set_jenkins_password").code == "conflict"
    assert (leaving.state, world.step(leaving, "delete_jenkins_user").code) == (JobState.FAILED, "kept")
    assert login in world.harbour.jenkins.users


def test_what_was_found_and_not_made_is_left_alone_and_said(world: World, new_name: Name) -> None:
    signup = world.drive(world.sign_up(new_name("ada")))
    for row in world.ledger(signup):
        world.db.transaction(lambda session, row=row: setattr(session.merge(row), "provenance", Provenance.ADOPTED))
    calls = world.write_count()

    job = world.drive(world.change_password(signup))

    assert job.state is JobState.SUCCEEDED
    assert world.write_count() == calls
    assert all("keeps its password" in said for said in _outputs(world, job).values())


def test_a_jenkins_account_that_was_removed_and_not_made_again_is_made_by_the_next_attempt(
    world: World, new_name: Name
) -> None:
    login = new_name("ada")
    signup = world.drive(world.sign_up(login))
    world.harbour.jenkins.inject(Fault(kind="status", status=503, path="/securityRealm/createAccountByAdmin", times=3))
    job = world.change_password(signup)

    world.runner.run(job.id, "set_jenkins_password")
    assert login not in world.harbour.jenkins.users
    rows = world.db.read(lambda session: ledger.rows_of(session, signup.subject_id, upstream="jenkins", kind="user"))
    assert [row.provenance for row in rows] == [Provenance.INTENDED]

    assert world.drive(job).state is JobState.SUCCEEDED
    assert _opens(world, login, NEW_PASSWORD) == [True] * 3

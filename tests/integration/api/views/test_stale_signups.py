"""Names of accounts: nobody logs in before their accounts are made, and nobody loses a name to somebody else.

A sign-up that met somebody else's account gives its names back to the same person; one that made anything does not.
"""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from support.api import PASSWORD, V1, Api
from support.commands import Operator
from support.fake_worker import succeed

from common.database.engine import Database
from common.database.models import Job, Project, Resource, User
from common.jobs import attempts, claims, outcomes
from common.states import Provenance
from common.workflows import NAME_CHECKS

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)


def _fail(api: Api, job_id: str, *, code: str) -> None:
    """End every lane of a sign-up at its first step."""
    for step in NAME_CHECKS:
        claim = attempts.claim(api.service.db, job_id, step, worker="test", limits={})
        assert isinstance(claim, claims.Claim)
        outcomes.record_failure(api.service.db, claim, code=code, reason="The name has an owner there.")


def _make_something(api: Api, job_id: str) -> None:
    def work(session: Session) -> None:
        job = session.get_one(Job, job_id)
        now = api.service.db.now()
        session.add(
            Resource(
                subject_id=job.subject_id, upstream="jenkins", kind="user", ref="grace", provenance=Provenance.CREATED,
                job_id=job.id, step="create_jenkins_user", attempt=1, created_at=now, updated_at=now,
            )
        )  # fmt: skip

    api.service.db.transaction(work)


def test_after_a_conflict_the_person_signs_up_with_another_id_and_the_same_address(api: Api) -> None:
    first = api.sign_up("grace")
    _fail(api, first.json["job_id"], code="conflict")

    second = api.sign_up("grace2", email="grace@example.com")

    assert second.status_code == 202
    assert api.visitor.post("/api/v1/jobs/" + first.json["job_id"] + "/retry", json={}).json["code"] == "is_over"


@pytest.mark.parametrize("code", ["upstream_unavailable", "rejected", "internal"])
def test_after_any_other_failure_the_names_stay_taken(api: Api, code: str) -> None:
    _fail(api, api.sign_up("grace").json["job_id"], code=code)

    assert api.sign_up("grace").status_code == 409


def test_while_anything_that_was_made_exists_the_names_stay_taken(api: Api) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    _fail(api, job_id, code="conflict")
    _make_something(api, job_id)

    assert api.sign_up("grace2", email="grace@example.com").status_code == 409


def test_a_sign_up_that_is_at_work_keeps_its_names(api: Api) -> None:
    api.sign_up("grace")

    assert api.sign_up("grace2", email="grace@example.com").status_code == 409
    assert api.service.db.read(lambda session: session.query(User).count()) == 1


# -- nobody logs in before their accounts are made -----------------------------------------------------------------


def _log_in(api: Api, login: str, password: str = PASSWORD) -> tuple[int, str | None]:
    answer = api.app.test_client().post(f"{V1}/login", json={"id": login, "password": password})
    return answer.status_code, answer.json.get("job_id")


def test_a_sign_up_that_failed_by_conflict_is_no_log_in(api: Api) -> None:
    job_id = api.sign_up("alice").json["job_id"]
    assert _log_in(api, "alice") == (403, job_id), "while it runs"

    _fail(api, job_id, code="conflict")

    assert _log_in(api, "alice") == (403, job_id)
    assert _log_in(api, "alice", "not the password of alice") == (401, None)


def test_whoever_has_accounts_logs_in_and_is_never_renamed_afterwards(api: Api, db: Database) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    succeed(db, job_id)

    assert _log_in(api, "grace") == (201, None)
    admitted_at = db.read(lambda session: session.scalar(select(User.admitted_at)))
    assert admitted_at is not None
    assert _log_in(api, "grace") == (201, None)
    assert db.read(lambda session: session.scalar(select(User.admitted_at))) == admitted_at


@pytest.mark.parametrize("taken", ["id", "email"])
@pytest.mark.parametrize("holder", ["a stranger's", "logged in", "an administrator", "made a project"])
def test_a_name_is_not_lost_to_whoever_signs_up_with_it(api: Api, db: Database, holder: str, taken: str) -> None:
    job_id = api.sign_up("bob", password="a working account of bo").json["job_id"]
    _fail(api, job_id, code="conflict")
    password = "mallory has another one" if holder == "a stranger's" else "a working account of bo"
    changes = {"logged in": {"admitted_at": db.now()}, "an administrator": {"is_admin": True}}.get(holder)
    if changes:
        db.transaction(lambda session: session.execute(update(User).values(changes)))
    if holder == "made a project":
        db.transaction(lambda session: session.add(_project_of_bob(session)))

    wanted = {
        "id": {"login": "bob", "email": "m@evil.example"},
        "email": {"login": "zz-top", "email": "bob@example.com"},
    }
    answer = api.sign_up(**wanted[taken], password=password)

    assert (answer.status_code, answer.json["code"]) == (409, "taken")
    assert db.read(lambda session: [user.login for user in session.scalars(select(User))]) == ["bob"]


def _project_of_bob(session: Session) -> Project:
    bob = session.scalars(select(User)).one()
    return Project(team_id="dev", name="compilers", created_by=bob.id, created_at=bob.created_at)


def test_a_login_that_looks_renamed_is_reserved(api: Api) -> None:
    assert api.sign_up("gone-01a2").json["errors"][0]["code"] == "reserved"


# -- accounts of before -------------------------------------------------------------------------------------------


def test_an_account_that_logged_in_though_its_sign_up_failed_is_listed(api: Api) -> None:
    _fail(api, api.sign_up("bob").json["job_id"], code="conflict")
    api.admit("bob")
    api.member("grace")

    listed = Operator(api).reads("users", "displaced")

    assert [(each["id"], each["why"]) for each in listed] == [("bob", "logs in, its sign-up never succeeded")]


def test_a_renamed_account_gets_its_name_back_once_the_stranger_was_off_boarded(
    api: Api, chief: FlaskClient, db: Database
) -> None:
    _fail(api, api.sign_up("bob").json["job_id"], code="conflict")
    stranger = api.sign_up("bob").json["job_id"]  # whoever it was, once they could
    succeed(db, stranger)
    operator = Operator(api)
    (renamed,) = operator.reads("users", "displaced")

    refused = operator.types("users", "restore", renamed["id"])
    leaving = chief.delete(f"{V1}/users/bob").json["job_id"]
    while_leaving = operator.types("users", "restore", renamed["id"])
    succeed(db, leaving)
    restored = operator.reads("users", "restore", renamed["id"])

    assert (refused.exit_code, while_leaving.exit_code, renamed["former_id"]) == (3, 3, "bob")
    assert restored == {"id": "bob", "was": renamed["id"]}
    assert _log_in(api, "bob") == (201, None)


def test_nobody_is_made_an_administrator_before_they_can_log_in(api: Api) -> None:
    _fail(api, api.sign_up("bob").json["job_id"], code="conflict")

    refused = Operator(api).types("users", "grant-admin", "bob")

    assert refused.exit_code == 3
    assert "cannot log in yet" in refused.stderr


# -- who comes back -----------------------------------------------------------------------------------------------


def test_who_has_left_comes_back_by_an_administrators_word_and_the_former_password(
    api: Api, chief: FlaskClient, db: Database
) -> None:
    succeed(db, api.sign_up("grace").json["job_id"])
    assert _log_in(api, "grace") == (201, None)
    leaving = chief.delete(f"{V1}/users/grace").json["job_id"]
    operator = Operator(api)
    too_early = operator.types("users", "restore", "grace")
    succeed(db, leaving)
    before = api.sign_up("grace")

    restored = operator.reads("users", "restore", "grace")
    unfinished = _log_in(api, "grace")
    stranger = api.sign_up("grace", password="mallory has another one")
    other_name = api.sign_up("grace2", email="grace@example.com")
    again = api.sign_up("grace")
    succeed(db, again.json["job_id"])

    assert (too_early.exit_code, before.status_code, restored["id"]) == (3, 409, "grace")
    assert (unfinished, stranger.status_code, other_name.status_code) == ((403, leaving), 409, 409)
    assert again.status_code == 202
    assert _log_in(api, "grace") == (201, None)
    assert db.read(lambda session: len(session.scalars(select(User).where(User.login == "grace")).all())) == 1

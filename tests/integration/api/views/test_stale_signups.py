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
from support.fake_worker import fail, job, succeed

from common.database.engine import Database
from common.database.models import ApiToken, Base, Job, LoginSession, PasswordReset, Project, Resource, User
from common.jobs import attempts, claims, outcomes
from common.states import JobState, Provenance
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


def _leave(chief: FlaskClient, db: Database, login: str, *, but: str = "") -> str:
    """Off-board a person, to the end or until this step has failed, and return the job's id."""
    job_id: str = chief.delete(f"{V1}/users/{login}").json["job_id"]
    succeed(db, job_id, but=(but,))
    if but:
        fail(db, job_id, but)
    return job_id


def _return(api: Api, db: Database, login: str) -> None:
    Operator(api).reads("users", "restore", login)
    succeed(db, api.sign_up(login).json["job_id"])


@pytest.mark.parametrize(("end", "advice"), [("failed", "Retry it, or skip"), ("cancelled", "slipway offboard grace")])
def test_nobody_returns_before_an_off_boarding_has_succeeded(
    api: Api, chief: FlaskClient, db: Database, end: str, advice: str
) -> None:
    succeed(db, api.sign_up("grace", team="ops").json["job_id"])
    job_id = _leave(chief, db, "grace", but="leave_gitlab_group") if end == "failed" else ""
    if end == "cancelled":
        job_id = chief.delete(f"{V1}/users/grace").json["job_id"]
        chief.post(f"{V1}/jobs/{job_id}/cancel", json={})

    refused = Operator(api).types("users", "restore", "grace")

    assert (refused.exit_code, job(db, job_id).state) == (3, end)
    assert advice in refused.stderr
    assert end == "cancelled" or job_id in refused.stderr
    assert api.sign_up("grace").status_code == 409
    _leave(chief, db, "grace")
    _return(api, db, "grace")
    assert _log_in(api, "grace") == (201, None)


def test_whoever_was_let_return_does_not_while_the_off_boarding_has_not_succeeded(
    api: Api, chief: FlaskClient, db: Database
) -> None:
    succeed(db, api.sign_up("grace").json["job_id"])
    _leave(chief, db, "grace", but="leave_gitlab_group")
    db.transaction(lambda session: session.execute(update(User).values(left_at=None, admitted_at=None)))

    assert api.sign_up("grace").status_code == 409


def test_no_job_of_before_the_return_is_resumed(api: Api, chief: FlaskClient, db: Database) -> None:
    signup = api.sign_up("grace", team="ops").json["job_id"]
    succeed(db, signup, but=("assign_jenkins_role",))
    fail(db, signup, "assign_jenkins_role")
    leaving = _leave(chief, db, "grace", but="leave_gitlab_group")
    _leave(chief, db, "grace")
    _return(api, db, "grace")

    by_stranger = api.visitor.post(f"{V1}/jobs/{signup}/retry", json={})
    by_chief = chief.post(f"{V1}/jobs/{leaving}/retry", json={})
    skipped = chief.post(f"{V1}/jobs/{leaving}/steps/block_gitlab_user/skip", json={"reason": "checked"})
    all_together = chief.post(f"{V1}/jobs/retry", json={})

    refused = [(answer.status_code, answer.json["code"]) for answer in (by_stranger, by_chief, skipped)]
    assert refused == [(409, "is_over")] * 3
    assert (all_together.json["retried"], all_together.json["refused"]) == ([], [])
    assert {job(db, each).state for each in (signup, leaving)} == {JobState.FAILED}


def test_jobs_of_one_person_run_one_after_the_other(api: Api, chief: FlaskClient, db: Database) -> None:
    signup = api.sign_up("grace").json["job_id"]
    succeed(db, signup, but=("assign_jenkins_role",))
    fail(db, signup, "assign_jenkins_role")
    api.admit("grace")
    grace = api.bearer(api.token("grace"))
    change = grace.put(f"{V1}/me/password", json={"password": PASSWORD, "new_password": "looms weave flowers"})
    running = chief.post(f"{V1}/jobs/{signup}/retry", json={})
    succeed(db, change.json["job_id"], but=("set_gitlab_password",))
    fail(db, change.json["job_id"], "set_gitlab_password")

    foretold = chief.post(f"{V1}/jobs/retry", json={"dry_run": True}).json

    assert (running.status_code, running.json["code"]) == (409, "busy")
    assert [each["job_id"] for each in foretold["retried"]] == [change.json["job_id"]]
    assert [(each["job_id"], each["code"]) for each in foretold["refused"]] == [(signup, "busy")]


def test_what_somebody_had_before_they_left_opens_nothing_when_they_may_return(
    api: Api, chief: FlaskClient, db: Database
) -> None:
    succeed(db, api.sign_up("grace").json["job_id"])
    session_token = api.token("grace")
    chief.post(f"{V1}/users/grace/password-reset")
    token = api.bearer(session_token).post(f"{V1}/me/tokens", json={"name": "ci", "scope": "team"}).json["token"]
    rows = {table: _rows(db, table, "grace") for table in (ApiToken, LoginSession, PasswordReset)}
    _leave(chief, db, "grace")
    assert [len(_rows(db, table, "grace")) for table in rows] == [0, 0, 0]
    db.transaction(lambda session: [session.add(_copy(row)) for kept in rows.values() for row in kept])  # of a race

    Operator(api).reads("users", "restore", "grace")

    assert [api.bearer(each).get(f"{V1}/me").status_code for each in (token, session_token)] == [401, 401]
    assert [len(_rows(db, table, "grace")) for table in rows] == [0, 0, 0]


def _rows(db: Database, table: type[Base], login: str) -> list[Base]:
    own = select(table).where(table.user_id.in_(select(User.id).where(User.login == login)))  # type: ignore[attr-defined]
    return list(db.read(lambda session: session.scalars(own).all()))


def _copy(row: Base) -> Base:
    return type(row)(**{column.key: getattr(row, column.key) for column in type(row).__mapper__.column_attrs})


# -- names given by an operator -----------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["failed", "off-boarded"])
def test_an_operator_gives_the_name_of_a_stranger_to_its_owner(
    api: Api, chief: FlaskClient, db: Database, before: str
) -> None:
    _fail(api, api.sign_up("carol", password="mallory has another one").json["job_id"], code="rejected")
    if before == "off-boarded":
        _leave(chief, db, "carol")
    assert api.sign_up("carol").status_code == 409

    released = Operator(api).reads("users", "release", "carol")

    assert released["was"] == "carol"
    assert released["id"].startswith("gone-")
    assert _log_in(api, "carol", "mallory has another one") == (401, None)
    succeed(db, api.sign_up("carol").json["job_id"])
    assert _log_in(api, "carol") == (201, None)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("running", "wait for the job"),
        ("working", "can log in"),
        ("made something", "slipway offboard carol"),
        ("not closed", "Retry it, or skip"),
    ],
)
def test_no_name_is_released_that_somebody_uses(
    api: Api, chief: FlaskClient, db: Database, state: str, why: str
) -> None:
    job_id = api.sign_up("carol").json["job_id"]
    if state == "working":
        succeed(db, job_id)
    if state in ("made something", "not closed"):
        _fail(api, job_id, code="conflict")
        _make_something(api, job_id)
    if state == "not closed":
        _leave(chief, db, "carol", but="leave_gitlab_group")

    refused = Operator(api).types("users", "release", "carol")

    assert refused.exit_code == 3
    assert why in refused.stderr


def test_who_left_and_was_renamed_signs_up_again_before_they_log_in(api: Api, chief: FlaskClient, db: Database) -> None:
    succeed(db, api.sign_up("carol").json["job_id"])
    _leave(chief, db, "carol")
    operator = Operator(api)
    renamed = operator.reads("users", "release", "carol")["id"]

    restored = operator.reads("users", "restore", renamed)

    assert restored["id"] == "carol"
    assert _log_in(api, "carol")[0] == 403
    succeed(db, api.sign_up("carol").json["job_id"])
    assert _log_in(api, "carol") == (201, None)


def test_an_operator_admits_who_logged_in_before_though_their_sign_up_failed(
    api: Api, chief: FlaskClient, db: Database
) -> None:
    operator = Operator(api)
    job_id = api.sign_up("bob").json["job_id"]
    while_running = operator.types("users", "admit", "bob")
    _fail(api, job_id, code="conflict")

    admitted = operator.reads("users", "admit", "bob")

    assert (while_running.exit_code, admitted) == (3, {"id": "bob"})
    assert _log_in(api, "bob") == (201, None)
    _leave(chief, db, "bob")
    assert operator.types("users", "admit", "bob").exit_code == 3


def test_a_password_reset_does_not_keep_the_names_of_a_failed_sign_up(
    api: Api, chief: FlaskClient, db: Database
) -> None:
    _fail(api, api.sign_up("dave").json["job_id"], code="conflict")
    code = chief.post(f"{V1}/users/dave/password-reset").json["reset_code"]
    new = "looms weave flowers"
    body = {"id": "dave", "reset_code": code, "password": new}
    succeed(db, api.visitor.post(f"{V1}/password-resets/confirm", json=body).json["job_id"])

    assert api.sign_up("dave2", email="dave@example.com", password=new).status_code == 202

"""Sign-ups that need approval: nothing begins before an administrator says so, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from support.api import PASSWORD, V1, Api, open_api
from support.commands import Operator
from support.fake_worker import succeed
from support.world import Time

from common.audit import ActionKind
from common.database.engine import Database
from common.database.models import Action, Job, Secret, SignupReview, Step, User
from common.jobs import dispatch, interventions, retention, signup_reviews, stuck
from common.jobs.stuck import Patience
from common.states import ForbiddenTransitionError, JobState, ReviewState, StepState
from common.workflows import SIGNUP

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)

APPROVAL = signup_reviews.PENDING[ReviewState.WAITING]
FIRST_STEPS = {lane.steps[0].name for lane in SIGNUP.lanes}


@pytest.fixture
def api(db_url: str, time: Time) -> Iterator[Api]:
    with open_api(db_url, time, signup_approval=True, signup_approval_days=3) as opened:
        yield opened


@pytest.fixture
def chief(api: Api) -> FlaskClient:
    person = ("chief", "--email", "chief@example.com", "--name", "Grace", "--team", "ops")
    assert Operator(api).types("users", "create-admin", *person, "--password-stdin", input=PASSWORD).exit_code == 0
    return _chief_again(api)


def _chief_again(api: Api) -> FlaskClient:
    """Log the administrator in: sessions end before reviews do."""
    return api.bearer(api.token("chief"))


def _sign_up(api: Api, login: str = "grace", **changes: Any) -> str:
    answer = api.sign_up(login, **changes)
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json["job_id"]
    return job_id


def _answer(client: FlaskClient, job_id: str, answer: str = "approve") -> Any:
    body = {"reason": "Nobody of this name works here"} if answer == "reject" else {}
    return client.post(f"{V1}/signups/{job_id}/{answer}", json=body)


def _log_in(api: Api, login: str = "grace") -> Any:
    return api.visitor.post(f"{V1}/login", json={"id": login, "password": PASSWORD})


def _states(db: Database, job_id: str) -> dict[str, StepState]:
    rows = select(Step.name, Step.state).where(Step.job_id == job_id)
    return {row.name: row.state for row in db.read(lambda session: session.execute(rows).all())}


def _passwords(db: Database) -> int:
    return db.read(lambda session: session.scalar(select(func.count()).select_from(Secret))) or 0


def test_a_sign_up_waits_and_says_for_what(api: Api, db: Database) -> None:
    job_id = _sign_up(api)

    job = api.visitor.get(f"{V1}/jobs/{job_id}").json
    assert job["state"] == "queued"
    assert [(each["upstream"], each["code"], each["reason"]) for each in job["waiting_on"]] == [
        ("slipway", "approval", APPROVAL.reason)
    ]
    assert job["progress"]["remaining"] is None
    refused = _log_in(api)
    assert (refused.status_code, refused.json["code"]) == (403, "signup_unfinished")
    assert refused.json["detail"] == APPROVAL.reason
    assert set(_states(db, job_id).values()) == {StepState.PENDING}


def test_nobody_dispatches_a_sign_up_that_waits_or_takes_it_for_stuck(api: Api, db: Database, time: Time) -> None:
    _sign_up(api)
    time.advance(timedelta(days=2).total_seconds())

    dispatch.delete_expired(db)
    signup_reviews.expire(db)

    patience = Patience(idle=timedelta(minutes=5), waiting=timedelta(hours=1))
    assert dispatch.take_due(db, limit=10) == []
    assert dispatch.take_overtaken(db, limit=10) == []
    assert db.read(lambda session: stuck.find(session, patience, db.now(), limit=10)) == []
    assert _passwords(db) == 1, "its password is there when somebody approves it"


def test_administrators_list_what_waits_page_by_page(api: Api, chief: FlaskClient) -> None:
    job_ids = [_sign_up(api, login) for login in ("ada", "betty", "carol")]

    first = chief.get(f"{V1}/signups?limit=2&total=true").json
    second = chief.get(f"{V1}/signups?limit=2&cursor={first['next']}").json

    listed = [(each["signup_id"], each["id"]) for page in (first, second) for each in page["signups"]]
    expected = [*zip(job_ids, ("ada", "betty", "carol"), strict=True)][::-1]
    assert (listed, first["total"]) == (expected, 3)
    assert chief.get(f"{V1}/signups?state=approved").json["signups"] == []
    assert chief.get(f"{V1}/signups?user=betty").json["signups"][0]["email"] == "betty@example.com"


@pytest.mark.usefixtures("chief")
def test_an_approved_sign_up_begins_with_a_fresh_time_for_its_password(api: Api, db: Database, time: Time) -> None:
    job_id = _sign_up(api)
    time.advance(timedelta(days=2).total_seconds())
    chief = _chief_again(api)

    answer = _answer(chief, job_id)

    assert (answer.status_code, answer.json["job_id"]) == (202, job_id)
    ready = {name for name, state in _states(db, job_id).items() if state is StepState.READY}
    assert ready == FIRST_STEPS
    expires_at = db.read(lambda session: session.scalar(select(Secret.expires_at).where(Secret.job_id == job_id)))
    assert expires_at == time() + timedelta(hours=24)
    assert api.visitor.get(f"{V1}/jobs/{job_id}").json["waiting_on"] == []
    assert _answer(chief, job_id).status_code == 202, "twice is fine"
    acts = select(func.count()).where(Action.kind == ActionKind.USER_APPROVE)
    assert db.read(lambda session: session.scalar(acts)) == 1, "and one act"
    assert _answer(chief, job_id, "reject").json["code"] == "not_waiting"
    succeed(db, job_id)
    assert _log_in(api).status_code == 201


def test_a_rejected_sign_up_is_cancelled_with_the_reason_and_gives_its_name_to_the_same_person(
    api: Api, chief: FlaskClient, db: Database
) -> None:
    job_id, before = _sign_up(api), _passwords(db)

    answer = _answer(chief, job_id, "reject")

    assert (answer.status_code, answer.json["state"], answer.json["decided_by"]) == (200, "rejected", "chief")
    job = api.visitor.get(f"{V1}/jobs/{job_id}").json
    assert job["state"] == "cancelled"
    assert "Nobody of this name works here" in job["lanes"][0]["steps"][0]["reason"]
    assert "Nobody of this name works here" in _log_in(api).json["detail"]
    assert _passwords(db) == before - 1
    assert _answer(chief, job_id).json["code"] == "not_waiting"
    assert api.sign_up("grace", password="another persons guess").status_code == 409
    again = _sign_up(api)
    assert again != job_id
    assert db.read(lambda session: session.scalar(select(func.count()).where(User.login == "grace"))) == 1


@pytest.mark.usefixtures("chief")
def test_what_nobody_answers_ends_by_itself(api: Api, db: Database, time: Time) -> None:
    job_id = _sign_up(api)
    time.advance(timedelta(days=3).total_seconds())

    signup_reviews.expire(db)

    job = api.visitor.get(f"{V1}/jobs/{job_id}").json
    assert (job["state"], job["lanes"][0]["steps"][0]["code"]) == ("cancelled", "expired")
    assert "has answered in time" in _log_in(api).json["detail"]
    assert _answer(_chief_again(api), job_id).json["code"] == "not_waiting"
    _sign_up(api)


@pytest.mark.usefixtures("chief")
@pytest.mark.parametrize("answer", ["approve", "reject"])
def test_an_answer_after_the_time_is_too_late(api: Api, time: Time, answer: str) -> None:
    job_id = _sign_up(api)
    time.advance(timedelta(days=3).total_seconds())

    refused = _answer(_chief_again(api), job_id, answer)

    assert (refused.status_code, refused.json["code"]) == (409, "not_waiting")


@pytest.mark.usefixtures("chief")
def test_a_sign_up_that_cannot_be_ended_keeps_no_other_from_its_end(
    api: Api, db: Database, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled, broken, last = [_sign_up(api, login) for login in ("ada", "betty", "carol")]
    over = update(Job).where(Job.id == cancelled).values(state=JobState.CANCELLED, finished_at=db.now())
    db.transaction(lambda session: session.execute(over))  # by a process that knew no reviews
    time.advance(timedelta(days=3).total_seconds())
    cancel = interventions.cancel

    def fail_once(session: Session, job_id: str, *args: Any, **kwargs: Any) -> Job:
        if job_id == broken:
            raise ForbiddenTransitionError("a job", JobState.FAILED, JobState.CANCELLING)
        return cancel(session, job_id, *args, **kwargs)

    monkeypatch.setattr(interventions, "cancel", fail_once)
    signup_reviews.expire(db)

    ids = (cancelled, broken, last)
    states = db.read(lambda session: [session.get_one(SignupReview, job_id).state for job_id in ids])
    assert states == [ReviewState.CANCELLED, ReviewState.WAITING, ReviewState.EXPIRED]
    assert _answer(_chief_again(api), cancelled).json["code"] == "not_waiting"


def test_a_cancelled_job_waits_for_nobody(api: Api, chief: FlaskClient) -> None:
    job_id = _sign_up(api)

    assert chief.post(f"{V1}/jobs/{job_id}/cancel", json={}).status_code == 202

    assert [each["id"] for each in chief.get(f"{V1}/signups").json["signups"]] == []
    assert _answer(chief, job_id).json["code"] == "not_waiting"


def test_an_invitation_is_shown_and_its_use_comes_back_with_the_next_sign_up(api: Api, chief: FlaskClient) -> None:
    code = Operator(api).reads("invites", "create", "--team", "dev")["code"]
    job_id = _sign_up(api, invite=code)
    assert chief.get(f"{V1}/signups").json["signups"][0]["is_invited"] is True

    _answer(chief, job_id, "reject")

    assert _sign_up(api, invite=code)


def test_retention_deletes_a_review_with_its_job(api: Api, chief: FlaskClient, db: Database, time: Time) -> None:
    job_id = _sign_up(api)
    _answer(chief, job_id)
    succeed(db, job_id)
    assert _log_in(api).status_code == 201
    time.advance(timedelta(days=10).total_seconds())

    list(retention.sweep(db, api.service.settings, before=db.now()))

    assert db.read(lambda session: session.get(Job, job_id)) is None


@pytest.mark.parametrize(
    ("line", "state"),
    [("users approve grace", JobState.QUEUED), ("users reject grace --reason unknown", JobState.CANCELLED)],
)
def test_an_operator_answers_by_commands(api: Api, db: Database, line: str, state: JobState) -> None:
    job_id = _sign_up(api)
    operator = Operator(api)
    assert "grace@example.com" in operator.types("users", "signups").output

    assert operator.types(*line.split()).exit_code == 0

    assert db.read(lambda session: session.get_one(Job, job_id)).state is state
    assert operator.types("users", "signups").output.strip() == "No sign-up is waiting."
    assert operator.types(*line.split()).exit_code == 3

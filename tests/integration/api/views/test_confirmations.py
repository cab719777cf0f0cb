"""E-mail addresses of new people: confirmed by a link that only a mail has, and nobody learns which ones are known."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import func, select
from support.api import V1, Api, open_api, without_request_id
from support.world import Time
from werkzeug.test import TestResponse

from common.audit import ActionKind
from common.database.engine import Database
from common.database.models import Action, Job, Mail, SignupReview, Step, User
from common.jobs import interventions, signup_reviews
from common.states import StepState

pytestmark = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)

TOKEN = "x1mPzV0bU3Ck9wq7RrYtGhJ2LsDfNa4QeWv8XyTzKoM"


@pytest.fixture
def api(db_url: str, time: Time) -> Iterator[Api]:
    with open_api(db_url, time, signup_confirmation=True, signups_per_address=20, signups_per_name=5) as opened:
        yield opened


def _mail_sent(db: Database, login: str = "grace", token: str = TOKEN) -> None:
    """Do with the mail what a worker does."""

    def work(session: Any) -> None:
        user_id = session.scalar(select(User.id).where(User.login == login))
        assert signup_reviews.renew_link(session, user_id, token, db.now())
        session.delete(session.get_one(Mail, (user_id, "confirm_signup")))

    db.transaction(work)


def _confirm(api: Api, token: str = TOKEN) -> TestResponse:
    return api.visitor.post(f"{V1}/signups/confirm", json={"token": token})


def _resend(api: Api, email: str) -> TestResponse:
    return api.visitor.post(f"{V1}/signups/resend", json={"email": email})


def _mails(db: Database) -> list[str]:
    addresses = select(User.email).join(Mail, Mail.user_id == User.id)
    return [*db.read(lambda session: session.scalars(addresses).all())]


def test_a_sign_up_waits_for_the_person_and_then_begins(api: Api, db: Database) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    assert _mails(db) == ["grace@example.com"]
    (waiting,) = api.visitor.get(f"{V1}/jobs/{job_id}").json["waiting_on"]
    assert (waiting["upstream"], waiting["code"]) == ("slipway", "confirmation")
    _mail_sent(db)

    answer = _confirm(api)

    assert (answer.status_code, answer.json["job_id"]) == (202, job_id)
    states = select(Step.state).where(Step.job_id == job_id, Step.position == 0)
    assert db.read(lambda session: session.scalar(states)) is StepState.READY
    assert db.read(lambda session: session.get_one(Job, job_id)).input["email_confirmed"] is True
    assert _confirm(api).status_code == 202, "twice is fine"
    acts = select(func.count()).where(Action.kind == ActionKind.USER_CONFIRM)
    assert db.read(lambda session: session.scalar(acts)) == 1, "and one act"


def test_an_unknown_link_is_refused_and_tries_are_counted(api: Api) -> None:
    statuses = [_confirm(api, "y" * 43).status_code for _ in range(21)]

    assert statuses == [401] * 20 + [429]


def test_nobody_learns_from_a_resend_whether_an_address_is_known(api: Api, db: Database) -> None:
    api.sign_up("grace")
    _mail_sent(db)

    known, unknown = _resend(api, "Grace@example.com"), _resend(api, "nobody@example.com")

    assert (known.status_code, without_request_id(known)) == (204, without_request_id(unknown))
    assert unknown.status_code == 204
    assert {name for name, _ in known.headers} == {name for name, _ in unknown.headers}
    assert _mails(db) == ["grace@example.com"]
    for email in ("grace@example.com", "nobody@example.com"):
        assert [_resend(api, email).status_code for _ in range(3)] == [204, 204, 429], email


def test_nobody_asks_for_a_mail_after_the_confirmation(api: Api, db: Database) -> None:
    api.sign_up("grace")
    _mail_sent(db)
    _confirm(api)

    assert _resend(api, "grace@example.com").status_code == 204
    assert _mails(db) == []


def test_a_code_is_mailed_to_a_confirmed_address_and_nobody_learns_which_are(api: Api, db: Database) -> None:
    api.sign_up("grace")
    _mail_sent(db)
    _confirm(api)
    api.sign_up("ada")  # her address is not confirmed yet

    answers = [
        api.visitor.post(f"{V1}/password-resets", json={"email": f"{name}@example.com"})
        for name in ("grace", "ada", "nobody")
    ]

    assert {(answer.status_code, without_request_id(answer)) for answer in answers} == {(204, b"")}
    kinds = db.read(lambda session: session.execute(select(User.login, Mail.kind).join(Mail)).all())
    assert {tuple(row) for row in kinds} == {("grace", "reset_password"), ("ada", "confirm_signup")}


def test_whoever_does_not_confirm_holds_a_name_against_nobody(api: Api, db: Database, time: Time) -> None:
    api.sign_up("grace", password="a stranger has this one")
    _mail_sent(db)
    assert api.sign_up("grace").json["code"] == "taken"
    time.advance(timedelta(days=1).total_seconds())
    signup_reviews.expire(db)

    answer = api.sign_up("grace")

    assert answer.status_code == 202, answer.text
    assert api.visitor.get(answer.headers["Location"]).json["state"] == "queued"


def _end(db: Database, job_id: str, how: str) -> None:
    def work(session: Any) -> None:
        if how == "rejected":
            signup_reviews.reject(session, job_id, by=None, reason="unknown", now=db.now())
        else:
            interventions.cancel(session, job_id, db.now())

    db.transaction(work)
    assert db.read(lambda session: session.get_one(SignupReview, job_id)).state == how


@pytest.mark.parametrize("is_mail_sent", [True, False])
@pytest.mark.parametrize("how", ["rejected", "cancelled"])
def test_whatever_ends_it_unconfirmed_it_gives_its_name_to_anybody(
    api: Api, db: Database, how: str, is_mail_sent: bool
) -> None:
    job_id = api.sign_up("grace", password="a stranger has this one").json["job_id"]
    if is_mail_sent:
        _mail_sent(db)
    _end(db, job_id, how)

    assert _confirm(api).json["code"] == "invalid_link"
    assert api.sign_up("grace").status_code == 202


@pytest.mark.parametrize("how", ["rejected", "cancelled"])
def test_confirmed_and_ended_it_keeps_its_name_for_the_same_person(
    db_url: str, time: Time, db: Database, how: str
) -> None:
    with open_api(db_url, time, signup_confirmation=True, signup_approval=True) as api:
        job_id = api.sign_up("grace").json["job_id"]
        _mail_sent(db)
        assert _confirm(api).status_code == 202
        _end(db, job_id, how)

        assert _confirm(api).json["code"] == "invalid_link"
        assert api.sign_up("grace", password="a stranger has this one").status_code == 409
        assert api.sign_up("grace").status_code == 202


def test_the_link_of_a_job_that_was_cancelled_later_is_of_no_use(api: Api, db: Database) -> None:
    job_id = api.sign_up("grace").json["job_id"]
    _mail_sent(db)
    assert _confirm(api).status_code == 202
    db.transaction(lambda session: interventions.cancel(session, job_id, db.now()))

    assert _confirm(api).json["code"] == "invalid_link"


@pytest.mark.parametrize(("is_accepted", "last"), [(False, 429), (True, 204)])
def test_mails_to_one_address_stay_few_though_sign_ups_are_unlimited(
    db_url: str, time: Time, is_accepted: bool, last: int
) -> None:
    limits = {"signups_per_name": 0, "signups_per_address": 20, "allow_unlimited_attempts": is_accepted}
    with open_api(db_url, time, signup_confirmation=True, **limits) as api:
        assert [_resend(api, "grace@example.com").status_code for _ in range(4)] == [204, 204, 204, last]


def test_the_page_runs_its_own_script_and_nothing_else(api: Api) -> None:
    page = api.visitor.get("/confirm")

    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = page.headers["Content-Security-Policy"]
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert f"script-src 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["Referrer-Policy"] == "no-referrer"

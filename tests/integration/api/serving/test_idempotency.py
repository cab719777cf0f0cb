"""A request that is sent again gets the first one's answer, whatever happened on the way, and does nothing twice."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from support.api import CHEAP, PASSWORD, V1, Api, add_app, add_project, newcomer, open_api, row_counts
from support.fake_worker import ABSENT, add_provisioned, admin, fail
from support.world import Time
from werkzeug.test import TestResponse

from api.passwords import Passwords
from api.serving.idempotency import LIFETIME
from common.database.engine import Database
from common.database.models import IdempotencyRecord, Job

KEY = {"Idempotency-Key": "9b2f7c1e-0000-4000-8000-000000000001"}
OTHER_KEY = {"Idempotency-Key": "9b2f7c1e-0000-4000-8000-000000000002"}
OF_ONE_ANSWER = {"Date", "X-Request-Id", "Idempotency-Replayed"}


@pytest.fixture
def grace(api: Api) -> FlaskClient:
    return api.member("grace")


def _told(answer: TestResponse) -> tuple[int, bytes, dict[str, str]]:
    return answer.status_code, answer.data, {k: v for k, v in answer.headers.items() if k not in OF_ONE_ANSWER}


def _assert_repeated(first: TestResponse, again: TestResponse) -> None:
    assert _told(again) == _told(first)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_sign_up_sent_again_is_the_same_sign_up(api: Api, db: Database) -> None:
    first, again = (api.visitor.post(f"{V1}/signup", json=newcomer("ada"), headers=KEY) for _ in range(2))

    _assert_repeated(first, again)
    assert (first.status_code, row_counts(db)["users"], row_counts(db)["jobs"]) == (202, 1, 1)


@pytest.mark.usefixtures("grace")
def test_a_log_in_sent_again_gets_the_same_token(api: Api, db: Database) -> None:
    before = row_counts(db)["sessions"]
    first, again = (
        api.visitor.post(f"{V1}/login", json={"id": "grace", "password": PASSWORD}, headers=KEY) for _ in range(2)
    )

    _assert_repeated(first, again)
    assert row_counts(db)["sessions"] == before + 1
    assert api.bearer(again.json["token"]).get(f"{V1}/me").status_code == 200


@pytest.mark.usefixtures("grace")
def test_whoever_has_the_key_but_not_the_password_gets_nothing(api: Api) -> None:
    api.visitor.post(f"{V1}/signup", json=newcomer("ada"), headers=KEY)
    api.visitor.post(f"{V1}/login", json={"id": "grace", "password": PASSWORD}, headers=OTHER_KEY)

    signup = api.visitor.post(f"{V1}/signup", json=newcomer("ada", password="another good phrase"), headers=KEY)
    login = api.visitor.post(f"{V1}/login", json={"id": "grace", "password": "guess"}, headers=OTHER_KEY)

    for answer in (signup, login):
        assert (answer.status_code, answer.json["code"]) == (422, "key_reused")
        assert not {"job_id", "token"} & set(answer.json)


@pytest.mark.parametrize(
    ("path", "body", "other"),
    [
        ("/project", {"name": "compilers"}, {"name": "linkers"}),
        ("/app", {"project_id": "{project}", "name": "compiler", "type": "Flask"}, {"type": "Django"}),
        ("/app/{app}/builds", {"branch": "main"}, {"branch": "trunk"}),
        ("/app/{app}/deploys", {"image_tag": "7", "force": True}, {"image_tag": "8"}),
        ("/app/{app}/reconcile", {}, None),
        ("/app/{app}/drift", {}, None),
        ("/jobs/{failed}/retry", {}, None),
        ("/jobs/{failed}/steps/compare_app/skip", {"reason": "by hand"}, {"reason": "by foot"}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_same_request_gets_the_same_answer_and_another_one_none(
    api: Api, db: Database, grace: FlaskClient, path: str, body: dict[str, Any], other: dict[str, Any] | None
) -> None:
    ids = _things(db, grace)
    body = {name: value.format(**ids) if isinstance(value, str) else value for name, value in body.items()}
    asker = admin(api, db) if "skip" in path else grace
    url = V1 + path.format(**ids)

    first, again = (asker.post(url, json=body, headers=KEY) for _ in range(2))
    counts = row_counts(db)
    different = asker.post(url, json={**body, **(other or {"no": "field"})}, headers=KEY)

    if first.status_code < 300:
        _assert_repeated(first, again)
    else:  # a refusal is judged anew: the same today, another answer when what it was about is mended
        assert (again.status_code, "Idempotency-Replayed" in again.headers) == (first.status_code, False)
    assert different.status_code in ((422,) if first.status_code < 300 else (409, 422))
    assert row_counts(db) == counts


def _things(db: Database, grace: FlaskClient) -> dict[str, str]:
    app = add_provisioned(db, grace, "linker", "linkers")
    failed = grace.get(f"{V1}/app/{app}/drift").json["job_id"]
    fail(db, failed, "compare_app")
    return {"app": app, "failed": failed, "project": add_project(grace, "assemblers")}


def test_a_removal_sent_again_is_the_same_removal(db: Database, grace: FlaskClient) -> None:
    app = add_provisioned(db, grace)

    confirmed = {"confirm": "compiler"}
    first, again = (grace.delete(f"{V1}/app/{app}", headers=KEY, query_string=confirmed) for _ in range(2))

    _assert_repeated(first, again)
    assert first.status_code == 202


def test_a_get_that_begins_a_job_honours_a_key_too(db: Database, grace: FlaskClient) -> None:
    app = add_provisioned(db, grace)

    first, again = (grace.get(f"{V1}/app/{app}/drift", headers=KEY) for _ in range(2))

    _assert_repeated(first, again)


def test_a_repetition_outlives_the_state_that_allowed_the_first(db: Database, grace: FlaskClient) -> None:
    failed = _things(db, grace)["failed"]
    first = grace.post(f"{V1}/jobs/{failed}/retry", json={}, headers=KEY)
    fail(db, failed, "compare_app")
    grace.post(f"{V1}/jobs/{failed}/retry", json={})  # it runs again: a new retry would be refused

    again = grace.post(f"{V1}/jobs/{failed}/retry", json={}, headers=KEY)

    _assert_repeated(first, again)


def test_a_key_belongs_to_one_path_and_one_person(api: Api, grace: FlaskClient) -> None:
    hopper = api.member("hopper")
    grace.post(f"{V1}/project", json={"name": "compilers"}, headers=KEY)

    elsewhere = grace.post(f"{V1}/logout", json={"name": "compilers"}, headers=KEY)
    by_another = hopper.post(f"{V1}/project", json={"name": "linkers"}, headers=KEY)
    on_another_path = grace.post(f"{V1}/app", json={"project_id": ABSENT, "name": "abc", "type": "Flask"}, headers=KEY)

    assert [answer.json["code"] for answer in (elsewhere, on_another_path)] == ["key_reused", "key_reused"]
    assert by_another.status_code == 201


def test_a_refusal_is_judged_anew(grace: FlaskClient) -> None:
    project = add_project(grace)
    add_app(grace, project, "compiler")
    wanted = {"project_id": project, "name": "compiler", "type": "Flask"}

    refused = grace.post(f"{V1}/app", json=wanted, headers=KEY)
    mended = grace.post(f"{V1}/app", json={**wanted, "name": "linker"}, headers=KEY)

    assert (refused.status_code, mended.status_code) == (409, 202)


def test_a_key_ends_after_the_published_time(db: Database, grace: FlaskClient, time: Time) -> None:
    grace.post(f"{V1}/project", json={"name": "compilers"}, headers=KEY)
    with db.engine.begin() as connection:  # the log-in would end sooner
        connection.execute(text("UPDATE kept_answers SET expires_at = '2000-01-01 00:00:00'"))

    answer = grace.post(f"{V1}/project", json={"name": "linkers"}, headers=KEY)

    assert answer.status_code == 201
    assert LIFETIME.total_seconds() == 24 * 3600
    kept = db.read(lambda session: session.scalars(select(IdempotencyRecord)).one())
    assert kept.expires_at == time() + LIFETIME


@pytest.mark.parametrize("key", ["", "short", "with blank in", 'quote"d-key', "x" * 129, "käse-käse-käse"])
def test_a_key_of_another_shape_is_refused_by_name(api: Api, db: Database, key: str) -> None:
    answer = api.visitor.post(
        f"{V1}/signup", json=newcomer("ada"), headers={"Idempotency-Key": key.encode().decode("latin-1")}
    )

    assert (answer.status_code, [error["field"] for error in answer.json["errors"]]) == (422, ["Idempotency-Key"])
    assert row_counts(db)["jobs"] == 0


def test_a_quoted_key_is_the_same_key(api: Api) -> None:
    first = api.visitor.post(f"{V1}/signup", json=newcomer("ada"), headers=KEY)
    quoted = {"Idempotency-Key": f'"{KEY["Idempotency-Key"]}"'}

    _assert_repeated(first, api.visitor.post(f"{V1}/signup", json=newcomer("ada"), headers=quoted))


@pytest.mark.usefixtures("grace")
def test_nothing_kept_can_be_read_without_the_keys(api: Api, db: Database) -> None:
    api.visitor.post(f"{V1}/signup", json=newcomer("ada", password="canary in a mine"), headers=KEY)
    token = api.visitor.post(f"{V1}/login", json={"id": "grace", "password": PASSWORD}, headers=OTHER_KEY).json["token"]

    rows = db.read(lambda session: session.scalars(select(IdempotencyRecord)).all())

    stored = " ".join(f"{row.fingerprint} {row.password_hash} {row.sealed!r}" for row in rows)
    assert len(rows) == 2
    assert not any(word in stored for word in ("canary", PASSWORD, token, "job_id"))
    assert all(row.password_hash and row.password_hash.startswith("$argon2id$") for row in rows)


@pytest.mark.parametrize("change", [{}, {"team": "ops"}])
def test_an_answer_that_the_version_before_has_kept_is_given_to_the_same_request_only(
    api: Api, db: Database, change: dict[str, str]
) -> None:
    first = api.visitor.post(f"{V1}/signup", json=newcomer("ada"), headers=KEY)
    vault, bound = api.service.vault, {"job_id": f"anyone {KEY['Idempotency-Key']}", "purpose": "answer"}

    def keep_as_before(session: Session) -> None:
        kept = session.scalars(select(IdempotencyRecord)).one()
        told = json.loads(vault.open(kept.key_id, kept.sealed, **bound))
        del told["request"]
        _, kept.sealed = vault.seal(json.dumps(told), **bound)

    db.transaction(keep_as_before)
    again = api.visitor.post(f"{V1}/signup", json=newcomer("ada", **change), headers=KEY)

    assert (again.status_code, again.data == first.data) == ((422, False) if change else (202, True))


def test_an_answer_whose_key_was_retired_is_not_given_and_nothing_is_done(
    db_url: str, time: Time, db: Database
) -> None:
    with open_api(db_url, time) as before:
        before.visitor.post(f"{V1}/signup", json=newcomer("ada"), headers=KEY)
    with open_api(db_url, time, secret_keys="quite another key of thirty-two characters") as after:
        answer = after.visitor.post(f"{V1}/signup", json=newcomer("ada"), headers=KEY)

    assert (answer.status_code, answer.json["code"]) == (422, "key_reused")
    assert Counter(job.kind for job in db.read(lambda session: session.scalars(select(Job)).all())) == {"signup": 1}


def test_of_two_requests_at_once_one_does_the_work_and_both_get_its_answer(api: Api, db: Database) -> None:
    answers: list[TestResponse] = []

    class Slow(Passwords):
        """While it computes a hash, the same request comes again and is through."""

        def hash(self, password: str) -> str:
            if not answers:
                api.app.extensions["slipway"] = api.service
                answers.append(api.app.test_client().post(f"{V1}/signup", json=newcomer("ada"), headers=KEY))
            return super().hash(password)

    api.app.extensions["slipway"] = replace(api.service, passwords=Slow(CHEAP))

    overtaken = api.visitor.post(f"{V1}/signup", json=newcomer("ada"), headers=KEY)

    _assert_repeated(answers[0], overtaken)
    assert (row_counts(db)["users"], row_counts(db)["jobs"]) == (1, 1)


def test_a_key_is_free_again_at_its_end(db: Database, grace: FlaskClient, time: Time) -> None:
    grace.post(f"{V1}/project", json={"name": "compilers"}, headers=KEY)

    def end(session: Session) -> None:
        session.scalars(select(IdempotencyRecord)).one().expires_at = time()

    db.transaction(end)

    assert grace.post(f"{V1}/project", json={"name": "linkers"}, headers=KEY).status_code == 201

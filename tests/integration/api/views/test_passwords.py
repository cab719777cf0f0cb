"""Passwords: changed by who knows the present one or has a code, everywhere or nowhere, and nobody learns of others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from support.api import PASSWORD, V1, Api, open_api, row_counts, without_request_id
from support.fake_worker import admin, fail, job, succeed
from support.world import Time
from werkzeug.test import TestResponse

from api.passwords import Passwords
from common.database.engine import Database
from common.database.models import PasswordReset, Secret, User
from common.states import JobState
from common.vault import sealed_passwords

NEW = "looms weave flowers"


@pytest.fixture
def api(db_url: str, db: Database, time: Time) -> Iterator[Api]:
    with open_api(db_url, time) as opened:
        succeed(db, opened.sign_up("grace").json["job_id"])
        yield opened


@pytest.fixture
def grace(api: Api) -> FlaskClient:
    return api.bearer(api.token("grace"))


@pytest.fixture
def chief(api: Api, db: Database) -> FlaskClient:
    return admin(api, db)


def _change(client: FlaskClient, password: str = PASSWORD, new: str = NEW, **headers: str) -> TestResponse:
    return client.put(f"{V1}/me/password", json={"password": password, "new_password": new}, headers=headers)


def _log_in(api: Api, password: str) -> int:
    body = {"id": "grace", "password": password}
    return api.app.test_client(use_cookies=False).post(f"{V1}/login", json=body).status_code


def _code(chief: FlaskClient, login: str = "grace") -> str:
    answer = chief.post(f"{V1}/users/{login}/password-reset")
    assert answer.status_code == 201, answer.text
    code: str = answer.json["reset_code"]
    return code


def _confirm(api: Api, code: str, login: str = "grace", password: str = NEW) -> TestResponse:
    body = {"id": login, "reset_code": code, "password": password}
    return api.app.test_client(use_cookies=False).post(f"{V1}/password-resets/confirm", json=body)


def _count_hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which each password is added for which a hash is computed, be it made or verified."""
    hashes: list[str] = []
    for method in ("hash", "is_right"):
        real = getattr(Passwords, method)
        counting = lambda self, password, *stored, real=real: hashes.append(password) or real(self, password, *stored)  # noqa: E731
        monkeypatch.setattr(Passwords, method, counting)
    return hashes


# -- change -------------------------------------------------------------------------------------------------------


def test_a_change_holds_here_at_once_and_is_a_job_for_the_upstreams(api: Api, db: Database, grace: FlaskClient) -> None:
    answer = _change(grace)

    accepted = job(db, answer.json["job_id"])
    sealed = db.read(lambda session: sealed_passwords.unseal(session, api.service.vault, accepted.id))
    assert (answer.status_code, accepted.kind) == (202, "change_password")
    assert accepted.input == {"login": "grace", "email": "grace@example.com", "name": "Grace Hopper", "team": "dev"}
    assert [_log_in(api, password) for password in (PASSWORD, NEW)] == [401, 201]
    assert sealed == NEW
    succeed(db, accepted.id)
    assert db.read(lambda session: session.scalars(select(Secret)).all()) == []


def test_a_change_ends_the_other_sessions_and_no_token(api: Api, grace: FlaskClient) -> None:
    other, linus = api.bearer(api.token("grace")), api.member("linus")
    token = grace.post(f"{V1}/me/tokens", json={"name": "ci", "scope": "read"}).json["token"]

    assert _change(grace).status_code == 202

    clients = (grace, other, linus, api.bearer(token))
    assert [client.get(f"{V1}/me").status_code for client in clients] == [200, 401, 200, 200]


def test_a_wrong_present_password_changes_nothing(api: Api, db: Database, grace: FlaskClient) -> None:
    before = row_counts(db)

    answer = _change(grace, "another fine password")

    assert (answer.status_code, answer.json["code"]) == (401, "invalid_credentials")
    assert row_counts(db) == {**before, "actions": before["actions"] + 1}  # that it was refused
    assert _log_in(api, PASSWORD) == 201


@pytest.mark.parametrize("new", ["short", "hopper weaves flowers", "x" * 73, "gitlab weaves flowers", "password1234"])
def test_a_new_password_that_an_upstream_would_refuse_is_refused_here(grace: FlaskClient, new: str) -> None:
    answer = _change(grace, new=new)

    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "new_password")


def test_while_a_job_of_the_person_runs_there_is_no_second_one(db: Database, grace: FlaskClient) -> None:
    first = _change(grace).json["job_id"]

    busy = _change(grace, NEW, "mills grind the corn")
    succeed(db, first)

    assert (busy.status_code, busy.json["code"], busy.json["job_id"]) == (409, "busy", first)
    assert _change(grace, NEW, "mills grind the corn").status_code == 202


def test_an_earlier_job_that_failed_cannot_set_the_former_password(db: Database, grace: FlaskClient) -> None:
    first = _change(grace).json["job_id"]
    succeed(db, first, but=("set_kibana_password",))
    fail(db, first, "set_kibana_password")
    succeed(db, _change(grace, NEW, "mills grind the corn").json["job_id"])

    path = f"{V1}/jobs/{first}/retry"
    answers = [grace.post(path, json={} if not each else {"password": each}) for each in ("", NEW)]
    right = grace.post(path, json={"password": "mills grind the corn"})

    assert [answer.json["code"] for answer in answers] == ["password_needed", "invalid_fields"]
    assert right.status_code == 202


def test_a_failed_change_is_retried_within_the_hour_and_later_with_the_password(
    db: Database, grace: FlaskClient, time: Time
) -> None:
    job_id = _change(grace).json["job_id"]
    succeed(db, job_id, but=("set_gitlab_password",))
    fail(db, job_id, "set_gitlab_password")
    assert job(db, job_id).state is JobState.FAILED

    time.advance(3600)
    sealed_passwords.expire(db)
    answers = [grace.post(f"{V1}/jobs/{job_id}/retry", json=body) for body in ({}, {"password": NEW})]

    assert [answer.status_code for answer in answers] == [409, 202]


def test_a_change_that_is_repeated_with_its_key_is_the_same_one(db: Database, grace: FlaskClient) -> None:
    key = {"Idempotency-Key": "the-key-of-a-change"}
    first, again = (_change(grace, **key) for _ in range(2))

    other = _change(grace, new="mills grind the corn", **key)

    assert again.json == first.json
    assert (other.status_code, other.json["code"]) == (422, "key_reused")
    assert row_counts(db)["jobs"] == 2


def test_guesses_of_the_present_password_are_counted_as_log_ins(db_url: str, db: Database, time: Time) -> None:
    with open_api(db_url, time, login_failures_per_account_and_address=2) as api:
        succeed(db, api.sign_up("grace").json["job_id"])
        client = api.bearer(api.token("grace"))

        codes = [_change(client, "another fine password").status_code for _ in range(3)]

        assert codes == [401, 401, 429]
        assert _log_in(api, PASSWORD) == 429


def test_a_colleague_has_no_hand_in_the_job_of_a_new_password(
    api: Api, db: Database, grace: FlaskClient, chief: FlaskClient
) -> None:
    job_id = _change(grace).json["job_id"]
    linus = api.member("linus")
    token = linus.post(f"{V1}/me/tokens", json={"name": "ci", "scope": "team"}).json["token"]
    colleagues = (linus, api.bearer(token))

    changed = [client.post(f"{V1}/jobs/{job_id}/{act}", json={}) for client in colleagues for act in ("cancel", "poll")]
    succeed(db, job_id, but=("set_gitlab_password",))
    fail(db, job_id, "set_gitlab_password")
    bodies = ({}, {"password": NEW})
    retried = [client.post(f"{V1}/jobs/{job_id}/retry", json=body) for client in colleagues for body in bodies]

    assert {(answer.status_code, answer.json["code"]) for answer in changed + retried} == {(403, "not_admin")}
    assert grace.post(f"{V1}/jobs/{job_id}/retry", json={}).status_code == 202
    assert chief.post(f"{V1}/jobs/{job_id}/cancel", json={}).status_code == 202


# -- reset --------------------------------------------------------------------------------------------------------


def test_a_code_sets_a_new_password_once(api: Api, db: Database, chief: FlaskClient, grace: FlaskClient) -> None:
    token = grace.post(f"{V1}/me/tokens", json={"name": "ci", "scope": "read"}).json["token"]
    code = _code(chief)
    (row,) = db.read(lambda session: session.scalars(select(PasswordReset)).all())

    first, again = (_confirm(api, code) for _ in range(2))

    assert code not in str(vars(row))
    assert (first.status_code, job(db, first.json["job_id"]).kind) == (202, "change_password")
    assert (again.status_code, again.json["code"]) == (401, "invalid_code")
    assert [_log_in(api, password) for password in (PASSWORD, NEW)] == [401, 201]
    assert [client.get(f"{V1}/me").status_code for client in (grace, api.bearer(token))] == [401, 401]


def test_only_the_newest_code_is_good_and_only_for_an_hour(api: Api, chief: FlaskClient, time: Time) -> None:
    old, new = _code(chief), _code(chief)

    assert _confirm(api, old).status_code == 401
    time.advance(3600)
    assert _confirm(api, new).status_code == 401


def test_a_weak_password_does_not_use_the_code_up(api: Api, chief: FlaskClient) -> None:
    code = _code(chief)

    weak = _confirm(api, code, password="grace weaves flowers")

    assert (weak.status_code, weak.json["errors"][0]["field"]) == (422, "password")
    assert _confirm(api, code).status_code == 202


def test_only_administrators_create_codes_and_only_for_who_is_there(
    api: Api, db: Database, grace: FlaskClient, chief: FlaskClient
) -> None:
    assert grace.post(f"{V1}/users/chief/password-reset").status_code == 403
    assert chief.post(f"{V1}/users/nobody/password-reset").status_code == 404
    code = _code(chief)
    db.transaction(lambda session: session.execute(update(User).where(User.login == "grace").values(left_at=db.now())))

    assert chief.post(f"{V1}/users/grace/password-reset").status_code == 404
    assert _confirm(api, code).status_code == 401


@pytest.mark.parametrize("login", ["nobody", "chief", "grâce", "' or 1=1", ""])
def test_whether_a_person_exists_is_told_neither_by_the_answer_nor_by_the_work(
    api: Api, chief: FlaskClient, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    _code(chief)
    hashes = _count_hashes(monkeypatch)

    known = _confirm(api, "x" * 43)
    unknown = _confirm(api, "x" * 43, login=login)

    assert known.status_code == 401
    assert without_request_id(known) == without_request_id(unknown)
    assert hashes == [NEW, NEW], "one hash either way"


def test_beyond_the_limit_no_guess_costs_a_hash(db_url: str, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = _count_hashes(monkeypatch)
    with open_api(db_url, time, login_failures_per_account_and_address=2) as api:
        answers = [_confirm(api, "x" * 43, login="nobody").status_code for _ in range(5)]

    assert (answers, len(hashes)) == ([401, 401, 429, 429, 429], 2)


def test_guesses_of_a_code_are_counted_as_log_ins(db_url: str, db: Database, time: Time) -> None:
    with open_api(db_url, time, login_failures_per_account_and_address=2) as api:
        succeed(db, api.sign_up("grace").json["job_id"])

        assert [_confirm(api, "x" * 43).status_code for _ in range(3)] == [401, 401, 429]

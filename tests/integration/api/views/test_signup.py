"""Sign-up: what is refused and why, all at once; what a refusal leaves behind: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.api import PASSWORD, V1, Api, newcomer, open_api, row_counts
from support.world import Time
from werkzeug.test import TestResponse

from common.database.engine import Database
from common.database.models import Job, Secret, Step, User
from common.workflows import SIGNUP

pytestmark = pytest.mark.one_database

CATALOG = """
[teams.dev]
title = "Development"
self_join = true
gitlab_group = "Crew"
jenkins_folder = "dev"
jenkins_role = "dev"
kibana_role = "dev"
argocd_project = "dev"

[teams.core]
title = "Core"
gitlab_group = "core-people"
jenkins_folder = "core"
jenkins_role = "core"
kibana_role = "core"
argocd_project = "core"
cluster = "core-cluster"

[types.Flask]
source_template = "templates/Flask_Template"
helm_template = "templates/Helm_Template"
"""


@pytest.fixture
def closed_team(db_url: str, time: Time, tmp_path: Path) -> Iterator[Api]:
    """An API whose team `core` may not be chosen at sign-up."""
    (tmp_path / "catalog.toml").write_text(CATALOG)
    with open_api(db_url, time, catalog_file=tmp_path / "catalog.toml") as opened:
        yield opened


def _faults(answer: TestResponse) -> dict[str, str]:
    return {error["field"]: error["code"] for error in answer.json["errors"]}


def _wrote(db: Database) -> set[str]:
    return {table for table, count in row_counts(db).items() if count} - {"teams"}


def test_an_accepted_sign_up_answers_the_job_and_where_to_follow_it(api: Api, db: Database) -> None:
    answer = api.sign_up("grace", email="Grace@Example.com")

    job_id = answer.json["job_id"]
    assert answer.status_code == 202
    assert answer.json == {
        "job_id": job_id, "status_url": f"{V1}/jobs/{job_id}", "app_id": None, "is_new": True,
    }  # fmt: skip
    assert answer.headers["Location"] == f"{V1}/jobs/{job_id}"
    assert api.visitor.get(answer.headers["Location"]).status_code == 200
    user = db.read(lambda session: session.scalars(select(User)).one())
    assert (user.login, user.email, user.team_id, user.is_admin) == ("grace", "grace@example.com", "dev", False)


def test_an_accepted_sign_up_wrote_job_steps_and_sealed_secret(api: Api, db: Database) -> None:
    job_id = api.sign_up("grace").json["job_id"]

    job, secret = db.read(lambda session: (session.get_one(Job, job_id), session.scalars(select(Secret)).one()))
    names = db.read(lambda session: session.scalars(select(Step.name).order_by(Step.position)).all())
    opened = api.service.vault.open(secret.key_id, secret.sealed, job_id=job_id, purpose="password")
    assert names == [step.name for step in SIGNUP.steps]
    assert opened == PASSWORD
    assert "password" not in job.input


def test_every_missing_and_every_unknown_field_is_named(api: Api, db: Database) -> None:
    answer = api.visitor.post(f"{V1}/signup", json={"email": "g@example.com", "role": "admin", "is_admin": True})

    assert answer.status_code == 422
    assert _faults(answer) == {
        "id": "missing",
        "name": "missing",
        "password": "missing",
        "team": "missing",
        "role": "unknown_field",
        "is_admin": "unknown_field",
    }
    assert not _wrote(db)


@pytest.mark.parametrize("value", [None, 7, 1.5, True, [], {}, ["grace"]], ids=str)
def test_every_wrongly_typed_field_is_named(api: Api, db: Database, value: Any) -> None:
    answer = api.visitor.post(f"{V1}/signup", json=dict.fromkeys(("id", "email", "name", "password", "team"), value))

    assert answer.status_code == 422
    assert _faults(answer) == dict.fromkeys(("id", "email", "name", "password", "team"), "wrong_type")
    assert not _wrote(db)


def test_every_broken_rule_is_named(api: Api, db: Database) -> None:
    answer = api.visitor.post(
        f"{V1}/signup", json={"id": "Grace", "email": "grace", "name": "<Grace>", "password": "short", "team": "sales"}
    )

    assert answer.status_code == 422
    assert set(_faults(answer)) == {"id", "email", "name", "password", "team"}
    assert not _wrote(db)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "ada\n"},
        {"id": "ada\0"},
        {"id": "\u0430da"},
        {"id": "root"},
        {"id": "dev"},
        {"id": "x" * 60_000},
        {"email": "grace@example.com\n"},
        {"email": f"{'g' * 300}@example.com"},
        {"name": ""},
        {"name": "g" * 101},
        {"name": "anonymous"},
        {"password": "eleven char"},
        {"password": "漢" * 25},
        {"password": "xx grace xxxx"},
        {"password": "x" * 60_000},
        {"team": "\u0430"},
    ],
    ids=lambda change: ascii(change)[:40],
)
def test_a_refused_field_is_named_and_nothing_is_written(api: Api, db: Database, change: dict[str, str]) -> None:
    answer = api.sign_up(**{"login": "grace", **newcomer("grace", **change)})

    assert answer.status_code == 422
    assert set(_faults(answer)) == set(change)
    assert not _wrote(db)


def test_the_longest_that_is_taken_fits_the_database(api: Api, db: Database) -> None:
    login, email = "g" * 32, f"{'g' * 64}@{'b.' * 93}com"
    answer = api.sign_up(
        login, email=email, name="\U0001f6a2" * 100, password="船が港に入る日を待っている人の話をしよう今"[:24]
    )

    assert answer.status_code == 202, answer.text
    assert db.read(lambda session: session.scalars(select(User)).one()).name == "\U0001f6a2" * 100


def test_an_unknown_team_is_answered_with_those_that_are_open(closed_team: Api, db: Database) -> None:
    answer = closed_team.sign_up("grace", team="sales")

    (error,) = answer.json["errors"]
    assert error["field"] == "team"
    assert error["message"].endswith("Choose one of: dev.")
    assert not _wrote(db)


def test_a_team_that_is_not_open_cannot_be_joined(closed_team: Api, db: Database) -> None:
    answer = closed_team.sign_up("grace", team="core")

    assert (answer.status_code, answer.json["code"]) == (403, "team_not_open")
    assert _faults(answer) == {"team": "not_open"}
    assert not _wrote(db)


@pytest.mark.parametrize("login", ["crew", "core-people", "templates"])
def test_a_team_s_group_is_no_login(closed_team: Api, db: Database, login: str) -> None:
    answer = closed_team.sign_up(login)

    assert _faults(answer) == {"id": "reserved"}
    assert not _wrote(db)


@pytest.mark.parametrize(
    ("setting", "account"),
    [("gitlab_read_user", "cloner-bot"), ("jenkins_auth_id", "Builder"), ("elasticsearch_user", "people-maker")],
)
def test_an_account_of_our_own_is_no_login(db_url: str, time: Time, db: Database, setting: str, account: str) -> None:
    with open_api(db_url, time, **{setting: account}) as api:
        answer = api.sign_up(account.lower())

    assert (answer.status_code, _faults(answer)) == (422, {"id": "reserved"})
    assert not _wrote(db)


@pytest.mark.parametrize(
    ("login", "email", "faults"),
    [
        ("grace", "other@example.com", {"id": "taken"}),
        ("hopper", "grace@example.com", {"email": "taken"}),
        ("hopper", "GRACE@Example.COM", {"email": "taken"}),
        ("grace", "grace@example.com", {"id": "taken", "email": "taken"}),
    ],
)
def test_what_is_taken_is_named(api: Api, db: Database, login: str, email: str, faults: dict[str, str]) -> None:
    api.sign_up("grace")
    before = row_counts(db)

    answer = api.sign_up(login, email=email)

    assert (answer.status_code, answer.json["code"]) == (409, "taken")
    assert _faults(answer) == faults
    assert row_counts(db) == before


# -- what an operator allows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("email", "status"),
    [
        ("grace@example.com", 202),
        ("Grace@EXAMPLE.com", 202),
        ("grace@sub.example.com", 422),
        ("grace@example.com.evil.example", 422),
        ("grace@notexample.com", 422),
    ],
)
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_addresses_of_other_domains_are_refused(db_url: str, time: Time, email: str, status: int) -> None:
    with open_api(db_url, time, signup_email_domains=("example.com", "corp.example")) as api:
        answer = api.sign_up("grace", email=email)

    assert answer.status_code == status
    if status == 422:
        assert _faults(answer) == {"email": "domain_not_allowed"}


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_no_team_of_the_bundled_catalog_is_open_unless_the_operator_says_so(db_url: str, time: Time) -> None:
    with open_api(db_url, time, signup_bundled_teams_open=False) as api:
        answers = [api.sign_up("grace", team=team) for team in ("dev", "ops")]

    assert [(answer.status_code, answer.json["code"]) for answer in answers] == [(403, "team_not_open")] * 2

"""Administrators are made from the command line: the first one on an empty installation, others of who is there."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from support.api import PASSWORD, V1, Api, row_counts
from support.commands import Operator
from support.fake_worker import count_jobs
from support.world import World

from common.database.engine import Database
from common.database.models import Job, User
from common.states import JobState
from common.workflows import OFFBOARD

WHO = {"--email": "root@example.com", "--name": "Grace Hopper", "--team": "ops"}


@pytest.fixture
def operator(api: Api) -> Operator:
    return Operator(api)


def _create(login: str = "hopper", **changes: str) -> list[str]:
    said = WHO | {f"--{name}": value for name, value in changes.items()}
    return ["users", "create-admin", login, *(word for pair in said.items() for word in pair), "--password-stdin"]


def test_the_first_administrator_of_an_empty_installation_logs_in_and_administers(
    operator: Operator, api: Api, db: Database
) -> None:
    made = operator.types(*_create(), input=f"{PASSWORD}\n")

    chief = api.bearer(api.token("hopper"))
    assert (made.exit_code, made.stderr) == (0, "")
    assert chief.get(f"{V1}/me").json["is_admin"] is True
    assert chief.post(f"{V1}/jobs/retry", json={}).status_code == 200
    assert {table for table, count in row_counts(db).items() if count} == {
        "teams", "users", "sessions", "actions",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("login", "password", "changes", "named"),
    [
        ("root", PASSWORD, {}, ["ID"]),
        ("Hopper", PASSWORD, {}, ["ID"]),
        ("hopper", "short", {}, ["the password"]),
        ("hopper", "hopper hopper hopper", {}, ["the password"]),
        ("hopper", PASSWORD, {"email": "nowhere", "name": "<b>"}, ["--email", "--name"]),
        ("hopper", PASSWORD, {"team": "sales"}, ["The catalog has no team 'sales'"]),
    ],
)
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_the_rules_are_those_of_a_sign_up_and_a_refusal_writes_nothing(
    operator: Operator, db: Database, login: str, password: str, changes: dict[str, str], named: list[str]
) -> None:
    refused = operator.types(*_create(login, **changes), input=f"{password}\n")

    assert refused.exit_code == 3
    assert [
        line.removeprefix("Error: ")[: len(name)] for line, name in zip(refused.stderr.splitlines(), named, strict=True)
    ] == named
    assert password not in refused.output
    assert row_counts(db)["users"] == 0


def test_what_is_taken_is_named(operator: Operator, api: Api, db: Database) -> None:
    api.sign_up("hopper")

    both = operator.types(*_create(email="hopper@example.com"), input=f"{PASSWORD}\n")
    address = operator.types(*_create("chief", email="HOPPER@example.com"), input=f"{PASSWORD}\n")

    assert (both.exit_code, address.exit_code, row_counts(db)["users"]) == (3, 3, 1)
    assert "ID: This ID is already taken." in both.stderr
    assert "--email: This e-mail address already has an account." in both.stderr
    assert "ID" not in address.stderr


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_without_a_terminal_and_a_piped_password_nothing_is_made(operator: Operator, db: Database) -> None:
    unasked = operator.types(*_create()[:-1], input=f"{PASSWORD}\n")
    nothing_piped = operator.types(*_create(), input="")

    assert (unasked.exit_code, nothing_piped.exit_code, row_counts(db)["users"]) == (2, 2, 0)


def test_rights_hold_from_the_next_request_on_and_granting_twice_is_fine(operator: Operator, api: Api) -> None:
    member = api.member("grace")

    before = member.post(f"{V1}/jobs/retry", json={}).status_code
    granted = [operator.reads("users", "grant-admin", "grace")["is_admin"] for _ in range(2)]
    while_admin = member.post(f"{V1}/jobs/retry", json={}).status_code
    revoked = operator.types("users", "revoke-admin", "grace")
    after = member.post(f"{V1}/jobs/retry", json={}).status_code

    assert (before, granted, while_admin, after) == (403, [True, True], 200, 403)
    assert "There are no administrators left." in revoked.stderr


def test_all_log_ins_of_one_person_end_and_nobody_elses(operator: Operator, api: Api) -> None:
    grace, linus = [api.member("grace"), api.bearer(api.token("grace"))], api.member("linus")

    ended = [operator.reads("users", "log-out", "grace") for _ in range(2)]

    assert ended == [{"id": "grace", "ended": 2}, {"id": "grace", "ended": 0}]
    assert [client.get(f"{V1}/me").status_code for client in (*grace, linus)] == [401, 401, 200]
    assert api.bearer(api.token("grace")).get(f"{V1}/me").status_code == 200
    assert operator.types("users", "log-out", "nobody").exit_code == 3


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_nobody_and_who_has_left_is_made_no_administrator(operator: Operator, api: Api, db: Database) -> None:
    api.sign_up("grace")
    db.transaction(lambda session: session.execute(update(User).values(left_at=db.now())))

    for login, why in (
        ("grace", "has been off-boarded"),
        ("nobody", "There is no account with the login"),
        ("grâce", "There is no account with the login"),
    ):
        refused = operator.types("users", "grant-admin", login)
        assert (refused.exit_code, why in refused.stderr) == (3, True)
    assert [user["is_admin"] for user in operator.reads("users", "list")] == [False]


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_the_list_is_narrowed_to_administrators_and_to_a_team(operator: Operator, api: Api) -> None:
    operator.types(*_create(), input=f"{PASSWORD}\n")
    api.sign_up("grace", team="dev")
    api.sign_up("linus", team="ops")

    def logins(*more: str) -> list[str]:
        return [user["id"] for user in operator.reads("users", "list", *more)]

    assert (logins(), logins("--admins"), logins("--team", "ops")) == (
        ["hopper", "grace", "linus"],
        ["hopper"],
        ["hopper", "linus"],
    )
    assert operator.types("users", "list").stdout.splitlines()[0].split() == [
        "hopper", "ops", "root@example.com", "Grace", "Hopper", "administrator",
    ]  # fmt: skip


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_a_list_is_cut_at_its_limit_and_says_so(operator: Operator, api: Api) -> None:
    for login in ("grace", "linus"):
        api.sign_up(login)

    some, every = (operator.types("users", "list", "--limit", limit) for limit in ("1", "3"))

    assert [line.split()[0] for line in some.stdout.splitlines()] == ["grace"]
    assert [line.split()[0] for line in every.stdout.splitlines()] == ["grace", "linus"]
    assert ("raise --limit" in some.stderr, every.stderr) == (True, "")


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_who_has_no_accounts_outside_can_leave_and_nothing_outside_is_touched(
    operator: Operator, api: Api, db: Database, world: World
) -> None:
    operator.types(*_create(), input=f"{PASSWORD}\n")
    operator.types(*_create("chief", email="chief@example.com"), input=f"{PASSWORD}\n")
    writes = world.write_count()

    answer = api.bearer(api.token("chief")).delete(f"{V1}/users/hopper")
    job = db.read(lambda session: session.get_one(Job, answer.json["job_id"]))

    assert (answer.status_code, count_jobs(db, OFFBOARD.name)) == (202, 1)
    assert world.drive(job).state is JobState.SUCCEEDED
    assert world.write_count() == writes

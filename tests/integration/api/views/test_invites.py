"""A team that is not open to all is joined by a code: as often as it was made for, and by nobody who guesses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select
from support.api import Api, newcomer, open_api, row_counts
from support.commands import Operator
from support.fake_worker import claim
from support.row_locks import finding_locks
from support.world import Time
from werkzeug.test import TestResponse

from common.database.engine import Database
from common.database.models import Invite, Job, User
from common.jobs import outcomes
from common.workflows import NAME_CHECKS

pytestmark = pytest.mark.one_database

CLOSED = (
    """
[teams.dev]
title = "Development"
self_join = true
gitlab_group = "dev"
jenkins_folder = "dev"
jenkins_role = "dev"
kibana_role = "dev"
argocd_project = "dev"
"""
    + "\n".join(
        f"""
[teams.{team}]
title = "Closed"
gitlab_group = "{team}-people"
jenkins_folder = "{team}"
jenkins_role = "{team}"
kibana_role = "{team}"
argocd_project = "{team}"
cluster = "{team}-cluster"
"""
        for team in ("core", "payments")
    )
    + """
[types.Flask]
source_template = "templates/Flask_Template"
helm_template = "templates/Helm_Template"
"""
)
AT_ONCE = 20
WRONG = "fX52IpzvY9pp6QqM7txggoq8"


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    file = tmp_path / "catalog.toml"
    file.write_text(CLOSED)
    return file


@pytest.fixture
def time() -> Time:
    """A clock of this test's own: it is turned by days."""
    return Time()


@pytest.fixture
def api(db_url: str, time: Time, catalog: Path) -> Iterator[Api]:
    with open_api(db_url, time, catalog_file=catalog) as opened:
        yield opened


@pytest.fixture
def operator(api: Api) -> Operator:
    return Operator(api)


def _invite(operator: Operator, *more: str, team: str = "core") -> dict[str, Any]:
    made: dict[str, Any] = operator.reads("invites", "create", "--team", team, *more)
    return made


def _join(api: Api, login: str, code: str | None, team: str = "core", **changes: str) -> TestResponse:
    return api.sign_up(login, team=team, **({"invite": code} if code else {}), **changes)


def _why(answer: TestResponse) -> tuple[int, str, str]:
    (error,) = answer.json["errors"]
    return answer.status_code, error["field"], error["code"]


def _used(db: Database) -> list[int]:
    return list(db.read(lambda session: session.scalars(select(Invite.used).order_by(Invite.id)).all()))


def test_a_closed_team_is_joined_with_a_code_and_not_without(operator: Operator, api: Api, db: Database) -> None:
    made = _invite(operator)

    without = _join(api, "grace", None)
    joined = _join(api, "grace", made["code"])

    assert (_why(without), without.json["code"]) == ((403, "team", "not_open"), "team_not_open")
    assert joined.status_code == 202
    person = db.read(lambda session: session.scalars(select(User)).one())
    assert (person.team_id, person.invite_id, person.is_admin) == ("core", made["id"], False)


def test_the_code_is_stored_and_told_nowhere(operator: Operator, api: Api, db: Database) -> None:
    code = _invite(operator)["code"]
    _join(api, "grace", code)

    rows = db.read(lambda session: [session.scalars(select(table)).all() for table in (Invite, User, Job)])

    assert not any(code in str(vars(row)) for table in rows for row in table)
    assert code not in str(operator.reads("invites", "list", "--all"))
    assert "raise --limit" in operator.types("invites", "list", "--all", "--limit", "1").stderr


def test_each_way_of_not_being_good_is_told_apart_and_makes_no_account(
    operator: Operator, api: Api, db: Database, time: Time
) -> None:
    used, revoked, elsewhere, old = (
        _invite(operator),
        _invite(operator),
        _invite(operator, team="payments"),
        _invite(operator),
    )
    _join(api, "grace", used["code"])
    operator.types("invites", "revoke", revoked["id"])
    tries = {"used_up": used["code"], "expired": revoked["code"], "other_team": elsewhere["code"], "unknown": WRONG}

    answers = {why: _why(_join(api, "hopper", code)) for why, code in tries.items()}
    time.advance(timedelta(days=7).total_seconds())
    late = _why(_join(api, "hopper", old["code"]))

    assert answers == {why: (422, "invite", why) for why in tries}
    assert late == (422, "invite", "expired")
    assert (row_counts(db)["users"], _used(db)) == (1, [1, 0, 0, 0])


@pytest.mark.parametrize("code", ["", "x" * 65, "with blank", "käse", "a\0b", 7, ["x"]], ids=ascii)
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_what_is_no_code_is_refused_by_name(api: Api, db: Database, code: Any) -> None:
    answer = api.visitor.post("/api/v1/signup", json=newcomer("grace", team="core", invite=code))

    assert (answer.status_code, [error["field"] for error in answer.json["errors"]]) == (422, ["invite"])
    assert row_counts(db)["users"] == 0


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_a_code_given_for_an_open_team_is_looked_at_all_the_same(operator: Operator, api: Api) -> None:
    code = _invite(operator)["code"]

    assert _why(_join(api, "grace", code, team="dev")) == (422, "invite", "other_team")
    assert _join(api, "grace", _invite(operator, team="dev")["code"], team="dev").status_code == 202


def test_a_refused_sign_up_uses_nothing_up_and_a_repeated_one_uses_it_once(
    operator: Operator, api: Api, db: Database
) -> None:
    code = _invite(operator, "--uses", "2")["code"]
    api.sign_up("grace")
    key = {"Idempotency-Key": "9b2f7c1e-0000-4000-8000-000000000001"}

    taken = _join(api, "grace", code)
    weak = _join(api, "hopper", code, password="short")
    body = newcomer("hopper", team="core", invite=code)
    twice = [api.visitor.post("/api/v1/signup", json=body, headers=key) for _ in range(2)]

    assert (taken.status_code, weak.status_code) == (409, 422)
    assert [(answer.status_code, answer.data) for answer in twice] == [(202, twice[0].data)] * 2
    assert _used(db) == [1]


def test_of_many_at_once_as_many_come_in_as_may(operator: Operator, api: Api, db: Database) -> None:
    codes = {1: _invite(operator)["code"], 3: _invite(operator, "--uses", "3")["code"]}

    for uses, code in codes.items():
        gate = Barrier(AT_ONCE)

        def sign_up(number: int, code: str = code, uses: int = uses, gate: Barrier = gate) -> tuple[int, str]:
            body = newcomer(f"person-{uses}-{number}", team="core", invite=code)
            client = api.app.test_client()
            gate.wait()
            answer = client.post("/api/v1/signup", json=body)
            return answer.status_code, "" if answer.status_code == 202 else _why(answer)[2]

        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = Counter(pool.map(sign_up, range(AT_ONCE)))

        assert answers == {(202, ""): uses, (422, "used_up"): AT_ONCE - uses}
    assert (row_counts(db)["users"], row_counts(db)["jobs"], _used(db)) == (4, 4, [1, 3])


@pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)
def test_the_row_that_all_who_have_a_code_need_is_locked_last(operator: Operator, api: Api, db_url: str) -> None:
    code = _invite(operator, "--uses", "2")["code"]

    with finding_locks(api.service.db, db_url, Invite) as found:
        joined = _join(api, "grace", code)

    assert joined.status_code == 202
    assert [statement.split()[:2] for statement in found] == [["UPDATE", "invites"]]


def test_codes_cannot_be_tried_one_after_the_other(db_url: str, time: Time, catalog: Path, db: Database) -> None:
    with open_api(db_url, time, catalog_file=catalog, signups_per_address=3) as guarded:
        code = _invite(Operator(guarded))["code"]
        wrong = [_join(guarded, f"guesser-{number}", f"{WRONG}{number}") for number in range(3)]
        right = _join(guarded, "guesser", code)

    assert [answer.status_code for answer in (*wrong, right)] == [422, 422, 422, 429]
    assert (_used(db), row_counts(db)["users"]) == ([0], 0)


def test_a_sign_up_that_comes_to_nothing_gives_its_use_back(operator: Operator, api: Api, db: Database) -> None:
    code = _invite(operator)["code"]
    job_id = _join(api, "grace", code).json["job_id"]
    for step in NAME_CHECKS:
        outcomes.record_failure(db, claim(db, job_id, step), code="conflict", reason="Somebody else has this login.")

    again = _join(api, "hopper", code, email="grace@example.com")

    assert again.status_code == 202, again.text
    assert _used(db) == [1]
    assert [invite["used_by"] for invite in operator.reads("invites", "list", "--all")] == [["hopper"]]


# -- commands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_the_list_shows_what_is_good_and_who_came_by_it(operator: Operator, api: Api, time: Time) -> None:
    first = _invite(operator, "--uses", "2", "--expires", "2d")
    second = _invite(operator, team="payments")
    revoked = _invite(operator)
    _join(api, "grace", first["code"])
    operator.types("invites", "revoke", revoked["id"])

    listed = operator.reads("invites", "list")
    time.advance(timedelta(days=3).total_seconds())

    assert [(each["id"], each["used_by"]) for each in listed] == [(first["id"], ["grace"]), (second["id"], [])]
    assert [each["id"] for each in operator.reads("invites", "list")] == [second["id"]]
    assert len(operator.reads("invites", "list", "--all", "--team", "core")) == 2
    assert "grace" in operator.types("invites", "list", "--all").stdout


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_a_code_is_made_for_a_team_of_the_catalog_for_so_many_and_so_long(operator: Operator) -> None:
    said = operator.types("invites", "create", "--team", "core", "--uses", "5", "--expires", "12h").stdout
    of_open_team = operator.types("invites", "create", "--team", "dev")

    refused = {
        words: operator.types("invites", "create", *words).exit_code
        for words in (
            ("--team", "sales"),
            ("--team", "core", "--uses", "0"),
            ("--team", "core", "--expires", "0d"),
            ("--team", "core", "--expires", "soon"),
            (),
        )
    }

    code, _, valid_for = said.partition("\n\n")
    assert (len(code), valid_for.startswith("Valid for 5 people until 20")) == (24, True)
    assert "is open to everyone" in of_open_team.stderr
    assert list(refused.values()) == [3, 2, 2, 2, 2]


@pytest.mark.parametrize("invite_id", ["nothing", "01890000-0000-7000-8000-000000000000", "é"])
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_what_is_no_invitation_cannot_be_revoked(operator: Operator, invite_id: str) -> None:
    assert operator.types("invites", "revoke", invite_id).exit_code == 3

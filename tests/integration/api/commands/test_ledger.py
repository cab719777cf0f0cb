"""The ledger is exported whole, a line an object, however long it is."""

from __future__ import annotations

import csv
import json
from io import StringIO
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert
from support import finished_jobs
from support.api import Api
from support.commands import Operator
from support.fake_worker import add_provisioned, job, record, succeed

from api.commands import ledger
from common.database.engine import Database
from common.database.models import Resource
from common.states import Provenance


@pytest.fixture
def operator(api: Api) -> Operator:
    return Operator(api)


def _made_by(member: FlaskClient, kind: str) -> str:
    found: str = next(each["job_id"] for each in member.get("/api/v1/jobs").json["jobs"] if each["kind"] == kind)
    return found


def _exported(operator: Operator, *more: str) -> list[dict[str, Any]]:
    done = operator.types("ledger", "export", *more)
    assert (done.exit_code, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_object_is_told_with_whom_it_is_for_and_who_made_it(
    operator: Operator, dev: FlaskClient, db: Database
) -> None:
    signup = _made_by(dev, "signup")
    record(db, signup, "user", "grace", Provenance.ADOPTED)
    app_id = add_provisioned(db, dev, "compiler")
    provision = _made_by(dev, "provision")
    record(db, provision, "project", "dev/compiler", Provenance.CREATED)

    account, project = _exported(operator)

    assert (account["user"], account["provenance"]) == ("grace", "adopted")
    assert account["app"] is account["app_id"] is None
    assert {**project, "id": "", "created_at": "", "updated_at": ""} == {
        "id": "", "team": "dev", "app_id": app_id, "app": "compiler", "user": None, "upstream": "gitlab",
        "kind": "project", "name": "dev/compiler", "outside_id": "7", "url": "https://git.example.com/dev/compiler",
        "provenance": "created", "job_id": provision, "step": "s", "attempt": 1, "created_at": "", "updated_at": "",
    }  # fmt: skip
    assert tuple(project) == ledger.FIELDS


def test_it_is_narrowed_by_what_is_asked_for(operator: Operator, api: Api, dev: FlaskClient, db: Database) -> None:
    linus = api.member("linus", team="ops")
    for member, name in ((dev, "compiler"), (linus, "linker")):
        add_provisioned(db, member, name, f"{name}s")
        for kind, provenance in (("project", Provenance.CREATED), ("pipeline", Provenance.GONE)):
            record(db, _made_by(member, "provision"), kind, f"of/{name}", provenance)

    def names(*more: str) -> list[tuple[str, str]]:
        return [(each["name"], each["kind"]) for each in _exported(operator, *more)]

    assert len(names()) == 4
    assert names("--team", "ops") == names("--app", "linker") == [("of/linker", "project"), ("of/linker", "pipeline")]
    assert names("--app", "compiler", "--provenance", "created") == [("of/compiler", "project")]
    assert len(names("--provenance", "created", "--provenance", "gone")) == 4
    assert names("--team", "dev", "--app", "linker") == []
    refused = [operator.types("ledger", "export", *more).exit_code for more in (("--team", "x"), ("--app", "nothing"))]
    assert refused == [3, 3]


def test_more_than_is_read_at_once_comes_whole_in_order_and_as_csv_too(
    operator: Operator, dev: FlaskClient, db: Database
) -> None:
    signup = job(db, _made_by(dev, "signup"))
    succeed(db, signup.id)
    rows = [
        finished_jobs.resource(signup, "gitlab", "project", f"dev/a,{number}") for number in range(2 * ledger.ROWS + 3)
    ]
    db.transaction(lambda session: session.execute(insert(Resource), rows))

    lines = _exported(operator)
    table = list(csv.DictReader(StringIO(operator.types("ledger", "export", "--csv").stdout)))

    assert [each["id"] for each in lines] == [each["id"] for each in table] == sorted(row["id"] for row in rows)
    assert {each["name"] for each in table} == {row["ref"] for row in rows}
    assert tuple(table[0]) == ledger.FIELDS

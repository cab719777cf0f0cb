"""Who did what: every call and every command that writes leaves a row of the audit, in the transaction of the act.

`ACTS` and `COMMANDS` say which act a call or a command is. They are compared with the calls and commands that there
are: one that is new fails here until it has a row in them, and then unless it records that act.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from support.api import PASSWORD, V1, Api, add_app, add_project, open_api, settings
from support.commands import Operator
from support.endpoint_cases import ABOUT, request
from support.fake_worker import ABSENT, fail, pass_checks, succeed
from support.fake_worker import names as step_names
from support.objects import Objects
from support.world import Time

from api.access import audit as acts
from api.cli import GROUPS
from api.contract.endpoint import Endpoint, Policy
from api.presentation import job_view
from api.presentation.job_view import INTERVENTIONS_SHOWN
from api.serving.routing import declared_endpoints
from common import audit
from common.audit import ActionKind, AuditPruner, RefusalBound
from common.config import catalog
from common.database.engine import Database
from common.database.models import Action
from common.states import StepState

TEAM = "dev"
ACTS = {  # of each call that writes
    "sign_up": ActionKind.USER_SIGN_UP,
    "confirm_signup": ActionKind.USER_CONFIRM,
    "resend_confirmation": ActionKind.USER_RESEND_MAIL,
    "approve_signup": ActionKind.USER_APPROVE,
    "reject_signup": ActionKind.USER_REJECT,
    "log_in": ActionKind.USER_LOG_IN,
    "log_in_as_published": ActionKind.USER_LOG_IN,
    "log_out": ActionKind.USER_LOG_OUT,
    "change_password": ActionKind.PASSWORD_CHANGE,
    "request_reset": None,  # here nobody has the address
    "reset_password": ActionKind.PASSWORD_RESET_CODE,
    "confirm_reset": ActionKind.PASSWORD_RESET,
    "end_session": ActionKind.SESSION_END,
    "end_other_sessions": ActionKind.SESSION_END_OTHERS,
    "create_token": ActionKind.TOKEN_CREATE,
    "revoke_token": ActionKind.TOKEN_REVOKE,
    "create_project": ActionKind.PROJECT_CREATE,
    "create_app": ActionKind.APP_CREATE,
    "create_app dry run": ActionKind.APP_FORECAST,
    "remove_app": ActionKind.APP_REMOVE,
    "remove_app dry run": ActionKind.APP_PREVIEW_REMOVAL,
    "start_build": ActionKind.BUILD_START,
    "start_build_by_get": ActionKind.BUILD_START,
    "start_deploy": ActionKind.DEPLOY_START,
    "roll_back": ActionKind.DEPLOY_ROLL_BACK,
    "reconcile_app": ActionKind.APP_REPAIR,
    "compare_app": ActionKind.APP_COMPARE,
    "start_comparison": ActionKind.APP_COMPARE,
    "retry_job": ActionKind.JOB_RETRY,
    "retry_jobs": ActionKind.JOBS_RETRY,
    "cancel_job": ActionKind.JOB_CANCEL,
    "poll_job": ActionKind.JOB_POLL,
    "skip_step": ActionKind.JOB_SKIP_STEP,
    "check_up": ActionKind.UPSTREAM_CHECK,
    "pause_upstream": ActionKind.UPSTREAM_PAUSE,
    "resume_upstream": ActionKind.UPSTREAM_RESUME,
    "remove_user": ActionKind.USER_OFF_BOARD,
}
COMMANDS = {  # of each command; None: it only reads
    "db upgrade": None,  # it is current here
    "db check": None,
    "db backup -": None,
    "db verify -": None,
    "db restore -": None,  # what is restored is the audit of then, and the upgrade that follows is an act
    "users list": None,
    "users create-admin hopper --email h@example.com --name Grace --team dev --password-stdin": (
        ActionKind.USER_CREATE_ADMIN
    ),
    "users grant-admin grace": ActionKind.USER_GRANT_ADMIN,
    "users revoke-admin grace": ActionKind.USER_REVOKE_ADMIN,
    "users log-out grace": ActionKind.SESSION_END_OTHERS,
    "users reset-password grace": ActionKind.PASSWORD_RESET_CODE,
    "users displaced": None,
    "users admit linus": ActionKind.USER_ADMIT,
    "users signups": None,
    "users approve bob": ActionKind.USER_APPROVE,
    "users reject kim --reason Unknown": ActionKind.USER_REJECT,
    "users release alan": ActionKind.USER_RELEASE,
    "users restore {renamed}": ActionKind.USER_RESTORE,
    "teams list": None,
    "teams add qa --title Quality --cluster qa": ActionKind.TEAM_ADD,
    "invites create --team dev": ActionKind.INVITE_CREATE,
    "invites list": None,
    "invites revoke {invite}": ActionKind.INVITE_REVOKE,
    "keys status": None,
    "keys rotate": ActionKind.KEYS_ROTATE,
    "jobs stuck": None,
    "jobs cancel {job} --yes": ActionKind.JOB_CANCEL,
    "jobs retry --yes": ActionKind.JOBS_RETRY,
    "jobs prune --older-than 1d --yes": ActionKind.JOBS_PRUNE,
    "audit prune --older-than 1d --yes": ActionKind.AUDIT_PRUNE,
    "ledger export": None,
}
SECRETS = ("password", "new_password", "reset_code", "invite")  # of requests
SECRET_ANSWERS = ("token", "reset_code")


@pytest.fixture
def db_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """The database makes no difference here; its plans and its migration are tested on both."""
    return f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'slipway.db')}"


def rows(db: Database, *kinds: ActionKind) -> list[Action]:
    """Return the acts, oldest first."""
    wanted = [Action.kind.in_(kinds)] if kinds else []
    return list(db.read(lambda session: session.scalars(select(Action).where(*wanted).order_by(Action.id)).all()))


def _writes(call: Endpoint) -> bool:
    return call.method != "GET" or 202 in call.answers


# -- calls ----------------------------------------------------------------------------------------------------------


def test_every_call_that_writes_has_its_act(api: Api) -> None:
    writing = {call.name for call in declared_endpoints(api.app) if _writes(call)}

    assert {name.partition(" ")[0] for name in ACTS} == writing


def test_every_call_that_writes_records_its_act_and_no_secret(api: Api, db: Database) -> None:
    objects, calls = Objects(api, db), {call.name: call for call in declared_endpoints(api.app)}
    secrets: set[str] = {PASSWORD}
    for about in (each for each in ABOUT if _writes(calls[each.call])):
        call = calls[about.call]
        sent = request(about, call, about.make(objects, TEAM))
        actor = "chief" if call.policy is Policy.ADMIN or about.is_for_administrators else f"member-{TEAM}"
        client = api.bearer(api.token(actor))
        before = len(rows(db))

        answer = client.open(sent.path, method=sent.method, query_string=dict(sent.query), json=sent.json)

        assert answer.status_code < 400, (str(about), answer.text)
        added = rows(db)[before:]
        kind = ACTS.get(f"{about.call} {about.kind}", ACTS[about.call])
        assert kind is None or kind in [row.kind for row in added], str(about)
        _check_origin([row for row in added if row.kind == kind], call, actor, answer.headers["X-Request-Id"])
        secrets |= {str(sent.json[name]) for name in SECRETS if sent.json and name in sent.json}
        secrets |= {str(answer.json[name]) for name in SECRET_ANSWERS if answer.is_json and name in answer.json}
    told = json.dumps([[str(value) for value in vars(row).values()] for row in rows(db)])
    assert [secret for secret in secrets if secret in told] == []


def _check_origin(found: list[Action], call: Endpoint, actor: str, request_id: str) -> None:
    for row in found:
        assert row.request_id == request_id
        assert row.address == "127.0.0.1"
        if call.takes_person:
            assert (row.actor, row.channel) == (actor, "session")
        else:
            assert row.channel == "visitor"


def test_a_call_that_forgets_its_act_does_nothing(dev: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "record", lambda *_, **__: None)

    assert dev.post(f"{V1}/project", json={"name": "forgotten"}).status_code == 500

    monkeypatch.undo()
    assert dev.get(f"{V1}/project/{TEAM}").json["projects"] == []


def test_an_act_that_is_refused_leaves_no_row(dev: FlaskClient, db: Database) -> None:
    add_project(dev)
    before = len(rows(db))

    assert dev.post(f"{V1}/project", json={"name": "compilers"}).status_code == 409
    assert dev.post(f"{V1}/jobs/{ABSENT}/cancel", json={}).status_code == 404
    assert len(rows(db)) == before


def test_a_request_that_is_sent_again_is_one_act(dev: FlaskClient, db: Database) -> None:
    for _ in range(2):
        answer = dev.post(f"{V1}/project", json={"name": "once"}, headers={"Idempotency-Key": "the-same-key"})
        assert answer.status_code == 201

    assert len(rows(db, ActionKind.PROJECT_CREATE)) == 1


def test_an_api_token_and_what_it_changed_are_told(api: Api, dev: FlaskClient, db: Database) -> None:
    made = dev.post(f"{V1}/me/tokens", json={"name": "robot", "scope": "team"}).json
    job_id = add_app(api.bearer(made["token"]), add_project(dev), "compiler").json["job_id"]
    assert api.bearer(made["token"]).post(f"{V1}/jobs/{job_id}/cancel", json={}).status_code == 202

    created, cancelled = rows(db, ActionKind.APP_CREATE, ActionKind.JOB_CANCEL)
    assert (created.channel, created.actor, created.job_id, created.object_name) == (
        "token", "grace", job_id, "compiler",
    )  # fmt: skip
    assert (cancelled.object_id, cancelled.team_id) == (job_id, TEAM)
    assert (cancelled.before, cancelled.after) == ({"state": "queued"}, {"state": "cancelled"})


# -- log-ins that are refused -----------------------------------------------------------------------------------------


def test_a_refused_log_in_is_recorded_without_what_was_typed(api: Api, db: Database) -> None:
    api.sign_up("grace")
    for login, password in (("grace", "wrong password"), ("typed-my-password-here", "x"), ("grace", PASSWORD)):
        assert api.visitor.post(f"{V1}/login", json={"id": login, "password": password}).status_code in (401, 403, 409)

    found = rows(db, ActionKind.USER_LOG_IN_REFUSED)
    assert [(row.object_name, row.reason, row.actor) for row in found] == [
        ("grace", "invalid_credentials", None),
        (None, "invalid_credentials", None),
        ("grace", "signup_unfinished", None),
    ]


def test_strangers_cannot_fill_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(audit.time, "monotonic", lambda: now_s[0])
    bound = RefusalBound(per_minute=2)

    assert [bound.take() for _ in range(5)] == [0, 0, None, None, None]
    now_s[0] = 60.0
    assert [bound.take() for _ in range(3)] == [3, 0, None]


# -- commands ---------------------------------------------------------------------------------------------------------


def test_every_command_is_in_the_table() -> None:
    known = {tuple(line.split()[:2]) for line in COMMANDS}

    assert known == {(name, command) for name, group in GROUPS.items() for command in group.commands}


def test_every_command_that_writes_records_its_act(db_url: str, time: Time, db: Database, tmp_path: Path) -> None:
    own = tmp_path / "catalog.toml"
    own.write_text(catalog.read(None), encoding="utf-8")
    with open_api(db_url, time, signup_approval=True) as strict:
        assert {strict.sign_up(login).status_code for login in ("bob", "kim")} == {202}
    with open_api(db_url, time, catalog_file=own) as api:
        names = _prepare(api, db)
        operator = Operator(api)
        for line, kind in COMMANDS.items():
            last_id = rows(db)[-1].id
            words = line.format(**names).split()
            result = operator.types(*words, *_as_json(words), input=f"{PASSWORD}\n")
            assert result.exit_code in (0, 1), (line, result.output)
            names |= _named(words, result.stdout)
            found = [row for row in rows(db) if row.id > last_id]
            assert {row.channel for row in found} <= {"command"}, line
            assert len({row.request_id for row in found}) <= 1, line
            assert [row.actor for row in found if not row.actor] == [], line
            assert (kind is None and not found) or kind in [row.kind for row in found], line
            time.advance(2 * 86_400 if line.startswith("jobs retry") else 1)


def _prepare(api: Api, db: Database) -> dict[str, str]:
    """Make what the commands name: people, a job that runs and one that has failed. Returns their names."""
    grace = api.member("grace")
    project_id = add_project(grace)
    signups = {login: api.sign_up(login).json["job_id"] for login in ("linus", "alan", "ken")}
    succeed(db, signups.pop("ken"))  # old in the end, and deleted
    for job_id in signups.values():
        pass_checks(db, job_id)
        for step in step_names(db, job_id, StepState.READY):
            fail(db, job_id, step)
    fail(db, add_app(grace, project_id, "broken").json["job_id"], "fork_source")
    return {"job": add_app(grace, project_id, "compiler").json["job_id"]}


def _as_json(words: list[str]) -> list[str]:
    return [] if words[0] in ("db", "ledger") else ["--json"]


def _named(words: list[str], printed: str) -> dict[str, str]:
    """Return what later commands name and this one has printed."""
    match words[:2]:
        case ["users", "release"]:
            return {"renamed": json.loads(printed)["id"]}
        case ["invites", "create"]:
            return {"invite": json.loads(printed)["id"]}
    return {}


@pytest.mark.parametrize(("account", "actor"), [("Алиса", "unknown"), ("bob é", "bob"), ("bob", "bob")])
def test_a_command_is_always_told_with_an_actor(monkeypatch: pytest.MonkeyPatch, account: str, actor: str) -> None:
    """An empty text would be listed with the acts of anybody."""
    monkeypatch.setattr(acts.getpass, "getuser", lambda: account)

    with Flask(__name__).app_context():
        assert acts.origin().actor == actor


def test_an_upgrade_of_the_schema_is_an_act(time: Time, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    with open_api(url, time) as api:
        for _ in range(2):
            assert Operator(api).types("db", "upgrade").exit_code == 0

        found = rows(api.service.db)

    assert [(row.kind, row.before) for row in found] == [(ActionKind.SCHEMA_UPGRADE, {"revision": None})]


# -- reading it -------------------------------------------------------------------------------------------------------


@pytest.fixture
def told(chief: FlaskClient, dev: FlaskClient, ops: FlaskClient) -> FlaskClient:
    """An administrator, after people of two teams have made projects."""
    for client, name in ((dev, "compilers"), (dev, "linkers"), (ops, "kernels")):
        add_project(client, name)
    return chief


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"action": "project.create"}, ["kernels", "linkers", "compilers"]),
        ({"action": "project.create", "actor": "grace"}, ["linkers", "compilers"]),
        ({"team": "ops", "action": "project.create"}, ["kernels"]),
        ({"object": "linkers"}, ["linkers"]),
        ({"action": "project.create", "until": "2020-01-01T00:00:00Z"}, []),
        ({"action": "project.create", "since": "2020-01-01T00:00:00Z", "limit": "1"}, ["kernels"]),
        ({"action": "project.create", "since": "9999-12-31T00:00:00Z", "until": "9999-12-31T23:59:59Z"}, []),
        ({"actor": "nobody-has-it"}, []),
    ],
)
def test_the_audit_is_narrowed(told: FlaskClient, query: dict[str, str], names: list[str]) -> None:
    answer = told.get(f"{V1}/audit", query_string=query)

    assert [each["object_name"] for each in answer.json["actions"]] == names


def test_an_act_is_found_by_the_id_of_its_object(told: FlaskClient) -> None:
    first = told.get(f"{V1}/audit?object=compilers").json["actions"][0]

    assert told.get(f"{V1}/audit?object={first['object_id']}").json["actions"] == [first]


def test_pages_and_parts_have_every_act_once(told: FlaskClient, db: Database) -> None:
    ids, cursor = [], ""
    while True:
        page = told.get(f"{V1}/audit?limit=2&total=true{cursor}").json
        ids += [each["action_id"] for each in page["actions"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    lines, url = [], f"{V1}/audit.csv?limit=3"
    while url:
        answer = told.get(url)
        lines += [line["action_id"] for line in csv.DictReader(io.StringIO(answer.text))]
        url = answer.headers["Link"].partition(">")[0].removeprefix("<") if "Link" in answer.headers else ""

    assert ids == lines == [row.id for row in reversed(rows(db))]
    assert page["total"] == len(ids)


def test_no_cell_is_a_formula(told: FlaskClient) -> None:
    told.post(f"{V1}/upstreams/jenkins/pause", json={"reason": "=HYPERLINK(A1)"})

    answer = told.get(f"{V1}/audit.csv?action=upstream.pause")

    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert [line["reason"] for line in csv.DictReader(io.StringIO(answer.text))] == ["'=HYPERLINK(A1)"]


def test_of_each_job_the_last_interventions_are_read_and_no_others(db: Database) -> None:
    def work(session: Session) -> list[list[str]]:
        for job_id, number in (("a" * 36, 3), ("b" * 36, INTERVENTIONS_SHOWN + 3)):
            for reason in range(number):
                about = audit.Subject(kind="job", id=job_id)
                by = audit.Origin(channel=audit.Channel.WORKER)
                what = {"at": db.now(), "reason": str(reason), "action_id": f"{job_id[:30]}{reason:06}"}
                audit.record(session, ActionKind.JOB_POLL, about, origin=by, **what)
        session.flush()
        found = job_view._grouped(session, job_view._INTERVENTIONS, ["a" * 36, "b" * 36])  # noqa: SLF001
        return [[row.reason for row in found[job_id]] for job_id in ("a" * 36, "b" * 36)]

    few, many = db.transaction(work)

    assert few == ["0", "1", "2"]
    assert many == [str(each) for each in range(3, INTERVENTIONS_SHOWN + 3)]


def test_the_team_sees_who_intervened_in_a_job(api: Api, dev: FlaskClient, chief: FlaskClient, db: Database) -> None:
    job_id = api.sign_up("alan").json["job_id"]
    succeed(db, job_id, but=("join_gitlab_group",))
    fail(db, job_id, "join_gitlab_group")
    dev.post(f"{V1}/jobs/{job_id}/retry", json={})
    fail(db, job_id, "join_gitlab_group")
    chief.post(f"{V1}/jobs/{job_id}/steps/join_gitlab_group/skip", json={"reason": "Added by hand"})

    shown = dev.get(f"{V1}/jobs/{job_id}").json["interventions"]

    assert [(each["action"], each["user"], each["step"], each["reason"]) for each in shown] == [
        ("job.retry", "grace", None, None),
        ("job.skip_step", "chief", "join_gitlab_group", "Added by hand"),
    ]
    assert api.visitor.get(f"{V1}/jobs/{job_id}").json["interventions"] == []


def test_each_line_about_a_request_says_who_sent_it(
    api: Api, dev: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="api.serving.telemetry"):
        dev.get(f"{V1}/me")
        api.visitor.get("/healthz")
        api.token("grace")

    lines = [vars(record) for record in caplog.records if record.message == "request"]
    assert [(line["path"], line["user"]) for line in lines] == [
        (f"{V1}/me", "grace"), ("/healthz", None), (f"{V1}/login", "grace"),
    ]  # fmt: skip


# -- retention --------------------------------------------------------------------------------------------------------


def test_only_old_acts_are_deleted_in_batches_and_that_is_an_act(
    api: Api, dev: FlaskClient, db: Database, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_project(dev)
    old = len(rows(db))
    time.advance(3 * 86_400)
    api.sign_up("ada")
    monkeypatch.setattr(audit, "ROWS", 2)
    never, pruner = (AuditPruner(db, settings("sqlite:///unused", audit_retention_days=days)) for days in (0, 2))

    never.prune_some()
    assert len(rows(db)) == old + 1
    for _ in range(old):
        pruner.prune_some()

    left = rows(db)
    assert [row.kind for row in left if row.channel != "worker"] == [ActionKind.USER_SIGN_UP]
    assert sum((row.after or {})["deleted"] for row in left if row.channel == "worker") == old

    time.advance(3 * 86_400)
    for _ in range(old):
        pruner.prune_some()
    time.advance(3 * 86_400)
    for _ in range(old):
        pruner.prune_some()
    assert rows(db) == [], "a deletion of nothing but deletions is none"


def test_a_run_of_the_command_is_one_act(
    dev: FlaskClient, db: Database, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_project(dev)
    old = len(rows(db))
    time.advance(3 * 86_400)
    monkeypatch.setattr(audit, "ROWS", 1)
    by = audit.Origin(channel=audit.Channel.COMMAND)

    assert sum(audit.prune(db, before=db.now() - timedelta(days=1), origin=by)) == old > 1
    assert [(row.after or {})["deleted"] for row in rows(db)] == [old]


def test_two_that_prune_share_the_work(dev: FlaskClient, db: Database, time: Time) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    add_project(dev)
    time.advance(3 * 86_400)
    found = rows(db)
    by = audit.Origin(channel=audit.Channel.COMMAND)
    with Session(db.engine) as other, other.begin():
        assert other.scalars(select(Action).where(Action.id == found[0].id).with_for_update()).one()
        deleted = sum(audit.prune(db, before=db.now() - timedelta(days=1), origin=by))

    assert deleted == len(found) - 1
    assert found[0].id in [row.id for row in rows(db)]

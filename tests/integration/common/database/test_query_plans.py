"""No statement of ours reads a long table as a whole, or sorts much: the database explains each before it runs.

The whole interface is called, every step of every workflow runs, the clock ticks, every command is typed. What is sent
meanwhile is found by itself: a query without an index fails here on its first day. Of the lists, every filter at every
depth is tested in `tests/integration/api/contract/test_list_query_plans.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.orm import Session
from support import bulk_data, finished_jobs, plans
from support.api import ENVIRONMENT, PASSWORD, V1, Api, open_api, row_counts
from support.bulk_data import Many
from support.commands import Operator
from support.endpoint_cases import ABOUT, request
from support.fake_worker import ABSENT, claim
from support.mariadb import Server
from support.notifications import Answers
from support.objects import Objects, Values
from support.plans import LONG, Asked, Plan
from support.query_plans_probe import explaining
from support.stack import wait_for
from support.step_cases import CASES, Stages
from support.world import Time, World

from api.cli import GROUPS
from api.contract.endpoint import Policy
from api.serving.routing import declared_endpoints
from common.admission import refusals
from common.admission.outages import Hold
from common.admission.slots import UpstreamLimits
from common.broker import Publisher, celery_app
from common.config import catalog
from common.database import migrate
from common.database.engine import Database
from common.database.ids import new_id
from common.database.models import (
    Action,
    App,
    Base,
    Delivery,
    IdempotencyRecord,
    Job,
    LoginSession,
    Notification,
    NotificationTarget,
    Project,
    RateCount,
    Secret,
    User,
    WorkerPresence,
)
from common.jobs import attempts, dispatch, interventions, retention
from common.jobs.claims import Claim
from common.notifications import outbox, queues
from common.states import NotificationKind
from common.workflows import Upstream
from harbour.faults import Fault
from worker import upstreams
from worker.broker_link import BrokerLink
from worker.clock import Clock
from worker.doctor.database import DatabaseChecks
from worker.liveness import WorkerRegister
from worker.notifications import sender
from worker.notifications.dispatcher import Dispatcher
from worker.notifications.sender import Response
from worker.notifications.signature import Signer
from worker.outage_probe import OutageProbe
from worker.presence import Presence

Name = Callable[[str], str]
JOBS = 2_000
ROWS = 1_000  # of what is not a job's
ROWS_AT_MOST = 500  # sorted, or read besides: a clock takes a hundred lanes at a time, of five steps or so
STATEMENTS_AT_LEAST = 120  # or the listener hears little of it
STEP = "create_gitlab_user"
TEAM = "ops"  # not the busy one: there is little to be done again
WITHOUT_A_WAY = (  # these must be found
    "SELECT id FROM jobs WHERE request_id = 'a'",
    "SELECT id FROM apps WHERE type = 'Flask'",
    "SELECT id FROM steps ORDER BY due_at LIMIT 10",
    "SELECT worker, count(*) FROM attempts GROUP BY worker",
    "SELECT steps.id FROM steps JOIN jobs ON jobs.request_id = steps.code WHERE steps.id > 'a'",
    "UPDATE events SET state = 'failed' WHERE at < '2000-01-01'",
    "DELETE FROM console_chunks WHERE upstream_next = 1",
)
TO_SEE_ALL = (
    "api/commands/displaced.py",
    "api/commands/ledger.py",
    "api/commands/teams.py",
    "common/database/backups.py",
    "common/vault/rotation.py",
    "worker/doctor/database.py",  # projects have to allow the namespace of every app
)  # typed by hand, now and then
LIMITS = dict.fromkeys(
    ("login_failures_per_account_and_address", "login_failures_per_account", "login_failures_per_address",
     "signups_per_address", "signups_per_name"), 1000
)  # fmt: skip
COMMANDS = (
    "db upgrade", "db check", "db backup -", "db verify -", "db restore -",
    "users list", "users list --team dev", "users list --admins",
    "users create-admin hopper --email h@example.com --name Grace --team dev --password-stdin",
    "users displaced", "users restore gone-nobody", "users release {login}", "users admit {login}",
    "users grant-admin {login}", "users revoke-admin {login}", "users log-out {login}",
    "users reset-password {login}", "users signups", "users signups --state rejected",
    "users approve {login}", "users reject {login} --reason unknown",
    "teams list", "teams add qa --title Quality --cluster qa",
    "invites create --team dev", "invites list", "invites list --team dev --all", f"invites revoke {ABSENT}",
    "keys status", "keys rotate",
    "jobs stuck", f"jobs cancel {ABSENT} --yes", "jobs retry --dry-run",
    "jobs retry --dry-run --kind build --team dev --app {app} --user {login} --since 1d",
    "jobs prune --older-than 90d --dry-run",
    "audit prune --older-than 90d --dry-run", "audit prune --older-than 90d --yes",
    "ledger export", "ledger export --team dev", "ledger export --app {app}",
)  # fmt: skip


@pytest.fixture(params=["sqlite", "mariadb"])
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a migrated database, on a server that does not wait for its disk."""
    private: Server = request.getfixturevalue("private")
    url = private.url("plans") if request.param == "mariadb" else f"sqlite:///{tmp_path / 'plans.db'}"
    db = Database(url)
    migrate.upgrade(db)
    db.dispose()
    return url


@pytest.fixture
def name(new_name: Name) -> Name:
    """Return names that nobody has who is signed up by a request."""
    return lambda stem: new_name(f"worked-on-{stem}")


@pytest.fixture
def filled(db: Database, world: World) -> Many:  # noqa: ARG001 - it makes the teams, and so comes first
    """A database as it is after some months, in little."""
    made = bulk_data.fill(db, JOBS)
    finished_jobs.add(db)
    _complete(db)
    if not db.is_sqlite:
        with db.engine.connect() as connection:
            # Counted whole, and once: with other samples the server may choose other plans.
            connection.execute(text("SET GLOBAL innodb_stats_auto_recalc = OFF"))
            connection.execute(text("SET GLOBAL innodb_stats_persistent_sample_pages = 100000"))
            connection.execute(text(f"ANALYZE TABLE {', '.join(LONG)}"))
    return made


def _complete(db: Database) -> None:
    """Add what is no job's, and take the usual names back for those who will ask."""

    def work(session: Session) -> None:
        job_ids, user_id = session.scalars(select(Job.id).limit(ROWS)).all(), session.scalars(select(User.id)).first()
        session.execute(update(Job).values(version=max(finished_jobs.EVENTS)))
        session.execute(update(Project).values(name="old-" + Project.name))
        for table, rows in _rows(db.now(), job_ids, str(user_id)).items():
            session.execute(insert(table), rows)

    db.transaction(work)


def _rows(now: datetime, job_ids: Sequence[str], user_id: str) -> dict[type[Base], list[dict[str, Any]]]:
    expiring = {"expires_at": now + timedelta(days=1000)}
    sealed = {**expiring, "key_id": "k" * 16, "sealed": b""}
    kept = {**sealed, "owner": user_id, "fingerprint": "f" * 64}
    login = {**expiring, "user_id": user_id, "created_at": now, "last_seen_at": now}
    made = [
        {"id": new_id(), "name": f"thing-{n}", "description": "", "created_by": user_id, "created_at": now,
         "team_id": bulk_data.TEAMS[n % len(bulk_data.TEAMS)]}
        for n in range(ROWS)
    ]  # fmt: skip
    return {
        Secret: [{**sealed, "job_id": job_id, "purpose": "password"} for job_id in job_ids],
        IdempotencyRecord: [{**kept, "key": f"key-{number}"} for number in range(ROWS)],
        RateCount: [{**expiring, "bucket": f"{number:064x}", "period": 1, "hits": 1} for number in range(ROWS)],
        LoginSession: [{**login, "token_hash": f"{number:064x}"} for number in range(ROWS)],
        Project: made,
        Notification: [
            {**expiring, "id": new_id(), "kind": "job.failed", "about": {}, "at": now, "queued_at": now, "body": "{}"}
            for _ in range(ROWS)
        ],
        Delivery: [
            {**expiring, "target": "t" * 16, "number": number, "notification_id": new_id(), "attempts": 0}
            for number in range(ROWS)
        ],
        NotificationTarget: [{"name": "t" * 16, "host": "ops.example.com", "queued": ROWS, "failures": 0}],
        WorkerPresence: [{"name": "w", "concurrency": 16, "started_at": now, "seen_at": now}],
        Action: [
            {
                "at": now,
                "kind": f"kind-{n % 20}",
                "actor": f"actor-{n}",
                "channel": "session",
                "object_kind": "job",
                "object_id": new_id(),
                "object_name": f"thing-{n}",
                "team_id": bulk_data.TEAMS[n % len(bulk_data.TEAMS)],
            }
            for n in range(ROWS)
        ],
        App: [{**row, "project_id": row["id"], "claimed_name": row["name"], "type": "Flask"} for row in made],
    }


@pytest.fixture
def api(db_url: str, time: Time, filled: Many, tmp_path: Path) -> Iterator[Api]:  # noqa: ARG001 - it is full by then
    own = tmp_path / "catalog.toml"
    own.write_text(catalog.read(None), encoding="utf-8")
    with open_api(db_url, time, catalog_file=own, **LIMITS) as opened:
        yield opened


def test_every_statement_has_an_index_for_its_way(
    db: Database,
    db_url: str,
    api: Api,
    world: World,
    filled: Many,
    name: Name,
    tmp_path: Path,
) -> None:
    rows = row_counts(db)
    assert {table for table in LONG if rows[table] <= ROWS_AT_MOST} == set()
    assert {sql for sql in WITHOUT_A_WAY if not _is_slow(plans.plan(db, Asked(sql=sql, parameters=())))} == set()

    with explaining() as listener:
        _call_everything(api, db)
        _follow(api, db)
        _run_every_step(world, name)
        _hold_back(world, name)
        _type_every_command(api, filled)
        _notify(world)
        _look_as_the_doctor(db_url)
        _tick(world, tmp_path)

    print(f"\n{len(listener.statements)} statements")  # noqa: T201 - for whoever runs it with -s
    assert len(listener.statements) > STATEMENTS_AT_LEAST
    found = [each for each in listener.found if not each.sent_by.startswith(TO_SEE_ALL)]
    slow = {str(each) for each in found if _is_slow(each.plan)}
    assert not slow, "\n\n".join(["these read or sort too much:", *sorted(slow)])


def _is_slow(way: Plan) -> bool:
    return way.sorted_rows > ROWS_AT_MOST


# -- what is done meanwhile ---------------------------------------------------------------------------------------


def _call_everything(api: Api, db: Database) -> None:
    """Make every call, as an administrator where it takes one; what writes, twice: it gets its first answer again."""
    objects, calls = Objects(api, db), {call.name: call for call in declared_endpoints(api.app)}
    assert {about.call for about in ABOUT} == calls.keys()
    looked_at: dict[Any, Values] = {}
    for about in ABOUT:
        call = calls[about.call]
        if call.takes_idempotency_key or about.make not in looked_at:
            looked_at[about.make] = about.make(objects, TEAM)
        sent = request(about, call, looked_at[about.make])
        is_administrators = call.policy is Policy.ADMIN or about.is_for_administrators
        client = api.bearer(api.token("chief" if is_administrators else f"member-{TEAM}"))
        headers = {"Idempotency-Key": f"the-key-{about}"} if call.takes_idempotency_key else {}
        for _ in range(2 if call.takes_idempotency_key else 1):
            answer = client.open(
                sent.path, method=sent.method, query_string=dict(sent.query), json=sent.json, headers=headers
            )
            assert answer.status_code < 400 or about.hidden == 200 or call.policy is Policy.SCRAPER, answer.text
            answer.get_data()
    metrics = api.visitor.get("/metrics", headers={"Authorization": f"Bearer {ENVIRONMENT['METRICS_TOKEN']}"})
    assert "slipway_jobs" in metrics.text


def _follow(api: Api, db: Database) -> None:
    job_id = api.sign_up("followed").json["job_id"]
    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(api.visitor.get, f"{V1}/jobs/{job_id}?wait=20")
        wait_for("somebody waits", lambda: api.service.hub.threads_held or None)
        claim(db, job_id, "create_kibana_user")
    assert held.result().json["state"] == "running"


def _run_every_step(world: World, name: Name) -> None:
    """Run each to its end, and one of them into every way in which it may fail."""
    stages = Stages(world, name)
    for case in (each for each in CASES if not each.is_missing):
        stages.done(case)
    for status in (503, 429, 403):
        job = world.make_app(name("app"))
        world.harbour.gitlab.inject(Fault(kind="status", status=status))
        world.runner.run(job.id, "fork_source")
        world.harbour.clear_faults()
    world.check_refusals()  # the last answer holds GitLab
    world.runner.run(job.id, "fork_source")
    assert not world.db.read(refusals.held)


def _hold_back(world: World, name: Name) -> None:
    """Let a step be held back, and an upstream be down until a probe is answered."""
    world.limits = {**world.limits, Upstream.GITLAB: UpstreamLimits(at_once=1)}
    first, second, third = (world.sign_up(name("ada")) for _ in range(3))
    assert isinstance(attempts.claim(world.db, first.id, STEP, worker="w", limits=world.limits), Claim)
    assert isinstance(attempts.claim(world.db, second.id, STEP, worker="w", limits=world.limits), Hold)
    world.context = replace(world.context, settings=world.settings.model_copy(update={"outage_after": 1}))
    world.harbour.jenkins.inject(Fault(kind="reset"))
    world.runner_named("watched").run(third.id, "create_jenkins_user")
    for _ in range(2):
        world.time.advance(60)
        OutageProbe(world.db, upstreams.open_connections(world.settings)).run()
        world.harbour.clear_faults()


def _tick(world: World, place: Path) -> None:
    world.time.advance(60)
    publisher = Publisher(celery_app(world.settings))  # of a broker that is away: what was taken is put back
    Clock(world.db, publisher, WorkerRegister(place / "workers"), world.limits, BrokerLink()).tick()
    dispatch.release_worker(world.db, "w")
    before = world.db.now() - timedelta(hours=1)
    deque(retention.sweep(world.db, world.settings, before=before), maxlen=0)


def _notify(world: World) -> None:
    """Let a job end that operators hear of, and a target refuse that and then accept it."""
    target, answers = sender.target_of("https://ops.example.com"), [Response(problem="no"), Response()]
    queues.prepare(world.db, [target])
    outbox.announce(world.db, list(NotificationKind))
    world.db.transaction(lambda session: interventions.cancel(session, world.sign_up("announced").id, world.db.now()))
    queues.Outbox(world.db, [target]).distribute()
    dispatcher = Dispatcher(world.db, target, "", Answers(answers), Signer(["k" * 32]))
    for _ in range(2):
        dispatcher.run()
        world.time.advance(60)
    shown = Presence(world.db, "w2", concurrency=1)
    shown.show()
    shown.leave()
    outbox.announce(world.db, ())


def _look_as_the_doctor(url: str) -> None:
    for check in DatabaseChecks(url).all():
        check.run()


def _type_every_command(api: Api, filled: Many) -> None:
    typed = {tuple(line.split()[:2]) for line in COMMANDS}
    assert typed == {(name, command) for name, group in GROUPS.items() for command in group.commands}
    operator = Operator(api)
    for line in COMMANDS:
        words = line.format(app=filled.app_id, login=filled.login).split()
        result = operator.types(*words, input=f"{PASSWORD}\n")
        assert result.exit_code in (0, 1, 3), (line, result.output)

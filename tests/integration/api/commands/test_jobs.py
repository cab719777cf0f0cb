"""What does not move is listed with its reason, what failed is taken up again, what must end is cancelled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session
from support import bulk_data, plans
from support.api import V1, Api, remove_app
from support.commands import Operator
from support.fake_worker import ABSENT, add_provisioned, claim, fail, job, names, succeed
from support.finished_jobs import Past
from support.world import Time

from api.commands.jobs import PAGE
from common.database.engine import Database
from common.database.models import Job, Step, User
from common.jobs import dispatch, lifecycle, outcomes, stuck
from common.jobs.stuck import Patience
from common.states import JobState, StepState
from common.workflows import BUILD

PATIENCE = Patience(idle=timedelta(minutes=15), waiting=timedelta(hours=1))
NEVER = "01890000-0000-7000-8000-000000000000"


@pytest.fixture
def time() -> Time:
    """A clock of this test's own: ids have the time of the machine."""
    return Time()


@pytest.fixture
def operator(api: Api) -> Operator:
    return Operator(api)


@pytest.fixture
def dev(api: Api, db: Database) -> FlaskClient:
    member = api.member("grace")
    (job_id,) = [each["job_id"] for each in member.get(f"{V1}/jobs").json["jobs"]]
    succeed(db, job_id)
    return member


@pytest.fixture
def build(db: Database) -> str:
    """A build whose first step is ready."""
    past = Past(db)
    app_id = past.app()

    def accept(session: Session) -> Job:
        who = {"subject_id": app_id, "app_id": app_id, "team_id": "dev", "user_id": past.user_id}
        return lifecycle.accept(session, BUILD, now=db.now(), request_id="r", inputs={"app": "compiler"}, **who)

    return db.transaction(accept).id


def _change(db: Database, job_id: str, **values: Any) -> None:
    """Write into the step that is to move, as other hands would."""
    movable = update(Step).where(Step.job_id == job_id, Step.state != StepState.PENDING)
    db.transaction(lambda session: session.execute(movable.values(**values)))


def _found(operator: Operator, *more: str) -> list[tuple[str, str | None, str]]:
    found = operator.reads("jobs", "stuck", *more, exit_code=1)
    return [(each["job_id"], each["step"], each["why"]) for each in found]


# -- stuck --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("build")
def test_what_moves_as_its_plan_says_is_not_stuck(operator: Operator, db: Database, build: str, time: Time) -> None:
    begun = claim(db, build, "start_build")
    while_running = operator.types("jobs", "stuck")
    outcomes.record_wait(db, begun, code="not_yet", reason="Jenkins has it in its queue", retry_after_s=60)
    time.advance(14 * 60)
    while_waiting = operator.types("jobs", "stuck")

    assert (while_running.exit_code, while_running.stdout) == (0, "No job is stuck.\n")
    assert (while_waiting.exit_code, operator.reads("jobs", "stuck")) == (0, [])


def test_without_a_worker_everything_is_overdue(operator: Operator, build: str, time: Time) -> None:
    time.advance(16 * 60)

    said = operator.types("jobs", "stuck").stdout

    assert _found(operator) == [(build, "start_build", "overdue")]
    assert f"{build}  build queued, team dev, app app-1\n" in said
    assert "overdue at start_build (jenkins) for 15 min" in said
    assert "celery -A worker worker" in said


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_a_lease_that_nobody_ended_is_overdue(operator: Operator, db: Database, build: str, time: Time) -> None:
    claim(db, build, "start_build")
    time.advance(16 * 60)

    assert _found(operator) == [(build, "start_build", "overdue")]


def test_what_is_sent_in_vain_is_unbegun(operator: Operator, db: Database, build: str, time: Time) -> None:
    for _ in range(8):
        time.advance(5 * 60)
        dispatch.take_due(db, limit=10)

    assert _found(operator) == [(build, "start_build", "unbegun")]
    assert operator.reads("jobs", "stuck", exit_code=1)[0]["messages"] >= 3


def test_what_no_clock_looks_at_is_unwatched(operator: Operator, db: Database, build: str) -> None:
    _change(db, build, nudge_at=None)

    assert _found(operator) == [(build, "start_build", "unwatched")]


def test_what_is_held_back_for_long_says_by_what(operator: Operator, db: Database, build: str, time: Time) -> None:
    _change(db, build, nudge_at=None, parked_at=time(), code="paused", reason="Jenkins is paused by chief: upgrade")
    time.advance(59 * 60)
    before = operator.types("jobs", "stuck").exit_code
    time.advance(2 * 60)

    assert (before, _found(operator)) == (0, [(build, "start_build", "held")])
    assert (
        "Jenkins is paused by chief: upgrade\n  It resumes automatically once the pause ends."
        in operator.types("jobs", "stuck").stdout
    )
    assert operator.types("jobs", "stuck", "--waiting", "2h").exit_code == 0


def test_what_waits_for_long_says_for_what_and_since_when(
    operator: Operator, db: Database, build: str, time: Time
) -> None:
    outcomes.record_success(db, claim(db, build, "start_build"), {"queue_id": 7, "number": None})
    for _ in range(13):
        waiting = claim(db, build, "await_executor")
        outcomes.record_wait(
            db, waiting, code="not_yet", reason="Jenkins\x1b[2J has it in its queue", retry_after_s=300
        )
        time.advance(300)

    (found,) = operator.reads("jobs", "stuck", exit_code=1)
    said = operator.types("jobs", "stuck").stdout

    assert (found["why"], found["for_s"], found["upstream"]) == ("waiting", 13 * 300, "jenkins")
    assert (
        "waiting at await_executor (jenkins) for 1 h 5 min: Jenkins\N{REPLACEMENT CHARACTER}[2J has it in its" in said
    )
    assert f"flask --app api jobs cancel {build}" in said


def test_an_open_job_of_which_no_step_can_move_is_endless(
    operator: Operator, db: Database, build: str, time: Time
) -> None:
    _change(db, build, state=StepState.SUCCEEDED, nudge_at=None)
    time.advance(16 * 60)

    assert _found(operator) == [(build, None, "endless")]


def test_stuck_jobs_are_found_among_many_along_the_index_of_the_open_ones(db: Database) -> None:
    bulk_data.fill(db, 3_000)
    is_open = Job.state.in_([JobState.QUEUED, JobState.RUNNING])
    limit = 7

    with plans.listening(db) as asked:
        found = db.read(lambda session: stuck.find(session, PATIENCE, db.now(), limit=limit))
    statements = [each for each in asked if not each.sql.startswith("BEGIN")]
    opened = db.read(lambda session: session.query(Job).where(is_open).count())

    assert len(found) == limit < opened
    assert [each.text for each in (plans.plan(db, some) for some in statements) if each.sorted_rows > opened] == []
    assert plans.cost(db, statements) <= (60 if db.is_sqlite else 8) * opened


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_no_more_are_listed_than_were_asked_for(operator: Operator, db: Database) -> None:
    bulk_data.fill(db, 1_000)

    some = operator.types("jobs", "stuck", "--limit", "2", "--json")

    assert (some.exit_code, some.stdout.count("job_id")) == (1, 2)
    assert "There may be more" in some.stderr


# -- cancel -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_a_job_is_cancelled_once_somebody_is_sure(operator: Operator, db: Database, build: str) -> None:
    unsure = operator.types("jobs", "cancel", build)
    sure = operator.reads("jobs", "cancel", build, "--yes")

    assert (unsure.exit_code, sure) == (2, {"job_id": build, "state": "cancelled"})
    over, absent, no_id = (operator.types("jobs", "cancel", each, "--yes") for each in (build, ABSENT, "x"))
    assert (over.exit_code, absent.exit_code, no_id.exit_code) == (3, 3, 2)
    assert "The job is over." in over.stderr
    assert job(db, build).state is JobState.CANCELLED


# -- retry --------------------------------------------------------------------------------------------------------


def _failed(dev: FlaskClient, db: Database, name: str) -> str:
    app_id = add_provisioned(db, dev, name, f"{name}s")
    job_id: str = dev.post(f"{V1}/app/{app_id}/builds", json={}).json["job_id"]
    fail(db, job_id, "start_build")
    return job_id


def test_failed_jobs_go_on_by_filter_and_wait_for_no_message(
    operator: Operator, dev: FlaskClient, db: Database, time: Time
) -> None:
    first, second = (_failed(dev, db, name) for name in ("compiler", "linker"))

    foretold = operator.reads("jobs", "retry", "--app", "linker", "--dry-run")
    untouched = job(db, second).state
    done = operator.reads("jobs", "retry", "--app", "linker", "--kind", "build", "--code", "rejected", "--yes")
    time.advance(6)
    sent = dispatch.take_due(db, limit=10)

    assert (foretold["retried"], foretold["dry_run"], untouched) == ([second], True, JobState.FAILED)
    assert (done["retried"], done["refused"]) == ([second], [])
    assert (job(db, first).state, job(db, second).state) == (JobState.FAILED, JobState.RUNNING)
    assert [(lane.job_id, lane.steps[0]) for lane in sent] == [(second, "start_build")]


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_all_are_found_however_many_and_no_more_than_were_asked_for(operator: Operator, db: Database) -> None:
    team, person = bulk_data.fill(db, 40).team, db.read(lambda session: session.scalars(select(User.id)).first())
    at, ours = db.now(), {"team_id": team, "user_id": person, "kind": "checkup", "state": JobState.FAILED}
    rows = [bulk_data.job_row(bulk_data.id_at(at), at, **ours) for _ in range(2 * PAGE + 30)]
    db.transaction(lambda session: session.execute(insert(Job), rows))
    newest_first = sorted((row["id"] for row in rows), reverse=True)

    def retried(*more: str) -> list[str]:
        found: list[str] = operator.reads("jobs", "retry", "--kind", "checkup", "--dry-run", *more)["retried"]
        return found

    assert retried() == newest_first
    assert retried("--limit", str(PAGE + 7)) == newest_first[: PAGE + 7]


def test_a_refusal_is_told_and_does_not_stop_the_others(operator: Operator, dev: FlaskClient, db: Database) -> None:
    failed = [_failed(dev, db, f"app-{number}") for number in range(5)]
    busy = job(db, failed[1])
    remove_app(dev, busy.app_id)

    unsure = operator.types("jobs", "retry")
    some = operator.reads("jobs", "retry", "--limit", "1", "--yes")
    rest = operator.types("jobs", "retry", "--yes")

    assert (unsure.exit_code, some["retried"]) == (2, [failed[4]])
    assert rest.exit_code == 1
    assert rest.stdout.splitlines() == [failed[3], failed[2], failed[0], "3 jobs retried, 1 refused."]
    assert f"{busy.id}: not retried (busy): A deprovision job is running" in rest.stderr


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_who_may_leave_is_the_operators_to_decide(operator: Operator, api: Api, dev: FlaskClient, db: Database) -> None:
    db.transaction(lambda session: session.execute(update(User).values(is_admin=True)))
    api.member("linus")
    leaving = dev.get(f"{V1}/jobs").json["jobs"][0]["job_id"]
    succeed(db, leaving)
    job_id = dev.delete(f"{V1}/users/linus").json["job_id"]
    for each in names(db, job_id, StepState.READY):
        fail(db, job_id, each)

    assert operator.reads("jobs", "retry", "--kind", "offboard", "--yes")["retried"] == [job_id]


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (("--team", "sales"), 3),
        (("--app", "nothing"), 3),
        (("--app", ABSENT), 3),
        (("--app", "é"), 3),
        (("--user", "nobody"), 3),
        (("--user", "É"), 3),
        (("--kind", "repair"), 2),
        (("--code", "No"), 2),
        (("--since", "yesterday"), 2),
        (("--limit", "0"), 2),
    ],
)
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_what_could_match_nothing_ever_is_refused(operator: Operator, words: tuple[str, ...], exit_code: int) -> None:
    assert operator.types("jobs", "retry", "--dry-run", *words).exit_code == exit_code


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_since_narrows_to_what_was_made_then_or_later(
    operator: Operator, dev: FlaskClient, db: Database, time: Time
) -> None:
    _failed(dev, db, "compiler")
    time.advance(60)
    since = time().isoformat()
    newer = _failed(dev, db, "linker")

    assert operator.reads("jobs", "retry", "--since", since, "--dry-run")["retried"] == [newer]
    assert len(operator.reads("jobs", "retry", "--since", "7d", "--team", "dev", "--dry-run")["retried"]) == 2

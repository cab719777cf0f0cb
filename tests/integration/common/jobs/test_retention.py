"""Old jobs go with all that is known of them; what the ledger, an app or a person still needs stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import event, func, select
from support import bulk_data, finished_jobs
from support.api import V1, Api, open_api, row_counts, settings
from support.commands import Operator
from support.fake_worker import admin
from support.finished_jobs import Past
from support.world import Time

from common.database.engine import Database
from common.database.models import App, Attempt, ConsoleChunk, Event, Job, Resource, Step
from common.jobs import deployments, interventions, retention
from common.jobs.retention import RetentionSweeper
from common.states import JobState, Provenance

OF_A_JOB = (Step, Event, ConsoleChunk, Resource)
DAYS = 90
JOBS = 1_600
GOOD, FAILED = JobState.SUCCEEDED, JobState.FAILED


@pytest.fixture
def before(db: Database) -> Past:
    return Past(db)


def _sweep(db: Database, *, is_dry: bool = False, before: datetime | None = None) -> Counter[str]:
    """Sweep to the end, and return how many went of each kind."""
    until = before or db.now() - timedelta(days=DAYS)
    swept = retention.sweep(db, settings("sqlite:///unused"), before=until, is_dry=is_dry)
    return sum((some.gone for some in swept), Counter())


def _left(db: Database) -> set[str]:
    return set(db.read(lambda session: session.scalars(select(Job.id)).all()))


# -- what goes ----------------------------------------------------------------------------------------------------


def test_an_old_job_goes_with_all_that_is_known_of_it_and_a_younger_one_stays_whole(before: Past, db: Database) -> None:
    untouched = row_counts(db)
    before.in_ledger(before.job("build", app_id=before.app(is_removed=True)), "build")
    before.in_ledger(before.job("deploy"), "sync", Provenance.INTENDED)
    young = before.job(days=DAYS - 1)

    gone = _sweep(db)

    assert gone == {"build": 1, "deploy": 1}
    assert _left(db) == {young}
    grown = {table: count - untouched[table] for table, count in row_counts(db).items() if count != untouched[table]}
    of_the_young_one = {"apps": 1, "jobs": 1, "steps": 1, "attempts": 1, "events": 1, "console_chunks": 1}
    assert grown == {**of_the_young_one, "actions": 1}  # the deletion of the other is an act


def test_what_is_open_or_ended_lately_stays_however_long_ago_it_began(before: Past, db: Database) -> None:
    stays = {before.job(state=state) for state in (JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING)}
    stays.add(before.job(state=FAILED, ended_days=DAYS - 1))

    assert (_sweep(db), _left(db)) == ({}, stays)


@pytest.mark.parametrize("provenance", Provenance)
def test_what_the_ledger_names_stays(before: Past, db: Database, provenance: Provenance) -> None:
    job_id = before.job("provision", app_id=before.app(is_removed=True))
    before.in_ledger(job_id, provenance=provenance)

    assert (_sweep(db), _left(db)) == ({}, {job_id})


def test_the_newest_job_of_each_kind_stays_and_says_how_the_app_is(before: Past, db: Database) -> None:
    app = before.app()
    before.job("build", app_id=app, days=120)
    newest = before.job("build", FAILED, app_id=app, days=110)
    before.job("drift", app_id=app, days=105)
    compared = before.job("drift", app_id=app, days=100)

    assert _sweep(db) == {"build": 1, "drift": 1}
    assert _left(db) == {newest, compared}


def test_the_last_good_job_that_made_the_parts_of_an_app_stays(before: Past, db: Database) -> None:
    app = before.app()
    first = before.job("provision", app_id=app, days=130)
    before.job("reconcile", app_id=app, days=125)
    maker = before.job("reconcile", app_id=app, days=120)
    failed = before.job("reconcile", FAILED, app_id=app, days=110)
    newest = before.job("build", app_id=app, days=100)

    assert _sweep(db) == {"reconcile": 1}
    assert _left(db) == {first, maker, failed, newest}


def test_of_a_removed_app_nothing_stays_but_what_the_ledger_names(before: Past, db: Database) -> None:
    app = before.app(is_removed=True)
    named = before.job("provision", app_id=app, days=130)
    before.in_ledger(named)
    for kind in ("reconcile", "build", "deploy", "deprovision"):
        before.job(kind, app_id=app)

    _sweep(db)

    assert _left(db) == {named}


def test_the_deployments_stay_to_which_an_app_may_go_back(before: Past, db: Database) -> None:
    app = before.app()
    tags = ["1", "2", "2", "3", "3", "4"]
    ends = [GOOD, GOOD, GOOD, FAILED, GOOD, FAILED]
    ids = [
        before.job("deploy", state, app_id=app, days=130 - number, app="app", image_tag=tag)
        for number, (tag, state) in enumerate(zip(tags, ends, strict=True))
    ]

    _sweep(db)

    assert _left(db) == {ids[2], ids[4], ids[5]}


def test_the_build_stays_whose_tag_a_deployment_takes(before: Past, db: Database) -> None:
    app = before.app()
    ends = [GOOD, GOOD, FAILED]
    ids = [
        before.job("build", state, app_id=app, days=130 - number, app="app", image_tag=str(number))
        for number, state in enumerate(ends)
    ]
    before.job("deploy", app_id=app, days=100, app="app", image_tag="1")

    _sweep(db)

    assert _left(db) & set(ids) == {ids[1], ids[2]}, "the newest one, too"


def test_a_newer_good_build_whose_tag_is_not_known_stays_beside_it(before: Past, db: Database) -> None:
    app = before.app()
    known = before.job("build", app_id=app, days=130, app="app", image_tag="1")
    newer = before.job("build", app_id=app, days=129, app="app")
    before.job("deploy", app_id=app, days=100, app="app", image_tag="1")

    _sweep(db)

    assert _left(db) >= {known, newer}


@pytest.mark.parametrize(
    ("state", "has_left", "stays"),
    [(GOOD, False, False), (FAILED, False, True), (JobState.CANCELLED, False, True), (FAILED, True, False)],
)
def test_a_sign_up_that_did_not_succeed_stays_as_long_as_the_person(
    before: Past, db: Database, state: JobState, has_left: bool, stays: bool
) -> None:
    before.job("signup", state)
    if has_left:
        before.person_leaves()

    _sweep(db)

    assert bool(_left(db)) is stays


@pytest.mark.parametrize(
    ("has_left", "is_back", "stays"), [(True, False, True), (False, False, True), (False, True, False)]
)
def test_the_off_boarding_stays_until_the_person_is_back(
    before: Past, db: Database, has_left: bool, is_back: bool, stays: bool
) -> None:
    signup = before.job("signup", FAILED, days=130)
    earlier = before.job("offboard", FAILED, days=120)
    leaving = before.job("offboard", days=110)
    if has_left:
        before.person_leaves()
    if is_back:  # but has not logged in yet
        before.job("signup", days=100)

    _sweep(db)

    assert {signup, earlier}.isdisjoint(_left(db))
    assert _left(db) == ({leaving} if stays else set())


def test_an_earlier_sign_up_that_the_ledger_names_does_not_pass_for_the_newest(before: Past, db: Database) -> None:
    signup = before.job("signup", FAILED, days=130)
    before.in_ledger(signup, provenance=Provenance.GONE)
    stays = {signup, before.job("offboard", days=120), before.job("signup", days=110)}

    assert (_sweep(db), _left(db)) == ({}, stays)


def test_no_job_passes_for_the_newest_of_its_kind_because_those_behind_it_are_gone(before: Past, db: Database) -> None:
    app, removed = before.app(), before.app(is_removed=True)
    stays = {
        before.job("build", FAILED, app_id=app, days=130, ended_days=DAYS - 1),
        before.job("build", app_id=app, days=120),
        before.job("drift", app_id=app, days=10),
        before.job("drift", FAILED, app_id=removed, days=130, ended_days=DAYS - 1),
        before.job("drift", app_id=removed, days=120),
    }
    before.job("drift", app_id=app, days=120)
    stays.add(before.job("deploy", app_id=app, days=100))

    assert (_sweep(db), _left(db)) == ({"drift": 1}, stays)


@pytest.mark.parametrize("db_url", ["mariadb"], indirect=True)  # on SQLite nobody writes in between
def test_what_is_taken_up_between_the_look_and_the_delete_stays(before: Past, db: Database, db_url: str) -> None:
    taken_up, other = before.job(state=FAILED), before.job()
    somebody = Database(db_url)

    @event.listens_for(db.engine, "before_cursor_execute")  # of the sweep: somebody's engine is another one
    def retry(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FOR UPDATE" in statement:
            somebody.transaction(lambda session: interventions.retry(session, taken_up, somebody.now()))

    _sweep(db)

    somebody.dispose()
    assert _left(db) == {taken_up}
    assert other not in _left(db)
    assert row_counts(db)["steps"] == 1


# -- how it goes --------------------------------------------------------------------------------------------------


def test_of_thousands_the_old_ones_go_and_nobody_misses_them(db: Database, db_url: str, time: Time) -> None:
    """One pass breaks off, two go on at once: together they do what was foretold, and no more."""
    bulk_data.fill(db, JOBS)
    finished_jobs.add(db)
    until = db.now() - timedelta(seconds=JOBS / 2 * bulk_data.EVERY_S)
    with open_api(db_url, time) as api:
        chief = admin(api, db)
        seen, younger, counts = _seen(api, db, chief), _ended_since(db, until), row_counts(db)

        foretold = _sweep(db, is_dry=True, before=until)
        untouched = row_counts(db)
        next(retention.sweep(db, api.service.settings, before=until))
        _sweep_twice_at_once(db_url, until)
        after = row_counts(db)

        assert untouched == counts
        assert counts["jobs"] - after["jobs"] == foretold.total() > 0.7 * JOBS / 2
        assert counts["resources"] - after["resources"] == foretold["build"] + foretold["deploy"]
        assert _sweep(db, is_dry=True, before=until) == {}
        assert _ended_since(db, until) == younger
        assert _seen(api, db, chief) == seen
    assert _orphans(db) == {}


def _sweep_twice_at_once(db_url: str, until: datetime) -> None:
    start, both = Barrier(2), [Database(db_url) for _ in range(2)]

    def run(own: Database) -> None:
        start.wait()
        _sweep(own, before=until)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, both))
    for own in both:
        own.dispose()


def _seen(api: Api, db: Database, chief: Any) -> dict[str, Any]:
    """Return what people see of apps and their parts, and to what each would go back; of every fifth one."""
    live = select(App.id).where(App.claimed_name.is_not(None)).order_by(App.id)
    ids = db.read(lambda session: session.scalars(live).all())[::5]
    config = api.service.settings

    def target(app_id: str) -> Any:
        back = db.read(lambda session: deployments.previous_good(deployments.newest_first(session, config, app_id)))
        return (back.image_tag, back.revision) if back else None

    return {app_id: (chief.get(f"{V1}/app/{app_id}").json, target(app_id)) for app_id in ids}


def _ended_since(db: Database, since: datetime) -> set[str]:
    return set(db.read(lambda session: session.scalars(select(Job.id).where(Job.finished_at >= since)).all()))


def _orphans(db: Database) -> dict[str, int]:
    """Return the rows whose job is gone, by table: foreign keys forbid them, where they are enforced."""

    def found(session: Any) -> dict[str, int]:
        jobs, steps = select(Job.id), select(Step.id)
        ways = [(table, table.job_id.not_in(jobs)) for table in OF_A_JOB] + [(Attempt, Attempt.step_id.not_in(steps))]
        return {
            table.__tablename__: rows
            for table, is_orphan in ways
            if (rows := session.scalar(select(func.count()).select_from(table).where(is_orphan)))
        }

    return db.read(found)


def test_workers_delete_by_themselves_a_little_at_a_time_once_they_are_told_to(before: Past, db: Database) -> None:
    for _ in range(retention.JOBS + 5):
        before.job()
    never, keeper = (RetentionSweeper(db, settings("sqlite:///unused", retention_days=days)) for days in (0, DAYS))

    left = []
    for each in (never, keeper, keeper, keeper, keeper):
        each.sweep_some()
        left.append(row_counts(db)["jobs"])
    later = before.job()
    for _ in range(2):
        keeper.sweep_some()

    assert left == [retention.JOBS + 5, retention.JOBS + 5, 5, 0, 0]
    assert later not in _left(db)


# -- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def api(db_url: str, time: Time, before: Past) -> Iterator[Api]:  # noqa: ARG001 - the past comes first
    with open_api(db_url, time) as opened:
        yield opened


@pytest.fixture
def operator(api: Api) -> Operator:
    return Operator(api)


def test_the_command_tells_what_went_and_what_stayed(operator: Operator, before: Past, db: Database) -> None:
    before.job("build")
    kept = before.job("signup", FAILED)
    prune = ("jobs", "prune", "--older-than", f"{DAYS}d")

    unsure = operator.types(*prune)
    foretold = operator.reads(*prune, "--dry-run")
    untouched = row_counts(db)["jobs"]
    done = operator.reads(*prune, "--yes")
    again = operator.types(*prune, "--yes")

    assert (unsure.exit_code, untouched) == (2, 2)
    assert foretold == {**done, "rows": 0, "dry_run": True}
    assert (done["gone"], done["kept"], done["rows"], _left(db)) == ({"build": 1}, {"signup": 1}, 5, {kept})
    assert again.stdout.startswith("Deleted 0 jobs, kept 1, in ")


def test_a_run_that_is_stopped_leaves_no_half_of_a_job_and_says_that_the_next_goes_on(
    api: Api, operator: Operator, before: Past, db: Database
) -> None:
    for _ in range(2 * retention.JOBS):
        before.job()
    pages = count()

    @event.listens_for(api.service.db.engine, "before_cursor_execute")
    def stop(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("DELETE FROM jobs") and next(pages):
            raise KeyboardInterrupt

    stopped = operator.types("jobs", "prune", "--older-than", f"{DAYS}d", "--yes")

    left = row_counts(db)
    assert (stopped.exit_code, stopped.stdout) == (130, "")
    assert f"Deleted {retention.JOBS} jobs" in stopped.stderr
    assert "The next run continues." in stopped.stderr
    assert [left[table] for table in ("jobs", "steps", "attempts", "events", "console_chunks")] == [retention.JOBS] * 5


@pytest.mark.parametrize("age", ["0d", "23h", "90", "-1d", "all"])
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_less_than_a_day_is_no_age(operator: Operator, age: str) -> None:
    assert operator.types("jobs", "prune", f"--older-than={age}", "--dry-run").exit_code == 2

"""A database with as many jobs as wanted, filled fast: people, projects, apps, jobs, and one step of each job.

Everything is skewed as it is in life: a busy team, in it a busy project, in that a busy app, and a person who begins
much. Ids and times fit together, one job every `EVERY_S`, the newest now. The same count gives the same things, ids
and times apart.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, insert, select, text

from common.database.engine import Database
from common.database.ids import uuid7
from common.database.models import App, Base, Job, Project, Step, Team, User
from common.states import OPEN, JobState, StepState
from common.workflows import WORKFLOWS

TEAMS = ("dev", "ops", "tools", "research")  # most is of the first
PEOPLE = 20  # of each team
EVERY_S = 30.0
ROWS = 2_000  # in one statement
KINDS = {"build": 55, "deploy": 30, "drift": 6, "provision": 4, "reconcile": 2, "signup": 2, "deprovision": 1}
SHOWN_STEP = {"build": "await_executor", "deploy": "await_healthy"}
STATES = {
    JobState.SUCCEEDED: 850,
    JobState.FAILED: 120,
    JobState.CANCELLED: 25,
    JobState.RUNNING: 4,
    JobState.QUEUED: 1,
}
CODES = ("upstream_unavailable", "rejected", "wait_timed_out")
STEP_STATES = {JobState.QUEUED: StepState.READY}  # the others have a state of the same name

Row = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Many:
    """What there is most of: a team, its busiest person (a login), project, app (its id and type)."""

    team: str
    login: str
    project_id: str
    app_id: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a team's jobs are about."""

    team: str
    people: list[Row]
    projects: list[Row]
    apps: list[Row]


def fill(db: Database, jobs: int) -> Many:
    """Add so many jobs, a project for every 200 of them and an app for every 100."""
    chance = random.Random(jobs)
    began = datetime.now(UTC) - timedelta(seconds=jobs * EVERY_S)
    places = [_place(team, jobs // len(TEAMS), began, chance) for team in TEAMS]
    with db.engine.begin() as connection:
        known = set(connection.scalars(select(Team.id)))
        _insert(connection, Team, [{"id": team} for team in TEAMS if team not in known])
        for place in places:
            _insert(connection, User, place.people)
            _insert(connection, Project, place.projects)
            _insert(connection, App, place.apps)
    for some in _by_the_thousand(_jobs(places, jobs, began, chance)):
        with db.engine.begin() as connection:
            _insert(connection, Job, some)
            _insert(connection, Step, [_step(number, job, chance) for number, job in enumerate(some)])
    _count_afresh(db)
    busy = places[0]
    app = busy.apps[0]
    return Many(
        team=busy.team,
        login=busy.people[0]["login"],
        project_id=app["project_id"],
        app_id=app["id"],
        type=app["type"],
    )


def _place(team: str, jobs: int, began: datetime, chance: random.Random) -> Place:
    def rows(count: int, make: Callable[[int], Row]) -> list[Row]:
        times = (began + timedelta(seconds=number * EVERY_S) for number in range(count))
        common = [{"id": _id(at, chance), "team_id": team, "created_at": at} for at in times]
        return [{**row, **make(number)} for number, row in enumerate(common)]

    people = rows(PEOPLE, lambda number: _person(f"{team}-{number}"))
    projects = rows(max(8, jobs // 200), lambda number: _project(f"project-{number}", _one_of(people, chance)))
    apps = rows(
        max(40, jobs // 100),
        lambda number: _app(f"old-{team}-app-{number}", _one_of(projects, chance), _one_of(people, chance), chance),
    )
    projects[0] |= {"created_by": people[0]["id"]}
    apps[0] |= {"project_id": projects[0]["id"], "created_by": people[0]["id"], "claimed_name": apps[0]["name"]}
    return Place(team=team, people=people, projects=projects, apps=apps)


def _person(login: str) -> Row:
    return {
        "login": login,
        "email": f"{login}@example.com",
        "name": "One of Many",
        "password_hash": "none",
        "is_admin": False,
    }


def _project(name: str, person: Row) -> Row:
    return {"name": name, "description": "", "created_by": person["id"]}


def _app(name: str, project: Row, person: Row, chance: random.Random) -> Row:
    is_removed = chance.random() < 0.1
    return {
        "project_id": project["id"],
        "name": name,
        "claimed_name": None if is_removed else name,
        "namespace": f"in-{name}",
        "type": chance.choice(("Spring", "Django", "Flask")),
        "description": "",
        "created_by": person["id"],
    }


def _jobs(places: list[Place], count: int, began: datetime, chance: random.Random) -> Iterator[Row]:
    for number in range(count):
        kind, state = _drawn(KINDS, chance), _drawn(STATES, chance)
        at = began + timedelta(seconds=number * EVERY_S)
        place = places[0] if chance.random() < 0.6 else chance.choice(places)
        person = _one_of(place.people, chance)
        app = _one_of(place.apps, chance) if kind != "signup" else None
        row = job_row(_id(at, chance), at, team_id=place.team, user_id=person["id"], kind=kind, state=state)
        yield {**row, "app_id": app["id"], "subject_id": app["id"], "input": {"app": app["name"]}} if app else row


def job_row(job_id: str, at: datetime, *, team_id: str, user_id: str, **changes: Any) -> Row:
    """Return a row of the table of jobs: somebody's drift job of no app that has succeeded."""
    row = {
        "id": job_id,
        "kind": "drift",
        "state": JobState.SUCCEEDED,
        "version": 2,
        "subject_id": user_id,
        "team_id": team_id,
        "user_id": user_id,
        "app_id": None,
        "input": {},
        "request_id": "many",
        "created_at": at,
        "started_at": at,
        "updated_at": at,
        **changes,
    }
    return {**row, "finished_at": None if row["state"] in OPEN else at + timedelta(seconds=20)}


def id_at(at: datetime) -> str:
    """Return a new id of that time."""
    return _id(at, random.Random())


def _step(number: int, job: Row, chance: random.Random) -> Row:
    plan = WORKFLOWS[job["kind"]].lanes[0]
    is_failed = job["state"] is JobState.FAILED
    output = {"number": number, "url": f"http://jenkins.invalid/job/{number}/"} if job["kind"] == "build" else {}
    return {
        "id": _id(job["created_at"], chance),
        "job_id": job["id"],
        "lane": plan.name,
        "position": 0,
        "name": SHOWN_STEP.get(job["kind"], plan.steps[0].name),
        "upstream": plan.steps[0].upstream.value,
        "needs_secret": False,
        "state": STEP_STATES.get(job["state"]) or StepState(job["state"].value),
        "attempts": 1,
        "forgiven": 0,
        "nudges": 0,
        "output": None if is_failed else output,
        "code": chance.choice(CODES) if is_failed else None,
        "started_at": job["started_at"],
        "finished_at": job["finished_at"],
    }


def _one_of(rows: list[Row], chance: random.Random) -> Row:
    """Return the first in one of five cases, else any."""
    return rows[0] if chance.random() < 0.2 else chance.choice(rows)


def _id(at: datetime, chance: random.Random) -> str:
    return uuid7(int(at.timestamp() * 1000), chance.getrandbits(74))


def _drawn(weights: dict[T, int], chance: random.Random) -> T:
    return chance.choices(list(weights), list(weights.values()))[0]


def _by_the_thousand(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rest = iter(rows)
    while some := list(islice(rest, ROWS)):
        yield some


def _insert(connection: Connection, table: type[Base], rows: list[Row]) -> None:
    for some in _by_the_thousand(rows):
        connection.execute(insert(table), some)


def _count_afresh(db: Database) -> None:
    """Let MariaDB look at what is there now, as it does by itself some seconds later; SQLite never does."""
    if not db.is_sqlite:
        tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
        with db.engine.connect() as connection:
            connection.execute(text(f"ANALYZE TABLE {tables}"))

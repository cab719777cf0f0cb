"""Lists: every row on exactly one page, narrowed by whatever is asked for, and never anything of another team."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, insert, select, update
from support import bulk_data
from support.api import V1, Api, add_app, add_project, without_request_id
from support.bulk_data import Many
from support.fake_worker import ABSENT, add_provisioned, admin, claim, fail, job, succeed
from support.lists import Listing, expected, listings, walk

from api.contract.pagination import CLOCK_SKEW, MAX_TOTAL
from common.database.engine import Database
from common.database.models import App, Job, User
from common.states import JobState
from common.workflows import BUILD, WORKFLOWS

JOBS = 400
AT = datetime(2026, 5, 17, 12, 0, 0, 500_000, tzinfo=UTC)
STATEMENTS = 8  # of one page, SQLite's two BEGINs among them
STATEMENTS_OF_APPS = 12  # with what the jobs of the apps say


@pytest.fixture
def filled(db: Database) -> Many:
    return bulk_data.fill(db, JOBS)


@pytest.fixture
def lists(filled: Many) -> dict[str, Listing]:
    return {listing.name: listing for listing in listings(filled)}


def _add_job(db: Database, login: str, at: datetime = AT, *, ahead: timedelta = timedelta(0), **changes: Any) -> str:
    """Write a job that a person began at a time, accepted by a host whose clock was ahead."""
    row = bulk_data.job_row(bulk_data.id_at(at + ahead), at, **{**_whose(db, login), **changes})
    db.transaction(lambda session: session.execute(insert(Job), [row]))
    return str(row["id"])


def _whose(db: Database, login: str) -> dict[str, str]:
    person = db.read(lambda session: session.scalars(select(User).where(User.login == login)).one())
    return {"team_id": person.team_id, "user_id": person.id}


def _times(db: Database, listing: Listing) -> list[datetime]:
    return sorted(db.read(lambda session: session.scalars(select(listing.table.created_at)).all()))


def _listed(member: FlaskClient, **query: str) -> list[str]:
    answer = member.get(f"{V1}/jobs", query_string={"kind": "drift", **query})
    assert answer.status_code == 200, answer.text
    return [each["job_id"] for each in answer.json["jobs"]]


# -- pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_the_pages_of_a_list_are_the_whole_list(
    dev: FlaskClient, db: Database, lists: dict[str, Listing], limit: int
) -> None:
    for listing in lists.values():
        seen = walk(dev, listing, limit=limit)

        assert seen == expected(db, listing)
        assert len(seen) > 2, listing.name


def test_what_is_new_does_not_shift_a_later_page(
    api: Api, dev: FlaskClient, db: Database, lists: dict[str, Listing]
) -> None:
    before = expected(db, lists["jobs"])
    numbers = iter(range(100))

    seen = walk(dev, lists["jobs"], limit=40, between=lambda: api.sign_up(f"newcomer-{next(numbers)}"))

    assert seen == before
    assert len(expected(db, lists["jobs"])) > len(before)


def test_any_id_is_a_place_in_a_list(dev: FlaskClient, db: Database, lists: dict[str, Listing]) -> None:
    for listing in lists.values():
        for cursor in (ABSENT, f"ffffffff{ABSENT[8:]}", expected(db, lists["jobs"])[100]):
            page = dev.get(listing.path, query_string={"cursor": cursor, "limit": 100}).json[listing.rows_key]

            assert [row[listing.id_key] for row in page] == [row for row in expected(db, listing) if row < cursor][:100]


def test_a_page_takes_as_many_queries_whatever_is_on_it(api: Api, dev: FlaskClient, lists: dict[str, Listing]) -> None:
    asked: list[str] = []
    event.listen(api.service.db.read_engine, "before_cursor_execute", lambda *of: asked.append(of[2]))

    for listing in lists.values():
        counts = []
        for limit in (1, 100):
            asked.clear()
            dev.get(listing.path, query_string={"limit": limit})
            counts.append(len(asked))
        at_most = STATEMENTS_OF_APPS if listing.rows_key == "apps" else STATEMENTS
        assert counts[0] == counts[1] <= at_most, asked


# -- filters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["jobs", "builds", "deploys", "apps", "team apps", "projects"])
def test_every_combination_of_filters_narrows_a_list(
    dev: FlaskClient, db: Database, lists: dict[str, Listing], name: str
) -> None:
    listing = lists[name]
    times = _times(db, listing)
    since = times[len(times) // 2]

    for filters in listing.narrowings:
        assert walk(dev, listing, limit=100, **filters) == expected(db, listing, **filters), filters
        late = walk(dev, listing, limit=100, since=since.isoformat(), **filters)
        assert late == expected(db, listing, since=since, **filters), filters
        assert len(filters) != 1 or expected(db, listing, **filters), "each filter alone finds something"


def test_every_state_and_every_kind_can_be_asked_for(dev: FlaskClient, db: Database, lists: dict[str, Listing]) -> None:
    for field, value in (*(("state", state.value) for state in JobState), *(("kind", kind) for kind in WORKFLOWS)):
        assert walk(dev, lists["jobs"], limit=100, **{field: value}) == expected(db, lists["jobs"], **{field: value})


def test_an_empty_page_says_so(dev: FlaskClient, lists: dict[str, Listing]) -> None:
    for listing in lists.values():
        nothing = {listing.rows_key: [], "next": None, "total": None, "total_is_capped": None}
        for query in ({"user": "nobody"}, {"since": "2999-01-01T00:00:00Z"}, {"cursor": f"00000000{ABSENT[8:]}"}):
            assert dev.get(listing.path, query_string=query).json == nothing
        counted = dev.get(listing.path, query_string={"user": "nobody", "total": "true"}).json
        assert counted == {**nothing, "total": 0, "total_is_capped": False}


# -- since --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_s", [0, 0.5, 240, -0.5, -240], ids=lambda s: f"{s}_s_ahead")
def test_since_is_exact_whatever_the_clock_of_who_made_the_id(dev: FlaskClient, db: Database, ahead_s: float) -> None:
    assert abs(ahead_s) < CLOCK_SKEW.total_seconds()
    made = _add_job(db, "grace", ahead=timedelta(seconds=ahead_s))

    assert _listed(dev, since="2026-05-17T12:00:00.499Z") == [made]
    assert _listed(dev, since="2026-05-17T12:00:00.500Z") == [made]
    assert _listed(dev, since="2026-05-17T12:00:00.500001Z") == []
    assert _listed(dev, since="2026-05-17T12:00:00.501Z") == []


@pytest.mark.parametrize(
    ("since", "is_listed"),
    [
        ("2026-05-17t12:00:00.5z", True),
        ("2026-05-17T14:00:00.5+02:00", True),
        ("2026-05-17T14:00:00.500001+02:00", False),
        ("2026-05-17T06:30:00.500000-05:30", True),
        ("2026-05-17T12:00:00.500-00:00", True),
        ("2026-05-17T12:00:00.4999999999999Z", True),
        ("2026-05-17T12:00:00.50000000000001Z", False),
        ("2026-05-17T11:59:60Z", True),
        ("1969-12-31T23:59:59Z", True),
        ("0000-01-01T00:00:00+23:59", True),
        ("9999-12-31T23:59:60.999-23:59", False),
    ],
)
def test_a_moment_may_be_written_as_rfc_3339_has_it(
    dev: FlaskClient, db: Database, since: str, is_listed: bool
) -> None:
    made = _add_job(db, "grace")

    assert _listed(dev, since=since) == ([made] if is_listed else [])


# -- totals -------------------------------------------------------------------------------------------------------


def test_a_total_counts_the_whole_list_on_every_page(dev: FlaskClient, db: Database, lists: dict[str, Listing]) -> None:
    for listing in lists.values():
        since, middle = _times(db, listing)[3], expected(db, listing)[1]
        for filters in listing.narrowings:
            count = len(expected(db, listing, since=since, **filters))
            for more in ({}, {"cursor": middle}):
                query = {**filters, **more, "since": since.isoformat(), "total": "true", "limit": 1}
                page = dev.get(listing.path, query_string=query).json

                assert (page["total"], page["total_is_capped"]) == (count, False), (listing.name, filters)


def test_a_total_is_exact_up_to_ten_thousand_and_stays_there(ops: FlaskClient, db: Database) -> None:
    def total() -> tuple[int, bool]:
        page = ops.get(f"{V1}/jobs?total=true&limit=1&kind=drift").json
        return page["total"], page["total_is_capped"]

    whose, times = _whose(db, "linus"), (AT + timedelta(seconds=number) for number in range(MAX_TOTAL))
    rows = [bulk_data.job_row(bulk_data.id_at(at), at, **whose) for at in times]
    db.transaction(lambda session: session.execute(insert(Job), rows))
    assert total() == (10_000, False)

    _add_job(db, "linus")

    assert total() == (10_000, True)


# -- who sees what ------------------------------------------------------------------------------------------------


def test_a_list_of_another_team_looks_like_an_absent_one(
    ops: FlaskClient, filled: Many, lists: dict[str, Listing]
) -> None:
    of_a_team = (f"{V1}/jobs?team=dev", f"{V1}/apps?team=dev")
    for path in (*of_a_team, *(each.path for each in lists.values() if each.name not in ("jobs", "team apps"))):
        theirs = next(each for each in (filled.app_id, filled.project_id, filled.team) if each in path)
        nobodys = "nobodys" if theirs == filled.team else ABSENT

        foreign, absent = ops.get(path), ops.get(path.replace(theirs, nobodys))

        assert (foreign.status_code, absent.status_code) == (404, 404)
        assert without_request_id(foreign).replace(theirs.encode(), nobodys.encode()) == without_request_id(absent)


def test_a_list_of_jobs_holds_nothing_of_another_team(
    ops: FlaskClient, db: Database, filled: Many, lists: dict[str, Listing]
) -> None:
    teams = {job.id: job.team_id for job in db.read(lambda session: session.scalars(select(Job)).all())}

    assert {teams[job_id] for job_id in walk(ops, lists["jobs"], limit=100)} == {"ops"}
    for field, theirs, nobodys in (("app_id", filled.app_id, ABSENT), ("user", filled.login, "nobody")):
        foreign, absent = (ops.get(f"{V1}/jobs?total=true&{field}={value}") for value in (theirs, nobodys))
        assert (foreign.status_code, foreign.data) == (200, absent.data)
        assert (foreign.json["jobs"], foreign.json["total"]) == ([], 0)


def test_a_team_sees_what_a_foreign_person_began_for_it(api: Api, dev: FlaskClient, db: Database) -> None:
    admin(api, db)
    _add_job(db, "grace")
    _add_job(db, "chief")
    made = _add_job(db, "chief", team_id="dev")

    assert _listed(dev, user="chief") == [made]


def test_administrators_may_name_any_team(api: Api, db: Database, filled: Many, lists: dict[str, Listing]) -> None:
    chief, of_app = admin(api, db), {"app_id": filled.app_id}

    assert walk(chief, lists["jobs"], limit=100, team="dev") == expected(db, lists["jobs"])
    assert walk(chief, lists["jobs"], limit=100, team="dev", **of_app) == expected(db, lists["jobs"], **of_app)
    assert walk(chief, lists["jobs"], limit=100, **of_app) == [], "their own team has no such app"
    assert walk(chief, lists["projects"], limit=100) == expected(db, lists["projects"])
    for team in ("nobodys", "DEV", "dev.", "x" * 64):
        assert chief.get(f"{V1}/jobs", query_string={"team": team}).status_code == 404


def test_members_may_name_their_own_team(dev: FlaskClient, filled: Many) -> None:
    assert dev.get(f"{V1}/jobs?team={filled.team}").json == dev.get(f"{V1}/jobs").json


# -- what is told -------------------------------------------------------------------------------------------------


def test_a_build_tells_its_number_and_address_once_it_has_them(dev: FlaskClient, db: Database) -> None:
    app_id = add_provisioned(db, dev)
    made = dev.post(f"{V1}/app/{app_id}/builds", json={"branch": "main"}).json["job_id"]

    def only() -> dict[str, Any]:
        (build,) = dev.get(f"{V1}/app/{app_id}/builds").json["builds"]
        return {**build, "finished_at": build["finished_at"] is not None}

    queued = only()
    succeed(db, made, but=("await_result",), await_executor={"number": 7, "url": "http://jenkins.invalid/job/7/"})
    running = only()
    fail(db, made, "await_result")

    numbered = {"number": 7, "url": "http://jenkins.invalid/job/7/"}
    assert queued == {
        "job_id": made, "state": "queued", "image_tag": f"1-{app_id[-8:]}", "branch": "main", "number": None,
        "url": None, "commit": None, "image": None,
        "created_at": job(db, made).created_at.isoformat().replace("+00:00", "Z"), "finished_at": False,
        "user": "grace",
    }  # fmt: skip
    assert running == {**queued, "state": "running", **numbered}
    assert only() == {**running, "state": "failed", "finished_at": True}
    assert "await_executor" in [step.name for step in BUILD.steps]


def test_a_build_tells_the_tag_that_was_asked_for(dev: FlaskClient, db: Database) -> None:
    app_id = add_provisioned(db, dev)
    made = dev.post(f"{V1}/app/{app_id}/builds", json={"image_tag": "1.2.3"}).json["job_id"]
    succeed(db, made, await_executor={"number": 7, "url": "http://jenkins.invalid/job/7/"})

    (build,) = dev.get(f"{V1}/app/{app_id}/builds").json["builds"]

    assert (build["image_tag"], build["number"], build["state"]) == ("1.2.3", 7, "succeeded")


def test_lists_of_jobs_tell_who_began_them(api: Api, dev: FlaskClient, db: Database) -> None:
    app_id = add_provisioned(db, dev)
    chief, hopper = admin(api, db), api.member("hopper")
    for member, path, body in ((chief, "builds", {}), (hopper, "deploys", {"image_tag": "1", "force": True})):
        assert member.post(f"{V1}/app/{app_id}/{path}", json=body).status_code == 202

    told = {(each["kind"], each["user"]) for each in dev.get(f"{V1}/jobs").json["jobs"]}

    assert {("deploy", "hopper"), ("build", "chief"), ("provision", "grace"), ("signup", "hopper")} <= told
    assert [each["user"] for each in dev.get(f"{V1}/app/{app_id}/deploys").json["deploys"]] == ["hopper"]
    assert [each["user"] for each in dev.get(f"{V1}/app/{app_id}/builds?user=chief").json["builds"]] == ["chief"]


def test_the_builds_of_an_app_are_its_builds(dev: FlaskClient, db: Database) -> None:
    one, other = (add_provisioned(db, dev, name, f"{name}s") for name in ("compiler", "linker"))
    made = dev.post(f"{V1}/app/{one}/builds", json={}).json["job_id"]
    claim(db, dev.post(f"{V1}/app/{other}/builds", json={}).json["job_id"], "start_build")
    dev.post(f"{V1}/app/{one}/deploys", json={"force": True})

    assert [each["job_id"] for each in dev.get(f"{V1}/app/{one}/builds").json["builds"]] == [made]
    assert dev.get(f"{V1}/app/{one}/builds?state=running").json["builds"] == []


def test_an_app_that_was_removed_is_on_no_list(dev: FlaskClient, db: Database) -> None:
    project_id = add_project(dev)
    made = [add_app(dev, project_id, f"app-{number}").json["app_id"] for number in range(3)]
    db.transaction(lambda session: session.execute(update(App).where(App.id == made[1]).values(claimed_name=None)))

    first = dev.get(f"{V1}/apps/{project_id}?limit=1&total=true").json
    second = dev.get(f"{V1}/apps/{project_id}?cursor={first['next']}").json

    assert [[each["app_id"] for each in page["apps"]] for page in (first, second)] == [[made[2]], [made[0]]]
    assert (first["total"], second["next"]) == (2, None)

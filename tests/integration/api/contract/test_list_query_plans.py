"""Lists cost the same at any depth: each page is one stretch of an index, with nothing sorted and nothing skipped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert, select, text
from support import bulk_data, plans
from support.api import V1, Api
from support.lists import Listing, expected, listings
from support.plans import Asked

from api.contract import pagination
from common.database.engine import Database
from common.database.ids import first_id
from common.database.models import Action

JOBS = ACTS = 3_000
LIMIT = 20
SOME_PAGES = 5 * LIMIT  # may be sorted, or read besides: where so few are left, databases find their own ways


@pytest.fixture
def lists(db: Database, dev: FlaskClient) -> list[Listing]:  # noqa: ARG001 - who looks at them is in the tables, too
    return listings(bulk_data.fill(db, JOBS))


def _asked(api: Api, member: FlaskClient, listing: Listing, **query: Any) -> list[Asked]:
    """Return the statements behind a page, without those that say who asks."""
    with plans.listening(api.service.db) as asked:
        answer = member.get(listing.path, query_string={"limit": LIMIT, **query})
    assert answer.status_code == 200, answer.text
    return [each for each in asked if not each.sql.startswith("BEGIN")]


def _depths(db: Database, listing: Listing) -> list[dict[str, str]]:
    """Return the cursors of the first, a middle and the last page."""
    ids = expected(db, listing)
    return [{}, {"cursor": ids[len(ids) // 2]}, {"cursor": ids[max(0, len(ids) - LIMIT - 1)]}]


def test_no_list_sorts_or_reads_a_whole_table(api: Api, dev: FlaskClient, db: Database, lists: list[Listing]) -> None:
    for listing in lists:
        since = sorted(db.read(lambda session, of=listing: session.scalars(select(of.table.created_at)).all()))[10]
        more: list[dict[str, str]] = [{}, {"since": since.isoformat()}, {"total": "true"}]
        depths = _depths(db, listing)
        for query in ({**f, **d, **m} for f in listing.narrowings for d in depths for m in more):
            found = [plans.plan(db, each) for each in _asked(api, dev, listing, **query)]

            assert [each.text for each in found if each.sorted_rows > SOME_PAGES] == [], (listing.name, query)


def test_no_page_reads_more_than_another(api: Api, dev: FlaskClient, db: Database, lists: list[Listing]) -> None:
    for listing in lists:
        depths = _depths(db, listing)
        for filters in (each for each in listing.narrowings if _has_a_stretch(listing, each)):
            costs = [plans.cost(db, _asked(api, dev, listing, **filters, **depth)) for depth in depths]

            assert max(costs) <= 1.2 * costs[0] + SOME_PAGES, (listing.name, filters, costs)


def _has_a_stretch(listing: Listing, filters: dict[str, str]) -> bool:
    """Say whether the list that is narrowed so is one stretch of an index, all of it."""
    columns = {*listing.scope, *filters} - {"user"} | ({"user_id"} if "user" in filters else set())
    if columns & {"app_id", "user_id"}:  # who is in the team, and what is the team's, need not be looked for
        columns -= {"team_id"}
    return columns in [set(stretch) for stretch in pagination.INDEX_PREFIXES[listing.table]]


def test_every_stretch_has_its_index() -> None:
    for table, stretches in pagination.INDEX_PREFIXES.items():
        indexes = [tuple(column.name for column in index.columns) for index in table.__table__.indexes] + [("id",)]

        for stretch in ((*each, "id") for each in stretches):
            assert stretch in [index[: len(stretch)] for index in indexes]


def test_a_total_reads_no_further_than_it_counts(
    api: Api, dev: FlaskClient, db: Database, lists: list[Listing]
) -> None:
    for listing in lists:
        for filters in (each for each in listing.narrowings if _has_a_stretch(listing, each)):
            plain, counted = (
                plans.cost(db, _asked(api, dev, listing, **filters, **m)) for m in ({}, {"total": "true"})
            )
            count = len(expected(db, listing, **filters))

            assert counted - plain <= (16 if db.is_sqlite else 3) * (count + LIMIT), (listing.name, filters)


# -- the audit --------------------------------------------------------------------------------------------------------

ACTORS, KINDS, TEAMS = ("ada", "bob", "cy", "dee"), ("job.cancel", "job.retry", "user.log_in"), ("dev", "ops")


@pytest.fixture
def told(db: Database, chief: FlaskClient) -> FlaskClient:
    """An administrator, and an audit of some length."""
    began = datetime.now(UTC) - timedelta(seconds=ACTS)

    def act(number: int) -> dict[str, Any]:
        at = began + timedelta(seconds=number)
        return {
            "id": bulk_data.id_at(at), "at": at, "kind": KINDS[number % 3], "actor": ACTORS[number % 4],
            "channel": "session", "object_kind": "job", "object_id": first_id(began) if number % 5 else None,
            "object_name": f"build shop-{number % 7}", "team_id": TEAMS[number % 2],
        }  # fmt: skip

    db.transaction(lambda session: session.execute(insert(Action), [act(number) for number in range(ACTS)]))
    if not db.is_sqlite:
        with db.engine.connect() as connection:
            connection.execute(text("ANALYZE TABLE actions"))
    return chief


def test_the_audit_is_read_by_its_indexes(api: Api, told: FlaskClient, db: Database) -> None:
    first_act = db.read(lambda session: session.scalars(select(Action).order_by(Action.id)).first())
    assert first_act is not None
    since, until = (first_act.at + timedelta(seconds=seconds) for seconds in (10, ACTS // 2))
    filters = {"actor": "ada", "action": "job.cancel", "team": "dev", "object": "build shop-3"}
    narrowings = [dict(some) for size in range(5) for some in combinations(filters.items(), size)]
    listing = Listing(name="actions", path=f"{V1}/audit", id_key="action_id", table=Action, scope={}, filters=filters)
    times: list[dict[str, str]] = [{}, {"since": since.isoformat()}, {"until": until.isoformat()}, {"total": "true"}]
    queries = ({**narrowing, **time} for narrowing in narrowings for time in times)
    for query in (each for each in queries if "total" not in each or len(each) == 2):  # others read what they count
        found = [plans.plan(db, each) for each in _asked(api, told, listing, **query)]

        assert [each.text for each in found if each.sorted_rows > SOME_PAGES] == [], query
    for narrowing in ({name: value} for name, value in filters.items()):
        near, far = (
            plans.cost(db, _asked(api, told, listing, **narrowing, **depth))
            for depth in ({}, {"cursor": bulk_data.id_at(since)})
        )
        assert far <= 1.2 * near + SOME_PAGES, narrowing

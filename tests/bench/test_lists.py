"""What does a page cost at any depth of a long list?

Run by hand: `SLIPWAY_JOBS=1000000 pytest -s tests/bench/test_lists.py`. Fills SQLite and MariaDB with so many jobs,
asks for each list at the first page, in the middle and at the last, as it is and narrowed in several ways, and prints
what the whole request takes, in milliseconds. A page in the depth may take half as long again as the first, no more.
"""

from __future__ import annotations

import logging
import os
import statistics
import time as clock
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import ColumnElement, func, select
from support import bulk_data
from support.api import V1, Api, open_api
from support.bulk_data import Many
from support.fake_worker import admin
from support.lists import Listing, listings
from support.services import mariadb_database
from support.world import Time

from common.database import migrate
from common.database.engine import Database
from common.database.models import App, Job, User

JOBS = int(os.environ.get("SLIPWAY_JOBS", "0"))
ROUNDS, WARM_UP, LIMIT = 100, 5, 50
DEPTHS = ("first", "middle", "last")
DEEPER_TIMES = 1.5

pytestmark = pytest.mark.skipif(not JOBS, reason="set SLIPWAY_JOBS, to 1000000 say")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A filled database, and who asks about it."""

    db: Database
    many: Many
    member: FlaskClient
    admin: FlaskClient


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    file = tmp_path_factory.mktemp("lists") / "slipway.db"
    database = mariadb_database() if request.param == "mariadb" else nullcontext(f"sqlite:///{file}")
    with database as url:
        migrate.upgrade(Database(url))
        with open_api(url, Time()) as api:
            logging.getLogger().setLevel(logging.ERROR)  # a line a request is not what is measured
            yield _filled(api, request.param)


def _filled(api: Api, name: str) -> Scene:
    member, db = api.member("grace"), api.service.db
    began_s = clock.monotonic()
    filled = bulk_data.fill(db, JOBS)
    print(f"\n{name}: {JOBS:,} jobs in {clock.monotonic() - began_s:.0f} s")
    return Scene(db=db, many=filled, member=member, admin=admin(api, db))


def test_a_page_costs_the_same_at_any_depth(scene: Scene) -> None:
    heads = "   ".join(f"{depth + ' p50':>10} {'p99':>6}" for depth in DEPTHS)
    print(f"\n{'list':9} {'narrowed by':28} {'rows':>8}   {heads}")
    ratios = {}
    for listing, filters in _ways(scene):
        count, cursors = _cursors(scene.db, listing, filters)
        taken_ms = _measured(scene.member, listing, [{**filters, **cursor} for cursor in cursors])
        told = "   ".join(f"{statistics.median(each):10.2f} {_p99(each):6.2f}" for each in taken_ms)
        print(f"{listing.name:9} {_said(filters):28} {count:8,}   {told}")
        ratios[f"{listing.name} {_said(filters)}"] = max(_ratio(each, taken_ms[0]) for each in taken_ms)
    print(f"deeper pages take at most {max(ratios.values()):.2f} times as long")

    assert {way: ratio for way, ratio in ratios.items() if ratio > DEEPER_TIMES} == {}


def test_what_since_and_total_cost(scene: Scene) -> None:
    print(f"\n{'list':9} {'narrowed by':28}   {'plain':>8} {'since':>8} {'total':>8} {'both':>8}   (p50)")
    for listing, filters in _ways(scene):
        since = scene.db.read(lambda session, of=listing: session.scalar(select(func.min(of.table.created_at))))
        old, total = {"since": since.isoformat()}, {"total": "true"}
        queries = [{**filters, **more} for more in ({}, old, total, {**old, **total})]
        p50s = [statistics.median(each) for each in _measured(scene.member, listing, queries)]
        print(f"{listing.name:9} {_said(filters):28}   " + " ".join(f"{p50:8.2f}" for p50 in p50s))


def test_what_looking_for_failed_jobs_costs(scene: Scene) -> None:
    ways: list[dict[str, str]] = [
        {}, {"team": scene.many.team}, {"kind": "provision"}, {"user": scene.many.login}, {"code": "rejected"},
        {"code": "busy"}, {"code": "busy", "team": scene.many.team},
    ]  # fmt: skip
    for which in ways:
        began_s = clock.monotonic()
        told = scene.admin.post(f"{V1}/jobs/retry", json={**which, "dry_run": True, "limit": 100}).json
        took_ms = (clock.monotonic() - began_s) * 1000
        counts = f"{len(told['retried'])} retried, {len(told['refused'])} refused, more: {told['more']}"
        print(f"retry {which or 'all'!s:36} {took_ms:8.1f} ms   {counts}")


def _ways(scene: Scene) -> Iterator[tuple[Listing, dict[str, str]]]:
    for listing in listings(scene.many):
        for filters in _narrowings(listing):
            yield listing, filters


def _narrowings(listing: Listing) -> list[dict[str, str]]:
    """Return nothing, each filter alone, and all of them."""
    alone = [{name: value} for name, value in listing.filters.items()]
    return [{}, *alone, *([listing.filters] if len(alone) > 1 else [])]


def _cursors(db: Database, listing: Listing, filters: dict[str, str]) -> tuple[int, list[dict[str, str]]]:
    """Return how many rows there are, and the cursors of the first, a middle and the last full page."""
    which = _which(db, listing, filters)
    ids = select(listing.table.id).where(*which).order_by(listing.table.id.desc())
    count = db.read(lambda session: session.scalar(select(func.count()).select_from(listing.table).where(*which))) or 0

    def behind(skipped: int) -> dict[str, str]:
        found = db.read(lambda session: session.scalar(ids.limit(1).offset(skipped)))
        return {"cursor": found} if found else {}

    return count, [{}, behind(count // 2), behind(max(0, count - LIMIT - 1))]


def _which(db: Database, listing: Listing, filters: dict[str, str]) -> list[ColumnElement[bool]]:
    wanted = {**listing.scope, **filters}
    if "user" in wanted:
        login = wanted.pop("user")
        person = db.read(lambda session: session.scalar(select(User.id).where(User.login == login)))
        wanted["user_id" if listing.table is Job else "created_by"] = str(person)
    there = [App.claimed_name.is_not(None)] if listing.table is App else []
    return [*(getattr(listing.table, name) == value for name, value in wanted.items()), *there]


def _measured(member: FlaskClient, listing: Listing, queries: list[dict[str, str]]) -> list[list[float]]:
    """Return the milliseconds of each request, by query; they take turns, so that a busy moment meets them all."""
    taken_ms: list[list[float]] = [[] for _ in queries]
    turns = list(zip(queries, taken_ms, strict=True))
    for number in range(WARM_UP + ROUNDS):
        for query, taken in turns if number % 2 else reversed(turns):
            began_s = clock.perf_counter()
            answer = member.get(listing.path, query_string={"limit": LIMIT, **query})
            took_ms = (clock.perf_counter() - began_s) * 1000
            assert answer.status_code == 200, answer.text
            if number >= WARM_UP:
                taken.append(took_ms)
    return taken_ms


def _ratio(taken_ms: list[float], first_ms: list[float]) -> float:
    """Compare round by round: what else the machine did is in both."""
    return statistics.median(each / first for each, first in zip(taken_ms, first_ms, strict=True))


def _p99(taken_ms: list[float]) -> float:
    return sorted(taken_ms)[int(len(taken_ms) * 0.99) - 1]


def _said(filters: dict[str, Any]) -> str:
    return " ".join(filters) or "nothing"

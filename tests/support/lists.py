"""The lists: their URLs, their filters, and the entries to expect, computed from all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select

from common.database.engine import Database
from common.database.models import App, Job, Project, User
from support.api import V1
from support.bulk_data import Many


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One list: `path` with the busiest things filled in, the key and the id of its rows, and its parameters."""

    name: str
    key: str = ""  # of its rows in the answer, if that is not its name
    path: str
    id_key: str
    table: type[Any]
    scope: dict[str, str]  # column: value of every row
    filters: dict[str, str]  # parameter: a value that some rows have

    @property
    def rows_key(self) -> str:
        return self.key or self.name

    @property
    def narrowings(self) -> list[dict[str, str]]:
        """Every combination of the filters, `since` apart."""
        sizes = range(len(self.filters) + 1)
        return [dict(some) for size in sizes for some in combinations(self.filters.items(), size)]


def listings(many: Many) -> list[Listing]:
    of_job = {"state": "failed", "user": many.login}
    app = {"app_id": many.app_id}
    return [
        Listing(
            name="jobs", path=f"{V1}/jobs", id_key="job_id", table=Job, scope={"team_id": many.team},
            filters={**of_job, "kind": "build", "app_id": many.app_id},
        ),
        Listing(
            name="builds", path=f"{V1}/app/{many.app_id}/builds", id_key="job_id", table=Job,
            scope={**app, "kind": "build"}, filters=of_job,
        ),
        Listing(
            name="deploys", path=f"{V1}/app/{many.app_id}/deploys", id_key="job_id", table=Job,
            scope={**app, "kind": "deploy"}, filters=of_job,
        ),
        Listing(
            name="apps", path=f"{V1}/apps/{many.project_id}", id_key="app_id", table=App,
            scope={"project_id": many.project_id}, filters={"type": many.type, "user": many.login},
        ),
        Listing(
            name="team apps", key="apps", path=f"{V1}/apps", id_key="app_id", table=App, scope={"team_id": many.team},
            filters={"type": many.type, "user": many.login},
        ),
        Listing(
            name="projects", path=f"{V1}/project/{many.team}", id_key="project_id", table=Project,
            scope={"team_id": many.team}, filters={"user": many.login},
        ),
    ]  # fmt: skip


def walk(
    member: FlaskClient, listing: Listing, *, between: Callable[[], Any] = lambda: None, **query: Any
) -> list[str]:
    """Return the ids on all pages; `between` is called after each page."""
    seen: list[str] = []
    cursor: str | None = None
    while True:
        answer = member.get(listing.path, query_string={**query, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        page = answer.json[listing.rows_key]
        assert len(page) <= int(query.get("limit", 50))
        seen += [row[listing.id_key] for row in page]
        between()
        cursor = answer.json["next"]
        if cursor is None:
            return seen


def expected(db: Database, listing: Listing, *, since: datetime | None = None, **filters: str) -> list[str]:
    """Return the ids that should be listed, newest first, by looking at each row of the table."""
    rows, users = db.read(
        lambda session: (session.scalars(select(listing.table)).all(), session.scalars(select(User)).all())
    )
    ids = {user.login: user.id for user in users}
    wanted: dict[str, str | None] = {**listing.scope, **filters}
    if "user" in wanted:
        wanted["user_id" if listing.table is Job else "created_by"] = ids.get(str(wanted.pop("user")))
    found = [
        row.id
        for row in rows
        if all(getattr(row, name) == value for name, value in wanted.items())
        and (since is None or row.created_at >= since)
        and (listing.table is not App or row.claimed_name is not None)
    ]
    return sorted(found, reverse=True)

"""How is an app removed, compared with what was made, and repaired?"""

from __future__ import annotations

from flask import Blueprint
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access import auth, permissions
from api.contract.endpoint import Answer, BooleanFlag, Policy, Query, RequestBody, ResponseBody
from api.presentation import links
from api.service import service
from api.serving.accepted import JobAccepted
from api.serving.routing import route
from api.views import app_jobs
from common.database.models import App, Resource
from common.jobs import ledger
from common.states import Provenance
from common.workflows import DEPROVISION, DRIFT, RECONCILE

blueprint = Blueprint("lifecycle", __name__)

KEEP_REASONS = {
    Provenance.ADOPTED: "It was there before us.",
    Provenance.GONE: "It is gone, or never came to be.",
}


class Removal(Query):
    """`dry_run`: only say what would go and what would stay."""

    dry_run: BooleanFlag = False


class Nothing(RequestBody):
    """An empty object."""


class Item(ResponseBody):
    """An outside object, and why it goes or stays."""

    upstream: str
    kind: str
    name: str
    url: str | None
    reason: str


class Preview(ResponseBody):
    """What a removal would delete, last made first, and what it would leave, and why."""

    goes: list[Item]
    stays: list[Item]


@route(
    blueprint,
    "DELETE",
    "/app/<app_id>",
    policy=Policy.MEMBER,
    query=Removal,
    answers={200: Preview, 202: JobAccepted},
    raises=("busy",),
)
def remove_app(app_id: str, query: Removal) -> Answer:
    """Remove an app.

    A job removes what the ledger says was made for it, last made first, and nothing else. With `?dry_run=true` nothing
    is begun, and the answer says what would go and what would stay.
    """
    user = auth.require_user()
    if query.dry_run:
        return Answer(body=service().db.read(lambda session: _preview(session, permissions.app(session, user, app_id))))
    return app_jobs.begin(user, app_id, DEPROVISION, {})


@route(
    blueprint,
    "POST",
    "/app/<app_id>/reconcile",
    policy=Policy.MEMBER,
    takes=Nothing,
    answers={202: JobAccepted},
    raises=("busy",),
)
def reconcile_app(app_id: str, body: Nothing) -> Answer:  # noqa: ARG001 - an empty body is still checked
    """Put back what is missing or was changed of an app."""
    return app_jobs.begin(auth.require_user(), app_id, RECONCILE, {})


@route(blueprint, "GET", "/app/<app_id>/drift", policy=Policy.BEARER, answers={202: JobAccepted})
def compare_app(app_id: str) -> Answer:
    """Compare an app with what was made.

    A job looks; its result says what is missing, changed or foreign. It writes nothing outside.
    """
    return app_jobs.begin(auth.require_user(), app_id, DRIFT, {})


def _preview(session: Session, app: App) -> Preview:
    rows = session.scalars(
        select(Resource)
        .where(Resource.subject_id == app.id, Resource.kind.not_in(ledger.OF_A_RUN))
        .order_by(Resource.id.desc())
    )
    goes, stays = [], []
    for row in rows:
        if row.provenance in KEEP_REASONS:
            stays.append(_item(row, KEEP_REASONS[row.provenance]))
        else:
            goes.append(_item(row, "We made it." if row.provenance is Provenance.CREATED else "We may have made it."))
    return Preview(goes=goes, stays=stays)


def _item(row: Resource, reason: str) -> Item:
    url = links.external(row.url, service().settings)
    return Item(upstream=row.upstream, kind=row.kind, name=row.ref, url=url, reason=reason)

"""Lifecycle of an app: remove it, compare it with what was created, repair it."""

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
    Provenance.ADOPTED: "It existed before Slipway used it.",
    Provenance.GONE: "It no longer exists, or was never created.",
}


class Removal(Query):
    """`dry_run`: only report what would be deleted and what would be kept."""

    dry_run: BooleanFlag = False


class Nothing(RequestBody):
    """An empty object."""


class Item(ResponseBody):
    """An object on an upstream, and the reason why it is deleted or kept."""

    upstream: str
    kind: str
    name: str
    url: str | None
    reason: str


class Preview(ResponseBody):
    """What a removal would delete, newest first, and what it would keep, with the reasons."""

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

    A job deletes what the ledger lists as created for the app, newest first, and nothing else. With `?dry_run=true`, no
    job is started; the response lists what would be deleted and what would be kept.
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
    """Repair an app: restore parts that are missing or were changed."""
    return app_jobs.begin(auth.require_user(), app_id, RECONCILE, {})


@route(blueprint, "GET", "/app/<app_id>/drift", policy=Policy.BEARER, answers={202: JobAccepted})
def compare_app(app_id: str) -> Answer:
    """Compare an app with what was created.

    A job compares them without changing anything. Its result lists what is missing, changed or not created by Slipway.
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
            goes.append(
                _item(
                    row,
                    "Created by Slipway." if row.provenance is Provenance.CREATED else "Possibly created by Slipway.",
                )
            )
    return Preview(goes=goes, stays=stays)


def _item(row: Resource, reason: str) -> Item:
    url = links.external(row.url, service().settings)
    return Item(upstream=row.upstream, kind=row.kind, name=row.ref, url=url, reason=reason)

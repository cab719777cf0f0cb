"""Lifecycle of an app: remove it, compare it with what was created, repair it."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access import auth, permissions
from api.contract.endpoint import Answer, BooleanFlag, Policy, Query, RequestBody, ResponseBody
from api.contract.problems import Problem
from api.presentation import links
from api.service import service
from api.serving.accepted import JobAccepted
from api.serving.routing import route
from api.views import app_jobs
from common.database.models import App, Resource
from common.jobs import ledger
from common.states import Provenance
from common.workflows import DEPROVISION, DRIFT, RECONCILE, REMOVAL_PREVIEW

blueprint = Blueprint("lifecycle", __name__)

KEEP_REASONS = {
    Provenance.ADOPTED: "It existed before Slipway used it.",
    Provenance.GONE: "It no longer exists, or was never created.",
}


class Removal(Query):
    """`dry_run`: only report what would be deleted and what would be kept.

    `confirm`: the name of the app; without it, nothing is removed. `purge`: remove its repositories for good, with all
    commits, which otherwise GitLab keeps for a while; for administrators only.
    """

    dry_run: BooleanFlag = False
    confirm: Annotated[str, Field(description="The name of the app.")] = ""
    purge: BooleanFlag = False


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
    """What a removal would delete, newest first, and what it would keep, with the reasons.

    The result of the job says what people did in the repositories: commits, last push, open merge requests.
    """

    goes: list[Item]
    stays: list[Item]
    job_id: str
    status_url: str


@route(
    blueprint,
    "DELETE",
    "/app/<app_id>",
    policy=Policy.MEMBER,
    query=Removal,
    answers={200: Preview, 202: JobAccepted},
    raises=("busy", "not_admin"),
)
def remove_app(app_id: str, query: Removal) -> Answer:
    """Remove an app.

    A job removes what the ledger lists as created for the app, newest first, and nothing else. `?confirm=` must be the
    name of the app. GitLab keeps the repositories for a while; the result of the job says under which name and until
    when. With `?purge=true`, which only administrators may send, they are removed for good.

    With `?dry_run=true`, nothing is removed: the response lists what would be deleted and what would be kept, and a job
    finds out what people did in the repositories.
    """
    user = auth.require_user()
    if query.purge and not user.is_admin:
        service().db.read(lambda session: permissions.app(session, user, app_id))  # to others it does not exist
        raise Problem(
            "not_admin", "Only administrators may remove repositories for good. Remove the app without purge."
        )
    if query.dry_run:
        return app_jobs.begin(user, app_id, REMOVAL_PREVIEW, {}, is_resendable=True, present=_previewed)
    inputs = {"purge": "true"} if query.purge else {}
    return app_jobs.begin(user, app_id, DEPROVISION, inputs, confirmed=query.confirm)


def _previewed(session: Session, accepted: Answer) -> Answer:
    """Answer with the ledger's part of the preview; the accepted job finds out the rest."""
    job = accepted.body
    assert isinstance(job, JobAccepted)  # noqa: S101 - every job is answered so
    app = session.get_one(App, job.app_id)
    body = Preview(**_ledger_preview(session, app), job_id=job.job_id, status_url=job.status_url)
    return Answer(body=body, lanes=accepted.lanes)


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
    A browser that is logged in with the cookie sends a POST instead.
    """
    return app_jobs.begin(auth.require_user(), app_id, DRIFT, {})


@route(blueprint, "POST", "/app/<app_id>/drift", policy=Policy.MEMBER, takes=Nothing, answers={202: JobAccepted})
def start_comparison(app_id: str, body: Nothing) -> Answer:  # noqa: ARG001 - an empty body is still checked
    """Compare an app with what was created, from a browser.

    The same as with GET, which takes no cookie: a page of another site could make a browser send it.
    """
    return app_jobs.begin(auth.require_user(), app_id, DRIFT, {})


def _ledger_preview(session: Session, app: App) -> dict[str, list[Item]]:
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
    return {"goes": goes, "stays": stays}


def _item(row: Resource, reason: str) -> Item:
    url = links.external(row.url, service().settings)
    return Item(upstream=row.upstream, kind=row.kind, name=row.ref, url=url, reason=reason)

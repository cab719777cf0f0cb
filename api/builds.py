"""How does a team build an app?  Exactly once a request, however often the request arrives."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, request
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from api import app_jobs, auth, visible
from api.accepted import JobAccepted, accepted
from api.problems import Problem
from api.routes import Answer, Body, Policy, route
from api.service import service
from common.models import Job, JobState, Step, User
from common.workflows import BUILD

blueprint = Blueprint("builds", __name__)

Tag = Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
Branch = Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")]


class NewBuild(Body):
    """`image_tag`: empty means the build's number. `branch`: empty means the pipeline's own."""

    image_tag: Tag = None
    branch: Branch = None


@route(blueprint, "POST", "/app/<app_id>/builds", policy=Policy.MEMBER, takes=NewBuild, answers={202: JobAccepted})
def build(app_id: str, body: NewBuild) -> Answer:
    """Members, of their team's app. 202 job, or the running one that builds the same · 404 · 409."""
    return accepted(_begin(auth.require_user(), app_id, body, is_resendable=False))


@route(blueprint, "GET", "/jenkins/<app_id>", policy=Policy.BEARER, answers={202: JobAccepted})
def build_by_get(app_id: str) -> Answer:
    """Members, with a bearer token. As POST /app/{app_id}/builds; a HEAD, a prefetch, another site start nothing."""
    _refuse_unasked()
    answer = accepted(_begin(auth.require_user(), app_id, NewBuild(), is_resendable=True))
    link = f'</api/v1/app/{app_id}/builds>; rel="alternate"; title="POST"'
    return Answer(
        body=answer.body, status=answer.status, headers={**answer.headers, "Cache-Control": "no-store", "Link": link}
    )


def _refuse_unasked() -> None:
    """A GET that nobody asked for: the browser's guess, another page's image. Raises Problem."""
    purpose = " ".join(request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Moz"))
    if "prefetch" in purpose.lower():
        raise Problem("cross_site", "A prefetch starts no build.")
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise Problem("cross_site", "Another site's page starts no build.")


def _begin(user: User, app_id: str, body: NewBuild, *, is_resendable: bool) -> Job:
    inputs = {**service().db.read(lambda session: _addresses(session, user, app_id)), **body.model_dump()}
    return app_jobs.begin(user, app_id, BUILD, inputs, is_resendable=is_resendable)


def _addresses(session: Session, user: User, app_id: str) -> dict[str, str]:
    """Return where the two repositories are, as the jobs that made them learnt."""
    app = visible.app(session, user, app_id)
    outputs = session.execute(
        select(Step.name, Step.output)
        .join(Job, Job.id == Step.job_id)
        .where(
            Job.app_id == app.id,
            Job.kind.in_(app_jobs.MADE_BY),
            Job.state == JobState.SUCCEEDED,
            Step.name.in_(("await_source", "await_helm")),
        )
        .order_by(Step.id)
    )
    urls = {name: output["clone_url"] for name, output in outputs if output}
    return {"gitlab_address": urls.get("await_source", ""), "gitlab_helm_address": urls.get("await_helm", "")}

"""Deployments and rollbacks of an app: start and list."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from flask import Blueprint
from sqlalchemy.orm import Session

from api.access import auth, permissions
from api.contract import accounts, pagination
from api.contract.endpoint import Answer, Policy, RequestBody, ResponseBody
from api.contract.fields import ImageTag, Revision
from api.contract.pagination import JobPage, PageBody
from api.contract.problems import FieldError, Problem
from api.service import service
from api.serving.accepted import JobAccepted
from api.serving.routing import route
from api.views import app_jobs
from common.database.models import App, Job
from common.jobs import builds, deployments, outputs
from common.states import JobState
from common.step_outputs import Deployed
from common.workflows import DEPLOY

blueprint = Blueprint("deploys", __name__)

RECENT = 5  # tags that a refusal names


class NewDeploy(RequestBody):
    """`image_tag` defaults to that of the newest successful build; `revision` is a branch, tag or commit of the chart.

    A tag that no build of the app has pushed is refused, unless `force` is true. With `force`, where the newest build
    has pushed none or there is no build, the tag stays as it is. The first deployment is of
    the revision that the application follows.
    """

    image_tag: ImageTag = None
    revision: Revision = None
    force: bool = False


class NewRollback(RequestBody):
    """An empty object: the target is the previous successful deployment."""


class DeployShown(ResponseBody):
    """A deployment. `revision` and `images` are what was deployed, once it succeeded; `user` is who started it."""

    job_id: str
    state: JobState
    image_tag: str | None
    revision: str | None
    images: list[str]
    rollback_of: str | None
    created_at: datetime
    finished_at: datetime | None
    user: str | None


class Deploys(PageBody):
    """A page of deployments."""

    deploys: list[DeployShown]


@route(
    blueprint,
    "POST",
    "/app/<app_id>/deploys",
    policy=Policy.MEMBER,
    takes=NewDeploy,
    answers={202: JobAccepted},
    raises=("not_built", *app_jobs.REFUSALS),
)
def start_deploy(app_id: str, body: NewDeploy) -> Answer:
    """Deploy an app.

    A job sets the image's tag on the Argo CD application, syncs it, and succeeds when it is synced and healthy. Without
    `image_tag` it is the tag of the newest successful build, chosen when the request is accepted.
    """
    inputs = {"image_tag": body.image_tag, "revision": body.revision}
    return app_jobs.begin(auth.require_user(), app_id, DEPLOY, inputs, choose=partial(_choose, body))


@route(
    blueprint,
    "POST",
    "/app/<app_id>/rollback",
    policy=Policy.MEMBER,
    takes=NewRollback,
    answers={202: JobAccepted},
    raises=("nothing_to_roll_back_to", *app_jobs.REFUSALS),
)
def roll_back(app_id: str, body: NewRollback) -> Answer:  # noqa: ARG001 - an empty body is still checked
    """Roll an app back to its previous successful deployment."""
    user = auth.require_user()
    target = service().db.read(lambda session: _previous_good(session, permissions.app(session, user, app_id)))
    return app_jobs.begin(user, app_id, DEPLOY, target)


@route(blueprint, "GET", "/app/<app_id>/deploys", policy=Policy.MEMBER, query=JobPage, answers={200: Deploys})
def list_deploys(app_id: str, query: JobPage) -> Answer:
    """List the deployments of an app, newest first."""
    user = auth.require_user()

    def work(session: Session) -> Deploys:
        app = permissions.app(session, user, app_id)
        filters = {"app_id": app.id, "kind": DEPLOY.name, **pagination.filters_of(query, "state")}
        found = pagination.read(session, Job, query, filters)
        deployed = outputs.deployed(session, found.rows)
        logins = accounts.logins(session, (job.user_id for job in found.rows))
        shown = [_shown(job, deployed.get(job.id), logins.get(job.user_id)) for job in found.rows]
        return Deploys(deploys=shown, **found.fields)

    return Answer(body=service().db.read(work))


def _choose(body: NewDeploy, session: Session, app: App) -> dict[str, str]:
    """Return the tag to deploy where the request has none. Raises Problem `not_built`, `invalid_fields`.

    A newest build without a known tag is no reason to deploy the one before it, as if that were the newest.
    """
    good = builds.newest_good(session, app.id)
    newest = good[0].tags if good else ()
    if body.image_tag is None and newest:
        return {"image_tag": newest[0]}
    tags = [tag for build in good for tag in build.tags]
    if body.force or body.image_tag in tags:
        return {}
    is_cut = len(good) == builds.SEARCHED  # what older builds did is not known
    none_good = f"None of the last {builds.SEARCHED} successful builds" if is_cut else "No successful build"
    if body.image_tag is None:
        which = "The newest successful build" if tags else none_good
        raise Problem("not_built", f"{which} of this app has reported {'no' if tags else 'an'} image.")
    if tags:
        recent = ", ".join(dict.fromkeys(tags[:RECENT]))
        why = f"{none_good if is_cut else 'No build'} of this app has pushed this tag. Recent tags: {recent}"
    elif good:
        why = f"{none_good} of this app has reported an image, so this tag cannot be checked"
    else:
        why = "No build of this app has pushed an image yet"
    message = f"{why}. Send force to deploy this tag all the same."
    raise Problem("invalid_fields", errors=[FieldError(field="image_tag", code="not_built", message=message)])


def _previous_good(session: Session, app: App) -> dict[str, Any]:
    """Return the last successful version before the newest deployment. Raises Problem `nothing_to_roll_back_to`."""
    newest_first = deployments.newest_first(session, service().settings, app.id)
    target = deployments.previous_good(newest_first)
    if target is None:
        raise Problem("nothing_to_roll_back_to", "No deployment before the newest one has succeeded.")
    return {"image_tag": target.image_tag, "revision": target.revision, "rollback_of": newest_first[0].job.id}


def _shown(job: Job, output: Deployed | None, user: str | None) -> DeployShown:
    return DeployShown(
        job_id=job.id,
        state=job.state,
        image_tag=job.input.get("image_tag"),
        revision=(output.get("revision") if output else None) or job.input.get("revision"),
        images=output.get("images", []) if output else [],
        rollback_of=job.input.get("rollback_of"),
        created_at=job.created_at,
        finished_at=job.finished_at,
        user=user,
    )

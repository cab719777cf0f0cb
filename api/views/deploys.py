"""Deployments and rollbacks of an app: start and list."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from flask import Blueprint
from pydantic import StrictBool
from sqlalchemy.orm import Session

from api.access import auth, permissions
from api.contract import accounts, pagination
from api.contract.endpoint import Answer, Policy, RequestBody, ResponseBody
from api.contract.fields import ExistingId, ImageTag, Revision
from api.contract.pagination import JobPage, PageBody
from api.contract.problems import FieldError, Problem
from api.presentation import app_view
from api.presentation.app_schemas import DeployShown
from api.service import service
from api.serving.accepted import JobAccepted
from api.serving.routing import route
from api.views import app_jobs
from common.database.models import App, Job
from common.jobs import builds, deployments, outputs
from common.jobs.builds import GoodBuild
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
    force: StrictBool = False


class NewRollback(RequestBody):
    """`to` is the `job_id` of a deployment that succeeded; without it, it is the last one of another version."""

    to: ExistingId | None = None


class Deploys(PageBody):
    """A page of deployments."""

    deploys: list[DeployShown]


class RollbackTargets(ResponseBody):
    """Deployments that a rollback may go to, the last one of each version; without `to`, it goes to the first."""

    targets: list[DeployShown]


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
def roll_back(app_id: str, body: NewRollback) -> Answer:
    """Roll an app back to an earlier deployment that succeeded.

    Without `to`, it is the last one of another version than the newest deployment. `GET` lists all of them.
    """
    user = auth.require_user()
    target = service().db.read(lambda session: _target(session, permissions.app(session, user, app_id), body.to))
    return app_jobs.begin(user, app_id, DEPLOY, target)


@route(blueprint, "GET", "/app/<app_id>/rollback", policy=Policy.MEMBER, answers={200: RollbackTargets})
def list_rollback_targets(app_id: str) -> Answer:
    """List the deployments that a rollback may go to, newest first."""
    user = auth.require_user()

    def work(session: Session) -> RollbackTargets:
        app = permissions.app(session, user, app_id)
        found = deployments.targets(deployments.newest_first(session, service().settings, app.id))
        return RollbackTargets(targets=_shown(session, [each.job for each in found]))

    return Answer(body=service().db.read(work))


@route(blueprint, "GET", "/app/<app_id>/deploys", policy=Policy.MEMBER, query=JobPage, answers={200: Deploys})
def list_deploys(app_id: str, query: JobPage) -> Answer:
    """List the deployments of an app, newest first."""
    user = auth.require_user()

    def work(session: Session) -> Deploys:
        app = permissions.app(session, user, app_id)
        filters = {"app_id": app.id, "kind": DEPLOY.name, **pagination.filters_of(query, "state")}
        found = pagination.read(session, Job, query, filters)
        return Deploys(deploys=_shown(session, found.rows), **found.fields)

    return Answer(body=service().db.read(work))


def _shown(session: Session, jobs: Sequence[Job]) -> list[DeployShown]:
    deployed = outputs.deployed(session, jobs)
    logins = accounts.logins(session, (job.user_id for job in jobs))
    return [app_view.deploy(job, deployed.get(job.id), logins.get(job.user_id)) for job in jobs]


def _choose(body: NewDeploy, session: Session, app: App) -> dict[str, str]:
    """Return the tag to deploy where the request has none, and its commit.

    A newest build without a known tag is no reason to deploy the one before it, as if that were the newest. Raises
    Problem `not_built`, `invalid_fields`.
    """
    good = builds.newest_good(session, app.id)
    newest = good[0].tags if good else ()
    if body.image_tag is None and newest:
        return {"image_tag": newest[0], **_commit(good[0])}
    built = next((build for build in good if body.image_tag in build.tags), None)
    if built is not None:
        return _commit(built)
    if body.force:
        return {}
    tags = [tag for build in good for tag in build.tags]
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


def _commit(build: GoodBuild) -> dict[str, str]:
    return {"commit": build.commit} if build.commit else {}


def _target(session: Session, app: App, wanted: str | None) -> dict[str, Any]:
    """Return the inputs of a rollback. Raises Problem `nothing_to_roll_back_to`, `invalid_fields`."""
    newest_first = deployments.newest_first(session, service().settings, app.id)
    if wanted is None:
        target = deployments.previous_good(newest_first)
    else:
        target = next((each for each in newest_first if each.job.id == wanted and each.is_good), None)
    if target is None and wanted is None:
        raise Problem("nothing_to_roll_back_to", "No deployment before the newest one has succeeded.")
    if target is None:
        message = f"This is none of the last {deployments.SEARCHED} deployments of the app that succeeded."
        raise Problem("invalid_fields", errors=[FieldError(field="to", code="unknown", message=message)])
    version = {"image_tag": target.image_tag, "revision": target.revision, "commit": target.job.input.get("commit")}
    return {**version, "rollback_of": newest_first[0].job.id}

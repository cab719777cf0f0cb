"""Builds: start and list; a repeated request starts no second build."""

from __future__ import annotations

from flask import Blueprint, request
from sqlalchemy.orm import Session

from api.access import auth, cors, permissions
from api.contract import accounts, pagination
from api.contract.endpoint import Answer, Policy, RequestBody
from api.contract.fields import ImageTag, Revision
from api.contract.pagination import JobPage, PageBody
from api.contract.problems import Problem
from api.presentation import app_view, links
from api.presentation.app_schemas import BuildShown
from api.service import service
from api.serving.accepted import JobAccepted
from api.serving.routing import route
from api.views import app_jobs
from common.database.models import Job
from common.jobs import builds, outputs
from common.workflows import BUILD

blueprint = Blueprint("builds", __name__)


class NewBuild(RequestBody):
    """`image_tag` defaults to one that no other build has, `branch` to the default branch of the repository."""

    image_tag: ImageTag = None
    branch: Revision = None


class Builds(PageBody):
    """A page of builds."""

    builds: list[BuildShown]


@route(
    blueprint,
    "POST",
    "/app/<app_id>/builds",
    policy=Policy.MEMBER,
    takes=NewBuild,
    answers={202: JobAccepted},
    raises=app_jobs.REFUSALS,
)
def start_build(app_id: str, body: NewBuild) -> Answer:
    """Build an app.

    A job triggers the pipeline once and follows the build. While a job with the same parameters is running, the
    response refers to that job. The result has the commit that was built and the image that was pushed.
    """
    return app_jobs.begin(auth.require_user(), app_id, BUILD, _inputs(app_id, body), choose=_chosen(body))


@route(blueprint, "GET", "/app/<app_id>/builds", policy=Policy.MEMBER, query=JobPage, answers={200: Builds})
def list_builds(app_id: str, query: JobPage) -> Answer:
    """List the builds of an app, newest first."""
    user = auth.require_user()

    def work(session: Session) -> Builds:
        app = permissions.app(session, user, app_id)
        filters = {"app_id": app.id, "kind": BUILD.name, **pagination.filters_of(query, "state")}
        found = pagination.read(session, Job, query, filters)
        known = outputs.known_builds(session, found.rows)
        logins = accounts.logins(session, (job.user_id for job in found.rows))
        settings = service().settings
        shown = [app_view.build(job, known.get(job.id, {}), logins.get(job.user_id), settings) for job in found.rows]
        return Builds(builds=shown, **found.fields)

    return Answer(body=service().db.read(work))


@route(
    blueprint,
    "GET",
    "/jenkins/<app_id>",
    policy=Policy.BEARER,
    answers={202: JobAccepted},
    raises=("cross_site", *app_jobs.REFUSALS),
)
def start_build_by_get(app_id: str) -> Answer:
    """Build an app with GET.

    For existing clients; new ones should use `POST /app/{app_id}/builds`. The token is accepted in the header only. A
    HEAD, a prefetch or a request from another site's page starts nothing.
    """
    _refuse_prefetch()
    link = f'<{links.of_call(f"/app/{app_id}/builds")}>; rel="alternate"; title="POST"'
    return app_jobs.begin(
        auth.require_user(),
        app_id,
        BUILD,
        _inputs(app_id, NewBuild()),
        is_resendable=True,
        headers={"Link": link},
        choose=_chosen(NewBuild()),
    )


def _chosen(body: NewBuild) -> app_jobs.Choose:
    """Return what gives a build its tag where the request does not."""
    return lambda _session, app: {"image_tag": builds.next_tag(app)} if body.image_tag is None else {}


def _refuse_prefetch() -> None:
    """Refuse a GET that the user did not intend: a prefetch, or an image of another site's page. Raises Problem.

    A page of an allowed origin may: it has asked whether it may send the token, which no browser adds by itself.
    """
    purpose = " ".join(request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Moz"))
    if "prefetch" in purpose.lower():
        raise Problem("cross_site", "A prefetch cannot start a build.")
    is_ours = request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
    if not is_ours and not cors.is_allowed():
        raise Problem("cross_site", "A page of another site cannot start a build.")


def _inputs(app_id: str, body: NewBuild) -> dict[str, str | None]:
    return {**service().db.read(lambda session: _addresses(session, app_id)), **body.model_dump()}


def _addresses(session: Session, app_id: str) -> dict[str, str]:
    """Return the URLs of the two repositories and the default branch, as recorded by the jobs that created them."""
    app = permissions.app(session, auth.require_user(), app_id)
    urls = outputs.repository_urls(session, app.id)
    return {"gitlab_address": urls.source, "gitlab_helm_address": urls.helm, "default_branch": urls.branch}

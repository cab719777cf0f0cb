"""Apps: create, list and show."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy import and_, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.access import auth, permissions
from api.contract import pagination, validation
from api.contract.endpoint import Answer, BooleanFlag, Policy, Query, RequestBody, ResponseBody
from api.contract.fields import Description, ExistingId, NewAppName, TypeName
from api.contract.pagination import Page, PageBody
from api.contract.problems import FieldError, Problem
from api.presentation import links
from api.service import service
from api.serving.accepted import JobAccepted, accepted, request_id
from api.serving.idempotency import once
from api.serving.routing import route
from common.database.ids import new_id
from common.database.models import App, Job, Project, Resource, User
from common.jobs import ledger, lifecycle, outputs
from common.states import JobState, Provenance
from common.workflows import HARMLESS, PLAN, PROVISION, Workflow

blueprint = Blueprint("apps", __name__)


class NewApp(RequestBody):
    """A new app in one of your team's projects."""

    project_id: ExistingId
    name: NewAppName
    type: TypeName
    description: Description = ""


class CreateAppQuery(Query):
    """`dry_run`: only report what would be created."""

    dry_run: BooleanFlag = False


class AppShown(ResponseBody):
    """An app of a team. `namespace`: where it runs on the team's cluster."""

    app_id: str
    project_id: str
    name: str
    type: str
    team: str
    namespace: str
    description: str
    created_at: datetime


class AppFilter(Page):
    """The page of a list of apps to return, newest first."""

    type: Annotated[TypeName | None, Field(description="Only apps of this type.")] = None


class Apps(PageBody):
    """A page of apps."""

    apps: list[AppShown]


class Part(ResponseBody):
    """An object of the app on an upstream. `state`: intended, created, adopted (it existed before) or gone."""

    upstream: str
    kind: str
    name: str
    state: Provenance
    url: str | None
    clone_url: str | None


class AppDetail(AppShown):
    """An app, its parts, and the last job that changed it."""

    parts: list[Part]
    job_id: str | None
    state: JobState | None


@route(
    blueprint,
    "POST",
    "/app",
    policy=Policy.MEMBER,
    takes=NewApp,
    query=CreateAppQuery,
    answers={202: JobAccepted},
    raises=("not_found", "taken"),
)
def create_app(body: NewApp, query: CreateAppQuery) -> Answer:
    """Create an app in a project of your team.

    A job forks the source template of the type and the helm template, creates the pipeline, and registers the app with
    Argo CD. With `?dry_run=true` the job creates nothing; its result lists what each step would do.
    """
    _check(body)
    user, db = auth.require_user(), service().db
    project = db.read(lambda session: permissions.project(session, user, body.project_id))
    namespace = _namespace(body.name, project.team_id)
    write = _write_dry_run if query.dry_run else _write
    try:
        return once(lambda session: accepted(write(session, body, project, user, namespace)))
    except IntegrityError:
        raise _taken() from None


@route(blueprint, "GET", "/apps/<project_id>", policy=Policy.MEMBER, query=AppFilter, answers={200: Apps})
def list_apps(project_id: str, query: AppFilter) -> Answer:
    """List the apps of a project, newest first."""
    user = auth.require_user()
    if query.type is not None and (problems := _type_problems(query.type)):
        raise Problem("invalid_fields", errors=problems)

    def work(session: Session) -> Apps:
        project = permissions.project(session, user, project_id)
        filters = {"project_id": project.id, **pagination.filters_of(query, "type")}
        found = pagination.read(session, App, query, filters, App.claimed_name.is_not(None))
        return Apps(apps=[AppShown(**_fields(app)) for app in found.rows], **found.fields)

    return Answer(body=service().db.read(work))


@route(blueprint, "GET", "/app/<app_id>", policy=Policy.MEMBER, answers={200: AppDetail})
def show_app(app_id: str) -> Answer:
    """Show an app with the state and links of its parts."""
    user = auth.require_user()
    return Answer(body=service().db.read(lambda session: _detail(session, permissions.app(session, user, app_id))))


def _check(body: NewApp) -> None:
    problems = [
        *validation.app_name_problems(body.name, service().catalog),
        *validation.description_problems(body.description),
        *_type_problems(body.type),
    ]
    if problems:
        raise Problem("invalid_fields", errors=problems)


def _type_problems(name: str) -> list[FieldError]:
    types = service().catalog.types
    if name in types:
        return []
    message = f"This type does not exist. Choose one of: {', '.join(types)}."
    return [FieldError(field="type", code="unknown", message=message)]


def _namespace(app: str, team: str) -> str:
    """Return the new app's namespace. Raises Problem when it is too long or reserved."""
    catalog = service().catalog
    namespace = catalog.namespace_of(team, app)
    if problems := validation.namespace_problems(namespace, catalog):
        raise Problem("invalid_fields", errors=problems)
    return namespace


def _require_free(session: Session, namespace: str) -> None:
    """Raise Problem when another app runs there: an older one has its name as its namespace."""
    theirs = or_(
        and_(App.namespace == namespace, App.claimed_name.is_not(None)),
        and_(App.namespace.is_(None), App.claimed_name == namespace),
    )
    if session.scalar(select(App.id).where(theirs).limit(1)) is not None:
        message = f"The app would run in the namespace {namespace}, where another app runs. Choose another name."
        raise Problem("taken", errors=[FieldError(field="name", code="taken", message=message)])


def _taken() -> Problem:
    message = "An app with this name already exists in your team or another one. Choose another name."
    return Problem("taken", errors=[FieldError(field="name", code="taken", message=message)])


def _write_dry_run(session: Session, body: NewApp, project: Project, user: User, namespace: str) -> Job:
    if session.scalar(select(App.id).where(App.claimed_name == body.name)):
        raise _taken()
    _require_free(session, namespace)
    return _accept(session, PLAN, body, project, user, app_id=None)


def _write(session: Session, body: NewApp, project: Project, user: User, namespace: str) -> Job:
    _require_free(session, namespace)
    now = service().db.now()
    app = App(
        id=new_id(),
        project_id=body.project_id,
        team_id=project.team_id,
        name=body.name,
        claimed_name=body.name,
        namespace=namespace,
        type=body.type,
        description=body.description,
        created_by=user.id,
        created_at=now,
    )
    session.add(app)
    session.flush()  # the job refers to it
    return _accept(session, PROVISION, body, project, user, app_id=app.id)


def _accept(
    session: Session, workflow: Workflow, body: NewApp, project: Project, user: User, *, app_id: str | None
) -> Job:
    return lifecycle.accept(
        session,
        workflow,
        now=service().db.now(),
        subject_id=app_id or new_id(),
        team_id=project.team_id,
        user_id=user.id,
        app_id=app_id,
        request_id=request_id(),
        inputs={"app": body.name, "type": body.type, "team": project.team_id},
    )


def _fields(app: App) -> dict[str, object]:
    return {
        "app_id": app.id,
        "project_id": app.project_id,
        "name": app.name,
        "type": app.type,
        "team": app.team_id,
        "namespace": app.kubernetes_namespace,
        "description": app.description,
        "created_at": app.created_at,
    }


def _detail(session: Session, app: App) -> AppDetail:
    is_change = (Job.app_id == app.id, Job.kind.not_in(HARMLESS))
    job = session.scalar(select(Job).where(*is_change).order_by(Job.id.desc()).limit(1))
    resources = session.scalars(
        select(Resource)
        .where(Resource.subject_id == app.id, Resource.kind.not_in(ledger.OF_A_RUN))
        .order_by(Resource.id)
    )
    clone_urls = outputs.clone_urls(session, app.id)
    settings = service().settings
    parts = [
        Part(
            upstream=row.upstream,
            kind=row.kind,
            name=row.ref,
            state=row.provenance,
            url=links.external(row.url, settings),
            clone_url=links.external(clone_urls.get((row.upstream, row.outside_id)), settings),
        )
        for row in resources
    ]
    return AppDetail(**_fields(app), parts=parts, job_id=job.id if job else None, state=job.state if job else None)

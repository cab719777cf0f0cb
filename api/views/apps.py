"""Apps: create, list and show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy import and_, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.access import audit, auth, permissions
from api.contract import pagination, validation
from api.contract.endpoint import Answer, BooleanFlag, Policy, Query, RequestBody
from api.contract.fields import Description, ExistingId, NewAppName, TypeName
from api.contract.pagination import NamePart, Page, PageBody, TeamName
from api.contract.problems import FieldError, Problem
from api.presentation import app_view
from api.presentation.app_schemas import AppDetail, AppShown
from api.service import service
from api.serving.accepted import JobAccepted, accepted, request_id
from api.serving.idempotency import once
from api.serving.routing import route
from common.audit import ActionKind, Subject
from common.database.ids import new_id
from common.database.models import App, Job, Project, User
from common.jobs import lifecycle
from common.workflows import PLAN, PROVISION, Workflow

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


class AppFilter(Page):
    """The page of a list of apps to return, newest first."""

    type: Annotated[TypeName | None, Field(description="Only apps of this type.")] = None
    name: NamePart | None = None


class TeamAppFilter(AppFilter):
    """The page of a list of apps to return, newest first."""

    team: Annotated[
        TeamName | None,
        Field(description="Apps of this team; another team than your own requires administrator rights."),
    ] = None


class Apps(PageBody):
    """A page of apps."""

    apps: list[AppShown]


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


@route(blueprint, "GET", "/apps", policy=Policy.MEMBER, query=TeamAppFilter, answers={200: Apps}, raises=("not_found",))
def list_team_apps(query: TeamAppFilter) -> Answer:
    """List the apps of your team, of all projects, newest first.

    Administrators may list the apps of another team.
    """
    user = auth.require_user()
    return _list(query, lambda session: {"team_id": permissions.team(session, user, query.team)})


@route(blueprint, "GET", "/apps/<project_id>", policy=Policy.MEMBER, query=AppFilter, answers={200: Apps})
def list_apps(project_id: str, query: AppFilter) -> Answer:
    """List the apps of a project, newest first."""
    user = auth.require_user()
    return _list(query, lambda session: {"project_id": permissions.project(session, user, project_id).id})


@route(blueprint, "GET", "/app/<app_id>", policy=Policy.MEMBER, answers={200: AppDetail})
def show_app(app_id: str) -> Answer:
    """Show an app with the state and links of its parts, also after its removal."""
    user = auth.require_user()

    def work(session: Session) -> AppDetail:
        return app_view.detail(session, permissions.app(session, user, app_id, removed=True), service().settings)

    return Answer(body=service().db.read(work))


def _list(query: AppFilter, scope: Callable[[Session], pagination.Filters]) -> Answer:
    if query.type is not None and (problems := _type_problems(query.type)):
        raise Problem("invalid_fields", errors=problems)

    def work(session: Session) -> Apps:
        filters = {**scope(session), **pagination.filters_of(query, "type")}
        named = [App.claimed_name.is_not(None)] if query.name is None else [App.claimed_name.contains(query.name)]
        found = pagination.read(session, App, query, filters, *named)
        return Apps(apps=app_view.apps(session, found.rows, service().settings), **found.fields)

    return Answer(body=service().db.read(work))


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
    job = _accept(session, PLAN, body, project, user, app_id=None)
    wanted = Subject(kind="app", name=body.name, team_id=project.team_id)
    audit.record(session, ActionKind.APP_FORECAST, wanted, job=job, after={"type": body.type})
    return job


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
    job = _accept(session, PROVISION, body, project, user, app_id=app.id)
    audit.record(session, ActionKind.APP_CREATE, app, job=job, after={"type": app.type, "project_id": app.project_id})
    return job


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

"""Projects of a team: create and list."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.access import audit, auth, permissions
from api.contract import pagination, validation
from api.contract.endpoint import Answer, Policy, RequestBody, ResponseBody
from api.contract.fields import Description, NewName
from api.contract.pagination import NamePart, PageBody
from api.contract.problems import FieldError, Problem
from api.service import service
from api.serving.idempotency import once
from api.serving.routing import route
from common.audit import ActionKind
from common.database.ids import new_id
from common.database.models import Project

blueprint = Blueprint("projects", __name__)


class NewProject(RequestBody):
    """A new project, which groups apps. Its name must be unique within your team."""

    name: NewName
    description: Description = ""


class ProjectFilter(pagination.Page):
    """The page of a list of projects to return, newest first."""

    name: NamePart | None = None


class ProjectShown(ResponseBody):
    """A project of a team."""

    project_id: str
    name: str
    description: str
    team: str
    created_at: datetime


class Projects(PageBody):
    """A page of projects."""

    projects: list[ProjectShown]


@route(
    blueprint,
    "POST",
    "/project",
    policy=Policy.MEMBER,
    takes=NewProject,
    answers={201: ProjectShown},
    raises=("taken",),
)
def create_project(body: NewProject) -> Answer:
    """Create a project for your team.

    A project groups apps. Its name must be unique within the team.
    """
    if problems := [*validation.project_name_problems(body.name), *validation.description_problems(body.description)]:
        raise Problem("invalid_fields", errors=problems)
    user = auth.require_user()

    def work(session: Session) -> Answer:
        project = Project(
            id=new_id(),
            team_id=user.team_id,
            name=body.name,
            description=body.description,
            created_by=user.id,
            created_at=service().db.now(),
        )
        session.add(project)
        audit.record(session, ActionKind.PROJECT_CREATE, project)
        return Answer(body=_shown(project), status=201)

    try:
        return once(work)
    except IntegrityError:
        message = "Your team already has a project with this name. Choose another name."
        raise Problem("taken", errors=[FieldError(field="name", code="taken", message=message)]) from None


@route(blueprint, "GET", "/project/<team_id>", policy=Policy.MEMBER, query=ProjectFilter, answers={200: Projects})
def list_projects(team_id: str, query: ProjectFilter) -> Answer:
    """List the projects of your team, newest first."""
    user = auth.require_user()

    def work(session: Session) -> Projects:
        team = permissions.team(session, user, team_id)
        named = [] if query.name is None else [Project.name.contains(query.name)]
        page = pagination.read(session, Project, query, {"team_id": team}, *named)
        return Projects(projects=[_shown(row) for row in page.rows], **page.fields)

    return Answer(body=service().db.read(work))


@route(blueprint, "GET", "/projects/<project_id>", policy=Policy.MEMBER, answers={200: ProjectShown})
def show_project(project_id: str) -> Answer:
    """Show a project of your team."""
    user = auth.require_user()
    return Answer(body=service().db.read(lambda session: _shown(permissions.project(session, user, project_id))))


def _shown(project: Project) -> ProjectShown:
    return ProjectShown(
        project_id=project.id,
        name=project.name,
        description=project.description,
        team=project.team_id,
        created_at=project.created_at,
    )

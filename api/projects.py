"""Which projects does a team have?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from api import auth, pages, rules
from api.problems import FieldError, Problem
from api.routes import Answer, Body, Policy, Result, route
from api.service import service
from common.models import Project, new_id

blueprint = Blueprint("projects", __name__)

Description = Annotated[str, Field(max_length=500)]


class NewProject(Body):
    name: str
    description: Description = ""


class ProjectShown(Result):
    project_id: str
    name: str
    description: str
    team: str
    created_at: datetime


class Projects(Result):
    """One page; `next` is the cursor of the following one."""

    projects: list[ProjectShown]
    next: str | None


@route(blueprint, "POST", "/project", policy=Policy.MEMBER, takes=NewProject, answers={201: ProjectShown})
def create_project(body: NewProject) -> Answer:
    """Members. 201 a project of their team · 409 the team has one of this name · 422."""
    if problems := [*rules.project_name_problems(body.name), *rules.description_problems(body.description)]:
        raise Problem("invalid_fields", errors=problems)
    user, db = auth.require_user(), service().db
    project = Project(
        id=new_id(),
        team_id=user.team_id,
        name=body.name,
        description=body.description,
        created_by=user.id,
        created_at=db.now(),
    )
    try:
        db.transaction(lambda session: session.add(project))
    except IntegrityError:
        message = "Your team has a project of this name. Choose another one."
        raise Problem("taken", errors=[FieldError(field="name", code="taken", message=message)]) from None
    return Answer(body=_shown(project), status=201)


@route(blueprint, "GET", "/project/<team_id>", policy=Policy.MEMBER, query=pages.Page, answers={200: Projects})
def list_projects(team_id: str, query: pages.Page) -> Answer:
    """Members, of their own team. 200 a page of projects, newest first · 404 another team."""
    if team_id != auth.require_user().team_id:
        raise Problem("not_found")
    statement = select(Project).where(Project.team_id == team_id)
    rows, following = service().db.read(lambda session: pages.read(session, statement, Project.id, query))
    return Answer(body=Projects(projects=[_shown(row) for row in rows], next=following))


def _shown(project: Project) -> ProjectShown:
    return ProjectShown(
        project_id=project.id,
        name=project.name,
        description=project.description,
        team=project.team_id,
        created_at=project.created_at,
    )

"""Teams and types of the catalog, and the members of a team."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from api.access import auth, permissions
from api.contract import pagination
from api.contract.endpoint import Answer, Policy, ResponseBody
from api.contract.pagination import Slice, SliceBody
from api.service import service
from api.serving.routing import route
from common.config.catalog import CatalogTeam
from common.database.models import Project, User

blueprint = Blueprint("teams", __name__)


class TeamListed(ResponseBody):
    """A team that people can join: with `self_join` anyone at sign-up, otherwise by an invitation."""

    team_id: str
    title: str
    self_join: bool


class Teams(ResponseBody):
    """All teams of the catalog."""

    teams: list[TeamListed]


class TeamShown(TeamListed):
    """A team and its places on the upstreams. `namespace` is the pattern of its apps' namespaces."""

    gitlab_group: str
    jenkins_folder: str
    kibana_role: str
    argocd_project: str
    cluster: str
    namespace: str
    members: int
    projects: int


class AppTypeShown(ResponseBody):
    """A type of apps: the templates in GitLab that its repositories are forked from, and the path of its pipeline."""

    type: str
    source_template: str
    helm_template: str
    jenkinsfile: str


class AppTypes(ResponseBody):
    """All types of the catalog."""

    types: list[AppTypeShown]


class Member(ResponseBody):
    """A member of a team. `id` is the login on every system."""

    id: str
    name: str
    is_admin: bool
    created_at: datetime


class Members(SliceBody):
    """A page of members."""

    members: list[Member]


@route(blueprint, "GET", "/teams", policy=Policy.PUBLIC, answers={200: Teams})
def list_teams() -> Answer:
    """List the teams that people can join, for a sign-up page."""
    return Answer(body=Teams(teams=[TeamListed(**_listed(team)) for team in service().catalog.teams.values()]))


@route(blueprint, "GET", "/teams/<team_id>", policy=Policy.MEMBER, answers={200: TeamShown})
def show_team(team_id: str) -> Answer:
    """Show your team with its places on the upstreams.

    Administrators may see every team.
    """
    user = auth.require_user()

    def work(session: Session) -> TeamShown:
        team = permissions.catalog_team(session, user, team_id)
        return TeamShown(
            **_listed(team),
            gitlab_group=team.gitlab_group,
            jenkins_folder=team.jenkins_folder,
            kibana_role=team.kibana_role,
            argocd_project=team.argocd_project,
            cluster=team.cluster,
            namespace=team.namespace,
            members=_count(session, User.team_id == team.id, User.left_at.is_(None)),
            projects=_count(session, Project.team_id == team.id),
        )

    return Answer(body=service().db.read(work))


@route(blueprint, "GET", "/teams/<team_id>/members", policy=Policy.MEMBER, query=Slice, answers={200: Members})
def list_members(team_id: str, query: Slice) -> Answer:
    """List the members of your team, newest first.

    People who have been off-boarded are not listed.
    """
    user = auth.require_user()

    def work(session: Session) -> Members:
        team = permissions.team(session, user, team_id)
        rows, following = pagination.slice_of(session, User, query, User.team_id == team, User.left_at.is_(None))
        return Members(members=[_member(row) for row in rows], next=following)

    return Answer(body=service().db.read(work))


@route(blueprint, "GET", "/types", policy=Policy.MEMBER, answers={200: AppTypes})
def list_types() -> Answer:
    """List the types of apps that can be created."""
    types = service().catalog.types.values()
    shown = [
        AppTypeShown(
            type=each.id,
            source_template=each.source_template,
            helm_template=each.helm_template,
            jenkinsfile=each.jenkinsfile,
        )
        for each in types
    ]
    return Answer(body=AppTypes(types=shown))


def _listed(team: CatalogTeam) -> dict[str, object]:
    return {"team_id": team.id, "title": team.title, "self_join": team.self_join}


def _member(row: User) -> Member:
    return Member(id=row.login, name=row.name, is_admin=row.is_admin, created_at=row.created_at)


def _count(session: Session, *conditions: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).where(*conditions)) or 0

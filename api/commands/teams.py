"""Commands for teams: `flask --app api teams list, add`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.access import audit
from api.commands import catalog_file
from api.commands.base import Group, Refusal, as_json, dry_run, print_result
from api.commands.options import Pattern
from api.commands.text import columns, number
from api.contract import validation
from api.service import service
from common.audit import ActionKind, Subject
from common.config import catalog, namespaces
from common.config.catalog import CatalogTeam
from common.database.models import Project, User

TEAM = Pattern(validation.TEAM, "Use letters, digits and . _ -, starting with a letter or a digit.")
NEXT = (
    "  restart the API and the workers",
    "  python -m worker.doctor    # checks that its groups, folders and roles exist",
)
TEXT = Pattern(validation.PRINTABLE, "Use printable characters, with no space at either end.")


@click.group(cls=Group)
def teams() -> None:
    """Teams in the catalog.

    A team is configuration: a section of the file that CATALOG_FILE names. It maps the team to a GitLab group, a
    Jenkins folder and role, a Kibana role, an Argo CD project, a cluster and the namespaces of its apps.
    """


@teams.command("list")
@as_json
def list_all(is_json: bool) -> None:
    """List the teams, including those removed from the catalog.

    A team that was removed from the catalog is listed while it has users or projects. Their jobs fail until the team is
    in the catalog again.
    """
    people, projects = service().db.read(_counts)
    known = service().catalog.teams
    named = [(team, known.get(team)) for team in (*known, *sorted({*people, *projects} - set(known)))]
    documents = [
        {
            "id": team,
            "in_catalog": places is not None,
            "places": places.model_dump(exclude={"id"}) if places else None,
            "people": people.get(team, 0),
            "projects": projects.get(team, 0),
        }
        for team, places in named
    ]
    rows = [
        (
            team,
            places.title if places else "(not in the catalog)",
            "open to everyone" if places and places.self_join else "by invitation",
            number(people.get(team, 0), "person", "people"),
            number(projects.get(team, 0), "project"),
        )
        for team, places in named
    ]
    print_result(is_json, documents, columns(rows, nothing="The catalog has no teams."))


@teams.command("add")
@click.argument("team_id", metavar="TEAM", type=TEAM)
@click.option("--title", type=TEXT, required=True, help="Its display name.")
@click.option("--cluster", type=TEXT, required=True, help="The name in Argo CD of the cluster that runs its apps.")
@click.option("--gitlab-group", type=TEXT, help="Its group in GitLab.  [default: TEAM]")
@click.option("--jenkins-folder", type=TEXT, help="Its folder in Jenkins.  [default: TEAM]")
@click.option("--jenkins-role", type=TEXT, help="Its project role in Jenkins.  [default: TEAM]")
@click.option("--kibana-role", type=TEXT, help="Its role in Elasticsearch.  [default: TEAM]")
@click.option("--argocd-project", type=TEXT, help="Its project in Argo CD.  [default: TEAM]")
@click.option("--namespace", type=TEXT, help=f"The pattern of its apps' namespaces.  [default: {namespaces.DEFAULT}]")
@click.option("--self-join", is_flag=True, help="Let anyone join at sign-up; otherwise, an invitation is required.")
@click.option(
    "--copy-to",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to copy the catalog to, if the bundled catalog is still in use.",
)
@dry_run
@as_json
def add(
    *,
    team_id: str,
    copy_to: Path | None,
    is_dry: bool,
    is_json: bool,
    title: str,
    cluster: str,
    self_join: bool,
    namespace: str | None,
    **places: str | None,
) -> None:
    """Add a team at the end of the catalog file.

    The rest of the file stays unchanged, and the file is replaced atomically. Processes read it when they start, so
    restart them afterwards. Nothing is created on the upstreams: `python -m worker.doctor` reports what is missing
    there.
    """
    named = {name: place or team_id for name, place in places.items()}
    try:
        namespaces.pattern_of(namespace or namespaces.DEFAULT, team_id)
    except ValueError as error:
        raise click.UsageError(f"The namespace {error}. Pass --namespace.") from None
    if namespace is not None:
        named["namespace"] = namespace
    team = CatalogTeam(id=team_id, title=title, self_join=self_join, cluster=cluster, **named)
    settings = service().settings
    source, target = settings.catalog_file, _target(settings.catalog_file, copy_to)

    def longer() -> str:
        return catalog_file.with_team(catalog.read(source), team, settings)

    if is_dry:
        longer()
        print_result(
            is_json,
            _document(team, target),
            f"This would be added at the end of {target}:\n\n{catalog_file.section(team)}",
        )
        return
    service().db.transaction(lambda session: _edit(session, team, target, longer))
    steps = [f"The team {team_id} is in {target}. Next:", f"  set CATALOG_FILE={target.absolute()}", *NEXT]
    if source is not None:
        del steps[1]
    print_result(is_json, _document(team, target), "\n".join(steps))


def _edit(session: Session, team: CatalogTeam, target: Path, longer: Callable[[], str]) -> None:
    """Record the act, then change the file: a file that cannot be changed leaves no row."""
    subject = Subject(kind="team", id=team.id, name=team.id, team_id=team.id)
    audit.record(session, ActionKind.TEAM_ADD, subject, after=team.model_dump(exclude={"id"}))
    session.flush()
    catalog_file.edit(target, longer)


def _counts(session: Session) -> tuple[dict[str, int], dict[str, int]]:
    """Return the number of users and of projects, by team."""
    people = select(User.team_id, func.count()).where(User.left_at.is_(None)).group_by(User.team_id)
    projects = select(Project.team_id, func.count()).group_by(Project.team_id)
    return dict(session.execute(people).all()), dict(session.execute(projects).all())


def _target(file: Path | None, copy_to: Path | None) -> Path:
    """Return the file to write. Raises Refusal, UsageError."""
    if file is not None:
        if copy_to is not None:
            raise click.UsageError(f"CATALOG_FILE is already set, to {file}. Omit --copy-to.")
        return file
    if copy_to is None:
        raise Refusal(
            "The bundled catalog is in use, and it is part of the program. Pass --copy-to FILE to write a copy with "
            "the new team, then set CATALOG_FILE to that file."
        )
    if copy_to.exists():
        raise Refusal(f"{copy_to} already exists. Set CATALOG_FILE to it, or choose another file.")
    return copy_to


def _document(team: CatalogTeam, file: Path) -> dict[str, object]:
    return {**team.model_dump(), "file": str(file.absolute())}

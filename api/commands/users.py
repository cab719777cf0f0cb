"""flask --app api users list, create-admin, grant-admin, revoke-admin"""

from __future__ import annotations

import click
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.access import auth
from api.commands import options
from api.commands.base import Group, Refusal, as_json, print_note, print_result
from api.commands.options import at_most, hint_at_more, password_stdin, read_password
from api.commands.text import columns, format_time
from api.contract import accounts, validation
from api.contract.problems import FieldError
from api.service import service
from api.views import stale_signups
from common.database.ids import new_id
from common.database.models import User

ARGUMENTS = {"id": "ID", "email": "--email", "name": "--name", "password": "the password"}


@click.group(cls=Group)
def users() -> None:
    """Accounts, and who is an administrator.

    ID is a person's login.
    """


@users.command("list")
@click.option("--admins", "only_admins", is_flag=True, help="Only administrators.")
@click.option("--team", help="Only those of this team.")
@at_most(1000)
@as_json
def list_all(*, only_admins: bool, team: str | None, limit: int, is_json: bool) -> None:
    """List the accounts, the oldest first, and those that were closed."""
    wanted: list[ColumnElement[bool]] = [User.is_admin.is_(True)] if only_admins else []
    if team is not None:
        wanted.append(User.team_id == options.known_team(team))
    wanted_users = select(User).where(*wanted).order_by(User.id).limit(limit)
    found = service().db.read(lambda session: session.scalars(wanted_users).all())
    rows = [(user.login, user.team_id, user.email, user.name, _status(user)) for user in found]
    print_result(is_json, [_document(user) for user in found], columns(rows, nothing="There is nobody."))
    hint_at_more(found, limit)


@users.command("create-admin")
@click.argument("login", metavar="ID")
@click.option("--email", required=True, help="Their e-mail address.")
@click.option("--name", required=True, help="Their full name.")
@click.option("--team", required=True, help="The team they belong to; administrators see what every team has.")
@password_stdin
@as_json
def create_admin(*, login: str, email: str, name: str, team: str, is_piped: bool, is_json: bool) -> None:
    """Make an account that is an administrator's: the first one, print_result.

    It is an account of Slipway alone: nothing is made on GitLab, Jenkins or Kibana. Whoever needs accounts there signs
    up as everybody does, and then gets `users grant-admin`. The password is asked for twice, without an echo.
    """
    team = options.known_team(team)
    password = read_password(is_piped=is_piped)
    person = {"login": login, "email": email, "name": name}
    _refuse(validation.person_problems(**person, password=password, catalog=service().catalog))
    password_hash = service().passwords.hash(password)

    def work(session: Session) -> User:
        stale_signups.release_names(session, login=login, email=email.lower())
        user = User(
            id=new_id(),
            login=login,
            email=email.lower(),
            name=name,
            password_hash=password_hash,
            team_id=team,
            is_admin=True,
            created_at=service().db.now(),
        )
        session.add(user)
        return user

    try:
        user = service().db.transaction(work)
    except IntegrityError:
        _refuse(service().db.read(lambda session: accounts.find_taken(session, login=login, email=email)))
        raise
    print_result(
        is_json, _document(user), f"{login} of team {team} is an administrator. Log in with: slipway login {login}"
    )


@users.command("grant-admin")
@click.argument("login", metavar="ID")
@as_json
def grant_admin(login: str, is_json: bool) -> None:
    """Make an administrator of somebody who has an account. It holds from their next request on."""
    user = _set_admin(login, is_admin=True)
    print_result(is_json, _document(user), f"{login} is an administrator.")


@users.command("revoke-admin")
@click.argument("login", metavar="ID")
@as_json
def revoke_admin(login: str, is_json: bool) -> None:
    """Take an administrator's rights. It holds from their next request on; the account stays."""
    user = _set_admin(login, is_admin=False)
    admins_left = select(func.count()).where(User.is_admin, User.left_at.is_(None))
    if not service().db.read(lambda session: session.scalar(admins_left)):
        print_note("There is no administrator any more. To make one: flask --app api users grant-admin ID")
    print_result(is_json, _document(user), f"{login} is no administrator.")


@users.command("log-out")
@click.argument("login", metavar="ID")
@as_json
def log_out(login: str, is_json: bool) -> None:
    """End every log-in of somebody. They may log in again while they have an account."""
    ended = service().db.transaction(
        lambda session: auth.end_sessions_of(session, options.find_user(session, login, for_update=True))
    )
    print_result(is_json, {"id": login, "ended": ended}, f"{ended} log-ins of {login} have ended.")


def _set_admin(login: str, *, is_admin: bool) -> User:
    def work(session: Session) -> User:
        user = options.find_user(session, login, for_update=True)
        if is_admin and user.left_at is not None:
            raise Refusal(f"{login} has left: nobody can log in as them.")
        user.is_admin = is_admin
        return user

    return service().db.transaction(work)


def _refuse(problems: list[FieldError]) -> None:
    """Raises Refusal when there are any."""
    if problems:
        raise Refusal("\n".join(f"{ARGUMENTS[problem.field]}: {problem.message}" for problem in problems))


def _status(user: User) -> str:
    rank = ["administrator"] if user.is_admin else []
    return ", ".join([*rank, f"left {format_time(user.left_at)}"] if user.left_at else rank)


def _document(user: User) -> dict[str, object]:
    return {
        "id": user.login,
        "email": user.email,
        "name": user.name,
        "team": user.team_id,
        "is_admin": user.is_admin,
        "created_at": format_time(user.created_at),
        "left_at": format_time(user.left_at) if user.left_at else None,
    }

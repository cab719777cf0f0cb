"""Commands for user accounts: `flask --app api users --help` lists them."""

from __future__ import annotations

from datetime import datetime

import click
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.access import admission, audit, auth
from api.commands import displaced, options, signups
from api.commands.base import Group, Refusal, as_json, print_note, print_result
from api.commands.options import at_most, hint_at_more, password_stdin, read_password
from api.commands.text import columns, format_time
from api.contract import accounts, validation
from api.contract.problems import FieldError
from api.service import service
from api.views import stale_signups
from common.audit import ActionKind
from common.database.ids import new_id
from common.database.models import User
from common.jobs import reset_codes

ARGUMENTS = {"id": "ID", "email": "--email", "name": "--name", "password": "the password"}


@click.group(cls=Group)
def users() -> None:
    """User accounts and administrator rights.

    ID is the login of a user.
    """


@users.command("list")
@click.option("--admins", "only_admins", is_flag=True, help="Only administrators.")
@click.option("--team", help="Only accounts of this team.")
@at_most(1000)
@as_json
def list_all(*, only_admins: bool, team: str | None, limit: int, is_json: bool) -> None:
    """List all accounts, oldest first, including closed ones."""
    wanted: list[ColumnElement[bool]] = [User.is_admin.is_(True)] if only_admins else []
    if team is not None:
        wanted.append(User.team_id == options.known_team(team))
    wanted_users = select(User).where(*wanted).order_by(User.id).limit(limit)
    listed = service().db.read(lambda session: session.scalars(wanted_users).all())
    rows = [(user.login, user.team_id, user.email, user.name, _status(user)) for user in listed]
    print_result(is_json, [_document(user) for user in listed], columns(rows, nothing="There are no accounts."))
    hint_at_more(listed, limit)


@users.command("create-admin")
@click.argument("login", metavar="ID")
@click.option("--email", required=True, help="The user's e-mail address.")
@click.option("--name", required=True, help="The user's full name.")
@click.option("--team", required=True, help="The user's team. Administrators see the resources of all teams.")
@password_stdin
@as_json
def create_admin(*, login: str, email: str, name: str, team: str, is_piped: bool, is_json: bool) -> None:
    """Create an administrator account, such as the first one.

    The account exists in Slipway only: nothing is created on GitLab, Jenkins or Kibana. An administrator who needs
    accounts there signs up normally and is then promoted with `users grant-admin`. The command prompts for the password
    twice and does not show it.
    """
    team = options.known_team(team)
    password = read_password(is_piped=is_piped)
    person = {"login": login, "email": email, "name": name}
    own = service().settings.service_accounts
    _refuse(validation.person_problems(**person, password=password, catalog=service().catalog, own=own))
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
            admitted_at=service().db.now(),
        )
        session.add(user)
        audit.record(session, ActionKind.USER_CREATE_ADMIN, user, after={"team": team})
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
    """Grant administrator rights to a user. They take effect with the user's next request."""
    user = _set_admin(login, is_admin=True)
    print_result(is_json, _document(user), f"{login} is an administrator.")


@users.command("revoke-admin")
@click.argument("login", metavar="ID")
@as_json
def revoke_admin(login: str, is_json: bool) -> None:
    """Revoke administrator rights. This takes effect with the user's next request; the account remains."""
    user = _set_admin(login, is_admin=False)
    admins_left = select(func.count()).where(User.is_admin, User.left_at.is_(None))
    if not service().db.read(lambda session: session.scalar(admins_left)):
        print_note("There are no administrators left. To appoint one: flask --app api users grant-admin ID")
    print_result(is_json, _document(user), f"{login} is no longer an administrator.")


@users.command("log-out")
@click.argument("login", metavar="ID")
@as_json
def log_out(login: str, is_json: bool) -> None:
    """End all sessions of a user. The user can log in again while the account exists."""

    def work(session: Session) -> int:
        user = options.find_user(session, login, for_update=True)
        ended = auth.end_sessions_of(session, user)
        audit.record(session, ActionKind.SESSION_END_OTHERS, user, after={"ended": ended})
        return ended

    ended = service().db.transaction(work)
    print_result(is_json, {"id": login, "ended": ended}, f"{ended} sessions of {login} have ended.")


@users.command("reset-password")
@click.argument("login", metavar="ID")
@as_json
def reset_password(login: str, is_json: bool) -> None:
    """Print a one-time code with which a user sets a new password.

    It is valid for one hour and replaces an earlier one. The user types: slipway password --reset
    """

    def work(session: Session) -> tuple[str, datetime]:
        user = options.find_user(session, login, for_update=True)
        if user.left_at is not None:
            raise Refusal(f"{login} has been off-boarded and cannot log in.")
        created = reset_codes.create(session, user, service().db.now())
        after = {"expires_at": created[1].isoformat()}
        audit.record(session, ActionKind.PASSWORD_RESET_CODE, user, after=after)
        return created

    code, expires_at = service().db.transaction(work)
    document = {"id": login, "reset_code": code, "expires_at": format_time(expires_at)}
    print_result(is_json, document, code)
    print_note(f"Give {login} this code, valid until {format_time(expires_at)}: slipway password --reset {login}")


users.add_command(signups.list_signups)
users.add_command(signups.approve)
users.add_command(signups.reject)
users.add_command(displaced.list_displaced)
users.add_command(displaced.restore)
users.add_command(displaced.release)
users.add_command(displaced.admit)


def _set_admin(login: str, *, is_admin: bool) -> User:
    def work(session: Session) -> User:
        user = options.find_user(session, login, for_update=True)
        if is_admin and user.left_at is not None:
            raise Refusal(f"{login} has been off-boarded and cannot log in.")
        if is_admin and (job := admission.find_unfinished_sign_up(session, user)):
            raise Refusal(f"{login} cannot log in yet: the sign-up, job {job.id}, is {job.state.value}.")
        kind = ActionKind.USER_GRANT_ADMIN if is_admin else ActionKind.USER_REVOKE_ADMIN
        before, after = {"is_admin": user.is_admin}, {"is_admin": is_admin}
        audit.record(session, kind, user, before=before, after=after)
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

"""Commands for accounts whose owner is in doubt: `flask --app api users displaced, restore, release, admit`.

Until sign-ups had to succeed before anybody could log in, a failed one was a working account, and another sign-up could
take its name. These commands find both kinds, give a name to its owner, and let a person log in.
"""

from __future__ import annotations

import click
from sqlalchemy import Select, exists, or_, select
from sqlalchemy.orm import Session

from api.access import admission, audit, auth
from api.commands import options
from api.commands.base import Command, Refusal, as_json, print_result
from api.commands.options import at_most, hint_at_more
from api.commands.text import columns
from api.contract.validation import RENAMED
from api.service import service
from api.views import stale_signups
from common.audit import ActionKind, about
from common.database.models import Job, User
from common.states import OPEN, JobState
from common.workflows import SIGNUP

UNPROVED, RENAMED_AWAY = "logs in, its sign-up never succeeded", "renamed, cannot log in"


@click.command("displaced", cls=Command)
@at_most(1000)
@as_json
def list_displaced(*, limit: int, is_json: bool) -> None:
    """List accounts whose owner is in doubt, oldest first.

    Accounts that log in though their sign-up never succeeded may belong to a person or to a stranger of that name: ask,
    and off-board strangers. Accounts that were renamed get their name back with `users restore`.
    """
    found = service().db.read(
        lambda session: [_document(session, user) for user in session.scalars(_doubtful().limit(limit)).all()]
    )
    rows = [(each["id"], each["former_id"], each["team"], each["email"], each["why"]) for each in found]
    print_result(is_json, found, columns(rows, nothing="No account's owner is in doubt."))
    hint_at_more(found, limit)


@click.command("restore", cls=Command)
@click.argument("login", metavar="ID")
@as_json
def restore(login: str, is_json: bool) -> None:
    """Restore a renamed account, or let a person who left return.

    Of a renamed account, ID is the login that it has now, such as gone-…: `users displaced` lists them. The person can
    log in with the former password at once. If another account has the name or the e-mail address meanwhile, off-board
    that one first: then it is renamed.

    A person who has left signs up again with the same ID, e-mail address and password; the accounts are then made anew.
    """

    def work(session: Session) -> tuple[str, str]:
        person = options.find_user(session, login, for_update=True)
        if login.startswith(RENAMED):
            has_left = admission.find_off_boarding(session, person) is not None
            _give_name_back(session, person)
        else:
            has_left = person.left_at is not None
            if not has_left:
                raise Refusal(f"{login} was not renamed, and has not left.")
        audit.record(session, ActionKind.USER_RESTORE, person, before={"login": login}, after={"login": person.login})
        if has_left:
            _let_return(session, person)
            return person.login, "sign up again, with the same e-mail address and password"
        person.left_at, person.admitted_at = None, service().db.now()
        return person.login, "log in again"

    former_login, what = service().db.transaction(work)
    print_result(is_json, {"id": former_login, "was": login}, f"{former_login} can {what}.")


@click.command("release", cls=Command)
@click.argument("login", metavar="ID")
@as_json
def release(login: str, is_json: bool) -> None:
    """Take ID and e-mail address from an account, for their owner.

    The account is renamed to gone-…, and nobody can log in with it; `users restore` undoes that. It must be of somebody
    who has been off-boarded, or whose sign-up failed and made nothing on the upstreams.
    """

    def work(session: Session) -> str:
        person = options.find_user(session, login, for_update=True)
        _require_unused(session, person)
        before = about(person)
        stale_signups.rename_away(session, person)
        audit.record(session, ActionKind.USER_RELEASE, before, after={"login": person.login})
        return person.login

    new_login = service().db.transaction(work)
    print_result(
        is_json, {"id": new_login, "was": login}, f"{login} is free to sign up with. The account is {new_login}."
    )


@click.command("admit", cls=Command)
@click.argument("login", metavar="ID")
@as_json
def admit(login: str, is_json: bool) -> None:
    """Let a person log in though their sign-up did not succeed.

    Ask the person first: the account has the rights of its team, and a stranger may have signed up with that name.
    """

    def work(session: Session) -> None:
        person = options.find_user(session, login, for_update=True)
        if person.left_at is not None or admission.find_off_boarding(session, person) is not None:
            raise Refusal(
                f"{login} has been off-boarded. To let the person return: flask --app api users restore {login}"
            )
        _require_no_open_job(session, person)
        admission.admit(session, person)
        audit.record(session, ActionKind.USER_ADMIT, person)

    service().db.transaction(work)
    print_result(is_json, {"id": login}, f"{login} can log in.")


def _give_name_back(session: Session, person: User) -> None:
    signup = admission.find_sign_up(session, person)
    if signup is None:
        raise Refusal(f"The former name of {person.login} is not known: its sign-up was deleted for its age.")
    former = {"login": str(signup.input["login"]), "email": str(signup.input["email"])}
    _make_room(session, person, **former)
    person.login, person.email = former["login"], former["email"]


def _let_return(session: Session, person: User) -> None:
    """Raises Refusal unless the accounts of the person are closed: they would keep the rights of the former team."""
    _require_off_boarded(session, person)
    person.left_at = person.admitted_at = None
    person.is_admin = False
    auth.revoke_access_of(session, person)


def _require_unused(session: Session, person: User) -> None:
    """Refuse to rename an account that somebody uses, or that would leave accounts behind. Raises Refusal."""
    if person.login.startswith(RENAMED):
        raise Refusal(f"{person.login} has no name to release.")
    _require_no_open_job(session, person)
    if person.left_at is None and admission.find_unfinished_sign_up(session, person) is None:
        raise Refusal(f"{person.login} can log in. If it is a stranger, off-board it: slipway offboard {person.login}")
    if session.scalar(select(stale_signups.has_accounts(person))):
        _require_off_boarded(session, person)


def _require_off_boarded(session: Session, person: User) -> None:
    """Raises Refusal, with what to do, unless the newest off-boarding of a person has succeeded."""
    _require_no_open_job(session, person)
    job = admission.find_off_boarding(session, person)
    if job is None or job.state is JobState.CANCELLED:
        raise Refusal(
            f"The accounts of {person.login} were not closed, or it is no longer known that they were. Close them: "
            f"slipway offboard {person.login}. Then try again."
        )
    if job.state is not JobState.SUCCEEDED:
        raise Refusal(
            f"Accounts of {person.login} are not closed: the job {job.id} has failed. Retry it, or skip the steps that "
            f"you have checked. Then try again."
        )


def _require_no_open_job(session: Session, person: User) -> None:
    """Raises Refusal while accounts of the person are being made, changed or closed."""
    if (job_id := _open_job(session, person)) is not None:
        raise Refusal(f"The accounts of {person.login} are being changed: wait for the job {job_id} to finish.")


def _open_job(session: Session, person: User) -> str | None:
    return session.scalar(select(Job.id).where(Job.subject_id == person.id, Job.state.in_(OPEN)).limit(1))


def _make_room(session: Session, person: User, *, login: str, email: str) -> None:
    """Rename those who have left and hold one of the two. Raises Refusal when somebody holds it who has not."""
    held = or_(User.login == login, User.email == email)
    for holder in session.scalars(select(User).where(held, User.id != person.id).with_for_update()).all():
        if holder.left_at is None or _open_job(session, holder) is not None:
            raise Refusal(
                f"{holder.login} ({holder.email}) has the name or the address now. If it is a stranger, off-board it: "
                f"slipway offboard {holder.login}. Then try again."
            )
        stale_signups.rename_away(session, holder)
    session.flush()


def _doubtful() -> Select[User]:
    own = select(Job.id).where(Job.subject_id == User.id, Job.kind == SIGNUP.name)
    is_unproved = (
        User.admitted_at.is_not(None)
        & User.left_at.is_(None)
        & exists(own.where(Job.state.in_((JobState.FAILED, JobState.CANCELLED))))
        & ~exists(own.where(Job.state == JobState.SUCCEEDED))
    )
    return select(User).where(or_(is_unproved, User.login.startswith(RENAMED, autoescape=True))).order_by(User.id)


def _document(session: Session, user: User) -> dict[str, object]:
    is_renamed = user.login.startswith(RENAMED)
    signup = admission.find_sign_up(session, user) if is_renamed else None
    return {
        "id": user.login,
        "former_id": signup.input["login"] if signup else None,
        "team": user.team_id,
        "email": signup.input["email"] if signup else user.email,
        "is_admin": user.is_admin,
        "why": RENAMED_AWAY if is_renamed else UNPROVED,
    }

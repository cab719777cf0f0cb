"""Sign-up of a new user."""

from __future__ import annotations

from flask import Blueprint
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.access import audit, rate_limits
from api.contract import accounts, validation
from api.contract.endpoint import Answer, Policy, RequestBody
from api.contract.fields import Email, InviteCode, JoinedTeam, NewLogin, NewPassword, PersonName
from api.contract.problems import FieldError, Problem
from api.service import service
from api.serving.accepted import JobAccepted, accepted
from api.serving.idempotency import once
from api.serving.routing import route
from api.views import invites, person_jobs, stale_signups
from common.audit import ActionKind
from common.database.ids import new_id
from common.database.models import Job, User
from common.jobs import signup_reviews
from common.states import ReviewState
from common.workflows import SIGNUP

blueprint = Blueprint("signup", __name__)


class Signup(RequestBody):
    """A new user."""

    id: NewLogin
    email: Email
    name: PersonName
    password: NewPassword
    team: JoinedTeam
    invite: InviteCode = None


@route(
    blueprint,
    "POST",
    "/signup",
    policy=Policy.PUBLIC,
    takes=Signup,
    answers={202: JobAccepted},
    raises=("team_not_open", "taken", "too_many_requests"),
)
def sign_up(body: Signup) -> Answer:
    """Sign up a new user.

    A job creates the user's accounts on GitLab, Jenkins and Kibana with the roles of the team. Anyone who knows the
    job's ID can follow it without a login. The password is stored encrypted, and deleted once the last account exists.
    To join a team that is not open to everyone, send an invitation code as `invite`; an accepted sign-up uses it up.
    The job may have to wait until the person confirms the e-mail address, or an administrator approves: `waiting_on`
    of the job says so.
    """
    _check(body)
    rate_limits.limit_sign_ups(body.id, body.email)
    own = stale_signups.find_own(login=body.id, email=body.email.lower(), password=body.password)
    password_hash = service().passwords.hash(body.password)
    try:
        return once(lambda session: _accept(session, body, password_hash, own))
    except IntegrityError:
        if not (
            taken := service().db.read(lambda session: accounts.find_taken(session, login=body.id, email=body.email))
        ):
            raise
        raise Problem("taken", errors=taken) from None


def _check(body: Signup) -> None:
    catalog, own = service().catalog, service().settings.service_accounts
    problems = validation.person_problems(
        login=body.id, email=body.email, name=body.name, password=body.password, catalog=catalog, own=own
    )
    domains = service().settings.signup_email_domains
    if domains and body.email.lower().rpartition("@")[2] not in domains:
        message = f"Use an e-mail address of one of these domains: {', '.join(domains)}."
        problems.append(FieldError(field="email", code="domain_not_allowed", message=message))
    team = catalog.teams.get(body.team)
    open_teams = [team.id for team in catalog.teams.values() if team.self_join]
    if team is None:
        message = f"This team does not exist. {_choice(open_teams)}"
        problems.append(FieldError(field="team", code="unknown", message=message))
    if problems:
        raise Problem("invalid_fields", errors=problems)
    if team is not None and not team.self_join and body.invite is None:
        message = f"This team needs an invitation code, sent as `invite`. {_choice(open_teams)}"
        raise Problem("team_not_open", errors=[FieldError(field="team", code="not_open", message=message)])


def _choice(open_teams: list[str]) -> str:
    if not open_teams:
        return "Ask an administrator for an invitation: no team is open to everyone."
    return f"Choose one of: {', '.join(open_teams)}."


def _accept(session: Session, body: Signup, password_hash: str, own: list[str]) -> Answer:
    state = signup_reviews.first_state(service().settings)
    job = _write(session, body, password_hash, own, state)
    return accepted(job, lanes=None if state is None else [])


def _write(session: Session, body: Signup, password_hash: str, own: list[str], review: ReviewState | None) -> Job:
    now, config = service().db.now(), service().settings
    names = {"login": body.id, "email": body.email.lower()}
    user = stale_signups.find_returning(session, **names, of=own) if own else None
    if user is None:
        stale_signups.release_names(session, **names, of=own)
        user = User(id=new_id(), **names, created_at=now)
    user.name, user.password_hash, user.team_id = body.name, password_hash, body.team
    invite = invites.find(session, body.invite, team_id=body.team, now=now) if body.invite is not None else None
    user.invite_id = invite.id if invite else None
    session.add(user)
    session.flush()  # the job refers to it
    if review is None:
        job = person_jobs.accept(session, SIGNUP, user, password=body.password)
    else:
        pending, until = signup_reviews.PENDING[review], signup_reviews.ends_at(review, config, now)
        job = person_jobs.accept(session, SIGNUP, user, password=body.password, pending=pending, until=until)
        signup_reviews.begin(session, job, review, now=now, ends_at=until)
    session.flush()
    after = {"team": body.team, "invite_id": user.invite_id}
    audit.record(session, ActionKind.USER_SIGN_UP, user, by=user, job=job, after=after)
    if invite is not None:
        invites.redeem(session, invite, now=now)
    return job

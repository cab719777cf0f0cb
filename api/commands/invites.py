"""Commands for invitations: `flask --app api invites create, list, revoke`."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access import audit
from api.commands import options
from api.commands.base import Group, Refusal, as_json, print_note, print_result
from api.commands.options import DurationType, at_most, hint_at_more
from api.commands.text import columns, format_time, number
from api.contract import validation
from api.service import service
from api.views import invites as invitations
from common.audit import ActionKind
from common.database.models import Invite, User

MOST_USES = 1_000


@click.group(cls=Group)
def invites() -> None:
    """Invitation codes for teams that are not open to everyone.

    To join a team without `self_join = true` in the catalog, a person signs up with such a code: slipway signup …
    --team TEAM --invite.
    """


@invites.command("create")
@click.option("--team", required=True, help="The team to join.")
@click.option(
    "--uses", type=click.IntRange(1, MOST_USES), default=1, show_default=True, help="Number of people who may use it."
)
@click.option(
    "--expires", type=DurationType(), default="7d", show_default=True, help="How long it is valid, such as 12h or 7d."
)
@as_json
def create(*, team: str, uses: int, expires: timedelta, is_json: bool) -> None:
    """Create a code and show it. It cannot be shown again, because only its hash is stored.

    An accepted sign-up uses the code. If the sign-up fails because somebody else has the login on an upstream, that
    use is returned when the person signs up again.
    """
    now = service().db.now()
    team = options.known_team(team)
    if service().catalog.teams[team].self_join:
        print_note(f"The team {team} is open to everyone: no code is needed to join it.")

    def work(session: Session) -> tuple[Invite, str]:
        created = invitations.create(session, team_id=team, uses=uses, now=now, expires_at=now + expires)
        after = {"uses": uses, "expires_at": (now + expires).isoformat()}
        audit.record(session, ActionKind.INVITE_CREATE, created[0], after=after)
        return created

    invite, code = service().db.transaction(work)
    text = (
        f"{code}\n\nValid for {number(uses, 'person', 'people')} until {format_time(invite.expires_at)}. To revoke it: "
    )
    print_result(is_json, {**_document(invite, []), "code": code}, f"{text}flask --app api invites revoke {invite.id}")


@invites.command("list")
@click.option("--team", help="Only invitations to this team.")
@click.option("--all", "is_all", is_flag=True, help="Include used, expired and revoked invitations.")
@at_most(1000)
@as_json
def list_all(*, team: str | None, is_all: bool, limit: int, is_json: bool) -> None:
    """List the invitations, oldest first, and who used them. The codes are not stored and cannot be shown."""
    good = [] if is_all else [Invite.expires_at > service().db.now(), Invite.used < Invite.uses]
    if team is not None:
        good.append(Invite.team_id == options.known_team(team))

    def work(session: Session) -> list[tuple[Invite, list[str]]]:
        found = session.scalars(select(Invite).where(*good).order_by(Invite.id).limit(limit)).all()
        logins: dict[str | None, list[str]] = defaultdict(list)
        for invite_id, login in session.execute(
            select(User.invite_id, User.login).where(User.invite_id.in_([each.id for each in found])).order_by(User.id)
        ):
            logins[invite_id].append(login)
        return [(each, logins[each.id]) for each in found]

    found = service().db.read(work)
    rows = [
        (
            each.id,
            each.team_id,
            f"{each.used} of {each.uses} used",
            f"until {format_time(each.expires_at)}",
            ", ".join(logins),
        )
        for each, logins in found
    ]
    print_result(is_json, [_document(*each) for each in found], columns(rows, nothing="There are no invitations."))
    hint_at_more(found, limit)


@invites.command("revoke")
@click.argument("invite_id", metavar="ID")
@as_json
def revoke(invite_id: str, is_json: bool) -> None:
    """Revoke an invitation. People who have used it keep their accounts. ID is shown by `invites list`."""

    def work(session: Session) -> Invite:
        found = session.get(Invite, invite_id, with_for_update=True) if validation.ID.fullmatch(invite_id) else None
        if found is None:
            raise Refusal("There is no invitation with this ID. To list them: flask --app api invites list --all")
        audit.record(session, ActionKind.INVITE_REVOKE, found, before={"expires_at": found.expires_at.isoformat()})
        found.expires_at = min(found.expires_at, service().db.now())
        return found

    invite = service().db.transaction(work)
    print_result(
        is_json,
        _document(invite, []),
        f"The invitation to {invite.team_id} is revoked. It was used {number(invite.used, 'time')}.",
    )


def _document(invite: Invite, logins: list[str]) -> dict[str, object]:
    return {
        "id": invite.id,
        "team": invite.team_id,
        "uses": invite.uses,
        "used": invite.used,
        "used_by": logins,
        "created_at": format_time(invite.created_at),
        "expires_at": format_time(invite.expires_at),
    }

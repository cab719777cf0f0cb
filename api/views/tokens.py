"""API tokens: list, create and revoke those of the current user."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Annotated, Any

from flask import Blueprint
from pydantic import Field, StrictInt
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api import credentials
from api.access import audit, auth
from api.contract.endpoint import Answer, JsonInteger, Policy, RequestBody, ResponseBody
from api.contract.problems import FieldError, Problem
from api.contract.scopes import Scope
from api.contract.validation import ID
from api.service import service
from api.serving.idempotency import once
from api.serving.routing import route
from common.audit import ActionKind
from common.database.ids import new_id
from common.database.models import ApiToken

blueprint = Blueprint("tokens", __name__)

TOKENS_AT_MOST = 20  # of one person
DAYS, DAYS_AT_MOST = 90, 365


class NewToken(RequestBody):
    """A new API token. `scope` says what it may do: see the scopes."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?$")]
    scope: Scope
    expires_in_days: Annotated[StrictInt, Field(ge=1, le=DAYS_AT_MOST), JsonInteger] = DAYS


class TokenShown(ResponseBody):
    """An API token of yours, without its value. `last_used_at` is correct to the minute; null: it was never used."""

    token_id: str
    name: str
    scope: Scope
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class TokenCreated(TokenShown):
    """The new API token. `token` is shown here only: store it safely."""

    token: str


class Tokens(ResponseBody):
    """Your API tokens, the newest first."""

    tokens: list[TokenShown]


@route(blueprint, "GET", "/me/tokens", policy=Policy.MEMBER, answers={200: Tokens})
def list_tokens() -> Answer:
    """List your API tokens, newest first.

    Expired tokens are deleted.
    """
    is_mine = (ApiToken.user_id == auth.require_user().id, ApiToken.expires_at > service().db.now())
    statement = select(ApiToken).where(*is_mine).order_by(ApiToken.id.desc()).limit(TOKENS_AT_MOST)
    rows = service().db.read(lambda session: session.scalars(statement).all())
    return Answer(body=Tokens(tokens=[TokenShown(**_fields(row)) for row in rows]))


@route(
    blueprint,
    "POST",
    "/me/tokens",
    policy=Policy.MEMBER,
    takes=NewToken,
    answers={201: TokenCreated},
    raises=("taken", "too_many_tokens"),
)
def create_token(body: NewToken) -> Answer:
    """Create an API token for automation.

    Send it as `Authorization: Bearer`. It acts for you within your team, as far as its scope reaches, until it expires,
    is revoked, or you leave. It never has the rights of an administrator. A person may have 20 tokens.
    """
    user_id, token = auth.require_user().id, credentials.API_TOKEN_PREFIX + credentials.new_token()
    for _ in range(TOKENS_AT_MOST):
        try:
            return once(lambda session: _create(session, user_id, body, token))
        except IntegrityError:
            continue  # another request has taken the name or the number meanwhile
    raise Problem("unavailable", "Several tokens are being created at the same time. Try again.")


@route(blueprint, "DELETE", "/me/tokens/<token_id>", policy=Policy.MEMBER, answers={204: None})
def revoke_token(token_id: str) -> Answer:
    """Revoke one of your API tokens.

    It becomes invalid at once.
    """
    user_id = auth.require_user().id

    def work(session: Session) -> Answer:
        row = session.get(ApiToken, token_id) if ID.fullmatch(token_id) else None
        if row is None or row.user_id != user_id:
            raise Problem("not_found")
        session.delete(row)
        audit.record(session, ActionKind.TOKEN_REVOKE, row, before={"scope": row.scope})
        return Answer(status=204)

    return once(work)


def _create(session: Session, user_id: str, body: NewToken, token: str) -> Answer:
    now = service().db.now()
    session.execute(delete(ApiToken).where(ApiToken.user_id == user_id, ApiToken.expires_at <= now))
    mine = session.execute(select(ApiToken.number, ApiToken.name).where(ApiToken.user_id == user_id)).all()
    if any(row.name == body.name for row in mine):
        message = "You have a token of this name. Choose another name, or revoke that one."
        raise Problem("taken", errors=[FieldError(field="name", code="taken", message=message)])
    row = ApiToken(
        id=new_id(),
        user_id=user_id,
        number=_free_number({row.number for row in mine}),
        name=body.name,
        scope=body.scope,
        token_hash=credentials.hash_of(token),
        created_at=now,
        expires_at=now + timedelta(days=body.expires_in_days),
    )
    session.add(row)
    session.flush()
    after = {"scope": row.scope, "expires_at": row.expires_at.isoformat()}
    audit.record(session, ActionKind.TOKEN_CREATE, row, after=after)
    created = TokenCreated(**_fields(row), token=token)
    return Answer(body=created, status=201, credential=row.token_hash)


def _free_number(taken: Collection[int]) -> int:
    """Return the lowest number that no token of the person has. Raises Problem `too_many_tokens`."""
    for number in range(1, TOKENS_AT_MOST + 1):
        if number not in taken:
            return number
    raise Problem("too_many_tokens")


def _fields(row: ApiToken) -> dict[str, Any]:
    return {
        "token_id": row.id,
        "name": row.name,
        "scope": Scope(row.scope),
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "last_used_at": row.last_used_at,
    }

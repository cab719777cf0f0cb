"""How is a request that is sent again told from a new one?  By its `Idempotency-Key`: it gets the first one's answer.

The key is claimed in the very transaction that does the work, so there is no moment at which the one exists without
the other, and of many at once one does the work while the others wait for its answer. Only what was accepted is kept;
a refusal is judged anew. The answer is sealed: it may hold a log-in's token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from flask import Response, g, request
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.access import auth, rate_limits
from api.contract.endpoint import JSON, Answer, Endpoint, Policy, RequestBody
from api.contract.problems import FieldError, Problem
from api.service import service
from common.database.models import IdempotencyRecord
from common.vault import rotation
from common.vault.cipher import CannotOpenError

HEADER, MARK = "Idempotency-Key", "Idempotency-Replayed"
KEY = re.compile(r'[A-Za-z0-9._:-]{8,128}|"[A-Za-z0-9._:-]{8,128}"')  # quoted: a string as RFC 8941 writes it
LIVES = timedelta(hours=24)
ANYONE = "anyone"


class Replayed(Exception):
    """Ends a request that was made before; `response` is what it got then."""

    def __init__(self, response: Response) -> None:
        super().__init__("the request was made before")
        self.response = response


class TakenError(Exception):
    """Another request has the key: it has been answered, or is being answered right now."""


@dataclass(frozen=True, kw_only=True)
class IdempotentRequest:
    """A request that can be told again. `told` is all of it but the password."""

    owner: str
    key: str
    told: str
    password: str | None

    @property
    def digest(self) -> str:
        return sha256(self.told.encode()).hexdigest()


def begin(call: Endpoint, body: RequestBody | None) -> None:
    """Remember the key of this request, if it has one. Raises Repeated, or Problem `key_reused`, `invalid_fields`."""
    g.repeatable = None
    given = request.headers.get(HEADER)
    if given is None or not call.is_repeatable:
        return
    if not KEY.fullmatch(given):
        message = "Use 8 to 128 letters, digits and . _ : - of your own making, a UUID say."
        raise Problem("invalid_fields", errors=[FieldError(field=HEADER, code="invalid", message=message)])
    repeatable = IdempotentRequest(
        owner=_owner(call), key=given.strip('"'), told=_told(body), password=getattr(body, "password", None)
    )
    _answer_if_repeated(repeatable)
    g.repeatable = repeatable


def once(work: Callable[[Session], Answer]) -> Answer:
    """Run a view's work in one transaction, and keep its answer with it when the request has a key. Raises Repeated."""
    db, repeatable = service().db, g.repeatable
    if repeatable is None:
        return db.transaction(work)
    passwords = service().passwords
    password_hash = passwords.hash(repeatable.password) if repeatable.password is not None else None

    def keep(session: Session) -> Answer:
        kept = _claim(session, repeatable, password_hash)
        answer = work(session)
        _seal(kept, answer, repeatable)
        return answer

    try:
        return db.transaction(keep)
    except TakenError:
        _answer_if_repeated(repeatable)
        raise Problem("unavailable", "The same request is at work right now.") from None


def _owner(call: Endpoint) -> str:
    user = None if call.policy is Policy.PUBLIC else auth.find_user()
    return user.id if user else ANYONE


def _told(body: RequestBody | None) -> str:
    content = body.model_dump(mode="json", exclude={"password"}) if body is not None else None
    return json.dumps([request.method, request.path, sorted(request.args.items()), content], sort_keys=True)


def _answer_if_repeated(repeatable: IdempotentRequest) -> None:
    """Raises Repeated, or Problem `key_reused`; returns when the key is new or its time is over."""
    kept = service().db.read(lambda session: session.get(IdempotencyRecord, (repeatable.owner, repeatable.key)))
    if kept is None or kept.expires_at <= service().db.now():
        return
    told = _opened(kept)
    if not _is_same(kept, told, repeatable):
        raise Problem("key_reused")
    response = Response(told["body"], told["status"], told["headers"])
    response.mimetype = JSON
    response.headers[MARK] = "true"
    if not told["body"]:
        del response.headers["Content-Type"]
    raise Replayed(response)


def _opened(kept: IdempotencyRecord) -> dict[str, Any]:
    """Return what `_seal` put in. Raises Problem `key_reused`."""
    owner, purpose = rotation.bound_to(kept)
    try:
        told: dict[str, Any] = json.loads(service().vault.open(kept.key_id, kept.sealed, job_id=owner, purpose=purpose))
    except CannotOpenError:
        raise Problem(
            "key_reused", "The answer kept under this key can no longer be read: look at what is there."
        ) from None
    return told


def _is_same(kept: IdempotencyRecord, told: dict[str, Any], repeatable: IdempotentRequest) -> bool:
    if "request" in told:
        is_same = told["request"] == repeatable.digest
    else:  # kept by the version before, which knows fingerprints only; both may run side by side
        is_same = service().vault.fingerprint(repeatable.told, key_id=kept.key_id) == kept.fingerprint
    if not is_same or (kept.password_hash is None) != (repeatable.password is None):
        return False
    if repeatable.password is None:
        return True
    with rate_limits.password_try(f"{kept.owner} {kept.key}"):  # who knows a key must not try passwords at its answer
        if not service().passwords.is_right(repeatable.password, kept.password_hash):
            raise Problem("key_reused")
    return True


def _claim(session: Session, repeatable: IdempotentRequest, password_hash: str | None) -> IdempotencyRecord:
    vault, now = service().vault, service().db.now()
    is_ours = (IdempotencyRecord.owner == repeatable.owner, IdempotencyRecord.key == repeatable.key)
    session.execute(delete(IdempotencyRecord).where(*is_ours, IdempotencyRecord.expires_at <= now))
    kept = IdempotencyRecord(
        owner=repeatable.owner,
        key=repeatable.key,
        password_hash=password_hash,
        fingerprint=vault.fingerprint(repeatable.told),
        key_id=vault.sealing_key_id,
        sealed=b"",
        expires_at=now + LIVES,
    )
    session.add(kept)
    try:
        session.flush()
    except IntegrityError:
        raise TakenError from None
    return kept


def _seal(kept: IdempotencyRecord, answer: Answer, repeatable: IdempotentRequest) -> None:
    """Seal the answer with the digest of what it answers: so the row needs no key but the one that seals it."""
    body = answer.body.model_dump_json() if answer.body is not None else ""
    told = {"request": repeatable.digest, "status": answer.status, "headers": dict(answer.headers), "body": body}
    owner, purpose = rotation.bound_to(kept)
    kept.key_id, kept.sealed = service().vault.seal(json.dumps(told), job_id=owner, purpose=purpose)

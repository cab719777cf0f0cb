"""How is a request that is sent again told from a new one?  By its `Idempotency-Key`: it gets the first one's answer.

The key is claimed in the very transaction that does the work, so there is no moment at which the one exists without
the other, and of many at once one does the work while the others wait for its answer. Only what was accepted is record;
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

HEADER, REPLAYED_HEADER = "Idempotency-Key", "Idempotency-Replayed"
KEY = re.compile(r'[A-Za-z0-9._:-]{8,128}|"[A-Za-z0-9._:-]{8,128}"')  # quoted: a string as RFC 8941 writes it
LIFETIME = timedelta(hours=24)
ANONYMOUS = "anyone"


class Replayed(Exception):
    """Ends a request that was made before; `response` is what it got then."""

    def __init__(self, response: Response) -> None:
        super().__init__("the request was made before")
        self.response = response


class KeyInUseError(Exception):
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
    g.idempotent_request = None
    key = request.headers.get(HEADER)
    if key is None or not call.takes_idempotency_key:
        return
    if not KEY.fullmatch(key):
        message = "Use 8 to 128 letters, digits and . _ : - of your own making, a UUID say."
        raise Problem("invalid_fields", errors=[FieldError(field=HEADER, code="invalid", message=message)])
    idempotent = IdempotentRequest(
        owner=_owner(call), key=key.strip('"'), told=_content_of(body), password=getattr(body, "password", None)
    )
    _replay_if_known(idempotent)
    g.idempotent_request = idempotent


def once(work: Callable[[Session], Answer]) -> Answer:
    """Run a view's work in one transaction, and keep its answer with it when the request has a key. Raises Repeated."""
    db, idempotent = service().db, g.idempotent_request
    if idempotent is None:
        return db.transaction(work)
    passwords = service().passwords
    password_hash = passwords.hash(idempotent.password) if idempotent.password is not None else None

    def keep(session: Session) -> Answer:
        record = _claim(session, idempotent, password_hash)
        answer = work(session)
        _seal(record, answer, idempotent)
        return answer

    try:
        return db.transaction(keep)
    except KeyInUseError:
        _replay_if_known(idempotent)
        raise Problem("unavailable", "The same request is at work right now.") from None


def _owner(call: Endpoint) -> str:
    user = None if call.policy is Policy.PUBLIC else auth.find_user()
    return user.id if user else ANONYMOUS


def _content_of(body: RequestBody | None) -> str:
    content = body.model_dump(mode="json", exclude={"password"}) if body is not None else None
    return json.dumps([request.method, request.path, sorted(request.args.items()), content], sort_keys=True)


def _replay_if_known(idempotent: IdempotentRequest) -> None:
    """Raises Repeated, or Problem `key_reused`; returns when the key is new or its time is over."""
    record = service().db.read(lambda session: session.get(IdempotencyRecord, (idempotent.owner, idempotent.key)))
    if record is None or record.expires_at <= service().db.now():
        return
    told = _open(record)
    if not _is_same(record, told, idempotent):
        raise Problem("key_reused")
    response = Response(told["body"], told["status"], told["headers"])
    response.mimetype = JSON
    response.headers[REPLAYED_HEADER] = "true"
    if not told["body"]:
        del response.headers["Content-Type"]
    raise Replayed(response)


def _open(record: IdempotencyRecord) -> dict[str, Any]:
    """Return what `_seal` put in. Raises Problem `key_reused`."""
    owner, purpose = rotation.bound_to(record)
    try:
        told: dict[str, Any] = json.loads(
            service().vault.open(record.key_id, record.sealed, job_id=owner, purpose=purpose)
        )
    except CannotOpenError:
        raise Problem(
            "key_reused", "The answer record under this key can no longer be read: look at what is there."
        ) from None
    return told


def _is_same(record: IdempotencyRecord, told: dict[str, Any], idempotent: IdempotentRequest) -> bool:
    if "request" in told:
        is_same = told["request"] == idempotent.digest
    else:  # record by the version before, which knows fingerprints only; both may run side by side
        is_same = service().vault.fingerprint(idempotent.told, key_id=record.key_id) == record.fingerprint
    if not is_same or (record.password_hash is None) != (idempotent.password is None):
        return False
    if idempotent.password is None:
        return True
    with rate_limits.limit_password_attempts(
        f"{record.owner} {record.key}"
    ):  # who knows a key must not try passwords at its answer
        if not service().passwords.is_right(idempotent.password, record.password_hash):
            raise Problem("key_reused")
    return True


def _claim(session: Session, idempotent: IdempotentRequest, password_hash: str | None) -> IdempotencyRecord:
    vault, now = service().vault, service().db.now()
    is_ours = (IdempotencyRecord.owner == idempotent.owner, IdempotencyRecord.key == idempotent.key)
    session.execute(delete(IdempotencyRecord).where(*is_ours, IdempotencyRecord.expires_at <= now))
    record = IdempotencyRecord(
        owner=idempotent.owner,
        key=idempotent.key,
        password_hash=password_hash,
        fingerprint=vault.fingerprint(idempotent.told),
        key_id=vault.sealing_key_id,
        sealed=b"",
        expires_at=now + LIFETIME,
    )
    session.add(record)
    try:
        session.flush()
    except IntegrityError:
        raise KeyInUseError from None
    return record


def _seal(record: IdempotencyRecord, answer: Answer, idempotent: IdempotentRequest) -> None:
    """Seal the answer with the digest of what it answers: so the row needs no key but the one that seals it."""
    body = answer.body.model_dump_json() if answer.body is not None else ""
    told = {"request": idempotent.digest, "status": answer.status, "headers": dict(answer.headers), "body": body}
    owner, purpose = rotation.bound_to(record)
    record.key_id, record.sealed = service().vault.seal(json.dumps(told), job_id=owner, purpose=purpose)

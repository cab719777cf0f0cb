"""Idempotency keys: a request that is repeated with the same `Idempotency-Key` gets the response of the first one.

The key is claimed in the transaction that does the work, so neither can exist without the other. Of several concurrent
requests, one does the work and the others wait for its response. Only successful responses are stored; a refused
request is evaluated again. The stored response is sealed, because it may contain a session token. Once that session is
over, the response is worth nothing, and the request is evaluated again, too.
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

from api import credentials
from api.access import audit, auth, rate_limits
from api.contract.endpoint import JSON, Answer, Endpoint, Policy, RequestBody
from api.contract.problems import FieldError, Problem
from api.service import service
from common.database.models import IdempotencyRecord
from common.vault import rotation
from common.vault.cipher import CannotOpenError

HEADER, REPLAYED_HEADER = "Idempotency-Key", "Idempotency-Replayed"
KEY = re.compile(r'[A-Za-z0-9._:-]{8,128}|"[A-Za-z0-9._:-]{8,128}"')  # the quoted form is a string of RFC 8941
LIFETIME = timedelta(hours=24)
ANONYMOUS = "anyone"
SECRET_FIELDS = ("password", "new_password", "reset_code")  # of bodies


class Replayed(Exception):
    """Ends a repeated request; `response` is the response of the first one."""

    def __init__(self, response: Response) -> None:
        super().__init__("the response of the first request is replayed")
        self.response = response


class KeyInUseError(Exception):
    """Another request has claimed the key; it is complete or still running."""


@dataclass(frozen=True, kw_only=True)
class IdempotentRequest:
    """A request with an idempotency key. `content` is all of the request except what is secret: `password`."""

    owner: str
    key: str
    content: str
    password: str | None

    @property
    def digest(self) -> str:
        return sha256(self.content.encode()).hexdigest()


def begin(call: Endpoint, body: RequestBody | None) -> None:
    """Register the key of this request, if it has one. Raises Replayed, or Problem `key_reused`, `invalid_fields`."""
    g.idempotent_request = None
    key = request.headers.get(HEADER)
    if key is None or not call.takes_idempotency_key:
        return
    if not KEY.fullmatch(key):
        message = "Use a key of 8 to 128 characters: letters, digits and . _ : - (for example, a UUID)."
        raise Problem("invalid_fields", errors=[FieldError(field=HEADER, code="invalid", message=message)])
    idempotent = IdempotentRequest(
        owner=_owner(call), key=key.strip('"'), content=_content_of(body), password=_password_of(body)
    )
    _replay_if_known(idempotent)
    g.idempotent_request = idempotent


def once(work: Callable[[Session], Answer]) -> Answer:
    """Run a view's work in one transaction, and store its answer there if the request has a key. Raises Replayed.

    The work records its act for the audit: without that, it is undone.
    """
    db, idempotent = service().db, g.idempotent_request

    def act(session: Session) -> Answer:
        answer = work(session)
        audit.require_recorded()
        return answer

    if idempotent is None:
        return db.transaction(act)
    passwords = service().passwords
    password_hash = passwords.hash(idempotent.password) if idempotent.password is not None else None

    def keep(session: Session) -> Answer:
        record = _claim(session, idempotent, password_hash)
        answer = act(session)
        _seal(record, answer, idempotent)
        return answer

    try:
        return db.transaction(keep)
    except KeyInUseError:
        _replay_if_known(idempotent)
        raise Problem("unavailable", "The first request with this Idempotency-Key is still running.") from None


def _owner(call: Endpoint) -> str:
    user = None if call.policy is Policy.PUBLIC else auth.find_user()
    return user.id if user else ANONYMOUS


def _content_of(body: RequestBody | None) -> str:
    content = body.model_dump(mode="json", exclude=set(SECRET_FIELDS)) if body is not None else None
    return json.dumps([request.method, request.path, sorted(request.args.items()), content], sort_keys=True)


def _password_of(body: RequestBody | None) -> str | None:
    """Return what is secret in the body, None when nothing is."""
    secrets = [secret for field in SECRET_FIELDS if (secret := getattr(body, field, None)) is not None]
    return "\n".join(secrets) if secrets else None


def _replay_if_known(idempotent: IdempotentRequest) -> None:
    """Raises Replayed, or Problem `key_reused`; returns if the key is new or has expired, or its answer is void."""
    record = service().db.read(lambda session: session.get(IdempotencyRecord, (idempotent.owner, idempotent.key)))
    if record is None or record.expires_at <= service().db.now():
        return
    stored = _open(record)
    if not _is_same(record, stored, idempotent):
        raise Problem("key_reused")
    if _is_void(stored):
        _forget(record)
        return
    response = Response(stored["body"], stored["status"], stored["headers"])
    response.mimetype = JSON
    response.headers[REPLAYED_HEADER] = "true"
    if not stored["body"]:
        del response.headers["Content-Type"]
    raise Replayed(response)


def _open(record: IdempotencyRecord) -> dict[str, Any]:
    """Return what `_seal` stored. Raises Problem `key_reused`."""
    owner, purpose = rotation.bound_to(record)
    try:
        stored: dict[str, Any] = json.loads(
            service().vault.open(record.key_id, record.sealed, job_id=owner, purpose=purpose)
        )
    except CannotOpenError:
        raise Problem(
            "key_reused",
            "The response stored under this key can no longer be decrypted. Check whether the first request succeeded.",
        ) from None
    return stored


def _is_void(stored: dict[str, Any]) -> bool:
    """Say whether the response contains a token that has become invalid."""
    token_hash, db = stored.get("credential"), service().db
    if token_hash is None:
        return False
    return not db.read(lambda session: credentials.find_valid(session, [token_hash], db.now()))


def _forget(record: IdempotencyRecord) -> None:
    """Delete the record, unless it is another one by now."""
    is_it = (IdempotencyRecord.owner == record.owner, IdempotencyRecord.key == record.key)
    service().db.execute(delete(IdempotencyRecord).where(*is_it, IdempotencyRecord.sealed == record.sealed))


def _is_same(record: IdempotencyRecord, stored: dict[str, Any], idempotent: IdempotentRequest) -> bool:
    if "request" in stored:
        is_same = stored["request"] == idempotent.digest
    else:  # stored by the previous version, which knows fingerprints only; both versions may run at the same time
        is_same = service().vault.fingerprint(idempotent.content, key_id=record.key_id) == record.fingerprint
    if not is_same or (record.password_hash is None) != (idempotent.password is None):
        return False
    if idempotent.password is None:
        return True
    # Knowing a key must not be a way to guess passwords, nor to cause hashes without limit.
    rate_limits.limit_replays(f"{record.owner} {record.key}")
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
        fingerprint=vault.fingerprint(idempotent.content),
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
    """Seal the answer together with the request's digest, so that one key is enough to read and verify the row."""
    body = answer.body.model_dump_json() if answer.body is not None else ""
    stored = {"request": idempotent.digest, "status": answer.status, "headers": dict(answer.headers), "body": body}
    if answer.credential is not None:
        stored["credential"] = answer.credential
    owner, purpose = rotation.bound_to(record)
    record.key_id, record.sealed = service().vault.seal(json.dumps(stored), job_id=owner, purpose=purpose)

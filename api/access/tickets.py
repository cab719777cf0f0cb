"""Tickets: the right to follow one job by an event stream, for a minute, where a browser cannot send the token.

A ticket is sealed and holds the hash of the session or API token that it stands for: it is over with that, and so is
the stream. Nothing is stored.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta

from api.contract.problems import Problem
from api.service import service
from common.vault.cipher import CannotOpenError

PURPOSE = "stream ticket"
LIVES = timedelta(seconds=60)
KEY_ID_CHARACTERS = 16


def create(job_id: str, token_hash: str) -> tuple[str, datetime]:
    """Return a ticket for the events of a job, and when it expires."""
    expires_at = service().db.now() + LIVES
    plain = json.dumps({"token_hash": token_hash, "expires_at": expires_at.timestamp()})
    key_id, sealed = service().vault.seal(plain, job_id=job_id, purpose=PURPOSE)
    return urlsafe_b64encode(key_id.encode() + sealed).decode().rstrip("="), expires_at


def token_hash(ticket: str, job_id: str) -> str:
    """Return the hash of the token that a ticket for this job stands for. Raises Problem `not_logged_in`."""
    try:
        packed = urlsafe_b64decode(ticket + "=" * (-len(ticket) % 4))
        key_id, sealed = packed[:KEY_ID_CHARACTERS].decode(), packed[KEY_ID_CHARACTERS:]
        held = json.loads(service().vault.open(key_id, sealed, job_id=job_id, purpose=PURPOSE))
    except (CannotOpenError, ValueError):
        held = {"expires_at": 0.0}
    if held["expires_at"] <= service().db.now().timestamp():
        raise Problem("not_logged_in", "The ticket has expired, or is of another job. Get a new one.")
    return str(held["token_hash"])

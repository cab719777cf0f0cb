"""Replies of Argo CD whose meaning does not follow from the status alone.

The body is `{"error", "code", "message"}`; `code` is gRPC's and decides before the status.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import ActionBy, NotYet, Permanent, StepError, Transient
from worker.upstreams.error_text import cleaned
from worker.upstreams.http import Http, Reply, unexpected

_UNKNOWN, _INVALID, _NOT_FOUND, _UNMET = 2, 3, 5, 9
BUSY_POLL_S = 5.0
_SYNC_WINDOW_POLL_S = 60.0
_GIT_REFUSES = ("authentication required", "authorization failed", "repository not found", "x509")
_GIT_UNREACHABLE = ("i/o timeout", "connection refused", "no such host", "context deadline exceeded")
_BUSY = ("another operation is already in progress", "is deleting")


@dataclass(frozen=True, kw_only=True)
class _Failure:
    code: int = 0
    message: str = ""


def refusal(http: Http, reply: Reply, doing: str, *, secrets: tuple[str, ...] = ()) -> StepError:
    """Return the error for a reply that is not a 200. `doing` completes "while …".

    | reply | means |
    | --- | --- |
    | 500 code 2, about git | its text decides: credentials are permanent, the rest may pass |
    | 400 code 3 | the description is invalid, or git failed while it was checked: its text decides |
    | 400 code 9 "in progress", "deleting" | busy, not yet |
    | 400 code 9, about git | as with code 3: the revision was looked up |
    | 403 bare | absent or forbidden: Argo CD does not say which |
    | 403 "sync window" | not now |
    | 409 | somebody else wrote at the same time, try again |
    | 307 | ARGO_URL says http where the server wants https |
    | 415 | not one of our calls: a proxy in between changed the content type |

    Everything else is the common table's.
    """
    failure = _read(reply)
    reason = cleaned(failure.message, secrets=secrets)
    means = _meaning(reply.status, failure, doing, reason)
    if means is None:
        return unexpected(http, reply, doing, secrets=secrets)
    means.upstream = http.name
    return means


def is_different_spec(reply: Reply) -> bool:
    """Say whether it was refused because it exists and differs: "exists" is not a 409 here."""
    failure = _read(reply)
    return reply.status == 400 and failure.code == _INVALID and " spec is different" in failure.message


def is_not_found(reply: Reply) -> bool:
    """Say whether Argo CD itself reports that it is absent: a 404 of the router or of a proxy proves nothing."""
    return reply.status == 404 and _read(reply).code == _NOT_FOUND


def is_idle(reply: Reply) -> bool:
    """Say whether there was no operation to stop."""
    failure = _read(reply)
    return reply.status == 400 and failure.code == _INVALID and "No operation is in progress" in failure.message


def _read(reply: Reply) -> _Failure:
    try:
        return reply.read_as(_Failure)
    except Transient:  # a proxy's page, or plain text from the router
        return _Failure()


def _meaning(status: int, failure: _Failure, doing: str, reason: str) -> StepError | None:
    text = failure.message.lower()
    if status == 403:
        return _forbidden(text, doing)
    if status == 409:
        return Transient(f"Argo CD saw another change while {doing}")
    if status in (307, 415):
        return Permanent(f"Argo CD refuses {status} while {doing}: check ARGO_URL and the proxies in between")
    if failure.code == _UNMET and any(words in text for words in _BUSY):
        return NotYet(f"Argo CD is busy while {doing}: {reason}", retry_after_s=BUSY_POLL_S)
    if failure.code in (_UNKNOWN, _INVALID, _UNMET):
        return _about_git(text, doing, reason)
    return None


def _forbidden(text: str, doing: str) -> StepError | None:
    if "sync window" in text:
        return NotYet(f"a sync window is closed while {doing}", retry_after_s=_SYNC_WINDOW_POLL_S)
    if text == "permission denied":
        return Permanent(f"Argo CD hides it while {doing}: it is absent, or our token may not see it")
    return None


def _about_git(text: str, doing: str, reason: str) -> StepError | None:
    if any(words in text for words in _GIT_REFUSES):
        return Permanent(f"git refuses Argo CD while {doing}: {reason}", action_by=ActionBy.OPERATOR)
    if any(words in text for words in _GIT_UNREACHABLE):
        return Transient(f"Argo CD cannot reach git while {doing}: {reason}")
    return None

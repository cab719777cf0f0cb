"""Replies of Argo CD whose meaning does not follow from the status alone.

The body is `{"error", "code", "message"}`; `code` is gRPC's and decides before the status.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import ActionBy, Conflict, NotYet, Permanent, StepError, Transient
from common.plain_text import quoted
from worker.upstreams.argocd.causes import GIT, KUBERNETES, Cause, Failure, read_failure
from worker.upstreams.argocd.denials import BARE, denied, rights_in
from worker.upstreams.error_text import cleaned
from worker.upstreams.http import Http, unexpected
from worker.upstreams.replies import Reply

_UNKNOWN, _INVALID, _NOT_FOUND, _DENIED, _UNMET = 2, 3, 5, 7, 9
BUSY_POLL_S = 5.0
_SYNC_WINDOW_POLL_S = 60.0
_TEXT_DECIDES = frozenset({_UNKNOWN, _INVALID, _UNMET})
_BUSY = ("another operation is already in progress", "is deleting")
SHARED_CHOICES = ("remove the object from the chart, or rename it", "ask the owners of the other application")


@dataclass(frozen=True, kw_only=True)
class _Body:
    code: int = 0
    message: str = ""


def refusal(http: Http, reply: Reply, doing: str, *, secrets: tuple[str, ...] = ()) -> StepError:
    """Return the error for a reply that is not a 200. `doing` completes "while …".

    | reply | means |
    | --- | --- |
    | code 2, 3 or 9, whatever its status | its text decides: `causes` |
    | 400 code 9 "in progress", "deleting" | busy, not yet |
    | 403 | Denied: a right is missing, it is absent, or Kubernetes is away: `standing` finds out which |
    | 500 about its Kubernetes API | Denied, too: it cannot look for what is new |
    | 403 "sync window" | not now |
    | 409 | somebody else wrote at the same time, try again |
    | 307 | ARGO_URL says http where the server wants https |
    | 415 | not one of our calls: a proxy in between changed the content type |

    Everything else is the common table's.
    """
    body = _read(reply)
    means = _denial(reply, body, doing, secrets) or _meaning(reply.status, body, doing, secrets)
    if means is None:
        return unexpected(http, reply, doing, secrets=secrets)
    means.upstream = http.name
    return means


def is_different_spec(reply: Reply) -> bool:
    """Say whether it was refused because it exists and differs: "exists" is not a 409 here."""
    body = _read(reply)
    return reply.status == 400 and body.code == _INVALID and " spec is different" in body.message


def is_not_found(reply: Reply) -> bool:
    """Say whether Argo CD itself reports that it is absent: a 404 of the router or of a proxy proves nothing."""
    return reply.status == 404 and _read(reply).code == _NOT_FOUND


def is_bare_denial(reply: Reply) -> bool:
    """Say whether it is the 403 without a word on what was denied."""
    body = _read(reply)
    return reply.status == 403 and body.code == _DENIED and body.message == BARE


def is_without_kubernetes(reply: Reply) -> bool:
    """Say whether Argo CD reports that it cannot reach its own Kubernetes API."""
    body = _read(reply)
    failure = read_failure(body.message)
    is_away = (failure.cause, failure.place) == (Cause.UNREACHABLE, KUBERNETES)
    return reply.status >= 500 and body.code == _UNKNOWN and is_away


def is_git_refusal(reply: Reply) -> bool:
    """Say whether git refuses Argo CD: the credentials, or what they may read."""
    body = _read(reply)
    failure = read_failure(body.message)
    return body.code in _TEXT_DECIDES and (failure.cause, failure.place) == (Cause.REFUSED, GIT)


def is_idle(reply: Reply) -> bool:
    """Say whether there was no operation to stop."""
    body = _read(reply)
    return reply.status == 400 and body.code == _INVALID and "No operation is in progress" in body.message


def _read(reply: Reply) -> _Body:
    try:
        return reply.read_as(_Body)
    except Transient:  # a proxy's page, or plain text from the router
        return _Body()


def _meaning(status: int, body: _Body, doing: str, secrets: tuple[str, ...]) -> StepError | None:
    text = body.message.lower()
    if status == 403 and "sync window" in text:
        return NotYet(f"a sync window is closed while {doing}", retry_after_s=_SYNC_WINDOW_POLL_S)
    if status == 409:
        return Transient(f"Argo CD saw another change while {doing}")
    if status in (307, 415):
        return Permanent(f"Argo CD refuses {status} while {doing}: check ARGO_URL and the proxies in between")
    if body.code == _UNMET and any(words in text for words in _BUSY):
        return NotYet(
            f"Argo CD is busy while {doing}: {cleaned(body.message, secrets=secrets)}", retry_after_s=BUSY_POLL_S
        )
    if body.code in _TEXT_DECIDES:
        return error_of(read_failure(body.message, secrets=secrets), doing)
    return None


def _denial(reply: Reply, body: _Body, doing: str, secrets: tuple[str, ...]) -> StepError | None:
    says = cleaned(body.message, secrets=secrets)
    if is_without_kubernetes(reply):
        return denied(reply, f"Argo CD cannot reach {KUBERNETES} while {doing}", says=says)
    if reply.status != 403 or body.code != _DENIED or "sync window" in body.message.lower():
        return None
    if body.message == BARE:
        return denied(reply, f"Argo CD hides it while {doing}: it is absent, or our token may not see it", says=says)
    reason = f"Our token lacks a permission on Argo CD while {doing}: {quoted(says)}"
    return denied(reply, reason, says=says, rights=rights_in(body.message))


def error_of(failure: Failure, doing: str) -> StepError | None:
    """Return the error for a text of Argo CD's, None when its cause is not known. `doing` completes "while …"."""
    words = failure.words
    match failure.cause:
        case Cause.CHART:
            reason = f"Argo CD cannot render the chart while {doing}: {words}"
            return Permanent(reason, action_by=ActionBy.USER)
        case Cause.REVISION:
            return Permanent(f"git does not have the revision while {doing}: {words}", action_by=ActionBy.USER)
        case Cause.SHARED:
            reason = f"another application has what the chart describes, while {doing}: {words}"
            return Conflict(reason, choices=SHARED_CHOICES)
        case Cause.PROJECT:
            return Permanent(f"The project on Argo CD does not permit it, while {doing}: {words}")
        case Cause.UNREACHABLE:
            reason = f"Argo CD cannot reach {failure.place} while {doing}: {quoted(words)}"
            return Transient(reason, is_unavailable=failure.is_of_argocd)
        case Cause.REFUSED:
            return Permanent(f"{failure.place} refuses Argo CD while {doing}: {quoted(words)}")
        case _:
            return None

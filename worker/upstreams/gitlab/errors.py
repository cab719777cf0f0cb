"""Replies of GitLab whose meaning does not follow from the status alone."""

from __future__ import annotations

from common.errors import Conflict, StepError, Transient
from worker.upstreams.base import Api
from worker.upstreams.http import Http, Reply, unexpected


def failure(http: Http, reply: Reply, doing: str, *, secrets: tuple[str, ...] = ()) -> StepError:
    """Return the error for a reply that was not expected; `doing` completes "while …"."""
    if is_locked(reply):
        return Transient(f"GitLab holds a lock while {doing}", retry_after_s=1.0, upstream=http.name)
    return unexpected(http, reply, doing, secrets=secrets)


def is_locked(reply: Reply) -> bool:
    """Recognise the one 409 that says nothing about existence. Its text is a literal: it is never translated."""
    return reply.status == 409 and "Resource lock" in reply.text


def not_ours(api: Api, reason: str, *choices: str) -> Conflict:
    """Return the error for something that exists and that we did not make."""
    return api.conflict(reason, *choices, "ask an operator whose it is")

"""Replies of GitLab whose meaning does not follow from the status alone."""

from __future__ import annotations

import re

from common.errors import Conflict, Permanent, StepError, Transient
from common.plain_text import quoted
from worker.upstreams.base import Api
from worker.upstreams.error_text import reason_in
from worker.upstreams.http import Http, unexpected
from worker.upstreams.replies import Reply, refused

PASSING = ("on a read-only instance", "This organization is")
"""What GitLab says, in English always, when it refuses for a while what the account may do."""
_PROJECT_BY_ID = re.compile(r"/api/v4/projects/\d+$")


def failure(http: Http, reply: Reply, doing: str, *, secrets: tuple[str, ...] = ()) -> StepError:
    """Return the error for a reply that was not expected; `doing` completes "while …"."""
    if is_locked(reply):
        return Transient(f"GitLab holds a lock while {doing}", retry_after_s=1.0, upstream=http.name)
    if reply.status in (403, 503) and any(words in reply.text for words in PASSING):
        says = reason_in(reply.body, secrets=secrets)
        return refused(reply, f"GitLab refuses it for now while {doing}: {quoted(says)}", says=says)
    if target := _other_origin(reply):
        return Permanent(f"GitLab redirects to {target}: set GITLAB_URL to its address", upstream=http.name)
    return unexpected(http, reply, doing, secrets=secrets)


def is_locked(reply: Reply) -> bool:
    """Recognise the one 409 that says nothing about existence. Its text is a literal: it is never translated."""
    return reply.status == 409 and "Resource lock" in reply.text


def is_moved(reply: Reply) -> bool:
    """Recognise GitLab's own redirect from a project's former path: it leads to the project's id.

    Anything else that redirects stands in front of GitLab and says nothing about the project: a proxy that leads
    everything to https, or to its log-in page. Source: `find_project!` of GitLab's API.
    """
    target = reply.location.path
    return reply.status == 301 and target != reply.path and _PROJECT_BY_ID.search(target) is not None


def is_switched_off(reply: Reply) -> bool:
    """Recognise what GitLab denies even to administrators: a part of a project that its settings switch off.

    A token without a right is denied with an `error` instead. Source: `authorize!` of GitLab's API, `ProjectPolicy`.
    """
    return reply.status == 403 and '"403 Forbidden"' in reply.text


def is_own_denial(reply: Reply) -> bool:
    """Say whether GitLab denies this one thing: not for a while, and not as a proxy in front of it."""
    is_for_now = any(words in reply.text for words in PASSING)
    return reply.status == 403 and not is_for_now and "<html" not in reply.text[:200].lower()


def _other_origin(reply: Reply) -> str:
    """Return scheme and host of where a redirect leads, "" for any other reply."""
    target = reply.location
    return f"{target.scheme}://{target.netloc}" if 300 <= reply.status < 400 and target.netloc else ""


def not_ours(api: Api, reason: str, *choices: str) -> Conflict:
    """Return the error for something that exists and that we did not make."""
    return api.conflict(reason, *choices, "ask an operator whose it is")

"""Replies of Jenkins whose meaning does not follow from the status alone.

Jenkins gives the reason in headers, in the text of a page, or by the page that a redirect points to.
"""

from __future__ import annotations

import re

from common.errors import ActionBy, Conflict, Permanent, StepError, Transient
from worker.upstreams.base import Api
from worker.upstreams.error_text import cleaned
from worker.upstreams.http import Http, unexpected
from worker.upstreams.replies import Reply, refused

WANTS_CRUMB = "Jenkins wants a crumb: JENKINS_AUTH_TOKEN is not an API token"
REQUIRED_PERMISSION = "X-Required-Permission"
_FORM_ERROR, _END_OF_ERROR = '<div class="error', "</div>"
_FORM_CHARACTERS, _FORM_ERRORS = 256 * 1024, 20  # read of a page; listed
_LOGGING_ID = re.compile(r"Logging ID=([\w-]{1,64})")
_TAKES_XML = ("/createItem", "/config.xml")


def refusal(http: Http, reply: Reply, doing: str, *, secrets: tuple[str, ...] = ()) -> StepError:
    """Return the error for a reply that was not expected. `doing` completes "while …".

    | reply | means |
    | --- | --- |
    | 403 "No valid crumb" | our secret is a password: GETs work and every POST fails |
    | 403 X-Required-Permission | our account lacks it |
    | 400 X-Error | the name is bad or taken; empty: taken by something that our account cannot see |
    | 500 on a job's XML, Jenkins' own page | bad XML or a missing plugin; the log has more under the id that we keep |
    | 503 "getting ready" | Jenkins is starting |

    Everything else is the common table's: a 500 that is not Jenkins' own page comes from what is in front of it.
    """
    if reply.status == 400 and "X-Error" in reply.headers:
        return _declined(http, cleaned(reply.headers["X-Error"], secrets=secrets), doing)
    if reply.status == 403 and (missing := _missing_right(reply)):
        return refused(reply, f"{missing}, while {doing}", says=missing)
    trace = _LOGGING_ID.search(reply.text) if reply.status == 500 else None
    is_its_own = reply.status == 500 and (trace is not None or "X-Jenkins" in reply.headers)
    if is_its_own and reply.method == "POST" and reply.path.endswith(_TAKES_XML):
        hint = f"a plugin may be missing (Logging ID {trace[1]})" if trace else "a plugin may be missing"
        return Permanent(f"Jenkins failed while {doing}: {hint}", action_by=ActionBy.OPERATOR, upstream=http.name)
    if reply.status == 503 and "getting ready" in reply.text:
        return Transient("Jenkins is starting", upstream=http.name, is_unavailable=True)
    return unexpected(http, reply, doing, secrets=secrets)


def location(reply: Reply) -> str:
    """Return the path of a redirect; its host is the one that Jenkins is configured with, which may not be ours."""
    return reply.location.path


def form_errors(reply: Reply, *, secrets: tuple[str, ...]) -> str:
    """Return the messages of a rejected form and nothing else: the page repeats what was sent, with the password."""
    parts = reply.text[:_FORM_CHARACTERS].split(_FORM_ERROR)[1 : 1 + _FORM_ERRORS]
    whole = (part.partition(_END_OF_ERROR)[0] for part in parts if _END_OF_ERROR in part)
    messages = (cleaned(part.partition(">")[2], secrets=secrets) for part in whole)
    return "; ".join(filter(None, dict.fromkeys(messages))) or "Jenkins gives no reason"


def _missing_right(reply: Reply) -> str:
    if "No valid crumb" in reply.text:
        return WANTS_CRUMB
    permission = cleaned(reply.headers.get(REQUIRED_PERMISSION, ""))
    return permission and f"our Jenkins account lacks the permission {permission}"


def _declined(http: Http, why: str, doing: str) -> StepError:
    if why:
        reason = f"Jenkins declined while {doing}: {why}"
        return Permanent(reason, action_by=ActionBy.USER, upstream=http.name)
    return Conflict(
        f"while {doing}: the name is taken by something that our Jenkins account cannot see",
        choices=("choose another name", "ask an operator what holds the name"),
        upstream=http.name,
    )


def unseen(api: Api, what: str) -> Transient:
    """Return the error for something that was accepted and does not show."""
    return api.transient(f"Jenkins accepted {what} but does not show it yet")


def still_there(api: Api, what: str) -> Transient:
    """Return the error for something whose removal was accepted and that still shows."""
    return api.transient(f"Jenkins accepted to remove {what} but still shows it")

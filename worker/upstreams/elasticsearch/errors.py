"""Replies of Elasticsearch whose meaning does not follow from the status alone."""

from __future__ import annotations

from common.errors import Permanent, StepError, Transient
from common.plain_text import quoted
from worker.upstreams.elasticsearch.identity import foreign_answer
from worker.upstreams.error_text import reason_in
from worker.upstreams.http import Http, unexpected
from worker.upstreams.replies import Reply


def failure(http: Http, reply: Reply, doing: str, *, secrets: tuple[str, ...] = ()) -> StepError:
    """Return the error for a reply that was not expected; `doing` completes "while …"."""
    if (foreign := foreign_answer(reply)) is not None:
        return Permanent(foreign, upstream=http.name)
    is_temporary = reply.status == 409 or (reply.status == 403 and "cluster_block_exception" in reply.text)
    if is_temporary:  # a concurrent write, or a cluster that is read-only for now
        why = reason_in(reply.body, secrets=secrets)
        return Transient(f"Elasticsearch stopped us while {doing}: {quoted(why)}", upstream=http.name)
    return unexpected(http, reply, doing, secrets=secrets)

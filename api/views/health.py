"""Is this process alive, and can it take work?  Only the database decides: work can be taken without a broker."""

from __future__ import annotations

from flask import Blueprint

from api.contract.endpoint import Answer, Policy, ResponseBody
from api.service import service
from api.serving.routing import route

blueprint = Blueprint("health", __name__)


class Health(ResponseBody):
    """`broker` is `unreachable` for a while after a message could not be sent; jobs are still accepted."""

    status: str
    broker: str | None = None


@route(blueprint, "GET", "/healthz", policy=Policy.PUBLIC, answers={200: Health}, base="")
def is_alive() -> Answer:
    """Say that the process runs; it looks at nothing else."""
    return Answer(body=Health(status="ok"))


@route(blueprint, "GET", "/readyz", policy=Policy.PUBLIC, answers={200: Health}, raises=("unavailable",), base="")
def is_ready() -> Answer:
    """Say whether work can be taken.

    Not while the database is away or its schema is not this version's; a broker that is away does not matter.
    """
    service().readiness.check()
    is_resting = service().publisher.is_resting
    return Answer(
        body=Health(
            status="degraded" if is_resting else "ok", broker="unreachable" if is_resting else "not known to be away"
        )
    )

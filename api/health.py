"""Is this process alive, and can it take work?  Only the database decides: work can be taken without a broker."""

from __future__ import annotations

from flask import Blueprint

from api.routes import Answer, Policy, Result, route
from api.service import service

blueprint = Blueprint("health", __name__)


class Health(Result):
    """`broker` is `unreachable` for a while after a message could not be sent; jobs are still accepted."""

    status: str
    broker: str | None = None


@route(blueprint, "GET", "/healthz", policy=Policy.PUBLIC, answers={200: Health})
def is_alive() -> Answer:
    """Anyone. 200 while the process runs; looks at nothing else."""
    return Answer(body=Health(status="ok"))


@route(blueprint, "GET", "/readyz", policy=Policy.PUBLIC, answers={200: Health})
def is_ready() -> Answer:
    """Anyone. 200 work can be taken · 503 the database is away or its schema is not this version's."""
    service().readiness.look()
    is_resting = service().publisher.is_resting
    return Answer(
        body=Health(
            status="degraded" if is_resting else "ok", broker="unreachable" if is_resting else "not known to be away"
        )
    )

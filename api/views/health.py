"""Liveness and readiness. Readiness depends on the database alone: jobs are accepted without a broker."""

from __future__ import annotations

from flask import Blueprint

from api.contract.endpoint import Answer, Policy, ResponseBody
from api.service import service
from api.serving.routing import route

blueprint = Blueprint("health", __name__)


class Health(ResponseBody):
    """`broker` is `unreachable` for some time after a message could not be sent; jobs are still accepted."""

    status: str
    broker: str | None = None


@route(blueprint, "GET", "/healthz", policy=Policy.PUBLIC, answers={200: Health}, base="")
def is_alive() -> Answer:
    """Check that the process is running.

    Nothing else is checked: the database and the broker may be unavailable.
    """
    return Answer(body=Health(status="ok"))


@route(blueprint, "GET", "/readyz", policy=Policy.PUBLIC, answers={200: Health}, raises=("unavailable",), base="")
def is_ready() -> Answer:
    """Check whether jobs are accepted.

    Jobs are refused while the database is unavailable or its schema is not current. A broker outage does not matter.
    """
    service().readiness.check()
    is_resting = service().publisher.is_resting
    return Answer(
        body=Health(
            status="degraded" if is_resting else "ok", broker="unreachable" if is_resting else "not known to be away"
        )
    )

"""Client and command line of Slipway. Depends on the HTTP interface only, not on the server's code."""

from slipway.client import Client
from slipway.errors import ClientError, JobFailedError, NotOverError, ProblemError, UnreachableError
from slipway.events import Event
from slipway.retry import Repeats, RetryPolicy

__all__ = [
    "Client",
    "ClientError",
    "Event",
    "JobFailedError",
    "NotOverError",
    "ProblemError",
    "Repeats",
    "RetryPolicy",
    "UnreachableError",
]

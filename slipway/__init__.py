"""Slipway from Python and from the command line. It knows the HTTP interface, and nothing of the server."""

from slipway.client import Client
from slipway.errors import ClientError, JobFailedError, NotOverError, ProblemError, UnreachableError
from slipway.events import Event
from slipway.retry import Repeats

__all__ = [
    "Client",
    "ClientError",
    "Event",
    "JobFailedError",
    "NotOverError",
    "ProblemError",
    "Repeats",
    "UnreachableError",
]

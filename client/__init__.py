"""Slipway from Python and from the command line. It knows the HTTP interface, and nothing of the server."""

from client.errors import ClientError, JobFailedError, NotOverError, ProblemError, UnreachableError
from client.events import Event
from client.repeats import Repeats
from client.slipway import Client

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

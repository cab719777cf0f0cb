"""Errors of the broker: what each means and what to do, for a line of the log.

Redis' own text stays out of it: it may quote what was sent. An error means that the broker is away, whichever it is:
the database has every job, and nothing is lost (`common/broker.py`, `worker/consumer.py`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from kombu.exceptions import OperationalError
from redis import exceptions
from redis.exceptions import RedisError

BROKER_ERRORS = (RedisError, OSError, OperationalError)  # kombu's own is the last: it wraps the others


@dataclass(frozen=True, kw_only=True)
class BrokerTrouble:
    """Why the broker cannot be used, and what an operator does about it."""

    why: str
    remedy: str


_SILENT = BrokerTrouble(
    why="it does not answer", remedy="start Redis, or correct REDIS_URL; `python -m worker.doctor` checks both"
)
_REFUSED = BrokerTrouble(why="it refuses our user or password", remedy="correct REDIS_URL or REDIS_PASSWORD")
_REPLICA = BrokerTrouble(
    why="it is a replica, and read-only", remedy="let REDIS_URL lead to the primary: REDIS_SENTINEL_MASTER follows it"
)
_UNUSUAL = BrokerTrouble(
    why="it failed in an unusual way", remedy="run `python -m worker.doctor`, and read the log of Redis"
)

_BY_CLASS: tuple[tuple[type[BaseException], BrokerTrouble], ...] = (  # a subclass before its parent
    (exceptions.BusyLoadingError, BrokerTrouble(why="it is loading its data", remedy="wait until it has started")),
    (exceptions.AuthenticationError, _REFUSED),
    (exceptions.AuthorizationError, _REFUSED),
    (exceptions.AuthenticationWrongNumberOfArgsError, _REFUSED),
    (
        exceptions.NoPermissionError,
        BrokerTrouble(why="our user may not run a command there", remedy="give the user of REDIS_URL all commands"),
    ),
    (exceptions.ReadOnlyError, _REPLICA),
    (
        exceptions.OutOfMemoryError,
        BrokerTrouble(why="its memory is full", remedy="raise its maxmemory, or empty it: no data in it is needed"),
    ),
    (exceptions.MasterDownError, _REPLICA),
    (
        exceptions.ClusterError,
        BrokerTrouble(why="it is a cluster", remedy="let REDIS_URL lead to a Redis that is no cluster"),
    ),
    (
        exceptions.AskError,
        BrokerTrouble(why="it is a cluster", remedy="let REDIS_URL lead to a Redis that is no cluster"),
    ),
    (exceptions.ConnectionError, _SILENT),
    (exceptions.TimeoutError, _SILENT),
    (OSError, _SILENT),
)
_BY_WORD = {  # the first word of an answer for which redis-py has no class
    "UNBLOCKED": _REPLICA,
    "MISCONF": BrokerTrouble(why="it cannot write to its disk", remedy="make room on its disk"),
    "NOREPLICAS": BrokerTrouble(why="it lacks replicas to write to", remedy="start its replicas"),
}


def trouble_of(error: BaseException) -> BrokerTrouble:
    """Return what an error means, looking through kombu's own, which wraps that of Redis."""
    if isinstance(error, OperationalError) and error.__cause__ is not None:
        return trouble_of(error.__cause__)
    word = str(error).partition(" ")[0]
    if word in _BY_WORD:
        return _BY_WORD[word]
    if isinstance(error, OperationalError):
        return _SILENT
    return next((trouble for kind, trouble in _BY_CLASS if isinstance(error, kind)), _UNUSUAL)


class TroubleReport:
    """Writes each cause once for each time that the broker is away, and once that it is back."""

    def __init__(self, log: logging.Logger, *, away: str, back: str) -> None:
        """`away` and `back` are the events."""
        self._log = log
        self._away = away
        self._back = back
        self._reported: set[BrokerTrouble] = set()

    def failed(self, error: BaseException) -> None:
        """Report this cause, if it is not known yet."""
        trouble = trouble_of(error)
        if trouble not in self._reported:
            extra = {"error": type(error).__name__, "why": trouble.why, "remedy": trouble.remedy}
            self._log.warning(self._away, extra=extra)
        self._reported.add(trouble)

    def works(self) -> None:
        """Report that it works again, if a cause was reported."""
        if self._reported:
            self._log.info(self._back)
            self._reported = set()

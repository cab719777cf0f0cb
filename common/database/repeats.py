"""Which errors of a database undo a transaction as a whole, so that it may run again from its beginning.

    the row was locked for too long, or a deadlock   nothing was written: again, on the same connection
    the connection was lost                          nothing was written, unless that was in the commit: again
    the server does not take writes any more         nothing was written: again, on new connections

The last is a failover: the server that we are connected to was demoted, and the address leads to another one already.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_any,
    retry_if_exception,
    retry_if_exception_type,
    wait_random_exponential,
)

from common.database import time_budget

DEADLOCK, LOCK_WAIT = 1213, 1205
ROLLED_BACK_IN_COMMIT = 3101  # MySQL's group replication: another server changed the same rows
TRIES = 5
REPEATED_WITHIN_S = 2.0  # no further try after this: a lock or a hanging server must not hold a thread for long

AWAY = frozenset({1040, 1053, 2002, 2003, 2006, 2013})  # full, ending, not there, gone, gone while it was asked

# Errors of a server that was demoted or is about to leave its cluster. Sources: MySQL 8.4 Error Message Reference;
# Galera Cluster, "Troubleshooting", for 1047.
REFUSES_WRITES = frozenset({
    1290,  # ER_OPTION_PREVENTS_STATEMENT: --read-only, --super-read-only; also at COMMIT
    1792,  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION: transactions are read-only by default
    1836,  # ER_READ_ONLY_MODE: InnoDB is read-only
    1047,  # Galera: WSREP has not yet prepared node for application use
    3032,  # ER_SERVER_OFFLINE_MODE
    3100,  # ER_RUN_HOOK_ERROR: group replication refuses the commit, as on a server without a majority
})  # fmt: skip


class CommitUnknownError(Exception):
    """The connection was lost during the commit: it may have happened. Running the work again could do it twice."""


def refuses_writes(error: BaseException | None) -> bool:
    """Say whether a driver's error means that this server takes no writes: then nothing was written, even at COMMIT."""
    return error is not None and not isinstance(error, sqlite3.Error) and error.args[:1] in _REFUSALS


_REFUSALS = {(number,) for number in REFUSES_WRITES}
_UNDONE = {(DEADLOCK,), (LOCK_WAIT,), (ROLLED_BACK_IN_COMMIT,)}


def leave_demoted_server(context: ExceptionContext) -> None:
    """Regard a server that refuses writes as lost: no pooled connection to it is used again. A `handle_error` hook."""
    if refuses_writes(context.original_exception):
        context.is_disconnect = True


def is_repeatable(error: BaseException) -> bool:
    """Say whether the transaction that ended with this error may run again as a whole."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    if isinstance(error.orig, sqlite3.OperationalError):
        return "locked" in str(error.orig)
    return error.connection_invalidated or error.orig.args[:1] in _UNDONE


def is_commit_unknown(error: DBAPIError) -> bool:
    """Say whether a commit that failed with this error may have happened all the same."""
    return error.connection_invalidated and not refuses_writes(error.orig)


def is_away(error: BaseException | None) -> bool:
    """Say whether the server could not be reached, or went away: it may be back soon."""
    if isinstance(error, CommitUnknownError | PoolTimeoutError):
        return True
    return isinstance(error, DBAPIError) and (
        error.connection_invalidated or (error.orig is not None and error.orig.args[:1] in _ABSENCES)
    )


_ABSENCES = {(number,) for number in AWAY}


def _is_away_before_a_commit(error: BaseException) -> bool:
    return is_away(error) and not isinstance(error, CommitUnknownError)


def _is_locked(error: BaseException | None) -> bool:
    return isinstance(error, DBAPIError) and error.orig is not None and error.orig.args[:1] == (LOCK_WAIT,)


class _Patience:
    """Stop after some tries or some time, but not before `away_for_s` while the server is away, or `locked_for_s` while
    another session has locked a row.
    """

    def __init__(self, tries: int, within_s: float, away_for_s: float, locked_for_s: float) -> None:
        self._tries = tries
        self._within_s = within_s
        self._away_for_s = away_for_s
        self._locked_for_s = locked_for_s

    def __call__(self, made: RetryCallState) -> bool:
        if time_budget.is_spent():
            return True
        error = made.outcome.exception() if made.outcome is not None else None
        waited_s = made.seconds_since_start or 0.0
        may_pass = (is_away(error) and waited_s < self._away_for_s) or (
            _is_locked(error) and waited_s < self._locked_for_s
        )
        return (made.attempt_number >= self._tries or waited_s >= self._within_s) and not may_pass


def retrying(
    tries: int, *, within_s: float = REPEATED_WITHIN_S, away_for_s: float = 0.0, locked_for_s: float = 0.0
) -> Retrying:
    """Return what runs a transaction again as long as that helps.

    Also until a server that is away may be back, and until a lock that another session keeps must have ended.
    """
    is_worth_it = retry_if_exception(is_repeatable)
    return Retrying(
        retry=retry_any(is_worth_it, retry_if_exception(_is_away_before_a_commit)) if away_for_s else is_worth_it,
        stop=_Patience(tries, within_s, away_for_s, locked_for_s),
        wait=wait_random_exponential(multiplier=0.02, max=0.5),
        reraise=True,
    )


def unknown_commits_too(given: Retrying) -> Retrying:
    """Return what runs a transaction again even if its commit may have happened."""
    return given.copy(retry=retry_any(given.retry, retry_if_exception_type(CommitUnknownError)))

"""What a database said when it failed, for operators: its number and its words, and what to do about it."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from common.database.repeats import AWAY

# 1044 no right on the database, 1045 and 1698 wrong user or password, 1049 no such database, 2003 nobody listens there,
# 2005 no such host. Sources: MySQL 8.4 Error Message Reference; MariaDB Error Codes.
WRONG_ADDRESS = frozenset({1044, 1045, 1049, 1698, 2003, 2005})
_NO_FILE = "unable to open database file"  # SQLite


def explained(error: DBAPIError | PoolTimeoutError) -> str:
    """Return what failed and what to do, as two sentences. Values of a statement are in neither."""
    words, number = said(error), _number(error)
    if number in WRONG_ADDRESS or words == _NO_FILE:
        return f"The database cannot be reached ({words}). Check DB_URL and the database, then try again."
    if number in AWAY or isinstance(error, PoolTimeoutError):
        return f"The database is unavailable ({words}). Check the database, then try again."
    return f"The database failed ({words}). Correct the cause, then try again."


def said(error: DBAPIError | PoolTimeoutError) -> str:
    """Return the server's number and words: "error 1305: FUNCTION slipway.f does not exist"; SQLite has no numbers."""
    original = error.orig if isinstance(error, DBAPIError) else error
    match original.args if original is not None else ():
        case (int() as number, *rest):
            return f"error {number}: {_one_line(' '.join(map(str, rest)))}"
        case (words, *_):
            return _one_line(str(words))
    return type(original or error).__name__


def _number(error: DBAPIError | PoolTimeoutError) -> int | None:
    arguments = error.orig.args if isinstance(error, DBAPIError) and error.orig is not None else ()
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")

"""What is said of a failed database: its own words, and DB_URL only where that may be the cause."""

from __future__ import annotations

import sqlite3

import pytest
from pymysql.err import OperationalError, ProgrammingError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from common.database.failures import explained

DENIED = OperationalError(1045, "Access denied for user 'slipway'@'%' (using password: YES)")
GONE = OperationalError(2013, "Lost connection to MySQL server during query")
NO_FILE = sqlite3.OperationalError("unable to open database file")
NO_FUNCTION = OperationalError(1305, "FUNCTION slipway.md5 does not exist")
NO_TABLE = ProgrammingError(1146, "Table 'slipway.jobs'\ndoesn't exist.")


@pytest.mark.parametrize(
    ("original", "said"),
    [
        (DENIED, f"The database cannot be reached (error 1045: {DENIED.args[1]}). Check DB_URL and the database"),
        (NO_FILE, f"The database cannot be reached ({NO_FILE}). Check DB_URL and the database"),
        (GONE, f"The database is unavailable (error 2013: {GONE.args[1]}). Check the database"),
        (NO_FUNCTION, "The database failed (error 1305: FUNCTION slipway.md5 does not exist). Correct the cause"),
        (NO_TABLE, "The database failed (error 1146: Table 'slipway.jobs' doesn't exist). Correct the cause"),
        (
            sqlite3.OperationalError("no such table: jobs"),
            "The database failed (no such table: jobs). Correct the cause",
        ),
        (sqlite3.Error(), "The database failed (Error). Correct the cause"),
    ],
)
def test_it_is_named_with_what_to_do(original: Exception, said: str) -> None:
    assert explained(DBAPIError("SELECT :secret", {"secret": "hidden"}, original)) == f"{said}, then try again."


def test_no_free_connection_is_a_database_that_is_away() -> None:
    assert explained(PoolTimeoutError("the database did not answer just now")) == (
        "The database is unavailable (the database did not answer just now). Check the database, then try again."
    )

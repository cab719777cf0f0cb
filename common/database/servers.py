"""Which database servers are supported, by what they answer to `SELECT VERSION()`.

MySQL's versions are named one by one: each takes functions away that the one before had. MariaDB keeps them.
"""

from __future__ import annotations

import re
from enum import StrEnum

from sqlalchemy import func, select

from common.database.engine import Database

SUPPORTED = "MySQL 8.0, 8.4 and 9, and MariaDB 10.6 or newer"
OLDEST_MARIADB, OLDEST_MYSQL = (10, 6), (8, 0)  # they leave out rows that others have locked (SKIP LOCKED)
_MYSQL_SERIES = frozenset({(8, 0), (8, 4)})
_MYSQL_MAJORS = frozenset({9})
_NUMBERS = re.compile(r"(?:5\.5\.5-)?(\d{1,4})\.(\d{1,4})")  # MariaDB may put 5.5.5- in front, for old clients


class Support(StrEnum):
    """How far Slipway works on a server: `UNTRIED` is not too old, and nobody has tested it."""

    SUPPORTED = "supported"
    TOO_OLD = "too old"
    UNTRIED = "untried"


def support_of(version: str) -> Support:
    """Say whether a server of this version is supported."""
    numbers = _NUMBERS.match(version)
    found = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    if is_mariadb(version):
        return Support.SUPPORTED if found >= OLDEST_MARIADB else Support.TOO_OLD
    if found < OLDEST_MYSQL:
        return Support.TOO_OLD
    is_mysql = "tidb" not in version.lower()
    return Support.SUPPORTED if is_mysql and (found in _MYSQL_SERIES or found[0] in _MYSQL_MAJORS) else Support.UNTRIED


def is_mariadb(version: str) -> bool:
    """Say whether this is a version of MariaDB."""
    return "mariadb" in version.lower()


def version_of(db: Database) -> str | None:
    """Ask the server for its version; None on SQLite, which comes with Python."""
    if db.is_sqlite:
        return None
    return str(db.read(lambda session: session.scalar(select(func.version()))))

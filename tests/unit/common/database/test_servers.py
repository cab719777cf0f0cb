"""Which servers are supported, and what they may be asked: functions that MySQL 9 has no longer are in no statement."""

from __future__ import annotations

import re

import pytest
from support.checkout import ROOT

from common.database import migrate
from common.database.servers import Support, is_mariadb, support_of

SUPPORTED, TOO_OLD, UNTRIED = Support
# MySQL 8.0 to 9.7 and MariaDB have each of them. `max` and `greatest` are SQLite's and MySQL's word for one thing.
KNOWN = frozenset({
    "coalesce", "count", "database", "get_lock", "greatest", "last_insert_id", "max", "min", "row_number", "version",
})  # fmt: skip


@pytest.mark.parametrize(
    ("version", "support"),
    [
        ("10.5.27-MariaDB", TOO_OLD), ("10.6.4-MariaDB-log", SUPPORTED),
        ("5.5.5-10.11.6-MariaDB-0+deb12u1", SUPPORTED), ("5.5.5-10.5.9-MariaDB", TOO_OLD),
        ("11.8.2-MariaDB", SUPPORTED), ("12.1.2-MariaDB-ubu2404", SUPPORTED),
        ("5.7.44", TOO_OLD), ("8.0.39", SUPPORTED), ("8.0.36-28", SUPPORTED), ("8.3.0", UNTRIED),
        ("8.4.3-cloud", SUPPORTED), ("9.1.0", SUPPORTED), ("9.7.4-2", SUPPORTED), ("10.1.0", UNTRIED),
        ("8.0.11-TiDB-v8.5.0", UNTRIED), ("", TOO_OLD),
    ],
)  # fmt: skip
def test_a_version_is_supported_or_not(version: str, support: Support) -> None:
    assert support_of(version) is support


def test_a_server_says_whose_it_is() -> None:
    assert is_mariadb("5.5.5-10.11.6-MariaDB-0+deb12u1")
    assert not is_mariadb("9.7.4-2")


def test_the_lock_of_upgrades_has_the_name_that_older_versions_give_it() -> None:
    """They ask the server for CONCAT('slipway.', MD5(DATABASE()))."""
    assert migrate.lock_name("slipway") == "slipway.1330747e3ad71244545b68dfebaa2863"
    assert migrate.lock_name("ü" * 64).isascii()
    assert len(migrate.lock_name("ü" * 64)) <= 64


def test_statements_use_only_functions_that_every_supported_server_has() -> None:
    files = [file for package in ("api", "common", "worker") for file in (ROOT / package).rglob("*.py")]
    used = {name for file in files for name in re.findall(r"\bfunc\.(\w+)", file.read_text(encoding="utf-8"))}

    assert used <= KNOWN

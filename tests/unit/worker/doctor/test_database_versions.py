"""Which servers can leave out rows that another session has locked."""

from __future__ import annotations

import pytest

from worker.doctor.database import skips_locked_rows


@pytest.mark.parametrize(
    ("version", "is_so"),
    [
        ("10.5.27-MariaDB", False), ("10.6.4-MariaDB-log", True), ("5.5.5-10.11.6-MariaDB-0+deb12u1", True),
        ("5.5.5-10.5.9-MariaDB", False), ("11.8.2-MariaDB", True),
        ("5.7.44", False), ("8.0.39", True), ("8.4.3-cloud", True), ("9.1.0", True), ("", False),
    ],
)  # fmt: skip
def test_a_server_that_is_too_old_is_told_by_its_version(version: str, is_so: bool) -> None:
    assert skips_locked_rows(version) is is_so

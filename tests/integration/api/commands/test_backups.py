"""Backups as an operator makes, verifies and restores them: a file appears when it is complete."""

from __future__ import annotations

import gzip
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api import PASSWORD, Api, open_api
from support.commands import Operator
from support.world import Time


@pytest.fixture
def db_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """It is about files: one database is enough."""
    shutil.copy(migrated_sqlite, tmp_path / "slipway.db")
    return f"sqlite:///{tmp_path / 'slipway.db'}"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory for backups."""
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups"


@pytest.fixture
def operator(api: Api) -> Operator:
    api.member("grace")
    return Operator(api)


@pytest.fixture
def elsewhere(tmp_path: Path, time: Time) -> Iterator[Api]:
    """An API on a database that has nothing in it."""
    with open_api(f"sqlite:///{tmp_path / 'elsewhere.db'}", time) as opened:
        yield opened


def test_a_backup_is_one_file_for_its_owner_and_replaces_the_last(operator: Operator, place: Path) -> None:
    file = place / "slipway.backup"
    file.write_text("the last one")

    made = operator.types("db", "backup", str(file))

    assert made.exit_code == 0, made.output
    assert f"flask --app api db verify {file}" in made.stderr
    assert [each.name for each in place.iterdir()] == [file.name]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PASSWORD.encode() not in gzip.decompress(file.read_bytes())


def test_what_fails_leaves_no_file_and_keeps_the_last(elsewhere: Api, place: Path) -> None:
    file = place / "slipway.backup"
    file.write_text("the last one")

    failed = Operator(elsewhere).types("db", "backup", str(file))

    assert (failed.exit_code, failed.stdout) == (4, "")
    assert "has no tables of Slipway" in failed.stderr
    assert {each.name: each.read_text() for each in place.iterdir()} == {file.name: "the last one"}


def test_a_place_that_cannot_be_written_is_named(operator: Operator, place: Path) -> None:
    failed = operator.types("db", "backup", str(place / "absent" / "slipway.backup"))

    assert failed.exit_code == 1
    assert "No such file or directory" in failed.stderr


def test_a_backup_is_verified_by_restoring_it(operator: Operator, place: Path) -> None:
    file = place / "slipway.backup"
    operator.types("db", "backup", str(file))

    verified = operator.types("db", "verify", str(file))

    assert verified.exit_code == 0, verified.output
    assert verified.stdout.startswith("The backup is complete: ")


def test_half_of_one_is_refused(operator: Operator, place: Path) -> None:
    file = place / "slipway.backup"
    operator.types("db", "backup", str(file))
    file.write_bytes(file.read_bytes()[:-100])

    refused = operator.types("db", "verify", str(file))

    assert refused.exit_code == 1
    assert "incomplete or damaged" in refused.stderr


def test_who_was_there_is_there_again_and_has_to_log_in(operator: Operator, elsewhere: Api, place: Path) -> None:
    file = place / "slipway.backup"
    operator.types("db", "backup", str(file))

    restored = Operator(elsewhere).types("db", "restore", str(file))

    assert restored.exit_code == 0, restored.output
    assert "Nobody is logged in" in restored.stdout
    assert elsewhere.token("grace")


def test_a_database_that_is_in_use_is_left_alone(operator: Operator, place: Path) -> None:
    file = place / "slipway.backup"
    operator.types("db", "backup", str(file))

    refused = operator.types("db", "restore", str(file))

    assert refused.exit_code == 1
    assert "The database is not empty" in refused.stderr
    assert operator.types("db", "check").exit_code == 0


def test_a_scratch_database_is_never_the_one_in_use(operator: Operator, place: Path) -> None:
    file = place / "slipway.backup"
    operator.types("db", "backup", str(file))

    assert operator.types("db", "verify", str(file), "--scratch", "slipway").exit_code == 2

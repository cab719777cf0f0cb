"""The migrations are one chain: two that follow the same one would leave no way to migrate."""

from __future__ import annotations

from common.database import migrate


def test_each_migration_follows_the_one_before_it() -> None:
    revisions = migrate.revisions()  # raises where there are two newest ones

    assert list(revisions) == [f"{number:04}" for number in range(1, len(revisions) + 1)]

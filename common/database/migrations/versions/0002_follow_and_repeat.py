"""What followers, repeated requests, limits and long lists need"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from common.database.types import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Indexes = Mapping[str, tuple[tuple[str, ...], ...]]

OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_unicode_ci"}
JOB_STATES = ("queued", "running", "succeeded", "failed", "cancelling", "cancelled")
NEW = {
    "apps": (("project_id", "id"),),
    "jobs": (
        ("app_id", "id"),
        ("app_id", "state", "id"),
        ("team_id", "kind", "id"),
        ("team_id", "kind", "state", "id"),
        ("team_id", "state", "id"),
        ("user_id", "state", "id"),
    ),
    "steps": (("name", "finished_at"),),
}
REPLACED = {"apps": (("project_id",),), "jobs": (("app_id", "state"),)}  # by one of those that begins alike


def _identity(length: int) -> sa.types.TypeEngine[str]:
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("job_id", _identity(36), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(*JOB_STATES, name="jobstate", native_enum=False, create_constraint=True, length=16),
            nullable=False,
        ),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_events_job_id_jobs")),
        sa.PrimaryKeyConstraint("job_id", "number", name=op.f("pk_events")),
        **OPTIONS,
    )
    op.create_table(
        "kept_answers",
        sa.Column("owner", _identity(64), nullable=False),
        sa.Column("key", _identity(128), nullable=False),
        sa.Column("fingerprint", _identity(64), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("key_id", _identity(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(length=2**16 - 1), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_kept_answers")),
        **OPTIONS,
    )
    op.create_table(
        "tallies",
        sa.Column("bucket", _identity(64), nullable=False),
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "period", name=op.f("pk_tallies")),
        **OPTIONS,
    )
    for table in ("kept_answers", "tallies"):
        op.create_index(op.f(f"ix_{table}_expires_at"), table, ["expires_at"])
    _create(NEW)
    _drop(REPLACED)


def downgrade() -> None:
    _create(REPLACED)  # first: a foreign key is never without an index
    _drop(NEW)
    for table in ("tallies", "kept_answers", "events"):
        op.drop_table(table)


def _create(indexes: Indexes) -> None:
    for table, each in indexes.items():
        for columns in each:
            op.create_index(_name(table, columns), table, list(columns))


def _drop(indexes: Indexes) -> None:
    for table, each in indexes.items():
        for columns in each:
            op.drop_index(_name(table, columns), table)


def _name(table: str, columns: tuple[str, ...]) -> str:
    return op.f(f"ix_{table}_{'_'.join(columns)}")

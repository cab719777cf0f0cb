"""Notifications of operators, and the workers that run"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from common.database.types import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_unicode_ci"}


def _identity(length: int) -> sa.types.TypeEngine[str]:
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", _identity(36), nullable=False),
        sa.Column("kind", _identity(32), nullable=False),
        sa.Column("about", sa.JSON(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("queued_at", UtcDateTime(), nullable=True),
        sa.Column("body", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        **OPTIONS,
    )
    op.create_index(op.f("ix_notifications_queued_at_id"), "notifications", ["queued_at", "id"])
    op.create_index(op.f("ix_notifications_expires_at"), "notifications", ["expires_at"])
    op.create_table(
        "notification_targets",
        sa.Column("name", _identity(16), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("queued", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.String(500), nullable=True),
        sa.Column("retry_at", UtcDateTime(), nullable=True),
        sa.Column("claim_token", _identity(32), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_notification_targets")),
        **OPTIONS,
    )
    op.create_table(
        "deliveries",
        sa.Column("target", _identity(16), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("notification_id", _identity(36), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("target", "number", name=op.f("pk_deliveries")),
        **OPTIONS,
    )
    op.create_index(op.f("ix_deliveries_expires_at"), "deliveries", ["expires_at"])
    op.create_table(
        "workers",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
        **OPTIONS,
    )


def downgrade() -> None:
    for table in ("workers", "deliveries", "notification_targets", "notifications"):
        op.drop_table(table)

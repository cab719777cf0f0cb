"""The audit: who did what"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from common.database.types import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_unicode_ci"}
FILTERS = ("actor", "kind", "team_id", "object_id", "object_name")


def _identity(length: int) -> sa.types.TypeEngine[str]:
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "actions",
        sa.Column("id", _identity(36), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("kind", _identity(64), nullable=False),
        sa.Column("actor", _identity(64), nullable=True),
        sa.Column("channel", _identity(16), nullable=False),
        sa.Column("address", _identity(64), nullable=True),
        sa.Column("request_id", _identity(64), nullable=True),
        sa.Column("object_kind", _identity(64), nullable=False),
        sa.Column("object_id", _identity(64), nullable=True),
        sa.Column("object_name", _identity(64), nullable=True),
        sa.Column("team_id", _identity(64), nullable=True),
        sa.Column("job_id", _identity(36), nullable=True),
        sa.Column("reason", sa.String(500), nullable=True),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_actions")),
        **OPTIONS,
    )
    for column in FILTERS:
        op.create_index(op.f(f"ix_actions_{column}_id"), "actions", [column, "id"])


def downgrade() -> None:
    op.drop_table("actions")

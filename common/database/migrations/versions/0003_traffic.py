"""What holds calls to an upstream back: outages, pauses, shares"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from common.database.types import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_unicode_ci"}
PARKED = "ix_steps_upstream_parked_at"


def _identity(length: int) -> sa.types.TypeEngine[str]:
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "upstreams",
        sa.Column("name", _identity(64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column("down_since", UtcDateTime(), nullable=True),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("look_at", UtcDateTime(), nullable=True),
        sa.Column("open_since", UtcDateTime(), nullable=True),
        sa.Column("paused_at", UtcDateTime(), nullable=True),
        sa.Column("paused_by", _identity(64), nullable=True),
        sa.Column("pause_reason", sa.String(length=500), nullable=True),
        sa.Column("next_call_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_upstreams")),
        **OPTIONS,
    )
    op.create_table(
        "slots",
        sa.Column("upstream", _identity(64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("holder", _identity(32), nullable=True),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("upstream", "number", name=op.f("pk_slots")),
        **OPTIONS,
    )
    op.add_column("steps", sa.Column("parked_at", UtcDateTime(), nullable=True))
    op.create_index(op.f(PARKED), "steps", ["upstream", "parked_at"])


def downgrade() -> None:
    op.execute("UPDATE steps SET nudge_at = parked_at WHERE parked_at IS NOT NULL AND nudge_at IS NULL")  # due at once
    op.drop_index(op.f(PARKED), "steps")
    op.drop_column("steps", "parked_at")
    op.drop_table("slots")
    op.drop_table("upstreams")

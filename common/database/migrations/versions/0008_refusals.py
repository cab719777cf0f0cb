"""What holds steps back while an upstream refuses our login"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from common.database.types import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_unicode_ci"}


def _identity(length: int) -> sa.types.TypeEngine[str]:
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "refusals",
        sa.Column("upstream", _identity(64), nullable=False),
        sa.Column("login", _identity(16), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=True),
        sa.Column("cause", sa.String(length=500), nullable=False),
        sa.Column("remedy", sa.String(length=500), nullable=False),
        sa.Column("is_write", sa.Boolean(), nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("look_at", UtcDateTime(), nullable=False),
        sa.Column("trial_since", UtcDateTime(), nullable=True),
        sa.Column("over_at", UtcDateTime(), nullable=True),
        sa.Column("accepted_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("upstream", "login", name=op.f("pk_refusals")),
        **OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("refusals")

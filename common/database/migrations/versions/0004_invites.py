"""Invitations"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from common.database.types import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_unicode_ci"}


def _identity(length: int) -> sa.types.TypeEngine[str]:
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "invites",
        sa.Column("id", _identity(36), nullable=False),
        sa.Column("code_hash", _identity(64), nullable=False),
        sa.Column("team_id", _identity(64), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_invites_team_id_teams")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invites")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_invites_code_hash")),
        **OPTIONS,
    )
    op.create_index(op.f("ix_invites_team_id"), "invites", ["team_id"])
    op.add_column("users", sa.Column("invite_id", _identity(36), nullable=True))
    op.create_index(op.f("ix_users_invite_id"), "users", ["invite_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_users_invite_id"), "users")
    op.drop_column("users", "invite_id")
    op.drop_table("invites")

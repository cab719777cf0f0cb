"""Where sessions come from, API tokens, password resets"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from common.database.types import UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_unicode_ci"}


def _identity(length: int) -> sa.types.TypeEngine[str]:
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def upgrade() -> None:
    op.add_column("sessions", sa.Column("address", _identity(64), nullable=True))
    op.add_column("sessions", sa.Column("user_agent", sa.String(200), nullable=True))
    op.create_table(
        "api_tokens",
        sa.Column("id", _identity(36), nullable=False),
        sa.Column("user_id", _identity(36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", _identity(64), nullable=False),
        sa.Column("scope", _identity(64), nullable=False),
        sa.Column("token_hash", _identity(64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_tokens_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_tokens_token_hash")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_api_tokens_user_id_name")),
        sa.UniqueConstraint("user_id", "number", name=op.f("uq_api_tokens_user_id_number")),
        **OPTIONS,
    )
    op.create_index(op.f("ix_api_tokens_expires_at"), "api_tokens", ["expires_at"])
    op.create_table(
        "password_resets",
        sa.Column("user_id", _identity(36), nullable=False),
        sa.Column("code_hash", _identity(64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_password_resets_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_password_resets")),
        **OPTIONS,
    )
    op.create_index(op.f("ix_password_resets_expires_at"), "password_resets", ["expires_at"])


def downgrade() -> None:
    op.drop_table("password_resets")
    op.drop_table("api_tokens")
    op.drop_column("sessions", "user_agent")
    op.drop_column("sessions", "address")

"""Reviews of sign-ups, mails to be sent"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from common.database.types import UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_unicode_ci"}
STATES = ("unconfirmed", "waiting", "confirmed", "approved", "rejected", "lapsed", "expired", "cancelled")


def _identity(length: int) -> sa.types.TypeEngine[str]:
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def upgrade() -> None:
    state = sa.Enum(*STATES, name="reviewstate", native_enum=False, create_constraint=True, length=16)
    op.create_table(
        "signup_reviews",
        sa.Column("id", _identity(36), nullable=False),
        sa.Column("user_id", _identity(36), nullable=False),
        sa.Column("state", state, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("token_hash", _identity(64), nullable=True),
        sa.Column("confirmed_at", UtcDateTime(), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("decided_by", _identity(36), nullable=True),
        sa.Column("reason", sa.String(500), nullable=True),
        sa.ForeignKeyConstraint(["id"], ["jobs.id"], name=op.f("fk_signup_reviews_id_jobs")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_signup_reviews_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signup_reviews")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_signup_reviews_token_hash")),
        **OPTIONS,
    )
    op.create_index(op.f("ix_signup_reviews_state_id"), "signup_reviews", ["state", "id"])
    op.create_index(op.f("ix_signup_reviews_state_expires_at"), "signup_reviews", ["state", "expires_at"])
    op.create_index(op.f("ix_signup_reviews_user_id"), "signup_reviews", ["user_id"])
    op.create_table(
        "mails",
        sa.Column("user_id", _identity(36), nullable=False),
        sa.Column("kind", _identity(64), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_mails_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", "kind", name=op.f("pk_mails")),
        **OPTIONS,
    )
    op.create_index(op.f("ix_mails_due_at"), "mails", ["due_at"])
    op.create_index(op.f("ix_mails_expires_at"), "mails", ["expires_at"])


def downgrade() -> None:
    op.drop_table("mails")
    op.drop_table("signup_reviews")

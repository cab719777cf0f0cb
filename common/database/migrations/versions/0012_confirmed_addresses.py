"""Since when an e-mail address is known to be the person's"""

import sqlalchemy as sa
from alembic import op

from common.database.types import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("email_confirmed_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("users", "email_confirmed_at")

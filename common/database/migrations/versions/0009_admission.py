"""Since when each person may log in, whatever became of their sign-up"""

import sqlalchemy as sa
from alembic import op

from common.database.types import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Who has logged in, administers or made something keeps their log-in. Each is a statement of its own, so that it reads
# an index; one that is repeated changes nothing.
HAVE_BEEN_HERE = (
    "is_admin",
    "EXISTS (SELECT 1 FROM sessions WHERE sessions.user_id = users.id)",
    "EXISTS (SELECT 1 FROM projects WHERE projects.created_by = users.id)",
    "EXISTS (SELECT 1 FROM apps WHERE apps.created_by = users.id)",
    "EXISTS (SELECT 1 FROM jobs WHERE jobs.user_id = users.id AND jobs.kind <> 'signup')",
)


def upgrade() -> None:
    op.add_column("users", sa.Column("admitted_at", UtcDateTime(), nullable=True))
    for condition in HAVE_BEEN_HERE:
        op.execute(f"UPDATE users SET admitted_at = created_at WHERE admitted_at IS NULL AND {condition}")  # noqa: S608 - constants  # nosec B608


def downgrade() -> None:
    op.drop_column("users", "admitted_at")

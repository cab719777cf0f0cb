"""The apps of a whole team in order, and projects that were removed"""

import sqlalchemy as sa
from alembic import op

from common.database.types import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_apps_team_id_id_claimed_name"), "apps", ["team_id", "id", "claimed_name"])
    op.add_column("projects", sa.Column("removed_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("projects", "removed_at")
    op.drop_index(op.f("ix_apps_team_id_id_claimed_name"), table_name="apps")

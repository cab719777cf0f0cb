"""The apps of a whole team in order"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_apps_team_id_id_claimed_name"), "apps", ["team_id", "id", "claimed_name"])


def downgrade() -> None:
    op.drop_index(op.f("ix_apps_team_id_id_claimed_name"), table_name="apps")

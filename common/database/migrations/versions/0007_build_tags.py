"""What gives each build of an app a tag of its own"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("apps", sa.Column("build_count", sa.Integer, nullable=True))


def downgrade() -> None:
    op.drop_column("apps", "build_count")

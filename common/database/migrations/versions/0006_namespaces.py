"""The namespace in which an app runs"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    exact = mysql.VARCHAR(64, charset="ascii", collation="ascii_bin")
    namespace = sa.String(64).with_variant(exact, "mysql", "mariadb")
    op.add_column("apps", sa.Column("namespace", namespace, nullable=True))
    op.create_index(op.f("ix_apps_namespace"), "apps", ["namespace"])


def downgrade() -> None:
    op.drop_index(op.f("ix_apps_namespace"), "apps")
    op.drop_column("apps", "namespace")

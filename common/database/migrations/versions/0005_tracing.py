"""What puts the work of a job into the trace of the request that began it"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    exact = mysql.VARCHAR(55, charset="ascii", collation="ascii_bin")
    traceparent = sa.String(55).with_variant(exact, "mysql", "mariadb")
    op.add_column("jobs", sa.Column("traceparent", traceparent, nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "traceparent")

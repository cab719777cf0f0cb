"""First schema"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from common.database.types import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_unicode_ci"}


def _identity(length: int) -> sa.types.TypeEngine[str]:
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "teams",
        sa.Column("id", _identity(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_teams")),
        **OPTIONS,
    )
    op.create_table(
        "users",
        sa.Column("id", _identity(36), nullable=False),
        sa.Column("login", _identity(64), nullable=False),
        sa.Column("email", _identity(254), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("team_id", _identity(64), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("left_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_users_team_id_teams")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sa.UniqueConstraint("login", name=op.f("uq_users_login")),
        **OPTIONS,
    )
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_users_team_id"), ["team_id"], unique=False)

    op.create_table(
        "projects",
        sa.Column("id", _identity(36), nullable=False),
        sa.Column("team_id", _identity(64), nullable=False),
        sa.Column("name", _identity(64), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column("created_by", _identity(36), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_projects_created_by_users")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_projects_team_id_teams")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("team_id", "name", name=op.f("uq_projects_team_id_name")),
        **OPTIONS,
    )
    with op.batch_alter_table("projects", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_projects_created_by"), ["created_by"], unique=False)
        batch_op.create_index(batch_op.f("ix_projects_team_id_id"), ["team_id", "id"], unique=False)

    op.create_table(
        "sessions",
        sa.Column("token_hash", _identity(64), nullable=False),
        sa.Column("user_id", _identity(36), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id_users")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sessions")),
        **OPTIONS,
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sessions_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_sessions_user_id"), ["user_id"], unique=False)

    op.create_table(
        "apps",
        sa.Column("id", _identity(36), nullable=False),
        sa.Column("project_id", _identity(36), nullable=False),
        sa.Column("team_id", _identity(64), nullable=False),
        sa.Column("name", _identity(64), nullable=False),
        sa.Column("claimed_name", _identity(64), nullable=True),
        sa.Column("type", _identity(64), nullable=False),
        sa.Column("image_tag", sa.String(length=128), nullable=True),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column("created_by", _identity(36), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_apps_created_by_users")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_apps_project_id_projects")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_apps_team_id_teams")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_apps")),
        sa.UniqueConstraint("claimed_name", name=op.f("uq_apps_claimed_name")),
        **OPTIONS,
    )
    with op.batch_alter_table("apps", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_apps_created_by"), ["created_by"], unique=False)
        batch_op.create_index(batch_op.f("ix_apps_project_id"), ["project_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_apps_team_id"), ["team_id"], unique=False)

    op.create_table(
        "jobs",
        sa.Column("id", _identity(36), nullable=False),
        sa.Column("kind", _identity(64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "succeeded",
                "failed",
                "cancelling",
                "cancelled",
                name="jobstate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("subject_id", _identity(36), nullable=False),
        sa.Column("team_id", _identity(64), nullable=False),
        sa.Column("user_id", _identity(36), nullable=True),
        sa.Column("app_id", _identity(36), nullable=True),
        sa.Column("input", sa.JSON(), nullable=False),
        sa.Column("request_id", _identity(64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_jobs_app_id_apps")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_jobs_team_id_teams")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_jobs_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        **OPTIONS,
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_jobs_app_id_kind_id"), ["app_id", "kind", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_jobs_app_id_state"), ["app_id", "state"], unique=False)
        batch_op.create_index(batch_op.f("ix_jobs_state_id"), ["state", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_jobs_subject_id"), ["subject_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_jobs_team_id_id"), ["team_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_jobs_user_id_id"), ["user_id", "id"], unique=False)

    op.create_table(
        "console_chunks",
        sa.Column("job_id", _identity(36), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("upstream_next", sa.Integer(), nullable=False),
        sa.Column(
            "text",
            sa.Text().with_variant(mysql.MEDIUMTEXT(), "mariadb").with_variant(mysql.MEDIUMTEXT(), "mysql"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_console_chunks_job_id_jobs")),
        sa.PrimaryKeyConstraint("job_id", "start", name=op.f("pk_console_chunks")),
        **OPTIONS,
    )
    op.create_table(
        "resources",
        sa.Column("id", _identity(36), nullable=False),
        sa.Column("subject_id", _identity(36), nullable=False),
        sa.Column("upstream", _identity(64), nullable=False),
        sa.Column("kind", _identity(64), nullable=False),
        sa.Column("ref", _identity(255), nullable=False),
        sa.Column("outside_id", sa.String(length=255), nullable=True),
        sa.Column("url", sa.String(length=1000), nullable=True),
        sa.Column(
            "provenance",
            sa.Enum(
                "intended",
                "created",
                "adopted",
                "gone",
                name="provenance",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("job_id", _identity(36), nullable=False),
        sa.Column("step", _identity(64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_resources_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resources")),
        sa.UniqueConstraint(
            "subject_id", "upstream", "kind", "ref", name=op.f("uq_resources_subject_id_upstream_kind_ref")
        ),
        **OPTIONS,
    )
    with op.batch_alter_table("resources", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_resources_job_id"), ["job_id"], unique=False)

    op.create_table(
        "secrets",
        sa.Column("job_id", _identity(36), nullable=False),
        sa.Column("purpose", _identity(64), nullable=False),
        sa.Column("key_id", _identity(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(length=2048), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_secrets_job_id_jobs")),
        sa.PrimaryKeyConstraint("job_id", "purpose", name=op.f("pk_secrets")),
        **OPTIONS,
    )
    with op.batch_alter_table("secrets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_secrets_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "steps",
        sa.Column("id", _identity(36), nullable=False),
        sa.Column("job_id", _identity(36), nullable=False),
        sa.Column("lane", _identity(64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", _identity(64), nullable=False),
        sa.Column("upstream", _identity(64), nullable=False),
        sa.Column("needs_secret", sa.Boolean(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "ready",
                "running",
                "waiting",
                "retrying",
                "succeeded",
                "failed",
                "skipped",
                "cancelled",
                name="stepstate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("forgiven", sa.Integer(), nullable=False),
        sa.Column("output", sa.JSON(), nullable=True),
        sa.Column("code", _identity(64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("remedy", sa.JSON(), nullable=True),
        sa.Column("claim_token", _identity(32), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("nudge_at", UtcDateTime(), nullable=True),
        sa.Column("nudges", sa.Integer(), nullable=False),
        sa.Column("waiting_since", UtcDateTime(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_steps_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_steps")),
        sa.UniqueConstraint("job_id", "name", name=op.f("uq_steps_job_id_name")),
        **OPTIONS,
    )
    with op.batch_alter_table("steps", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_steps_nudge_at"), ["nudge_at"], unique=False)

    op.create_table(
        "attempts",
        sa.Column("id", _identity(36), nullable=False),
        sa.Column("step_id", _identity(36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("polls", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=128), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "succeeded",
                "stumbled",
                "failed",
                "lost",
                "cancelled",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=True,
        ),
        sa.Column("code", _identity(64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["step_id"], ["steps.id"], name=op.f("fk_attempts_step_id_steps")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("step_id", "number", name=op.f("uq_attempts_step_id_number")),
        **OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("attempts")
    with op.batch_alter_table("steps", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_steps_nudge_at"))

    op.drop_table("steps")
    with op.batch_alter_table("secrets", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_secrets_expires_at"))

    op.drop_table("secrets")
    with op.batch_alter_table("resources", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_resources_job_id"))

    op.drop_table("resources")
    op.drop_table("console_chunks")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_jobs_user_id_id"))
        batch_op.drop_index(batch_op.f("ix_jobs_team_id_id"))
        batch_op.drop_index(batch_op.f("ix_jobs_subject_id"))
        batch_op.drop_index(batch_op.f("ix_jobs_state_id"))
        batch_op.drop_index(batch_op.f("ix_jobs_app_id_state"))
        batch_op.drop_index(batch_op.f("ix_jobs_app_id_kind_id"))

    op.drop_table("jobs")
    with op.batch_alter_table("apps", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_apps_team_id"))
        batch_op.drop_index(batch_op.f("ix_apps_project_id"))
        batch_op.drop_index(batch_op.f("ix_apps_created_by"))

    op.drop_table("apps")
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sessions_user_id"))
        batch_op.drop_index(batch_op.f("ix_sessions_expires_at"))

    op.drop_table("sessions")
    with op.batch_alter_table("projects", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_projects_team_id_id"))
        batch_op.drop_index(batch_op.f("ix_projects_created_by"))

    op.drop_table("projects")
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_users_team_id"))

    op.drop_table("users")
    op.drop_table("teams")

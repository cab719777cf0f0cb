"""What did each version of the schema hold, as the version of that time wrote it?  Rows that must survive."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, column, func, insert, select, table

AT, LATER = "2026-01-02 03:04:05.678901", "2036-01-02 03:04:05.678901"
JOB, DONE, APP, PERSON, PROJECT, STEP = (f"01890000-0000-7000-8000-00000000000{number}" for number in range(6))
Rows = list[dict[str, Any]]


def _job(job_id: str, state: str, **more: Any) -> dict[str, Any]:
    return {
        "id": job_id, "kind": "provision", "state": state, "version": 3, "subject_id": APP, "team_id": "dev",
        "user_id": PERSON, "app_id": APP, "input": '{"app": "compiler", "type": "Flask", "team": "dev"}',
        "request_id": "a-request", "created_at": AT, "started_at": AT, "updated_at": AT, **more,
    }  # fmt: skip


def _step(step_id: str, job_id: str, name: str, position: int, **more: Any) -> dict[str, Any]:
    return {
        "id": step_id, "job_id": job_id, "lane": "source", "position": position, "name": name, "upstream": "gitlab",
        "needs_secret": False, "state": "succeeded", "attempts": 1, "forgiven": 0, "nudges": 0, **more,
    }  # fmt: skip


NEW: dict[str, dict[str, Rows]] = {
    "0001": {
        "teams": [{"id": "dev"}],
        "users": [
            {"id": PERSON, "login": "grace", "email": "grace@example.com", "name": "Grace Hopper",
             "password_hash": "$argon2id$", "team_id": "dev", "is_admin": False, "created_at": AT},
        ],
        "sessions": [
            {"token_hash": "a" * 64, "user_id": PERSON, "created_at": AT, "last_seen_at": AT, "expires_at": LATER},
        ],
        "projects": [
            {"id": PROJECT, "team_id": "dev", "name": "compilers", "description": "", "created_by": PERSON,
             "created_at": AT},
        ],
        "apps": [
            {"id": APP, "project_id": PROJECT, "team_id": "dev", "name": "compiler", "claimed_name": "compiler",
             "type": "Flask", "description": "ein Übersetzer 🚢", "created_by": PERSON, "created_at": AT},
        ],
        "jobs": [_job(DONE, "succeeded", finished_at=AT), _job(JOB, "running")],
        "steps": [
            _step(STEP, JOB, "fork_source", 0, output='{"project_id": 7}', finished_at=AT),
            _step(STEP[:-1] + "6", JOB, "await_source", 1, state="waiting", due_at=AT, nudge_at=AT, waiting_since=AT),
        ],
        "attempts": [
            {"id": STEP[:-1] + "7", "step_id": STEP, "number": 1, "polls": 0, "worker": "w", "outcome": "succeeded",
             "started_at": AT, "finished_at": AT},
        ],
        "resources": [
            {"id": STEP[:-1] + "8", "subject_id": APP, "upstream": "gitlab", "kind": "project", "ref": "dev/compiler",
             "outside_id": "7", "provenance": "created", "job_id": JOB, "step": "fork_source", "attempt": 1,
             "created_at": AT, "updated_at": AT},
        ],
        "secrets": [{"job_id": JOB, "purpose": "password", "key_id": "k" * 16, "sealed": b"\x00", "expires_at": LATER}],
        "console_chunks": [{"job_id": DONE, "start": 0, "upstream_next": 5, "text": "Hello"}],
    },
    "0002": {
        "events": [{"job_id": JOB, "number": 1, "at": AT, "state": "queued", "steps": "[]"}],
        "kept_answers": [
            {"owner": PERSON, "key": "a-key", "fingerprint": "f" * 64, "key_id": "k" * 16, "sealed": b"\x00",
             "expires_at": LATER},
        ],
        "tallies": [{"bucket": "b" * 64, "period": 1, "hits": 2, "expires_at": LATER}],
    },
    "0003": {
        "upstreams": [{"name": "gitlab", "failures": 0, "looks": 0, "next_call_us": 0}],
        "slots": [{"upstream": "gitlab", "number": 1, "until": AT}],
    },
    "0004": {
        "invites": [
            {"id": STEP[:-1] + "9", "code_hash": "c" * 64, "team_id": "dev", "uses": 3, "used": 1, "created_at": AT,
             "expires_at": LATER},
        ],
    },
}  # fmt: skip
EXPECTED = {name: len(rows) for tables in NEW.values() for name, rows in tables.items()}


def fill(connection: Connection, revision: str) -> None:
    """Put rows into the tables that this revision made."""
    for name, rows in NEW.get(revision, {}).items():
        for row in rows:
            connection.execute(insert(table(name, *map(column, row))), row)


def counts(connection: Connection) -> dict[str, int]:
    """Return how many rows are in each of those tables."""
    return {name: connection.scalar(select(func.count()).select_from(table(name))) or 0 for name in EXPECTED}

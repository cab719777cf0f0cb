"""The HTTP API over a real database, with upstreams and a broker that do not exist, and people who use it.

`open_api` serves Flask's test client with a clock that the test moves; `serve` runs gunicorn on a socket of ours.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from api import create_app
from api.passwords import Passwords
from api.service import Service
from common.config.settings import CommonSettings, Settings
from common.database.engine import Database
from common.database.models import Base, User
from harbour.config import CREDENTIALS, STAND_INS, USERS
from support.checkout import ROOT
from support.settings import fields_of
from support.world import Time

V1 = "/api/v1"
PASSWORD = "engines weave numbers"
NO_BROKER = "redis://127.0.0.1:1/0"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # most tests are about something else
OPTIONAL = ("GITLAB_READ_USER", "GITLAB_READ_TOKEN")
ENVIRONMENT = {
    "REDIS_URL": NO_BROKER,
    "SECRET_KEYS": "a key of thirty-two characters or more",
    **{each.url: f"http://{each.name}.invalid" for each in STAND_INS},
    **{
        name: USERS.get(name) or f"canary-{name.lower().replace('_', '-')}"
        for name in CREDENTIALS
        if name not in OPTIONAL
    },
    "GITLAB_EXT_URL": "https://git.example.com",
    "CONTAINER_REPOSITORY_IMAGE_NAME": "registry.example.com/apps",
    "METRICS_TOKEN": "canary-metrics-token",
    "COOKIE_SECURE": "false",
    "SIGNUP_BUNDLED_TEAMS_OPEN": "true",
    "LOGIN_FAILURES_PER_ACCOUNT_AND_ADDRESS": "0",  # unlimited: all the people of a test have one address
    "LOGIN_FAILURES_PER_ACCOUNT": "0",
    "LOGIN_FAILURES_PER_ADDRESS": "0",
    "SIGNUPS_PER_ADDRESS": "0",
    "SIGNUPS_PER_NAME": "0",
    "ALLOW_UNLIMITED_ATTEMPTS": "true",
    "ALLOW_INSECURE_COOKIE": "true",
    "ALLOW_PLAIN_UPSTREAMS": "true",  # hosts that do not exist
}


def settings(db_url: str, kind: type[CommonSettings] = Settings, **changes: Any) -> Any:
    """Return whole settings; nothing that they name is there except the database."""
    return kind(_env_file=None, db_url=SecretStr(db_url), **{**fields_of(ENVIRONMENT), **changes})


def newcomer(login: str, **changes: Any) -> dict[str, Any]:
    """Return a sign-up that is fine."""
    person = {"id": login, "email": f"{login}@example.com", "name": "Grace Hopper", "password": PASSWORD, "team": "dev"}
    return {**person, **changes}


class Api:
    """An app and its test clients."""

    def __init__(self, config: Settings, time: Time) -> None:
        self.app = create_app(config, now=time)
        self.passwords: Passwords = self.app.extensions["slipway"].passwords  # the real ones
        self.service: Service = replace(self.app.extensions["slipway"], passwords=Passwords(CHEAP))
        self.app.extensions["slipway"] = self.service
        self.visitor = self.app.test_client()

    def sign_up(self, login: str, **changes: Any) -> TestResponse:
        return self.visitor.post(f"{V1}/signup", json=newcomer(login, **changes))

    def admit(self, login: str) -> None:
        """Let a person log in, as after their sign-up has succeeded."""
        admit(self.service.db, login)

    def token(self, login: str) -> str:
        """Let a person log in, and return their token."""
        self.admit(login)
        answer = self.app.test_client(use_cookies=False).post(f"{V1}/login", json={"id": login, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        token: str = answer.json["token"]
        return token

    def bearer(self, token: str) -> FlaskClient:
        """Return a client that sends this token and keeps no cookie."""
        client = self.app.test_client(use_cookies=False)
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return client

    def member(self, login: str, team: str = "dev") -> FlaskClient:
        """Sign a person up and return their logged-in client."""
        assert self.sign_up(login, team=team).status_code == 202
        return self.bearer(self.token(login))


def admit(db: Database, login: str) -> None:
    """Let a person log in, as after their sign-up has succeeded."""
    admitted = update(User).where(User.login == login).values(admitted_at=User.created_at)
    db.transaction(lambda session: session.execute(admitted))


def add_project(member: FlaskClient, name: str = "compilers") -> str:
    answer = member.post(f"{V1}/project", json={"name": name})
    assert answer.status_code == 201, answer.text
    project_id: str = answer.json["project_id"]
    return project_id


def remove_app(client: FlaskClient, app_id: str, **query: str) -> TestResponse:
    """Remove an app, confirmed by its name."""
    name = client.get(f"{V1}/app/{app_id}").json.get("name", "")
    return client.delete(f"{V1}/app/{app_id}", query_string={"confirm": name, **query})


def add_app(member: FlaskClient, project_id: str, name: str, **changes: Any) -> TestResponse:
    return member.post(f"{V1}/app", json={"project_id": project_id, "name": name, "type": "Flask", **changes})


def without_request_id(answer: TestResponse) -> bytes:
    """Return the body with the one thing that may differ between two equal answers taken out."""
    return answer.data.replace(answer.headers["X-Request-Id"].encode(), b"")


def row_counts(db: Database) -> dict[str, int]:
    """Return the number of rows of every table."""

    def work(session: Any) -> dict[str, int]:
        tables = Base.metadata.sorted_tables
        return {table.name: session.scalar(select(func.count()).select_from(table)) for table in tables}

    return db.read(work)


class Undeclared(logging.Handler):
    """Collects the problems that a call answered with and does not declare."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == "undeclared_problem":
            self.problems.append(f"{record.__dict__['call']}: {record.__dict__['code']}")


@contextmanager
def open_api(db_url: str, time: Time, **changes: Any) -> Iterator[Api]:
    """Make the app; afterwards logging is what it was and no connection is open.

    Raises AssertionError at the end when a call answered with a problem that it does not declare.
    """
    root, problems = logging.getLogger(), logging.getLogger("api.contract.problems")
    handlers, level = root.handlers[:], root.level
    undeclared = Undeclared()
    problems.addHandler(undeclared)
    api = Api(settings(db_url, **changes), time)
    try:
        yield api
    finally:
        api.service.hub.stop()
        api.service.backlog.stop()
        api.service.db.dispose()
        root.handlers[:] = handlers
        root.setLevel(level)
        problems.removeHandler(undeclared)
    assert not undeclared.problems, f"add to the `raises` of these calls: {undeclared.problems}"


@contextmanager
def serve(db_url: str, log: Path, **changes: str) -> Iterator[tuple[str, int]]:
    """Run gunicorn as it is run in production, on a listening socket of ours; yields its host and port.

    `changes` to the environment are named as settings are.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener, log.open("wb") as output:
        number = listener.fileno()
        changed = {name.upper(): value for name, value in changes.items()}
        command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "--bind", f"fd://{number}"]
        process = subprocess.Popen(
            [*command, "api:create_app()"],
            cwd=log.parent,
            env={**os.environ, **ENVIRONMENT, "DB_URL": db_url, "PYTHONPATH": str(ROOT), **changed},
            pass_fds=[number],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        address: tuple[str, int] = listener.getsockname()
        listener.close()  # from here on it is the server's alone: when that dies, clients notice
        try:
            yield address
        finally:
            process.terminate()
            process.wait(timeout=40)

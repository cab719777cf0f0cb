"""An accepted job: answered in time whatever the broker does, and its secret readable nowhere."""

from __future__ import annotations

import threading
import time as clock
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import create_server
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, select
from support.api import V1, Api, open_api, row_counts, settings
from support.world import Time

from common.config.settings import WorkerSettings
from common.database.engine import Database
from common.database.models import Base
from common.workflows import SIGNUP

pytestmark = pytest.mark.one_database

ANSWERS_WITHIN_S = 2.5
SHOWN_WITHIN_S = 30.0
CANARY = "Zwölf Boxkämpfer & 3 Hunde"


ERRORS = ("NOAUTH", "READONLY", "OOM", "MISCONF", "LOADING", "NOPERM", "UNBLOCKED")


class _Refusing(BaseRequestHandler):
    """Answers each command with the same error, as a Redis does that is demoted, full, or does not know us."""

    def handle(self) -> None:
        server: Any = self.server
        while self.request.recv(65_536):
            self.request.sendall(f"-{server.word} you get nothing here\r\n".encode() * 20)


@contextmanager
def _refusing(word: str) -> Iterator[int]:
    with ThreadingTCPServer(("127.0.0.1", 0), _Refusing) as server:
        server.daemon_threads = True
        server.__dict__["word"] = word
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(params=["closed port", "silent broker", *ERRORS])
def broker(request: pytest.FixtureRequest) -> Iterator[SecretStr]:
    """The address of a broker that is away: closed, silent, or with an error as the only answer."""
    with ExitStack() as leave:
        if request.param in ERRORS:
            port = leave.enter_context(_refusing(request.param))
        else:
            listener = leave.enter_context(create_server(("127.0.0.1", 0)))
            port = listener.getsockname()[1]
        if request.param == "closed port":
            listener.close()
        yield SecretStr(f"redis://:canary@127.0.0.1:{port}/0")


def test_jobs_are_accepted_in_time_without_a_broker(
    db_url: str, db: Database, time: Time, broker: SecretStr, caplog: pytest.LogCaptureFixture
) -> None:
    with open_api(db_url, time, redis_url=broker) as api:
        answered = [_timed(api, f"grace{number}") for number in range(5)]
        deadline = clock.monotonic() + SHOWN_WITHIN_S
        while (ready := api.visitor.get("/readyz")).json["broker"] != "unreachable":
            assert clock.monotonic() < deadline
            clock.sleep(0.02)
    assert [code for code, _ in answered] == [202] * 5
    assert max(took_s for _, took_s in answered) < ANSWERS_WITHIN_S
    assert ready.status_code == 200
    counts = row_counts(db)
    assert (counts["users"], counts["jobs"], counts["secrets"]) == (5, 5, 5)
    assert counts["steps"] == 5 * len(SIGNUP.steps)
    assert "canary" not in caplog.text
    assert "you get nothing" not in caplog.text


def _timed(api: Api, login: str) -> tuple[int, float]:
    """Return the status of a sign-up, and how long it took."""
    began = clock.monotonic()
    return api.sign_up(login).status_code, clock.monotonic() - began


def _disguises(secret: str) -> set[bytes]:
    """Return the ways in which a careless program writes a secret down."""
    plain = secret.encode()
    base64 = {b64encode(b"\0" * shift + plain)[4 if shift else 0 :].rstrip(b"=")[:-1] for shift in range(3)}
    texts = {quote(secret), quote_plus(secret), plain.hex(), plain.hex().upper(), ascii(secret)[1:-1], secret[::-1]}
    return {plain, secret.encode("utf-16-le"), secret.encode("utf-16-be"), *base64, *(each.encode() for each in texts)}


def _everything_in(db: Database, db_url: str) -> bytes:
    """Return every value of every row, and the bytes of the files where there are files."""
    tables = Base.metadata.sorted_tables
    rows = db.read(lambda session: [tuple(row) for table in tables for row in session.execute(select(table))])
    values = b"\n".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)
    file = Path(make_url(db_url).database or "")
    files = file.parent.glob(f"{file.name}*") if db.is_sqlite else ()
    return b"\n".join([values, *(each.read_bytes() for each in files)])


def test_the_password_is_readable_nowhere(
    db_url: str, db: Database, time: Time, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_api(db_url, time) as api:
        job = api.sign_up("grace", password=CANARY)
        again = api.sign_up("grace", password=CANARY)
        unfinished = api.visitor.post(f"{V1}/login", json={"id": "grace", "password": CANARY})
        api.admit("grace")
        login = api.visitor.post(f"{V1}/login", json={"id": "grace", "password": CANARY})
        malformed = api.visitor.post(f"{V1}/signup", data=f'{{"password": "{CANARY}"', content_type="application/json")
        shown = api.visitor.get(job.headers["Location"])
        written = _everything_in(db, db_url)

    answers = [job, again, unfinished, login, malformed, shown]
    logged = "".join([caplog.text, *capfd.readouterr(), *(str(vars(record)) for record in caplog.records)])
    assert [answer.status_code for answer in answers] == [202, 409, 403, 201, 400, 200]
    assert '"event": "request"' in logged, "we looked at the log"
    assert b"grace@example.com" in written, "we looked at the rows"
    for disguise in _disguises(CANARY):
        assert disguise not in written
        assert disguise not in logged.encode()
        assert not any(disguise in answer.data for answer in answers)


def test_settings_never_show_in_an_answer_or_a_log(db_url: str, time: Time, capfd: pytest.CaptureFixture[str]) -> None:
    config = settings(db_url, WorkerSettings)
    secrets = [
        config.gitlab_token,
        config.jenkins_auth_token,
        config.argocd_token,
        config.elasticsearch_password,
        *config.secret_keys,
    ]

    with open_api(db_url, time) as api:
        answers = [api.sign_up("grace"), api.visitor.get("/readyz"), api.visitor.get("/nowhere")]

    seen = "".join([*capfd.readouterr(), *(answer.text for answer in answers)])
    assert not any(secret.get_secret_value() in seen for secret in secrets)

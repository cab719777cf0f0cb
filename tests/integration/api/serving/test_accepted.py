"""An accepted job: answered in time whatever the broker does, and its secret readable nowhere."""

from __future__ import annotations

import time as clock
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from socket import create_server
from urllib.parse import quote, quote_plus

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, select
from support.api import V1, open_api, row_counts, settings
from support.world import Time

from common.config.settings import WorkerSettings
from common.database.engine import Database
from common.database.models import Base
from common.workflows import SIGNUP

ANSWERS_WITHIN_S = 2.5
CANARY = "Zwölf Boxkämpfer & 3 Hunde"


@pytest.fixture(params=["closed port", "silent broker"])
def broker(request: pytest.FixtureRequest) -> Iterator[SecretStr]:
    """The address of a broker that refuses, or that takes the connection and never says a word."""
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if request.param == "closed port":
            listener.close()
        yield SecretStr(f"redis://:canary@127.0.0.1:{port}/0")


def test_a_job_is_accepted_in_time_without_a_broker(
    db_url: str, db: Database, time: Time, broker: SecretStr, caplog: pytest.LogCaptureFixture
) -> None:
    with open_api(db_url, time, redis_url=broker) as api:
        api.visitor.get("/readyz")
        began = clock.monotonic()

        first = api.sign_up("grace")

        took_s = clock.monotonic() - began
        second = api.sign_up("hopper")
        ready = api.visitor.get("/readyz")
    assert (first.status_code, second.status_code) == (202, 202)
    assert took_s < ANSWERS_WITHIN_S
    assert (ready.status_code, ready.json["broker"]) == (200, "unreachable")
    counts = row_counts(db)
    assert (counts["users"], counts["jobs"], counts["secrets"]) == (2, 2, 2)
    assert counts["steps"] == 2 * len(SIGNUP.steps)
    assert "canary" not in caplog.text


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
        login = api.visitor.post(f"{V1}/login", json={"id": "grace", "password": CANARY})
        malformed = api.visitor.post(f"{V1}/signup", data=f'{{"password": "{CANARY}"', content_type="application/json")
        shown = api.visitor.get(job.headers["Location"])
        written = _everything_in(db, db_url)

    answers = [job, again, login, malformed, shown]
    logged = "".join([caplog.text, *capfd.readouterr(), *(str(vars(record)) for record in caplog.records)])
    assert [answer.status_code for answer in answers] == [202, 409, 201, 400, 200]
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

"""The API as it is run: gunicorn's processes and threads over real sockets, and clients that race or misbehave."""

from __future__ import annotations

import json
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from support.api import PASSWORD, V1, admit, newcomer, row_counts, serve

from common.database.engine import Database
from common.workflows import PROVISION, SIGNUP

RACERS = 20
POSTS, KEYS = 1000, 50
ANSWERS_WITHIN_S = 30

Answer = tuple[int, dict[str, Any]]
Address = tuple[str, int]


@pytest.fixture
def address(db_url: str, tmp_path: Path) -> Iterator[Address]:
    with serve(db_url, tmp_path / "gunicorn.log") as opened:
        yield opened


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gunicorn") / "gunicorn.log"


@pytest.fixture(scope="module")
def shared(migrated_sqlite: Path, log: Path) -> Iterator[Address]:
    """One server for the tests of raw bytes, which write nothing."""
    file = shutil.copy(migrated_sqlite, log.parent / "slipway.db")
    with serve(f"sqlite:///{file}", log) as opened:
        yield opened


def _post(address: Address, path: str, body: object, token: str = "", *, key: str = "") -> Answer:
    connection = HTTPConnection(*address, timeout=ANSWERS_WITHIN_S)
    headers = {"Content-Type": "application/json", "Connection": "close"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if key:
        headers["Idempotency-Key"] = key
    connection.request("POST", f"{V1}{path}", json.dumps(body), headers)
    answer = connection.getresponse()
    received = answer.status, json.loads(answer.read())
    connection.close()
    return received


def _member_with_project(address: Address, db: Database) -> tuple[str, str]:
    """Return a member's token and the id of a project of their team."""
    _post(address, "/signup", newcomer("grace"))
    admit(db, "grace")
    token = _post(address, "/login", {"id": "grace", "password": PASSWORD})[1]["token"]
    return token, _post(address, "/project", {"name": "compilers"}, token)[1]["project_id"]


def _race(send: Callable[[int], Answer]) -> Counter[int]:
    """Let everybody send at the same moment and count the statuses."""
    gate = Barrier(RACERS)

    def run(number: int) -> int:
        gate.wait()
        return send(number)[0]

    with ThreadPoolExecutor(RACERS) as pool:
        return Counter(pool.map(run, range(RACERS)))


def _raw(address: Address, sent: bytes) -> bytes:
    """Send bytes and return all that comes back until the server closes."""
    with socket.create_connection(address, timeout=ANSWERS_WITHIN_S) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def _request(headers: list[str], body: bytes, path: str = f"{V1}/login") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: slipway", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def test_of_twenty_who_want_one_login_one_gets_it(address: Address, db: Database) -> None:
    statuses = _race(lambda number: _post(address, "/signup", newcomer("grace", email=f"g{number}@example.com")))

    assert statuses == {202: 1, 409: RACERS - 1}
    counts = row_counts(db)
    assert (counts["users"], counts["jobs"], counts["secrets"]) == (1, 1, 1)
    assert counts["steps"] == len(SIGNUP.steps)


def test_of_twenty_with_one_address_one_gets_in(address: Address, db: Database) -> None:
    statuses = _race(lambda number: _post(address, "/signup", newcomer(f"grace-{number}", email="Grace@example.com")))

    assert statuses == {202: 1, 409: RACERS - 1}
    assert row_counts(db)["users"] == 1


def test_of_twenty_who_want_one_app_name_one_gets_it(address: Address, db: Database) -> None:
    token, project_id = _member_with_project(address, db)
    wanted = {"project_id": project_id, "name": "compiler", "type": "Flask"}

    statuses = _race(lambda _: _post(address, "/app", wanted, token))

    assert statuses == {202: 1, 409: RACERS - 1}
    counts = row_counts(db)
    assert (counts["apps"], counts["jobs"]) == (1, 2)
    assert counts["steps"] == len(SIGNUP.steps) + len(PROVISION.steps)


def test_of_a_thousand_posts_with_fifty_keys_fifty_make_a_job(address: Address, db: Database) -> None:
    token, project_id = _member_with_project(address, db)
    posts = [number % KEYS for number in range(POSTS)]

    def send(key: int) -> Answer:
        wanted = {"project_id": project_id, "name": f"app-{key}", "type": "Flask"}
        return _post(address, "/app", wanted, token, key=f"the-key-{key}")

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(send, posts))

    assert Counter(status for status, _ in answers) == {202: POSTS}
    by_key = {key: {told["job_id"] for at, (_, told) in zip(posts, answers, strict=True) if at == key} for key in posts}
    assert all(len(job_ids) == 1 for job_ids in by_key.values())
    counts = row_counts(db)
    assert (counts["jobs"] - 1, counts["apps"], counts["kept_answers"]) == (KEYS, KEYS, KEYS)  # one made the person


@pytest.mark.parametrize(("length", "status"), [(64 * 1024 - 1, b"400"), (64 * 1024, b"413"), (100_000, b"413")])
def test_64_kib_are_too_much_also_in_chunks(shared: Address, length: int, status: bytes) -> None:
    chunk = b"%x\r\n%s\r\n" % (length, b" " * length)
    headers = ["Content-Type: application/json", "Transfer-Encoding: chunked"]

    received = _raw(shared, _request(headers, chunk + b"0\r\n\r\n"))

    assert received.split()[1] == status
    assert b"application/problem+json" in received


@pytest.mark.parametrize("types", [["application/json", "text/plain"], ["text/plain", "application/json"]])
def test_a_body_of_two_types_is_refused(shared: Address, types: list[str]) -> None:
    body = b'{"id": "x", "password": "y"}'
    headers = [*(f"Content-Type: {each}" for each in types), f"Content-Length: {len(body)}"]

    received = _raw(shared, _request(headers, body))

    assert received.split()[1] in (b"400", b"415")


@pytest.mark.parametrize(
    "headers",
    [
        ["Authorization: Bearer \xff\xfe"],
        ["Cookie: session=\xff; ;=;session"],
        ["Origin: http://[", "Cookie: session=x"],
        ["X-Request-Id: a", "X-Request-Id: b"],
        ["If-None-Match: \xff"],
        ["Sec-Fetch-Site: \xff", "Cookie: session=x"],
    ],
    ids=ascii,
)
@pytest.mark.parametrize("path", [f"{V1}/jobs/x/cancel", f"{V1}/login", f"{V1}/project"])
def test_headers_that_make_no_sense_are_no_crash(shared: Address, headers: list[str], path: str) -> None:
    received = _raw(shared, _request([*headers, "Content-Type: application/json", "Content-Length: 2"], b"{}", path))

    assert received.split()[1] in (b"401", b"403", b"422")


def test_a_path_cannot_write_lines_into_the_log(shared: Address, log: Path) -> None:
    _raw(shared, b"GET /x%0a%7b%22event%22:%22forged%22%7d HTTP/1.1\r\nHost: slipway\r\nConnection: close\r\n\r\n")

    lines = log.read_text().splitlines()
    assert any("/x%0A%7B" in line for line in lines)
    assert not any(line.startswith('{"event":"forged"') for line in lines)


def test_head_sends_no_body(shared: Address) -> None:
    received = _raw(shared, b"HEAD /healthz HTTP/1.1\r\nHost: slipway\r\nConnection: close\r\n\r\n")

    assert received.split()[1] == b"200"
    assert received.endswith(b"\r\n\r\n")


def test_the_log_holds_no_password(shared: Address, log: Path) -> None:
    _post(shared, "/login", {"id": "grace", "password": "canary in the coal mine"})
    _raw(shared, _request(["Content-Type: application/json", "Content-Length: 30"], b'{"password": "canary in the co'))

    text = log.read_text()
    assert f"{V1}/login" in text
    assert "canary" not in text

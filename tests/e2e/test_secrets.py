"""The password of a sign-up, while it is needed and after: sealed in one row, then nowhere."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import requests
from sqlalchemy import MetaData, make_url
from support.collector import Collector
from support.flower import Flower
from support.stack import FLOWER, Person, Stack, processes_of, wait_for

from common.database.engine import Database
from common.database.models import Secret
from slipway.errors import ProblemError

NewName = Callable[[str], str]


@pytest.mark.parametrize("stack", ["sqlite", "mariadb"], indirect=True)
def test_the_password_is_readable_nowhere_while_a_sign_up_stands_still_and_gone_after_it(
    stack: Stack, collector: Collector, new_name: NewName
) -> None:
    login, canary = new_name("ada"), f'ü"&/+{secrets.token_hex(16)}\\~é'
    person = stack.anyone()
    stack.harbour.fault("elasticsearch", kind="status", status=503, method="PUT", path="^/_security/user/")
    job_id = person.sign_up(login, password=canary)
    wait_for("only Kibana is missing", lambda: _stands_still(person.job(job_id)) or None)
    with pytest.raises(ProblemError, match="not finished"):
        person.log_in(login, password=canary)

    sealed = _sealed(stack, job_id)
    places = list(_places(stack, collector, person, job_id))
    looked_at = {place.split()[0] for place, content in places if job_id.encode() in content}
    found_during = [place for place, content in places if _tells(content, canary)]
    stack.harbour.clear_faults()
    person.follow(job_id)
    person.log_in(login, password=canary)
    found_after = [place for place, content in _places(stack, collector, person, job_id) if _tells(content, canary)]

    assert looked_at >= {"table", "log", "API", "traces"}  # these do tell of the job: the search reads what it should
    assert sealed is not None
    assert found_during == []
    assert found_after == []
    assert _sealed(stack, job_id) is None


@pytest.mark.parametrize("encode", [repr, json.dumps, quote, lambda text: text.encode("utf-16-le").hex()])
def test_the_search_finds_a_password_in_every_disguise(encode: Callable[[str], str]) -> None:
    canary = 'ü"&/+0123456789abcdef\\~é'
    message = json.dumps([["job", {"password": canary}], {}]).encode()

    assert _tells(f"x{encode(canary)}x".encode(), canary)
    assert _tells(base64.b64encode(b"y" + message), canary)
    assert not _tells(b"nothing of the kind", canary)


def _stands_still(job: dict[str, Any]) -> bool:
    return bool(job["progress"]["done"] == job["progress"]["total"] - 1 and job["waiting_on"])


def _sealed(stack: Stack, job_id: str) -> bytes | None:
    db = Database(stack.environment["DB_URL"])
    try:
        row = db.read(lambda session: session.get(Secret, (job_id, "password")))
    finally:
        db.dispose()
    return row.sealed if row else None


# -- where it might be --------------------------------------------------------------------------------------------


def _places(stack: Stack, collector: Collector, person: Person, job_id: str) -> Iterator[tuple[str, bytes]]:
    """Return everything of ours that keeps or shows something, by name."""
    yield from _broker(stack)
    yield from _database(stack)
    yield from ((f"log of {name}", "\n".join(lines).encode()) for name, lines in stack.logs.items())
    yield from _processes(stack)
    for path in (f"/jobs/{job_id}", "/jobs", "/me"):
        yield f"API {path}", person.call("GET", path).content
    for url in (stack.embedded.api_url, f"http://127.0.0.1:{stack.environment['WORKER_METRICS_PORT']}"):
        token = {"Authorization": f"Bearer {stack.environment['METRICS_TOKEN']}"}
        yield f"metrics {url}", requests.get(f"{url}/metrics", headers=token, timeout=10).content
    yield "traces", b"".join(collector.bodies)
    if stack.has(FLOWER):
        yield from _flower(stack)


def _broker(stack: Stack) -> Iterator[tuple[str, bytes]]:
    readers: dict[bytes | str, Callable[[Any], object]] = {
        b"list": lambda key: stack.redis.lrange(key, 0, -1),
        b"hash": stack.redis.hgetall,
        b"set": stack.redis.smembers,
        b"zset": lambda key: stack.redis.zrange(key, 0, -1),
        b"string": stack.redis.get,
    }
    for key in stack.redis.scan_iter():
        yield f"broker {key!r}", repr(readers[stack.redis.type(key)](key)).encode()
    for file in (stack.embedded.root / "broker").rglob("*"):
        if file.is_file():
            yield str(file), file.read_bytes()


def _database(stack: Stack) -> Iterator[tuple[str, bytes]]:
    url = stack.environment["DB_URL"]
    db = Database(url)
    try:
        metadata = MetaData()
        metadata.reflect(db.read_engine)
        with db.read_engine.connect() as connection:
            for table in metadata.sorted_tables:
                yield f"table {table.name}", repr(connection.execute(table.select()).all()).encode()
    finally:
        db.dispose()
    if make_url(url).get_backend_name() == "sqlite":
        for file in stack.embedded.root.glob("slipway.db*"):
            yield str(file), file.read_bytes()


def _processes(stack: Stack) -> Iterator[tuple[str, bytes]]:
    for directory in processes_of(stack.embedded.root):
        for name in ("cmdline", "environ"):
            yield f"{directory / name}", (directory / name).read_bytes()


def _flower(stack: Stack) -> Iterator[tuple[str, bytes]]:
    yield from ((f"Flower {path}", answer.content) for path, answer in Flower(stack).answers())


# -- how it might look --------------------------------------------------------------------------------------------


def _tells(content: bytes, secret: str) -> bool:
    """Say whether the secret is in there, as it is or in one of the usual disguises."""
    return any(disguise in content for disguise in _disguises(secret))


def _disguises(secret: str) -> set[bytes]:
    core = max(secret.split("\\")[0].split("+"), key=len)  # plain hexadecimal: no disguise of the rest hides it
    raw, texts = secret.encode(), {secret, core, repr(secret)[1:-1], json.dumps(secret)[1:-1]}
    texts |= {json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret), quote(secret, safe=""), quote_plus(secret)}
    found = {text.encode() for text in texts}
    for form in (raw, core.encode(), secret.encode("utf-16-le"), secret.encode("utf-16-be"), secret.encode("latin-1")):
        found |= {form, form.hex().encode(), form.hex().upper().encode()} | _base64s(form)
    return found


def _base64s(raw: bytes) -> set[bytes]:
    """Return what base64 makes of it wherever in a longer text it stands, without the neighbours' share."""
    found = set()
    for shift in range(3):
        encode_both = (base64.b64encode(b"\0" * shift + raw), base64.urlsafe_b64encode(b"\0" * shift + raw))
        found |= {encoded.rstrip(b"=")[4 if shift else 0 : -2] for encoded in encode_both}
    return found

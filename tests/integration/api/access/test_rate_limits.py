"""A machine that tries passwords or sign-ups gets nowhere; who mistypes notices nothing; nobody learns who exists."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import delete, event, select, update
from sqlalchemy.exc import OperationalError
from support.api import PASSWORD, V1, Api, newcomer, open_api, serve, without_request_id
from support.fake_worker import fail, succeed
from support.world import Time
from werkzeug.test import TestResponse

from api.access import rate_limits
from api.access.rate_counter import EPOCH
from api.passwords import Passwords
from common.database.engine import Database
from common.database.models import Job, RateCount, Secret, User

OpenApi = Callable[..., Api]
Address = tuple[str, int]
THREADS = 8
ANSWERS_WITHIN_S = 30
WRONG = "not the password"
HERE, THERE = "192.0.2.1", "192.0.2.2"


class CountingHasher(PasswordHasher):
    """The real thing at the least cost, and how often it was asked."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.asked = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override] # noqa: A002 - argon2's names
        self.asked += 1
        return super().verify(hash, password)


@pytest.fixture
def time() -> Time:
    """A clock at the beginning of an hour."""
    clock = Time()
    clock.advance(3600 - (clock() - EPOCH).total_seconds() % 3600)
    return clock


@pytest.fixture
def limited(db_url: str, time: Time) -> Iterator[OpenApi]:
    """Return a function that opens an API with these limits and the account `grace` in it."""
    with ExitStack() as stack:

        def open_with(**limits: int) -> Api:
            api = stack.enter_context(open_api(db_url, time, **limits))
            assert api.sign_up("grace").status_code == 202
            api.admit("grace")
            return api

        yield open_with


def _log_in(api: Api, login: str = "grace", password: str = WRONG, address: str = HERE, **headers: str) -> TestResponse:
    client = api.app.test_client(use_cookies=False)
    sent = {"id": login, "password": password}
    return client.post(f"{V1}/login", json=sent, headers=headers, environ_base={"REMOTE_ADDR": address})


def _sign_up(api: Api, login: str, address: str = HERE, **changes: Any) -> TestResponse:
    return api.visitor.post(f"{V1}/signup", json=newcomer(login, **changes), environ_base={"REMOTE_ADDR": address})


def _assert_too_many(answer: TestResponse, retry_after_s: int) -> None:
    assert (answer.status_code, answer.json["code"]) == (429, "too_many_requests")
    assert answer.headers["Retry-After"] == str(retry_after_s)


def test_after_ten_wrong_passwords_from_one_address_the_right_one_has_to_wait(limited: OpenApi) -> None:
    api = limited(login_failures_per_account_and_address=10)
    assert [_log_in(api).status_code for _ in range(10)] == [401] * 10

    _assert_too_many(_log_in(api, password=PASSWORD), 900 + 90)
    assert _log_in(api, password=PASSWORD, address=THERE).status_code == 201, "a stranger shuts nobody out"
    assert _log_in(api, login="hopper").status_code == 401, "nor does a person's own slip of another account"


def test_retry_after_is_kept_to_the_second(limited: OpenApi, time: Time) -> None:
    api = limited(login_failures_per_account_and_address=10)
    for _ in range(10):
        _log_in(api)
    retry_after_s = int(_log_in(api).headers["Retry-After"])

    time.advance(retry_after_s - 1)
    _assert_too_many(_log_in(api, password=PASSWORD), 1)
    time.advance(1)
    assert _log_in(api, password=PASSWORD).status_code == 201


def test_many_addresses_together_get_so_many_tries_at_one_account(limited: OpenApi) -> None:
    api = limited(login_failures_per_account_and_address=10, login_failures_per_account=12)

    statuses = [_log_in(api, address=f"192.0.2.{number}").status_code for number in range(15)]

    assert statuses == [401] * 12 + [429] * 3


def test_one_address_gets_so_many_tries_at_all_accounts_together(limited: OpenApi) -> None:
    api = limited(login_failures_per_account_and_address=10, login_failures_per_address=12)

    statuses = [_log_in(api, login=f"person-{number}").status_code for number in range(15)]

    assert statuses == [401] * 12 + [429] * 3
    assert _log_in(api, password=PASSWORD, address=THERE).status_code == 201


def test_an_account_that_does_not_exist_is_counted_like_one_that_does(limited: OpenApi) -> None:
    api = limited(login_failures_per_account_and_address=2, login_failures_per_account=3)

    known, unknown = ([_log_in(api, login=login) for _ in range(4)] for login in ("grace", "nobody"))

    assert [answer.status_code for answer in known] == [401, 401, 429, 429]
    for one, other in zip(known, unknown, strict=True):
        assert without_request_id(one) == without_request_id(other)
        assert one.headers.get("Retry-After") == other.headers.get("Retry-After")


def test_who_logs_in_is_not_counted(limited: OpenApi, db: Database) -> None:
    api = limited(login_failures_per_account_and_address=2, login_failures_per_account=2, login_failures_per_address=2)

    statuses = [_log_in(api, password=PASSWORD).status_code for _ in range(5)]

    assert statuses == [201] * 5
    assert {row.hits for row in db.read(lambda session: session.scalars(select(RateCount)).all())} == {0}


def test_a_fault_of_ours_is_no_wrong_password(limited: OpenApi) -> None:
    api = limited(login_failures_per_account_and_address=1)

    for _ in range(3):
        with api.app.test_request_context(), pytest.raises(RuntimeError), rate_limits.limit_password_attempts("grace"):
            raise RuntimeError("the database stumbled")

    assert api.visitor.post(f"{V1}/login", json={"id": "grace", "password": PASSWORD}).status_code == 201


def _let_no_hit_be_released(db: Database) -> None:
    def fail(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE") and "hits - " in statement:
            raise OperationalError(statement, None, Exception("the server went away"))

    for engine in db.engines:
        event.listen(engine, "before_cursor_execute", fail)


def test_the_right_password_is_accepted_when_its_hits_cannot_be_released(limited: OpenApi) -> None:
    api = limited(login_failures_per_account_and_address=10)
    _let_no_hit_be_released(api.service.db)

    assert _log_in(api, password=PASSWORD).status_code == 201


def test_a_fault_of_ours_is_told_when_its_hits_cannot_be_released(limited: OpenApi) -> None:
    api = limited(login_failures_per_account_and_address=10)
    _let_no_hit_be_released(api.service.db)

    with api.app.test_request_context(), pytest.raises(RuntimeError), rate_limits.limit_password_attempts("grace"):
        raise RuntimeError("the database stumbled")


def test_a_refusal_costs_no_hash(limited: OpenApi) -> None:
    api, hasher = _counted(limited(login_failures_per_account_and_address=3))

    for _ in range(6):
        _log_in(api)

    assert hasher.asked == 3


def test_of_many_at_once_no_more_than_the_limit_reach_the_hasher(limited: OpenApi) -> None:
    api, hasher = _counted(limited(login_failures_per_account_and_address=10))
    gate = Barrier(THREADS)

    def run(_: int) -> Counter[int]:
        gate.wait()
        return Counter(_log_in(api).status_code for _ in range(6))

    with ThreadPoolExecutor(THREADS) as pool:
        statuses = sum(pool.map(run, range(THREADS)), Counter[int]())

    assert statuses == {401: 10, 429: THREADS * 6 - 10}
    assert hasher.asked == 10


def _counted(api: Api) -> tuple[Api, CountingHasher]:
    hasher = CountingHasher()
    api.app.extensions["slipway"] = replace(api.service, passwords=Passwords(hasher))
    return api, hasher


def test_neither_logins_nor_addresses_are_readable_in_the_database(limited: OpenApi, db: Database) -> None:
    api = limited(login_failures_per_account_and_address=5, signups_per_address=5, signups_per_name=5)
    _log_in(api)
    _sign_up(api, "hopper")

    rows = db.read(lambda session: session.scalars(select(RateCount)).all())
    told = " ".join(str(vars(row)) for row in rows)
    assert len(rows) == 7, "one for the log-in, three for each sign-up"
    assert not any(word in told for word in ("grace", "hopper", "example.com", HERE))


# -- sign-ups -----------------------------------------------------------------------------------------------------


def test_one_address_gets_so_many_sign_ups_whatever_becomes_of_them(limited: OpenApi, time: Time) -> None:
    api = limited(signups_per_address=5)

    statuses = [_sign_up(api, login).status_code for login in ("ada", "ada", "jean", "ada", "kay", "betty")]

    assert statuses == [202, 409, 202, 409, 202, 429]
    assert _sign_up(api, "betty", address=THERE).status_code == 202
    time.advance(2 * 3600)
    assert _sign_up(api, "fran").status_code == 202


@pytest.mark.parametrize(
    "same", [{"login": "ada"}, {"email": "ada@example.com"}, {"email": "ADA@example.com"}], ids=str
)
def test_nobody_tries_one_name_again_and_again_from_many_addresses(limited: OpenApi, same: dict[str, str]) -> None:
    api = limited(signups_per_name=3)

    statuses = []
    for number in range(5):
        person = {"login": f"person-{number}", "email": f"p{number}@example.com", **same}
        statuses.append(_sign_up(api, address=f"192.0.2.{number}", **person).status_code)

    assert statuses == [202, 409, 409, 429, 429]


def test_a_sign_up_that_cannot_be_is_told_why_however_often(limited: OpenApi) -> None:
    api = limited(signups_per_address=2)

    assert [_sign_up(api, "ada", password="short").status_code for _ in range(5)] == [422] * 5


# -- whose address it is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("addresses", "are_one"),
    [
        (["2001:db8::1", "2001:db8::2:3"], True),
        (["2001:db8:0:1::1", "2001:db8:0:2::1"], False),
        (["::ffff:192.0.2.1", "192.0.2.1"], True),
        (["192.0.2.1", "192.0.2.2"], False),
        (["", ""], True),
    ],
    ids=str,
)
def test_addresses_are_one_where_one_customer_has_them(limited: OpenApi, addresses: list[str], are_one: bool) -> None:
    api = limited(login_failures_per_account_and_address=1)

    statuses = [_log_in(api, address=address).status_code for address in addresses]

    assert statuses == [401, 429 if are_one else 401]


@pytest.mark.parametrize(
    ("proxies", "told", "statuses"),
    [
        (0, ["198.51.100.1", "198.51.100.2"], [401, 429]),
        (1, ["198.51.100.1", "198.51.100.2"], [401, 401]),
        (1, ["198.51.100.1, 203.0.113.1", "198.51.100.2, 203.0.113.1"], [401, 429]),
        (2, ["198.51.100.1, 203.0.113.1", "198.51.100.2, 203.0.113.1"], [401, 401]),
    ],
)
def test_so_many_proxies_are_believed_as_there_are(
    limited: OpenApi, proxies: int, told: list[str], statuses: list[int]
) -> None:
    api = limited(login_failures_per_account_and_address=1, proxy_count=proxies)

    answers = [_log_in(api, **{"X-Forwarded-For": forwarded_for}) for forwarded_for in told]

    assert [answer.status_code for answer in answers] == statuses


def test_a_proxy_is_not_believed_the_host(db_url: str, time: Time) -> None:
    with open_api(db_url, time, proxy_count=1, trusted_hosts=("localhost",)) as api:
        answer = api.visitor.get("/healthz", headers={"X-Forwarded-Host": "evil.example"})

    assert answer.status_code == 200


# -- other ways to try a password ---------------------------------------------------------------------------------


def test_the_retry_of_a_sign_up_is_no_way_around(limited: OpenApi, db: Database) -> None:
    api = limited(login_failures_per_account=3)
    job_id = db.read(lambda session: session.scalars(select(Job.id)).one())
    succeed(db, job_id, but=("create_kibana_user",))
    fail(db, job_id, "create_kibana_user")
    db.transaction(lambda session: session.execute(delete(Secret)))  # as the clock does with what has expired

    tries = [api.visitor.post(f"{V1}/jobs/{job_id}/retry", json={"password": "wrong"}) for _ in range(4)]

    assert [answer.status_code for answer in tries] == [422, 422, 422, 429]
    assert _log_in(api, password=PASSWORD).status_code == 429, "they are counted together"


def test_the_answer_kept_under_a_key_is_no_way_around(limited: OpenApi) -> None:
    api = limited(login_failures_per_account_and_address=3)
    key = {"Idempotency-Key": "the-same-every-day"}
    assert _log_in(api, password=PASSWORD, **key).status_code == 201

    tries = [_log_in(api, **key) for _ in range(4)]

    assert [answer.status_code for answer in tries] == [422, 422, 422, 429]
    assert [answer.json["code"] for answer in tries][:3] == ["key_reused"] * 3


def test_replays_with_the_right_password_cost_so_many_hashes_and_no_more(limited: OpenApi) -> None:
    api, hasher = _counted(limited(login_failures_per_account_and_address=3))
    key, person = {"Idempotency-Key": "the-same-every-day"}, newcomer("ada")
    assert api.visitor.post(f"{V1}/signup", json=person, headers=key).status_code == 202

    replays = [api.visitor.post(f"{V1}/signup", json=person, headers=key) for _ in range(5)]

    assert [answer.status_code for answer in replays] == [202, 202, 202, 429, 429]
    assert hasher.asked == 3


def test_who_has_signed_up_and_cannot_log_in_yet_costs_so_many_hashes_and_no_more(limited: OpenApi) -> None:
    api, hasher = _counted(limited(login_failures_per_account_and_address=3))
    assert _sign_up(api, "ada").status_code == 202

    tries = [_log_in(api, "ada", password=PASSWORD) for _ in range(5)]

    assert [answer.status_code for answer in tries] == [403, 403, 403, 429, 429]
    assert hasher.asked == 3


def test_the_retry_of_a_sign_up_that_was_replaced_costs_no_hash(limited: OpenApi, db: Database) -> None:
    api, hasher = _counted(limited())
    job_id = _sign_up(api, "ada").json["job_id"]
    fail(db, job_id, "check_gitlab_name")
    fail(db, job_id, "check_jenkins_name")
    fail(db, job_id, "check_kibana_name")
    db.transaction(lambda session: session.execute(update(User).values(left_at=User.created_at)))

    answer = api.visitor.post(f"{V1}/jobs/{job_id}/retry", json={"password": PASSWORD})

    assert (answer.status_code, answer.json["code"], hasher.asked) == (409, "is_over", 0)


# -- several processes --------------------------------------------------------------------------------------------


@pytest.fixture
def served(db_url: str, tmp_path: Path) -> Iterator[Address]:
    """Two processes that let ten wrong passwords through."""
    with serve(db_url, tmp_path / "gunicorn.log", login_failures_per_account_and_address="10") as address:
        yield address


def test_processes_count_together(served: Address) -> None:
    gate = Barrier(THREADS)

    def run(_: int) -> Counter[int]:
        gate.wait()
        return Counter(_try_over_http(served) for _ in range(6))

    with ThreadPoolExecutor(THREADS) as pool:
        statuses = sum(pool.map(run, range(THREADS)), Counter[int]())

    assert statuses == {401: 10, 429: THREADS * 6 - 10}


def _try_over_http(address: Address) -> int:
    connection = HTTPConnection(*address, timeout=ANSWERS_WITHIN_S)
    sent = json.dumps({"id": "grace", "password": "wrong"})
    connection.request("POST", f"{V1}/login", sent, {"Content-Type": "application/json", "Connection": "close"})
    status = connection.getresponse().status
    connection.close()
    return status

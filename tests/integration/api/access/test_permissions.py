"""Who may do what: every declared call × everybody who may try × whose object it is, by token and by cookie.

What is expected follows from the call's policy and from its rows in `tests/support/endpoint_cases.py`; a call without
a row fails the first test. `pytest -s` prints the number of cells.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from support.api import Api, open_api, row_counts
from support.endpoint_cases import ABOUT, ADDED, About, Things, request
from support.objects import Objects
from support.world import Time
from werkzeug.test import TestResponse

from api.contract.endpoint import Endpoint, Policy
from api.serving.routing import declared_endpoints
from common.database.engine import Database

ANYONE, OTHER, OWN, ADMIN = WHO = ("anonymous", "other team", "own team", "admin")
TEAMS = {OWN: "dev", OTHER: "ops"}
ABSENT = "absent"
COOKIE = "session"
OVERRIDES = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")


class Matrix:
    """The app, its calls, and things for them; counts the cells that were tried."""

    def __init__(self, api: Api, db: Database) -> None:
        self.api = api
        self.db = db
        self.calls: dict[str, Endpoint] = {call.name: call for call in declared_endpoints(api.app)}
        self.cells = 0
        self.things = Things(Objects(api, db))

    def client(self, who: str, *, by_cookie: bool = False) -> FlaskClient:
        """Return a client with a token of its own, which it may end."""
        client = self.api.app.test_client(use_cookies=by_cookie)
        token = "made-up" if who == ANYONE else self.api.token("chief" if who == ADMIN else f"member-{TEAMS[who]}")
        if by_cookie:
            client.set_cookie(COOKIE, token)
        elif who != ANYONE:
            client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return client

    def ask(
        self,
        client: FlaskClient,
        about: About,
        whose: str,
        *,
        headers: Mapping[str, str] | None = None,
        method: str = "",
    ) -> TestResponse:
        """Make the call, or the same request by another method. What it has used up is made anew when it is needed."""
        call = self.calls[about.call]
        sent = request(about, call, self.things.values(about, TEAMS.get(whose)))
        self.cells += 1
        answer = client.open(
            sent.path,
            method=method or sent.method,
            query_string=dict(sent.query),
            json=sent.json,
            headers=headers,
            buffered=True,  # a stream is read to its end
        )
        if answer.status_code < 300 and call.takes_idempotency_key and not method:
            self.things.use_up(about, TEAMS.get(whose))
        return answer

    def told(self, answer: TestResponse, about: About, whose: str) -> tuple[int, bytes, list[tuple[str, str]]]:
        """Return all of an answer but its request's id and what the client has sent."""
        body = answer.data.replace(answer.headers["X-Request-Id"].encode(), b"")
        for value in self.things.values(about, TEAMS.get(whose)).values():
            body = body.replace(value.encode(), b"")
        varying = ("X-Request-Id", "Content-Length")
        return answer.status_code, body, sorted((name, value) for name, value in answer.headers if name not in varying)


@pytest.fixture(scope="module")
def matrix(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory, time: Time) -> Iterator[Matrix]:
    url = f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path_factory.mktemp('matrix') / 'slipway.db')}"
    db = Database(url, now=time)
    with open_api(url, time) as api:
        made = Matrix(api, db)
        yield made
    print(f"\n{made.cells} cells, {len(made.calls)} calls")  # noqa: T201 - for whoever runs it with -s
    db.dispose()


def _whose(about: About) -> tuple[str, ...]:
    return (OWN, OTHER, ABSENT) if about.hidden is not None else (OWN,)


def _is_hidden(about: About, who: str, whose: str) -> bool:
    """Say whether it must look to this person as if it did not exist."""
    if about.hidden is None or (about.is_open and whose != ABSENT):
        return False
    return whose != who and (who != ADMIN or whose == ABSENT or about.is_personal)


def _expected(call: Endpoint, about: About, who: str, whose: str, *, by_cookie: bool) -> int:
    if call.policy is Policy.SCRAPER:
        return 401  # a person's token is none of the metrics
    is_known = who != ANYONE and (call.takes_cookie or not by_cookie)
    is_hidden = _is_hidden(about, who, whose)
    if not is_known and (call.needs_login or (call.policy is Policy.VISITOR and is_hidden)):
        return 401
    if who != ADMIN and call.policy is Policy.ADMIN:
        return 403
    if is_hidden:
        return about.hidden or 404
    if who != ADMIN and about.is_for_administrators:
        return 403
    return about.status or min(call.answers)


def test_every_call_is_in_the_matrix(matrix: Matrix) -> None:
    known = {about.call for about in ABOUT}

    assert not set(matrix.calls) - known, f"a new call: {ADDED}"
    assert not known - set(matrix.calls), "a call that is gone: take its rows out of tests/support/endpoint_cases.py"


@pytest.mark.parametrize("by_cookie", [False, True], ids=["token", "cookie"])
@pytest.mark.parametrize("about", ABOUT, ids=str)
def test_who_may_do_what(matrix: Matrix, about: About, by_cookie: bool) -> None:
    call = matrix.calls[about.call]
    for who in WHO:
        hidden = []
        for whose in _whose(about):
            client, before = matrix.client(who, by_cookie=by_cookie), None
            expected = _expected(call, about, who, whose, by_cookie=by_cookie)
            if expected >= 400:
                matrix.things.values(about, TEAMS.get(whose))
                before = row_counts(matrix.db)

            answer = matrix.ask(client, about, whose)

            assert answer.status_code == expected, f"{who}, thing of {whose}: {answer.text}"
            assert before in (None, row_counts(matrix.db)), f"{who}, thing of {whose}: a refusal has written something"
            if _is_hidden(about, who, whose):
                hidden.append(matrix.told(answer, about, whose))
        assert all(told == hidden[0] for told in hidden), f"{who} can tell them apart: {hidden}"


@pytest.mark.parametrize("about", ABOUT, ids=str)
def test_head_and_options_start_nothing_and_give_nothing_away(matrix: Matrix, about: About) -> None:
    clients = {who: matrix.client(who) for who in WHO}
    for whose in _whose(about):
        matrix.things.values(about, TEAMS.get(whose))
    before = row_counts(matrix.db)
    allowed = set()
    for who, client in clients.items():
        hidden = []
        for whose in _whose(about):
            head = matrix.ask(client, about, whose, method="HEAD")
            options = matrix.ask(client, about, whose, method="OPTIONS")

            assert head.data == b""
            assert head.status_code in (200, 401, 403, 404, 405)
            allowed.add((options.status_code, options.data, options.headers["Allow"]))
            if _is_hidden(about, who, whose):
                hidden.append(matrix.told(head, about, whose))
        assert all(told == hidden[0] for told in hidden), f"{who} can tell them apart: {hidden}"
    assert row_counts(matrix.db) == before
    assert len(allowed) == 1
    assert allowed.pop()[:2] == (200, b"")


@pytest.mark.parametrize("header", OVERRIDES)
def test_a_header_does_not_change_the_method(matrix: Matrix, header: str) -> None:
    client = matrix.client(ADMIN)
    for about in (about for about in ABOUT if matrix.calls[about.call].method != "GET"):
        plain = matrix.ask(client, about, OWN, method="GET")
        before = _without_audit(matrix.db)

        answer = matrix.ask(client, about, OWN, method="GET", headers={header: matrix.calls[about.call].method})

        assert answer.status_code == plain.status_code, str(about)
        assert _without_audit(matrix.db) == before, str(about)


def _without_audit(db: Database) -> dict[str, int]:
    """Count the rows of what acts change: a GET that starts a comparison is an act, also when one runs already."""
    return {table: count for table, count in row_counts(db).items() if table != "actions"}

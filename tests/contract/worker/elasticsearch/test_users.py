"""The Elasticsearch client creates a user once, and never overwrites somebody else's, whatever the reply."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from common.errors import ActionBy, Conflict, Permanent, StepError, Transient
from common.plain_text import own_words
from harbour.config import HarbourConfig
from harbour.elasticsearch.app import Elasticsearch as ElasticsearchService
from harbour.faults import Fault
from worker.upstreams.elasticsearch.client import Elasticsearch, User
from worker.upstreams.http import Deadline, Http, Limits

MARKER = "slipway:anna:7f3c"
PASSWORD = "Correct-Horse-Battery-9"
OURS = {"slipway": {"managed": True, "marker": MARKER}}
ANNA = {"roles": ["dev"], "full_name": "Anna Bell", "email": "anna@corp.example"}


class Bench:
    """A client, the Elasticsearch it talks to, an administrator beside it, and the intents that were declared."""

    def __init__(self, service: ElasticsearchService) -> None:
        auth = (service.config.elasticsearch_user, service.config.elasticsearch_password)
        self._http = Http("Elasticsearch", service.url, auth=auth, limits=Limits(read_s=2, total_s=2))
        self.service = service
        self.client = Elasticsearch(self._http)
        self.intents: list[str] = []
        self.before_create: Callable[[], object] = lambda: None

    def bind(self, deadline: Deadline) -> None:
        self.client = Elasticsearch(self._http.within(deadline))

    def on_create(self) -> None:
        self.intents.append("create")
        self.before_create()

    def admin(self, user: dict[str, Any], login: str = "anna") -> None:
        """Write a user that is not ours."""
        reply = self._http.send("PUT", "_security", "user", login, json=user)
        assert reply.status == 200, reply.text
        self.service.calls.clear()

    def ensure(self, **changes: Any) -> User:
        wanted = {"login": "anna", "password": PASSWORD, **ANNA, **changes}
        return self.client.users.ensure(**wanted, marker=MARKER, on_create=self.on_create)

    def can_sign_in(self, password: str) -> bool:
        return self._http.send("GET", "_security", "_authenticate", auth=("anna", password)).status == 200


@pytest.fixture
def bench(config: HarbourConfig) -> Iterator[Bench]:
    service = ElasticsearchService(config)
    service.start()
    yield Bench(service)
    service.stop()


# -- once, and ours -------------------------------------------------------------------------------------------


def test_the_first_time_creates_and_the_second_only_finds(bench: Bench) -> None:
    first, second = bench.ensure(), bench.ensure()

    assert first == User(login="anna", web_url="", found=False)
    assert second == User(login="anna", web_url="", found=True)
    assert (len(bench.service.writes()), bench.intents) == (1, ["create"])
    assert bench.can_sign_in(PASSWORD)
    made = bench.service.users["anna"]
    assert {key: made[key] for key in (*ANNA, "metadata", "enabled")} == {**ANNA, "metadata": OURS, "enabled": True}


@pytest.mark.parametrize("kind", ["lost", "truncate", "status_after"])
def test_an_answer_lost_after_the_write_converges(bench: Bench, kind: str) -> None:
    bench.service.inject(Fault(kind=kind, method="PUT", times=1, status=504, body="<html>timeout</html>"))

    with pytest.raises(Transient):
        bench.ensure()
    again = bench.ensure()

    assert again.found
    assert len(bench.service.writes()) == 1
    assert bench.can_sign_in(PASSWORD)


def test_without_its_intent_nothing_is_created(bench: Bench) -> None:
    def refuse() -> None:
        raise Transient("the ledger is away")

    bench.before_create = refuse

    with pytest.raises(Transient, match="ledger"):
        bench.ensure()
    assert bench.service.writes() == []


def test_what_differs_is_put_right_without_the_password(bench: Bench) -> None:
    bench.ensure()

    bench.ensure(roles=["ops"], full_name="Anna Ring", password="another-password")

    made = bench.service.users["anna"]
    assert (made["roles"], made["full_name"], made["metadata"]) == (["ops"], "Anna Ring", OURS)
    assert bench.can_sign_in(PASSWORD)
    assert bench.intents == ["create"]


def test_an_account_that_an_operator_disabled_stays_disabled(bench: Bench) -> None:
    bench.admin({**ANNA, "roles": [], "password": PASSWORD, "enabled": False, "metadata": {**OURS, "seen": 1}})

    bench.ensure()

    (written,) = bench.service.writes()
    assert json.loads(written.body) == {**ANNA, "enabled": False, "metadata": {**OURS, "seen": 1}}


def test_the_order_of_roles_is_no_difference(bench: Bench) -> None:
    bench.ensure(roles=["dev", "ops"])
    bench.ensure(roles=["ops", "dev"])

    assert len(bench.service.writes()) == 1


# -- and nobody else's ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"slipway": None},
        {"slipway": MARKER},
        {"slipway": {"managed": False, "marker": MARKER}},
        {"slipway": {"managed": True, "marker": MARKER + "0"}},
    ],
)
def test_somebody_elses_user_is_never_written_over(bench: Bench, metadata: dict[str, Any]) -> None:
    bench.admin({**ANNA, "roles": ["superuser"], "password": "their-password", "metadata": metadata})
    before = bench.service.snapshot()

    with pytest.raises(Conflict) as caught:
        bench.ensure()

    assert caught.value.choices
    assert bench.service.snapshot() == before
    assert (bench.service.writes(), bench.intents) == ([], [])
    assert bench.can_sign_in("their-password")


@pytest.mark.parametrize("login", ["elastic", "kibana_system"])
def test_a_built_in_user_is_taken(bench: Bench, login: str) -> None:
    with pytest.raises(Conflict):
        bench.ensure(login=login)
    assert bench.service.writes() == []


@pytest.mark.parametrize(
    "reason",
    [
        "user [x] is reserved and only the password can be changed",
        "user [_x] is anonymous and cannot be modified via the API",
        "user [_x] is internal",
    ],
)
def test_a_built_in_user_that_does_not_show_is_taken_too(bench: Bench, reason: str) -> None:
    body = f'{{"error":{{"type":"validation_exception","reason":"Validation Failed: 1: {reason};"}},"status":400}}'
    bench.service.inject(Fault(kind="status", method="PUT", status=400, body=body))

    with pytest.raises(Conflict):
        bench.ensure()


def test_whoever_was_quicker_owns_the_creation(bench: Bench) -> None:
    bench.before_create = lambda: bench.admin({**ANNA, "password": PASSWORD, "metadata": OURS})

    assert bench.ensure().found


def test_a_name_that_cannot_be_read_back_is_not_written(bench: Bench) -> None:
    with pytest.raises(Permanent, match="comma"):
        bench.ensure(login="anna,ben")
    assert bench.service.writes() == []


# -- what is refused ------------------------------------------------------------------------------------------


def test_a_role_that_does_not_exist_stops_us_before_any_write(bench: Bench) -> None:
    with pytest.raises(Permanent, match="no role devv") as caught:
        bench.ensure(roles=["dev", "devv"])

    assert caught.value.action_by is ActionBy.OPERATOR
    assert (bench.service.writes(), bench.intents) == ([], [])


def test_a_short_password_is_for_the_person_to_mend(bench: Bench) -> None:
    with pytest.raises(Permanent, match="at least \\[6\\] characters") as caught:
        bench.ensure(password="short")

    assert caught.value.action_by is ActionBy.USER
    assert own_words(caught.value.reason) == "Elasticsearch does not accept the user anna: change the password"


def test_a_reason_that_names_no_field_of_the_person_asks_for_no_change(bench: Bench) -> None:
    bench.service.inject(Fault(kind="status", method="PUT", status=400, body='{"error":"invalid role name [é]"}'))

    with pytest.raises(Permanent) as caught:
        bench.ensure()

    assert own_words(caught.value.reason) == "Elasticsearch does not accept the user anna"


def test_an_echoed_password_is_not_shown(bench: Bench) -> None:
    bench.service.inject(Fault(kind="status", method="PUT", status=400, body=f'{{"error":"bad {PASSWORD}"}}'))

    with pytest.raises(Permanent, match="bad •••") as caught:
        bench.ensure()
    assert PASSWORD not in str(caught.value)


def test_a_write_that_does_not_show_is_not_believed(bench: Bench) -> None:
    bench.service.inject(Fault(kind="status", method="PUT", status=200, body='{"created":true}'))

    with pytest.raises(Transient, match="does not show"):
        bench.ensure()


BLOCKED = '{"error":{"type":"cluster_block_exception","reason":"index [.security] blocked"},"status":403}'
FORBIDDEN = '{"error":{"type":"security_exception","reason":"action is unauthorized"},"status":403}'
STATUSES: list[tuple[int, str, type[StepError]]] = [
    *((status, "{}", Transient) for status in (408, 409, 425, 429, 500, 502, 503, 504)),
    (403, BLOCKED, Transient),
    (403, FORBIDDEN, Permanent),
    *((status, "{}", Permanent) for status in (302, 400, 401, 405)),
]

every_call = pytest.mark.parametrize(("method", "path"), [("GET", "/role/"), ("GET", "/user/"), ("PUT", "/user/")])


@pytest.mark.parametrize(("status", "body", "error"), STATUSES)
@every_call
def test_a_status_ends_as_declared(
    bench: Bench, method: str, path: str, status: int, body: str, error: type[StepError]
) -> None:
    bench.service.inject(Fault(kind="status", method=method, path=path, status=status, body=body))

    with pytest.raises(error):
        bench.ensure()
    assert "anna" not in bench.service.users


@every_call
@pytest.mark.parametrize(
    "body",
    ["null", "3", '"x"', "[]", '{"anna": null}', '{"anna": {"roles": 3}}', "<html>welcome</html>", ""],
)
def test_no_answer_of_another_shape_is_a_crash(bench: Bench, method: str, path: str, body: str) -> None:
    bench.service.inject(Fault(kind="status", method=method, path=path, status=200, body=body))

    with pytest.raises(StepError):
        bench.ensure()


def test_all_calls_end_by_the_deadline(bench: Bench) -> None:
    bench.bind(Deadline.within(0))

    with pytest.raises(Transient, match="used up"):
        bench.ensure()

"""The Elasticsearch client closes our accounts, once, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.wrappers import Request, Response

from common.errors import Conflict, Permanent, StepError, Transient
from harbour.config import HarbourConfig
from harbour.elasticsearch.app import Elasticsearch as ElasticsearchService
from harbour.elasticsearch.users import USER
from harbour.faults import Fault
from harbour.server import route
from worker.upstreams.elasticsearch.client import Elasticsearch
from worker.upstreams.http import Http, Limits

MARKER = "slipway:anna:7f3c"
PASSWORD = "Correct-Horse-Battery-9"
CLOSED_INDEX = '{"error":{"type":"cluster_block_exception","reason":"index [.security] blocked"},"status":403}'


class Bench:
    """A client and the Elasticsearch it talks to, without and then with a user of ours."""

    def __init__(self, service: ElasticsearchService) -> None:
        auth = (service.config.elasticsearch_user, service.config.elasticsearch_password)
        self.http = Http("Elasticsearch", service.url, auth=auth, limits=Limits(read_s=2, total_s=2))
        self.service = service
        self.client = Elasticsearch(self.http)
        self.before = service.snapshot()
        anna = {"login": "anna", "password": PASSWORD, "full_name": "Anna Bell", "email": "anna@corp.example"}
        self.client.users.ensure(**anna, roles=["dev"], marker=MARKER, on_create=lambda: None)
        service.calls.clear()

    def can_sign_in(self) -> bool:
        return self.http.send("GET", "_security", "_authenticate", auth=("anna", PASSWORD)).status == 200


class Reborn(ElasticsearchService):
    """Has somebody who takes each name as soon as it is free."""

    @route("DELETE", USER)
    def delete_user(self, request: Request, name: str) -> Response:
        answer = super().delete_user(request, name)
        self.users[name] = self.new_user(name, ["ops"], {})
        return answer


def remove(bench: Bench, login: str = "anna") -> bool:
    return bench.client.users.remove(login, marker=MARKER)


def disable(bench: Bench, login: str = "anna") -> bool:
    return bench.client.users.disable(login, marker=MARKER)


Closing = Callable[..., bool]
both = pytest.mark.parametrize("close", [remove, disable])


@pytest.fixture
def bench(config: HarbourConfig) -> Iterator[Bench]:
    service = ElasticsearchService(config)
    service.start()
    yield Bench(service)
    service.stop()


def test_a_removed_user_leaves_nothing(bench: Bench) -> None:
    assert remove(bench)
    assert bench.service.snapshot() == bench.before


def test_a_new_user_of_the_same_name_is_not_ours_any_more(config: HarbourConfig) -> None:
    service = Reborn(config)
    service.start()
    bench = Bench(service)

    removed = remove(bench)

    service.stop()
    assert removed
    assert service.users["anna"]["roles"] == ["ops"]


def test_a_disabled_user_keeps_all_but_the_way_in(bench: Bench) -> None:
    before = dict(bench.service.users["anna"])

    assert disable(bench)

    assert not bench.can_sign_in()
    assert bench.service.users["anna"] == before | {"enabled": False}


@both
def test_twice_is_once(bench: Bench, close: Closing) -> None:
    assert close(bench)
    assert close(bench)
    assert len(bench.service.writes()) == 1


@both
@pytest.mark.parametrize("kind", ["lost", "truncate", "status_after"])
def test_an_answer_lost_after_the_write_converges(bench: Bench, close: Closing, kind: str) -> None:
    for method in ("DELETE", "PUT"):
        bench.service.inject(Fault(kind=kind, method=method, times=1, status=504, body="<html>timeout</html>"))

    with pytest.raises(Transient):
        close(bench)

    assert close(bench)
    assert len(bench.service.writes()) == 1
    assert not bench.can_sign_in()


@both
def test_who_is_not_there_needs_no_write(bench: Bench, close: Closing) -> None:
    assert close(bench, "nobody")
    assert bench.service.writes() == []


@both
@pytest.mark.parametrize("metadata", [{}, {"slipway": MARKER}, {"slipway": {"managed": True, "marker": f"{MARKER}0"}}])
def test_somebody_elses_user_is_left_alone(bench: Bench, close: Closing, metadata: dict[str, Any]) -> None:
    bench.service.users["anna"]["metadata"] = metadata
    before = bench.service.snapshot()

    with pytest.raises(Conflict) as caught:
        close(bench)

    assert caught.value.choices
    assert bench.service.writes() == []
    assert bench.service.snapshot() == before


@both
def test_a_built_in_user_is_left_alone(bench: Bench, close: Closing) -> None:
    with pytest.raises(Conflict):
        close(bench, "elastic")
    assert bench.service.writes() == []


@both
def test_a_name_that_means_several_users_is_refused(bench: Bench, close: Closing) -> None:
    with pytest.raises(Permanent, match="comma"):
        close(bench, "anna,ben")
    assert bench.service.writes() == []


@both
def test_a_write_that_does_not_show_is_not_believed(bench: Bench, close: Closing) -> None:
    for method in ("DELETE", "PUT"):
        bench.service.inject(Fault(kind="status", method=method, status=200, body="{}"))

    with pytest.raises(Transient, match="still shows"):
        close(bench)


STATUSES: list[tuple[int, str, type[StepError]]] = [
    *((status, "{}", Transient) for status in (408, 409, 425, 429, 500, 502, 503, 504)),
    (403, CLOSED_INDEX, Transient),
    *((status, "{}", Permanent) for status in (302, 400, 401, 403, 405)),
]


@both
@pytest.mark.parametrize(("status", "body", "error"), STATUSES)
@pytest.mark.parametrize("methods", [("GET",), ("DELETE", "PUT")], ids=["looking", "writing"])
def test_a_status_ends_as_declared(
    bench: Bench, close: Closing, methods: tuple[str, ...], status: int, body: str, error: type[StepError]
) -> None:
    before = bench.service.snapshot()
    for method in methods:
        bench.service.inject(Fault(kind="status", method=method, status=status, body=body))

    with pytest.raises(error):
        close(bench)
    assert bench.service.snapshot() == before

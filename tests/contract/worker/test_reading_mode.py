"""A client that only reads cannot write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.world import settings_for
from werkzeug.wrappers import Request, Response

from common.errors import StepError
from harbour.server import Service, route
from harbour.world import Harbour
from worker import upstreams
from worker.upstreams import Upstreams
from worker.upstreams.argocd.client import Credentials
from worker.upstreams.http import Deadline, Http, WouldWrite
from worker.upstreams.jenkins.config_xml import PipelineDefinition

MARKER = "slipway:shop:7f3c"
PASSWORD = "Correct-Horse-Battery-9"
WRITES = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post", "Delete", "get ", "BREW", "")


class Counter(Service):
    """Answers a look."""

    name = "counter"

    @route("GET", "/things/:name")
    def thing(self, _request: Request, name: str) -> Response:
        return Response(name)


@pytest.fixture
def counter() -> Iterator[Counter]:
    service = Counter()
    service.start()
    yield service
    service.stop()


def only_reading(http: Http) -> Http:
    return http.reading()


def then_within(http: Http) -> Http:
    return http.reading().within(Deadline.within(10))


def after_within(http: Http) -> Http:
    return http.within(Deadline.within(10)).reading()


def twice(http: Http) -> Http:
    return http.reading().reading()


every_copy = pytest.mark.parametrize("copy_of", [only_reading, then_within, after_within, twice])


@every_copy
@pytest.mark.parametrize("method", WRITES)
def test_nothing_but_a_look_is_ever_sent(counter: Counter, copy_of: Callable[[Http], Http], method: str) -> None:
    http = copy_of(Http("Counter", counter.url))

    with pytest.raises(WouldWrite) as caught:
        http.send(method, "things", "a/b", params={"token": "c4nary"}, json={"password": PASSWORD})

    assert (caught.value.method, caught.value.path) == (method, "/things/a%2Fb")
    assert "c4nary" not in str(caught.value)
    assert counter.calls == []


@every_copy
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_look_is_answered_as_ever(counter: Counter, copy_of: Callable[[Http], Http], method: str) -> None:
    assert copy_of(Http("Counter", counter.url)).send(method, "things", "one").status == 200


def test_what_it_was_made_from_still_writes(counter: Counter) -> None:
    http = Http("Counter", counter.url)
    http.reading()

    assert http.send("POST", "things", "one").status == 405
    assert len(counter.calls) == 1


def test_a_write_that_was_stopped_is_no_outcome_of_a_step() -> None:
    assert not issubclass(WouldWrite, StepError)


# -- what is asked before a write ------------------------------------------------------------------------------


class NotOursError(Exception):
    """The claim is another worker's."""


def refuse() -> None:
    raise NotOursError


@pytest.mark.parametrize("method", WRITES)
def test_a_write_that_is_refused_beforehand_is_not_sent(counter: Counter, method: str) -> None:
    http = Http("Counter", counter.url).within(Deadline.within(10), before_write=refuse)

    with pytest.raises(NotOursError):
        http.send(method, "things", "one")

    assert counter.calls == []


def test_nothing_is_asked_before_a_read(counter: Counter) -> None:
    http = Http("Counter", counter.url).within(Deadline.within(10), before_write=refuse)

    assert http.send("GET", "things", "one").status == 200


def test_it_is_asked_after_the_wait_for_a_turn(counter: Counter) -> None:
    order: list[str] = []
    http = Http("Counter", counter.url, rate_limit=lambda _: order.append("turn"))

    http.within(Deadline.within(10), before_write=lambda: order.append("asked")).send("POST", "things", "one")

    assert order == ["turn", "asked"]


# -- all of the upstreams -------------------------------------------------------------------------------------


def nothing() -> None:
    """Declare no intent."""


def sign_up(clients: Upstreams) -> list[Callable[[], Any]]:
    person: dict[str, str] = {"login": "anna", "password": PASSWORD, "email": "anna@corp.example"}
    shown = {"full_name": "Anna Bell", "marker": MARKER}
    return [
        lambda: clients.gitlab.accounts.ensure_user(**person, name="Anna Bell", marker=MARKER, on_create=nothing),
        lambda: clients.gitlab.groups.ensure_member("dev", 2, on_create=nothing),
        lambda: clients.jenkins.accounts.ensure_user(**person, name="Anna Bell", on_create=nothing),
        lambda: clients.jenkins.roles.ensure("anna", role="dev", on_create=nothing),
        lambda: clients.jenkins.folder_permissions.ensure("anna", folder="dev", on_create=nothing),
        lambda: clients.elasticsearch.users.ensure(**person, **shown, roles=["dev"], on_create=nothing),
    ]


def provision(clients: Upstreams, chart_url: str) -> list[Callable[[], Any]]:
    definition = PipelineDefinition(
        repository_url=chart_url,
        credential_id="gitlab",
        branch="main",
        script_path="Jenkinsfile",
        parameters=(),
        marker=MARKER,
    )
    reader = Credentials(username="cloner", password="gldt-made-up")
    template = "templates/Flask_Template"
    return [
        lambda: clients.gitlab.projects.ensure_fork(
            template, namespace="dev", path="shop", marker=MARKER, on_create=nothing
        ),
        lambda: clients.gitlab.projects.ensure_branch_open(1, "main"),
        lambda: clients.jenkins.pipelines.ensure("dev", "shop_dev", definition=definition, on_create=nothing),
        lambda: clients.argocd.repositories.ensure(chart_url, credentials=reader, on_create=nothing),
    ]


@pytest.mark.parametrize("bounded", [False, True], ids=["reading", "reading within a deadline"])
def test_every_client_stops_before_its_write(harbour: Harbour, bounded: bool) -> None:
    clients = upstreams.connect(settings_for(harbour, "sqlite:///unused.db")).reading()
    if bounded:
        clients = clients.within(Deadline.within(60))
    before = harbour.snapshot()

    for write in (*sign_up(clients), *provision(clients, f"{harbour.gitlab.url}/templates/Helm_Template.git")):
        with pytest.raises(WouldWrite):
            write()

    assert harbour.writes() == []
    assert harbour.snapshot() == before


def test_every_client_still_finds(harbour: Harbour) -> None:
    clients = upstreams.connect(settings_for(harbour, "sqlite:///unused.db")).reading()

    assert clients.gitlab.accounts.find_user("nobody") is None
    assert clients.gitlab.projects.get("templates/Flask_Template").path == "templates/Flask_Template"
    assert clients.elasticsearch.users.remove("nobody", marker=MARKER)
    assert clients.gitlab.removals.remove(4711, path="dev/shop", marker=MARKER) is None

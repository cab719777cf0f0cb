"""What answers in place of Elasticsearch is named, by the client and by the doctor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import api
from werkzeug.wrappers import Request, Response

from common.config import catalog
from common.config.settings import WorkerSettings
from common.errors import Permanent
from harbour.server import Handler, Service, route
from worker.upstreams.check import CheckFailedError
from worker.upstreams.elasticsearch.checks import ElasticsearchChecks
from worker.upstreams.elasticsearch.client import Elasticsearch
from worker.upstreams.http import Http
from worker.upstreams.probe import Probe

ABOUT = (
    '{"name": "a", "version": {"distribution": "opensearch", "number": "2.19.1"}, '
    '"tagline": "The OpenSearch Project: https://opensearch.org/"}'
)


class OpenSearch(Service):
    """An OpenSearch with its security plugin."""

    name = "opensearch"

    def invoke(self, handler: Handler, request: Request, params: dict[str, str]) -> Response:
        return self._unauthorized(request) or handler(request, **params)

    @route("GET", "/")
    def about(self, _request: Request) -> Response:
        return Response(ABOUT, content_type="application/json")

    def no_route(self, request: Request, methods: set[str]) -> Response:  # noqa: ARG002 - the stand-ins' signature
        reason = f"no handler found for uri [{request.path}] and method [{request.method}]"
        return self._unauthorized(request) or Response(f'{{"error": "{reason}"}}', 400, content_type="application/json")

    def _unauthorized(self, request: Request) -> Response | None:
        if request.authorization and request.authorization.password == "right":
            return None
        return Response("Unauthorized", 401, {"WWW-Authenticate": 'Basic realm="OpenSearch Security"'})


class Kibana(Service):
    """A Kibana, whose 404 is that of any page."""

    name = "kibana"

    def no_route(self, request: Request, methods: set[str]) -> Response:  # noqa: ARG002 - as above
        body = '{"statusCode": 404, "error": "Not Found", "message": "Not Found"}'
        return Response(body, 404, {"kbn-name": "kibana"}, content_type="application/json")


@pytest.fixture(params=[Kibana, OpenSearch])
def other(request: pytest.FixtureRequest) -> Iterator[Service]:
    service: Service = request.param()
    service.start()
    yield service
    service.stop()


def _http(service: Service, password: str) -> Http:
    return Http("Elasticsearch", service.url, auth=("slipway", password))


@pytest.mark.parametrize("password", ["right", "wrong"])
def test_a_job_names_it_instead_of_a_missing_role(other: Service, password: str) -> None:
    users = Elasticsearch(_http(other, password)).users

    with pytest.raises(Permanent) as caught:
        users.ensure(login="ada", password="", roles=["dev"], full_name="", email="", marker="", on_create=pytest.fail)

    names = ("Kibana answers at KIBANA_URL",) if other.name == "kibana" else ("OpenSearch", "security API")
    assert any(name in caught.value.reason for name in names)
    assert "no role" not in caught.value.reason


@pytest.mark.parametrize("password", ["right", "wrong"])
def test_the_doctor_names_it_with_what_to_do(other: Service, password: str) -> None:
    config: WorkerSettings = api.settings("sqlite:///unused.db", WorkerSettings)
    probe = Probe(_http(other, password), setting="KIBANA_URL", url=other.url)
    answers = next(check for check in ElasticsearchChecks(probe, config, catalog.load(config)).all())

    with pytest.raises(CheckFailedError) as caught:
        answers.run()

    label = {"kibana": "Kibana", "opensearch": "OpenSearch"}[other.name]
    assert caught.value.problem.startswith(f"{label} answers at {other.url}")
    assert "KIBANA_URL" in caught.value.remedy


def test_where_kibana_is_none_of_ours_nothing_is_checked() -> None:
    config: WorkerSettings = api.settings("sqlite:///unused.db", WorkerSettings)
    loaded = catalog.parse(f'{catalog.read(None)}\n[accounts]\nkibana = "none"\n', config)
    probe = Probe(Http("Elasticsearch", "http://nowhere.invalid"), setting="KIBANA_URL", url="http://nowhere.invalid")

    assert ElasticsearchChecks(probe, config, loaded).all() == ()

"""The way to an upstream: through a proxy, trusting a bundle, and what is said when it leads nowhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.certificates import certify
from support.http_proxy import HttpProxy, http_proxy
from support.raw_server import saying, slowly
from werkzeug.wrappers import Request, Response

from common.errors import Transient
from harbour.server import Service, route
from worker.upstreams.check import CheckFailedError
from worker.upstreams.http import Http, Limits
from worker.upstreams.probe import Probe

pytestmark = pytest.mark.filterwarnings(  # the socket of a tunnel is closed with its pool, at its collection
    "ignore:.*<ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
LIMITS = Limits(connect_s=2, read_s=2, total_s=2)
HI = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"


class Hello(Service):
    """Says hello."""

    name = "hello"

    @route("GET", "/hello")
    def hello(self, _request: Request) -> Response:
        return Response("hello")


@pytest.fixture
def hello() -> Iterator[Hello]:
    service = Hello()
    service.start()
    yield service
    service.stop()


@pytest.fixture
def proxy() -> Iterator[HttpProxy]:
    with http_proxy() as proxy:
        yield proxy


def _unreachable(http: Http) -> str:
    with pytest.raises(Transient) as caught:
        http.send("GET", "hello")
    assert caught.value.is_unavailable
    return caught.value.reason


def _remedy(http: Http) -> str:
    with pytest.raises(CheckFailedError) as caught:
        Probe(http, setting="GITLAB_URL", url="https://git.example.com").get("hello")
    return caught.value.remedy


# -- proxies --------------------------------------------------------------------------------------------------


def test_a_plain_call_goes_through_the_proxy(hello: Hello, proxy: HttpProxy) -> None:
    assert Http("GitLab", hello.url, proxy=proxy.url, limits=LIMITS).send("GET", "hello").text == "hello"
    assert proxy.asked == [f"GET {hello.url}/hello HTTP/1.1"]


def test_an_encrypted_call_goes_through_a_tunnel(proxy: HttpProxy, tmp_path: Path) -> None:
    tls, ca_file = certify(tmp_path)

    with saying(HI, tls=tls) as url:
        assert Http("GitLab", url, ca_file=ca_file, proxy=proxy.url, limits=LIMITS).send("GET", "hello").text == "hi"
    assert [line.rpartition(" ")[0] for line in proxy.asked] == [f"CONNECT {url.removeprefix('https://')}"]


def test_no_drip_behind_a_proxy_outlives_the_total(proxy: HttpProxy) -> None:
    drip, began_s = slowly(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300), time.monotonic()

    with saying(*drip, pause_s=0.05) as url:
        reason = _unreachable(Http("GitLab", url, proxy=proxy.url, limits=LIMITS))

    assert "the outcome is unknown" in reason

    assert time.monotonic() - began_s < 3 * LIMITS.total_s


def test_no_drip_of_a_proxy_outlives_the_total() -> None:
    drip, began_s = slowly(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 200), time.monotonic()

    with saying(*drip, pause_s=0.05, hold=True) as proxy:
        reason = _unreachable(Http("GitLab", "https://git.example.com", proxy=proxy, limits=LIMITS))

    assert reason.startswith("GitLab could not be reached")  # a tunnel that never opened carried no request
    assert time.monotonic() - began_s < 3 * LIMITS.total_s


def test_a_proxy_that_lets_nobody_through_is_named() -> None:
    with http_proxy(refuses=True) as proxy:
        http = Http("GitLab", "https://git.example.com", proxy=proxy.url, limits=LIMITS)

        assert _unreachable(http) == "GitLab could not be reached through its proxy"
        assert _remedy(http) == "correct GITLAB_PROXY, or let that proxy connect to GitLab"


def test_a_proxy_that_is_away_is_named() -> None:
    with http_proxy() as proxy:
        pass

    http = Http("GitLab", "http://git.example.com", proxy=proxy.url, limits=LIMITS)

    assert _unreachable(http) == "GitLab could not be reached through its proxy"


# -- certificates ---------------------------------------------------------------------------------------------


def test_a_certificate_that_nobody_vouches_for_is_not_a_closed_port(tmp_path: Path) -> None:
    tls, _ = certify(tmp_path)

    with saying(HI, tls=tls) as url:
        reason = _unreachable(Http("GitLab", url, limits=LIMITS))
    with saying(HI, tls=tls) as url:
        remedy = _remedy(Http("GitLab", url, limits=LIMITS))

    assert reason == "GitLab could not be reached: its certificate is not trusted (self-signed certificate)"
    assert remedy.startswith("set GITLAB_CA_FILE, or CA_FILE for all upstreams, to the bundle")


@pytest.mark.parametrize(
    ("address", "valid_from_h", "why"),
    [
        ("127.0.0.2", -1, "its certificate is for another host"),
        ("127.0.0.1", -3, "its certificate has expired"),
        ("127.0.0.1", 1, "its certificate is not valid yet"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said(tmp_path: Path, address: str, valid_from_h: int, why: str) -> None:
    tls, ca_file = certify(tmp_path, address=address, valid_from=timedelta(hours=valid_from_h))

    with saying(HI, tls=tls) as url:
        assert (
            _unreachable(Http("GitLab", url, ca_file=ca_file, limits=LIMITS)) == f"GitLab could not be reached: {why}"
        )


def test_a_port_without_tls_is_not_a_closed_one(hello: Hello) -> None:
    http = Http("GitLab", hello.url.replace("http://", "https://"), limits=LIMITS)

    assert _unreachable(http).startswith("GitLab could not be reached: TLS failed (")
    assert _remedy(http) == "correct GITLAB_URL: http:// or https://, and the port"


def test_a_closed_port_is_nothing_more() -> None:
    with saying() as url:
        pass

    http = Http("GitLab", url, limits=LIMITS)

    assert _unreachable(http) == "GitLab could not be reached"
    assert _remedy(http).startswith("start GitLab, let this host connect to git.example.com")

"""Requests to addresses that operators have set: bounded in time, without redirects, to permitted networks only.

Checked is the address that the connection goes to, not the name: a name may lead somewhere else a moment later (DNS
rebinding), to the metadata service of a cloud or to what trusts its own machine.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from common.notifications.queues import Target
from worker.upstreams.transport import Watch, WatchedHTTP, WatchedHTTPS, open_session

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

CONNECT_S, TOTAL_S = 5.0, 10.0
LONGEST_RETRY_AFTER_S = 3600.0
NAT64 = IPv6Network("64:ff9b::/96")  # the last 32 bits are an IPv4 address
LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")  # RFC 8215: where the IPv4 address is, each network decides
METADATA: tuple[Network, ...] = (  # of clouds that serve it at other than link-local addresses
    IPv4Network("100.100.100.200/32"),  # Alibaba
    IPv4Network("192.0.0.192/32"),  # Oracle
    IPv6Network("fd00:ec2::/32"),  # Amazon
    IPv6Network("fd20:ce::254/128"),  # Google
)


class ForbiddenAddressError(Exception):
    """A name leads to an address that nothing may be sent to. No OSError: nobody below takes it for a failure."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """How a request ended: accepted if `problem` is empty. `retry_after_s` is what the target asks for, 0 for none."""

    problem: str = ""
    retry_after_s: float = 0.0


def target_of(url: str) -> Target:
    """Return the target of an address: by a hash, as the address itself may be a secret."""
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    return Target(name=name, host=str(urlsplit(url).hostname)[:255])


class Sender:
    """Sends to any target; a connection serves one request."""

    def __init__(
        self, permitted: Sequence[Network] = (), *, ca_file: Path | None = None, total_s: float = TOTAL_S
    ) -> None:
        """`permitted` are networks of this machine or link-local ones to which it may send all the same."""
        self._pools = _pools(permitted)
        self._verify = str(ca_file) if ca_file else True
        self._total_s = total_s

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Response:
        return self._send("POST", url, body, {**headers, "Content-Type": "application/json; charset=utf-8"})

    def get(self, url: str) -> Response:
        return self._send("GET", url, None, {})

    def _send(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Response:
        with open_session(1) as session, Watch(self._total_s):
            _connect_through(session, self._pools)
            try:
                answer = session.request(
                    method,
                    url,
                    data=body,
                    headers={**headers, "Connection": "close"},
                    timeout=(min(CONNECT_S, self._total_s), self._total_s),
                    allow_redirects=False,
                    stream=True,  # what it answers besides the status is of no use to us
                    verify=self._verify,
                )
            except ForbiddenAddressError as error:
                return Response(problem=str(error))
            except (OSError, ValueError, HTTPException, HTTPError) as error:
                return Response(problem=_why(error, self._total_s))
            answer.close()
            return _response(answer)


def _response(answer: requests.Response) -> Response:
    status = answer.status_code
    if 200 <= status < 300:
        return Response()
    if 300 <= status < 400:
        return Response(problem=f"it answered {status}, and redirects are not followed: set the address it leads to")
    asked = answer.headers.get("Retry-After", "")
    retry_after_s = min(LONGEST_RETRY_AFTER_S, float(asked)) if asked.isascii() and asked.isdigit() else 0.0
    return Response(problem=f"it answered {status}", retry_after_s=retry_after_s)


def _why(error: Exception, total_s: float) -> str:
    """Return what happened in our words: those of libraries quote the address, which may be a secret."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted: set WEBHOOK_CA_FILE if its CA is your own"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "it cannot be reached: no connection in time"
    if isinstance(error, requests.exceptions.Timeout):
        return f"it did not answer within {total_s:.0f} s"
    return "it cannot be reached, or broke the connection off"


# -- where it may go ----------------------------------------------------------------------------------------------


def is_forbidden(address: Address, permitted: Sequence[Network]) -> bool:
    """Say whether nothing may be sent there: loopback, link-local, metadata services of clouds, groups, nobody.

    An IPv6 address that stands for an IPv4 address is judged as that one.
    """
    if _is_in(address, permitted):
        return False
    if isinstance(address, IPv6Address) and (inner := _inner(address)):
        return any(is_forbidden(each, permitted) for each in inner)
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or (address.is_reserved and address.version == 4)
        or _is_in(address, METADATA)
    )


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _inner(address: IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 address that this one stands for; where several are possible, all of them."""
    bits = int(address)
    if address in NAT64:
        return [IPv4Address(bits & 0xFFFF_FFFF)]
    if address in LOCAL_NAT64:  # RFC 6052, section 2.2: prefixes of 48, 56, 64 and 96 bits; bits 64 to 71 are left out
        found = {
            (bits >> 64 & 0xFFFF) << 16 | bits >> 40 & 0xFFFF,
            (bits >> 64 & 0xFF) << 24 | bits >> 32 & 0xFF_FFFF,
            bits >> 24 & 0xFFFF_FFFF,
            bits & 0xFFFF_FFFF,
        }
        return [IPv4Address(each) for each in sorted(found - {0} or found)]  # 0: nothing is written at this place
    inner = address.ipv4_mapped or address.sixtofour
    return [inner] if inner is not None else []


def connect(host: str, port: int, *, timeout_s: float, permitted: Sequence[Network]) -> socket.socket:
    """Return a connection to a permitted address of the host. Raises ForbiddenAddressError, OSError."""
    found = [(family, address) for family, *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for _family, address in found:
        _require_permitted(str(address[0]), permitted)
    problem: OSError = OSError("the name has no address")
    for family, address in found:
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout_s)
            connection.connect(address)  # an address, not the name: it is not looked up again
            _require_permitted(str(connection.getpeername()[0]), permitted)
            _require_other_machine(connection, permitted)
        except OSError as error:
            connection.close()
            problem = error
        except ForbiddenAddressError:
            connection.close()
            raise
        else:
            return connection
    raise problem


def _require_permitted(text: str, permitted: Sequence[Network]) -> None:
    address = ipaddress.ip_address(text.partition("%")[0])
    if is_forbidden(address, permitted):
        raise _forbidden(address)


def _require_other_machine(connection: socket.socket, permitted: Sequence[Network]) -> None:
    """Refuse the address of an interface of this machine: a connection to it comes from the same address."""
    own, peer = (str(each[0]).partition("%")[0] for each in (connection.getsockname(), connection.getpeername()))
    address = ipaddress.ip_address(peer)
    if own == peer and not _is_in(getattr(address, "ipv4_mapped", None) or address, permitted):
        raise _forbidden(address)


def _forbidden(address: Address) -> ForbiddenAddressError:
    return ForbiddenAddressError(
        f"its name leads to {address}, which is this machine's own or link-local, or a cloud's metadata service: "
        "permit it with WEBHOOK_NETWORKS"
    )


def _connect_through(session: requests.Session, pools: dict[str, type[HTTPConnectionPool]]) -> None:
    for adapter in session.adapters.values():
        assert isinstance(adapter, HTTPAdapter)  # noqa: S101 - of `open_session`
        adapter.poolmanager.pool_classes_by_scheme = pools


def _pools(permitted: Sequence[Network]) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3's pools with connections that go to permitted addresses only."""

    class _HTTP(WatchedHTTP):
        def _new_conn(self) -> socket.socket:
            return connect(self._dns_host, self.port, timeout_s=CONNECT_S, permitted=permitted)

    class _HTTPS(WatchedHTTPS):
        def _new_conn(self) -> socket.socket:
            return connect(self._dns_host, self.port, timeout_s=CONNECT_S, permitted=permitted)

    class _HTTPPool(HTTPConnectionPool):
        ConnectionCls = _HTTP

    class _HTTPSPool(HTTPSConnectionPool):
        ConnectionCls = _HTTPS

    return {"http": _HTTPPool, "https": _HTTPSPool}

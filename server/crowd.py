"""Connections that wait, oldest first, with a share of the places for each address."""

from __future__ import annotations

import ipaddress
from collections import UserDict, defaultdict
from itertools import islice
from typing import TypeVar

from gunicorn.workers.gthread import TConn

V = TypeVar("V")

PER_ADDRESS = 200  # places of one process that one address may take; behind a proxy all clients have the proxy's
IPV6_NETWORK_BITS = 64  # what one customer usually gets


class Waiting(UserDict[TConn, V]):
    """What is known of each waiting connection, in the order in which they came."""

    def __init__(self) -> None:
        super().__init__()
        self._by_address: defaultdict[str, dict[TConn, None]] = defaultdict(dict)
        self._crowded: set[str] = set()

    def __setitem__(self, conn: TConn, state: V) -> None:
        super().__setitem__(conn, state)
        crowd = self._by_address[_address(conn)]
        crowd[conn] = None
        if len(crowd) > PER_ADDRESS:
            self._crowded.add(_address(conn))

    def __delitem__(self, conn: TConn) -> None:
        super().__delitem__(conn)
        crowd = self._by_address[_address(conn)]
        del crowd[conn]
        if not crowd:
            del self._by_address[_address(conn)]

    def take_surplus(self) -> list[TConn]:
        """Return the oldest connections of each address that has got more than its share since the last call."""
        crowds = [self._by_address.get(address, {}) for address in self._crowded]
        self._crowded.clear()
        return [conn for crowd in crowds for conn in islice(crowd, max(0, len(crowd) - PER_ADDRESS))]


def _address(conn: TConn) -> str:
    """Return what counts as one client. A socket of this machine has no address: whoever may open it is trusted."""
    host = conn.client[0] if isinstance(conn.client, tuple) else f"local {id(conn)}"
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped:  # an IPv4 client of a socket that listens for both
        return str(address.ipv4_mapped)
    return str(address) if address.is_loopback else str(int(address) >> IPV6_NETWORK_BITS)

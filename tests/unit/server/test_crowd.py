"""One address cannot take every waiting place; its oldest connection makes room for its newest."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from server.crowd import PER_ADDRESS, Waiting


class Conn(SimpleNamespace):
    __hash__ = object.__hash__  # type: ignore[assignment] # as gunicorn's


def _crowd(waiting: Waiting[None], hosts: list[Any]) -> list[Any]:
    conns = [Conn(client=(host, 40_000 + number) if host else "") for number, host in enumerate(hosts)]
    for conn in conns:
        waiting[conn] = None
    return conns


@pytest.mark.parametrize("host", ["203.0.113.7", "2001:db8::1", "fe80::1%eth0"])
def test_the_oldest_go_when_one_address_has_more_than_its_share(host: str) -> None:
    waiting = Waiting[None]()
    _crowd(waiting, ["203.0.113.8"])
    oldest, second, *_ = _crowd(waiting, [host] * PER_ADDRESS)
    assert waiting.take_surplus() == []

    _crowd(waiting, [host, host])

    assert waiting.take_surplus() == [oldest, second]


def test_what_has_left_by_then_is_no_surplus() -> None:
    waiting = Waiting[None]()
    conns = _crowd(waiting, ["203.0.113.7"] * (PER_ADDRESS + 1))

    for conn in conns:
        del waiting[conn]

    assert waiting.take_surplus() == []


def test_a_network_of_one_customer_is_one_address() -> None:
    waiting = Waiting[None]()

    conns = _crowd(waiting, [f"2001:db8:0:1::{number:x}" for number in range(PER_ADDRESS + 1)])

    assert waiting.take_surplus() == conns[:1]


@pytest.mark.parametrize(
    "hosts",
    [
        [f"::ffff:203.0.113.{number % 250}" for number in range(PER_ADDRESS + 1)],
        ["::1", *["::ffff:203.0.113.7"] * PER_ADDRESS],
        ["::1", *["::2"] * PER_ADDRESS],
    ],
    ids=["IPv4 clients", "IPv4 and this machine", "IPv6 and this machine"],
)
def test_clients_of_a_socket_for_both_families_are_told_apart(hosts: list[str]) -> None:
    waiting = Waiting[None]()

    _crowd(waiting, hosts)

    assert waiting.take_surplus() == []


def test_an_ipv4_client_is_one_address_in_either_spelling() -> None:
    waiting = Waiting[None]()

    conns = _crowd(waiting, ["203.0.113.7", *["::ffff:203.0.113.7"] * PER_ADDRESS])

    assert waiting.take_surplus() == conns[:1]


def test_a_socket_of_this_machine_is_not_limited() -> None:
    waiting = Waiting[None]()

    _crowd(waiting, [""] * (PER_ADDRESS + 1))

    assert waiting.take_surplus() == []


def test_nothing_is_kept_of_connections_that_are_gone() -> None:
    waiting = Waiting[None]()
    conns = _crowd(waiting, ["203.0.113.7", "203.0.113.7", "2001:db8::1"])

    for conn in conns:
        waiting.pop(conn)

    assert not waiting
    assert not waiting._by_address  # noqa: SLF001 - what would grow for ever

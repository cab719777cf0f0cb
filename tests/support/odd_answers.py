"""Answers that no upstream should give: other types, sizes, encodings, hosts, numbers, statuses, headers. Seeded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

from requests.structures import CaseInsensitiveDict

from worker.upstreams.replies import Reply

STATUSES = (200, 201, 202, 204, 206, 299, 301, 302, 303, 304, 307, 400, 404, 405, 409, 410, 413, 418, 422, 500, 502)
HOSTS = (
    "javascript:alert(1)",
    "http://evil.example/x",
    "//evil.example/",
    "http://[::1",
    "http://a:b@127.0.0.1/x",
    "\ud800",
)


def _nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = [value]
    return value


VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 5, 10**30, 10**400, 2**63, 1e308, -0.5, "", " ", "0", "x" * 70_000, "\ud800",
    "\u202e<svg>\x00",
    "2026-13-45", "é" * 300, [], {}, [None], [{}], [[]], {"": None}, {"sids": 5}, _nested(400), *HOSTS,
)  # fmt: skip
BODIES = (
    b"", b" ", b"null", b"[]", b"{}", b'"text"', b"123", b"1" * 5_000,
    b"NaN", b"-Infinity", b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b"[" * 100_000, b'{"a":' * 20_000, b"<html><body>Welcome</body></html>", b"<?xml version='1.0'?><a/>",
    b"\x00" * 100,
    b"<a>" * 5_000 + b"</a>" * 5_000,
    b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b" " * 1_000_000, b'{"message":"' + b"<head " * 40_000 + b'"}',
    "\u202e\u2028".encode() * 1_000,
)  # fmt: skip
HEADERS = {
    "Location": ("", "http://[", "/queue/item/" + "9" * 5_000 + "/", "/queue/item/1/", "/login", "\ud800", HOSTS[1]),
    "Content-Type": ("text/html", "application/xml; charset=utf-16", ""),
    "X-Text-Size": ("9" * 5_000, "-1", "²", "1e9"),
    "X-More-Data": ("true", "\ud800"),
    "X-Error": ("&lt;svg onload=alert(1)&gt;" * 500, "\ud800"),
    "Retry-After": ("9" * 5_000, "-1", "Fri, 99 Foo 2026 99:99:99 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", ", "),
    "X-Required-Permission": ("\ud800<b>",),
    "X-Elastic-Product": ("", "Kibana"),
}  # fmt: skip


def odd(random: Random, reply: Reply) -> Reply:
    """Return the reply with one thing about it that is odd."""
    kinds: tuple[Callable[[Random, Reply], Reply], ...] = (
        _value,
        _value,
        _value,
        _value,
        _body,
        _status,
        _header,
        _cut,
    )
    return random.choice(kinds)(random, reply)


def _value(random: Random, reply: Reply) -> Reply:
    """Put another value anywhere into the JSON, leave one out, or repeat it many times."""
    try:
        document = json.loads(reply.body)
    except ValueError:
        return _body(random, reply)
    places = list(_places(document))
    if not places:
        return _body(random, reply)
    holder, key = random.choice(places)
    match random.randrange(8):
        case 0 if isinstance(holder, dict):
            del holder[key]
        case 1:
            holder[key] = [holder[key]] * random.choice((2, 1_000))
        case _:
            holder[key] = random.choice(VALUES)
    return replace(reply, body=json.dumps(document, ensure_ascii=True).encode())


def put_text(random: Random, reply: Reply, text: str) -> Reply:
    """Put a text in the place of one of those in a true answer."""
    try:
        document = json.loads(reply.body)
    except ValueError:
        return replace(reply, body=reply.body + text.encode())
    places = [(holder, key) for holder, key in _places(document) if isinstance(holder[key], str)]
    if places:
        holder, key = random.choice(places)
        holder[key] = text
    return replace(reply, body=json.dumps(document).encode())


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield value, key
        yield from _places(inner)


def _body(random: Random, reply: Reply) -> Reply:
    return replace(reply, body=random.choice(BODIES))


def _status(random: Random, reply: Reply) -> Reply:
    return replace(reply, status=random.choice([each for each in STATUSES if each != reply.status]))


def _header(random: Random, reply: Reply) -> Reply:
    name = random.choice(sorted(HEADERS))
    headers = CaseInsensitiveDict(reply.headers)
    headers[name] = random.choice(HEADERS[name])
    status = random.choice((reply.status, 302, 400, 429, 500))
    return replace(reply, headers=headers, status=status)


def _cut(random: Random, reply: Reply) -> Reply:
    body = bytearray(reply.body[: random.randrange(len(reply.body) + 1)])
    for _ in range(random.randrange(3)):
        if body:
            body[random.randrange(len(body))] = random.randrange(256)
    return replace(reply, body=bytes(body))

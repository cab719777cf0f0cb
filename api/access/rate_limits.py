"""How often may a stranger try?  So often that people notice nothing, and a machine gets nowhere.

    a password          10 wrong in 15 minutes for one account from one address
                       100 wrong in an hour for one account: a stranger needs ten addresses to shut somebody out
                       200 wrong in 15 minutes from one address
    a sign-up           60 an hour from one address, 10 an hour for one id and for one e-mail address

These are the defaults; the settings have the numbers. An account that does not exist is counted like one that does.
Names and addresses are in the database as keyed hashes only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from api.access import rate_counter
from api.access.rate_counter import Permit, Quota, QuotaExceededError
from api.contract.problems import Problem
from api.service import service

QUARTER_S, HOUR_S = 15 * 60, 60 * 60
IPV6_CUSTOMER_BITS = 64  # whoever has one IPv6 address has a network of at least this size to choose from

Rule = tuple[str, int, int, tuple[str, ...]]  # name, limit, window in seconds, subject it counts


@contextmanager
def limit_password_attempts(account: str) -> Iterator[None]:
    """Count a wrong password unless the block ends well. Raises Problem `too_many_requests` before it begins.

    It is counted first and given back afterwards: of many at once, none slips through while others are being checked.
    """
    config, address = service().settings, client_address()
    per_pair = config.login_failures_per_account_and_address
    permits = _acquire(
        ("password of account from address", per_pair, QUARTER_S, (account, address)),
        ("password of account", config.login_failures_per_account, HOUR_S, (account,)),
        ("password from address", config.login_failures_per_address, QUARTER_S, (address,)),
    )
    try:
        yield
    except Problem:
        raise
    except BaseException:  # a fault of ours is no wrong password
        rate_counter.release(service().db, permits)
        raise
    rate_counter.release(service().db, permits)


def limit_sign_ups(login: str, email: str) -> None:
    """Count a sign-up, whatever becomes of it. Raises Problem `too_many_requests`."""
    config = service().settings
    _acquire(
        ("sign-up from address", config.signups_per_address, HOUR_S, (client_address(),)),
        ("sign-up of login", config.signups_per_name, HOUR_S, (login,)),
        ("sign-up of e-mail", config.signups_per_name, HOUR_S, (email.lower(),)),
    )


def trust_proxies(app: Flask, count: int) -> None:
    """Take the client's address from behind so many proxies; nothing else of what they say is needed or believed."""
    if count:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign] # as Flask documents it
            app.wsgi_app, x_for=count, x_proto=0, x_host=0, x_port=0, x_prefix=0
        )


def client_address() -> str:
    """Return subject to count: an IPv4 address, the network of an IPv6 one, or whatever the server calls the client."""
    remote = request.remote_addr or ""
    try:
        address = ip_address(remote)
    except ValueError:
        return remote
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), IPV6_CUSTOMER_BITS), strict=False))


def _acquire(*rules: Rule) -> list[Permit]:
    quotas = [_quota(name, limit, window_s, subject) for name, limit, window_s, subject in rules if limit]
    try:
        return rate_counter.acquire(service().db, quotas) if quotas else []
    except QuotaExceededError as exceeded:
        raise Problem("too_many_requests", retry_after_s=exceeded.retry_after_s) from None


def _quota(name: str, limit: int, window_s: int, subject: tuple[str, ...]) -> Quota:
    bucket = service().vault.fingerprint(json.dumps([name, *subject]))
    return Quota(bucket=bucket, limit=limit, window_s=window_s)

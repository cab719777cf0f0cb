"""Rate limits for logins and sign-ups: high enough for people, too low for a program that guesses.

    wrong passwords     10 in 15 minutes for one account from one address
                       100 in an hour for one account: locking somebody out takes ten addresses
                       200 in 15 minutes from one address
    replays             as many as wrong passwords, of answers to requests with a password
    sign-ups            60 an hour from one address, 10 an hour for one id and for one e-mail address
    confirmations       60 an hour from one address
    mails               3 an hour to one e-mail address, 60 asked for from one address

These are the defaults of the settings; mails to one address have none. Accounts that do not exist are counted like
existing ones. The database holds names and addresses as keyed hashes only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network

from flask import request

from api.access import rate_counter
from api.access.rate_counter import Permit, Quota, QuotaExceededError
from api.contract.problems import Problem
from api.service import service

QUARTER_S, HOUR_S = 15 * 60, 60 * 60
MAILS_AN_HOUR = 3  # to one address: strangers can ask for them
IPV6_CUSTOMER_BITS = 64  # the owner of one IPv6 address can use any address of a network of at least this size

Rule = tuple[str, int, int, tuple[str, ...]]  # name, limit, window in seconds, subject that is counted


@contextmanager
def limit_password_attempts(account: str) -> Iterator[None]:
    """Count a wrong password unless the block succeeds. Raises Problem `too_many_requests` before the block starts.

    The attempt is counted first and released afterwards, so that concurrent attempts cannot exceed the limit.
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
    except BaseException:  # an error of the server is not a wrong password
        rate_counter.release(service().db, permits)
        raise
    rate_counter.release(service().db, permits)


def limit_replays(record: str) -> None:
    """Count a replay that verifies a password, whatever its outcome: each costs a hash, and a replay no log-in.

    As many as wrong passwords may be sent. Raises Problem `too_many_requests`.
    """
    config, address = service().settings, client_address()
    _acquire(
        ("replay of answer from address", config.login_failures_per_account_and_address, QUARTER_S, (record, address)),
        ("replay of answer", config.login_failures_per_account, HOUR_S, (record,)),
        ("replay from address", config.login_failures_per_address, QUARTER_S, (address,)),
    )


def limit_sign_ups(login: str, email: str) -> None:
    """Count a sign-up, whatever its outcome. Raises Problem `too_many_requests`."""
    config = service().settings
    _acquire(
        ("sign-up from address", config.signups_per_address, HOUR_S, (client_address(),)),
        ("sign-up of login", config.signups_per_name, HOUR_S, (login,)),
        ("sign-up of e-mail", config.signups_per_name, HOUR_S, (email.lower(),)),
    )


def limit_confirmations() -> None:
    """Count the use of a link, whatever its outcome. Raises Problem `too_many_requests`."""
    _acquire(("confirmation from address", service().settings.signups_per_address, HOUR_S, (client_address(),)))


def limit_mails(email: str) -> None:
    """Count a mail that somebody asks for, whether or not it is sent. Raises Problem `too_many_requests`.

    Whoever sets no limit on sign-ups has not asked for floods of mails to strangers: that takes the switch as well.
    """
    config = service().settings
    is_unlimited = config.allow_unlimited_attempts and not config.signups_per_name
    _acquire(
        ("mail from address", config.signups_per_address, HOUR_S, (client_address(),)),
        ("mail to address", 0 if is_unlimited else MAILS_AN_HOUR, HOUR_S, (email.lower(),)),
    )


def client_address() -> str:
    """Return the client to count: an IPv4 address, the network of an IPv6 address, or the server's name for it."""
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

"""Addresses of the broker: each that cannot work is refused at start and not quoted; each other one is understood."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from kombu import Connection
from pydantic import SecretStr, ValidationError

from common.broker import celery_app
from common.config.settings import CommonSettings

REFUSED = [
    "amqp://canary@host",
    "redis:canary",
    "redis://",
    "redis:///0",
    "redis://:canary#tail@host:6379/0",
    "redis://:tail@host:6379/0#canary",
    "redis://:ca[nary@host/0",
    "redis://:canary/tail@host:6379/0",
    "redis://:canary?tail@host:6379/0",
    "redis://:canary tail@host:6379/0",
    "redis://host:canary/0",
    "redis://host:0/0",
    "redis://host:99999/0",
    "redis://host/canary",
    "redis://host/-1",
    "redis://host/0/1",
    "redis://host/²",
    "redis://host/0?db=canary",
    "redis://host/0?socket_timeout=canary",
    "rediss://host/0?ssl_cert_reqs=canary",
    "rediss://host/0?ssl_ca_certs=/canary",
    "redis://host/0;rediss://canary/0",
    "redis://host/0;canary",
    "redis://host/0;",
    "sentinel://canary:26379/0",  # without the name of its master
    "sentinels://canary:26379/0",
    "sentinel://canary/0?master_name=x",
]


def _read(url: str, **settings: object) -> CommonSettings:
    return CommonSettings(_env_file=None, redis_url=SecretStr(url), **settings)  # type: ignore[arg-type] # validated


def _connection(settings: CommonSettings) -> Connection:
    """Return what would connect, and does not."""
    connection: Connection = celery_app(settings).connection_for_write()
    return connection


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_cannot_work_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _read(url)

    (problem,) = refused.value.errors(include_url=False, include_input=False, include_context=False)
    assert problem["loc"] == ("redis_url",)
    assert "canary" not in problem["msg"]


def test_a_master_is_for_sentinels_only() -> None:
    with pytest.raises(ValidationError, match="REDIS_SENTINEL_MASTER"):
        _read("redis://host/0", redis_sentinel_master="mymaster")


def test_every_sign_of_a_password_arrives() -> None:
    connection = _connection(_read("redis://user:p%23%2F%5B%3A%40@host:6380/3"))

    found = connection.info()
    assert (found["userid"], connection.password, found["hostname"], found["port"], found["virtual_host"]) == (
        "user",
        "p#/[:@",
        "host",
        6380,
        "3",
    )


def test_a_broker_without_tls_is_told_nothing_of_it() -> None:
    assert not _connection(_read("redis://host/0")).ssl


@pytest.mark.parametrize("url", ["rediss://host/0", "rediss://host/0?ssl_cert_reqs=required"])
def test_with_tls_certificates_are_checked(url: str) -> None:
    assert _connection(_read(url)).ssl == {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}


def test_the_check_of_certificates_can_be_turned_off_in_the_address() -> None:
    found = _connection(_read("rediss://host/0?ssl_cert_reqs=none")).ssl

    assert found == {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False}


def test_a_bundle_that_holds_no_certificate_is_refused(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("none")

    with pytest.raises(ValidationError, match="redis_ca_file"):
        _read("rediss://host/0", redis_ca_file=bundle)


@pytest.mark.parametrize(("scheme", "is_secure"), [("sentinel", False), ("sentinels", True)])
def test_sentinels_are_asked_for_the_master_with_their_own_password(scheme: str, is_secure: bool) -> None:
    read = _read(
        f"{scheme}://:of-redis@a:26379/0;{scheme}://b:26379",
        redis_sentinel_master="mymaster",
        redis_sentinel_password=SecretStr("of-sentinels"),
    )

    connection = _connection(read)

    options = connection.transport_options
    assert connection.as_uri().startswith("sentinel://")
    assert connection.password == "of-redis"
    assert options["master_name"] == "mymaster"
    assert options["sentinel_kwargs"]["password"] == "of-sentinels"
    assert bool(options["sentinel_kwargs"].get("ssl")) is is_secure
    assert bool(connection.ssl) is is_secure

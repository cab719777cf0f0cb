"""Settings that would work and are unsafe: start-up refuses each by name, and never shows its value.

Where an operator may have reasons, a switch (`ALLOW_…`) accepts the risk; the doctor lists what is accepted. A rule
gets the settings that a process reads, by field; one that the process does not read is absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_settings import BaseSettings
from sqlalchemy import URL, make_url

from common.config import broker_url, exposed_files
from common.config.renamed import shown
from common.config.urls import is_loopback
from common.config.weak_secrets import FEWEST_IN_A_PASSWORD, is_weak_key, is_weak_login, is_weak_secret
from common.workflows import EXTERNAL

Values = Mapping[str, Any]

RANDOM = "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
MADE_FOR_US = (
    "secret_keys",
    "metrics_token",
    "webhook_secret",
)  # more is asked of them than of what the upstreams issue
WITH_PASSWORDS = ("db_url", "redis_url")
WITHOUT_VERIFICATION = ("ssl_disabled", "ssl_verify_cert", "ssl_verify_identity")
SAME_AS_BROKER = "redis_sentinel_password"  # sentinels may have their broker's password: both protect the same
LIMITS = (
    "login_failures_per_account_and_address",
    "login_failures_per_account",
    "login_failures_per_address",
    "signups_per_address",
    "signups_per_name",
)


@dataclass(frozen=True, kw_only=True)
class Risk:
    """`setting` is its name as people write it; `switch` is the field that accepts the risk, None: nothing does."""

    setting: str
    problem: str
    switch: str | None = None

    def __str__(self) -> str:
        choice = f", or set {self.switch.upper()}=true to accept it" if self.switch else ""
        return f"{self.setting}: {self.problem}{choice}"


def refused(config: BaseSettings) -> list[Risk]:
    """Return the risks that nobody has accepted: a process with one must not start."""
    return [risk for risk in _risks(config) if not _is_accepted(risk, config)]


def accepted(config: BaseSettings) -> list[Risk]:
    """Return the risks that these settings have and that a switch accepts."""
    return [risk for risk in _risks(config) if _is_accepted(risk, config)]


def risk_of_listening(config: BaseSettings, hosts: Iterable[str]) -> Risk | None:
    """Return the risk of serving these settings' session cookie on `hosts`, None without one or if it is accepted."""
    values = dict(config)
    if values["cookie_secure"] or values["allow_insecure_cookie"] or all(map(is_loopback, hosts)):
        return None
    return _insecure_cookie("the API listens for other machines")


def _is_accepted(risk: Risk, config: BaseSettings) -> bool:
    return risk.switch is not None and bool(dict(config)[risk.switch])


def _risks(config: BaseSettings) -> Iterator[Risk]:
    values = dict(config)
    for rule in (
        _upstreams,
        _traces,
        _mail,
        _webhooks,
        _broker,
        _database,
        _secrets,
        _shared_secrets,
        _flower,
        _cookie,
        _limits,
    ):
        yield from rule(values)
    for path in exposed_files.writable_by_others(config):
        setting = "SECRETS_DIR" if path == values["secrets_dir"] else str(path)
        problem = f"every user of this machine may write it: chmod o-w {path}"
        yield Risk(setting=setting, problem=problem, switch="allow_writable_files")


# -- what crosses the network -----------------------------------------------------------------------------------------


def _upstreams(values: Values) -> Iterator[Risk]:
    for upstream in EXTERNAL:
        name = f"{upstream.value}_url"
        if _is_plain(values.get(name)):
            problem = f"tokens and passwords would go to {upstream.label} in clear text: write https://"
            yield Risk(setting=shown(name), problem=problem, switch="allow_plain_upstreams")


def _traces(values: Values) -> Iterator[Risk]:
    if _is_plain(values.get("otel_exporter_otlp_endpoint")):
        problem = "traces would leave this machine in clear text: write https://"
        yield Risk(setting="OTEL_EXPORTER_OTLP_ENDPOINT", problem=problem, switch="allow_plain_traces")


def _mail(values: Values) -> Iterator[Risk]:
    host = values.get("smtp_host")
    if host is not None and values["smtp_tls"] == "none" and not is_loopback(host):
        problem = "mails, and the password, would go there in clear text: leave it out, or write implicit"
        yield Risk(setting="SMTP_TLS", problem=problem, switch="allow_plain_mail")
    if _is_plain(values.get("slipway_ext_url")):
        problem = "what people send after opening a link would travel in clear text: write https://"
        yield Risk(setting="SLIPWAY_EXT_URL", problem=problem, switch="allow_plain_mail")


def _webhooks(values: Values) -> Iterator[Risk]:
    for name in ("webhook_urls", "heartbeat_url"):
        setting = values.get(name)
        urls = setting.get_secret_value().split(",") if setting else ()
        if any(_is_plain(url.strip()) for url in urls):
            problem = "notifications would leave this machine in clear text: write https://"
            yield Risk(setting=name.upper(), problem=problem, switch="allow_plain_webhooks")
    together = ("webhook_urls", "webhook_secret", "notify_events")
    given = [name for name in together if values.get(name)]
    if "webhook_urls" in values and given and len(given) < len(together):  # the API reads no address and no key
        for name in sorted(set(together) - set(given)):
            yield Risk(setting=name.upper(), problem=f"it is not set, and {given[0].upper()} needs it")


def _is_plain(url: str | None) -> bool:
    return url is not None and url.startswith("http:") and not is_loopback(str(urlsplit(url).hostname))


def _broker(values: Values) -> Iterator[Risk]:
    remote = [each for each in broker_url.servers(values["redis_url"]) if not is_loopback(each.host)]
    if not all(each.has_tls for each in remote):
        problem = "the password and all messages would go there in clear text: write rediss:// (sentinels://)"
        yield Risk(setting="REDIS_URL", problem=problem, switch="allow_plain_broker")
    elif not all(each.is_verified for each in remote):
        problem = (
            "ssl_cert_reqs=none and ssl_check_hostname=false trust servers of others: "
            "leave them out, and name the CA in REDIS_CA_FILE"
        )
        yield Risk(setting="REDIS_URL", problem=problem, switch="allow_plain_broker")
    if not all(each.password or each.has_certificate for each in remote):
        yield Risk(setting="REDIS_URL", problem="it is on another machine and has no password: set REDIS_PASSWORD")


def _database(values: Values) -> Iterator[Risk]:
    url = _database_url(values)
    if url is None or "unix_socket" in url.query or is_loopback(url.host or "localhost"):
        return
    if not _verifies_server(url):
        problem = (
            "the password and all data would go to a server whose certificate and name are not both verified: "
            "write ?ssl_ca=/path/to/ca.pem, and no other ssl_ argument but ssl_cert and ssl_key"
        )
        yield Risk(setting="DB_URL", problem=problem, switch="allow_plain_database")
    if not url.password and "ssl_cert" not in url.query:
        yield Risk(setting="DB_URL", problem="it is on another machine and has no password: set DB_PASSWORD")


def _verifies_server(url: URL) -> bool:
    """Say whether the driver checks the certificate and the name in it.

    With `ssl_verify_cert` or `ssl_verify_identity`, PyMySQL forgets the CA that SQLAlchemy has given it: it then trusts
    every public CA, for whatever name.
    """
    checks_name = url.query.get("ssl_check_hostname", "true") == "true"
    return "ssl_ca" in url.query and checks_name and not set(WITHOUT_VERIFICATION) & set(url.query)


def _database_url(values: Values) -> URL | None:
    """Return the address of a database server, None where there is none."""
    url = make_url(values["db_url"].get_secret_value()) if "db_url" in values else None
    return None if url is None or url.get_backend_name() == "sqlite" else url


# -- secrets ----------------------------------------------------------------------------------------------------------


def _secrets(values: Values) -> Iterator[Risk]:
    for name, secrets in _secrets_by_setting(values).items():
        if name in MADE_FOR_US and any(map(is_weak_key, secrets)):
            yield Risk(setting=shown(name), problem=f"it is repeated or an example, not random: {RANDOM}")
        elif name not in MADE_FOR_US and any(map(is_weak_secret, secrets)):
            yield Risk(setting=shown(name), problem="the secret is one that people guess: issue or choose another one")


def _shared_secrets(values: Values) -> Iterator[Risk]:
    seen: dict[str, str] = {}
    for name, secrets in _secrets_by_setting(values).items():
        for secret in secrets:
            other = seen.setdefault(secret, name)
            if other != name:
                problem = f"it is the secret of {shown(other)}, too, so one leak opens both: give each its own"
                yield Risk(setting=shown(name), problem=problem)


def _secrets_by_setting(values: Values) -> dict[str, list[str]]:
    """Return the secrets of each setting; a password in an address only if it is not that of the setting beside it."""
    found: dict[str, list[str]] = {}
    for name, value in values.items():
        if name == "secret_keys":
            found[name] = [key.get_secret_value() for key in value]
        elif isinstance(value, SecretStr) and name not in (*WITH_PASSWORDS, SAME_AS_BROKER, "flower_basic_auth"):
            found[name] = [value.get_secret_value().removeprefix("Bearer ")]
    database = _database_url(values)
    of_database = {database.password} if database is not None else set()
    of_broker = {each.password for each in broker_url.servers(values["redis_url"])}
    found["db_url"] = [text for text in of_database if text and text not in found.get("db_password", ())]
    found["redis_url"] = sorted(text for text in of_broker if text and text not in found.get("redis_password", ()))
    return found


def _flower(values: Values) -> Iterator[Risk]:
    logins = values.get("flower_basic_auth")
    if logins is not None and any(map(is_weak_login, logins.get_secret_value().split(","))):
        problem = (
            f"a password is easy to guess: take {FEWEST_IN_A_PASSWORD} characters or more, without the user's name"
        )
        yield Risk(setting="FLOWER_BASIC_AUTH", problem=problem)


# -- who may log in, and how often ------------------------------------------------------------------------------------


def _cookie(values: Values) -> Iterator[Risk]:
    if values.get("cookie_secure", True):
        return
    pages = [url for name, url in values.items() if name.endswith("_ext_url") and url]
    hosts = [str(urlsplit(url).hostname) for url in (*pages, *values["cors_origins"])]
    if not all(map(is_loopback, (*hosts, *values["trusted_hosts"]))):
        yield _insecure_cookie("people come from other machines")


def _insecure_cookie(why: str) -> Risk:
    problem = f"{why}, and their sessions would go over plain HTTP: leave it out, and terminate TLS in front of the API"
    return Risk(setting="COOKIE_SECURE", problem=problem, switch="allow_insecure_cookie")


def _limits(values: Values) -> Iterator[Risk]:
    if not any(values.get(name, 1) for name in LIMITS):
        names = ", ".join(name.upper() for name in LIMITS)
        problem = f"with {names} all 0, anybody may guess passwords and sign up without end: leave one of them out"
        yield Risk(setting=LIMITS[0].upper(), problem=problem, switch="allow_unlimited_attempts")

"""The check of REDIS_URL when settings are read: what cannot work is refused, and never quoted: it has a password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from pydantic import SecretStr, ValidationInfo

SENTINEL, SENTINEL_TLS = "sentinel", "sentinels"
SCHEMES = ("redis", "rediss", SENTINEL, SENTINEL_TLS)
WITH_TLS = ("rediss", SENTINEL_TLS)
TRUST = ("required", "optional", "none", "CERT_REQUIRED", "CERT_OPTIONAL", "CERT_NONE")
TRUST_ANYBODY = ("none", "CERT_NONE")
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server of the address, or one sentinel. `has_certificate`: we log in with a certificate of our own."""

    host: str
    password: str | None
    has_tls: bool
    is_verified: bool
    has_certificate: bool


def servers(url: SecretStr) -> list[Server]:
    """Return the servers that an address names which `checked` has accepted."""
    return [_server(urlsplit(text)) for text in url.get_secret_value().split(";")]


def _server(parts: SplitResult) -> Server:
    options = dict(parse_qsl(parts.query))
    return Server(
        host=str(parts.hostname),
        password=unquote(parts.password) if parts.password else None,
        has_tls=parts.scheme in WITH_TLS,
        is_verified=options.get("ssl_cert_reqs") not in TRUST_ANYBODY and checks_host(options),
        has_certificate="ssl_certfile" in options,
    )


def checks_host(options: Mapping[str, str]) -> bool:
    """Say whether the name in the certificate is checked, by the options of an address that checks certificates."""
    return options.get("ssl_check_hostname", "true").lower() != "false"


def checked(value: SecretStr, info: ValidationInfo) -> SecretStr:
    """Return the address with the password of the field `redis_password`, if it has none.

    Several sentinels, or brokers to fall back to, are separated by semicolons.
    """
    addresses = [_address(text) for text in value.get_secret_value().split(";")]
    if len({address.scheme for address in addresses}) > 1:
        raise ValueError("must have the same scheme in each of its addresses")
    is_sentinel = addresses[0].scheme in (SENTINEL, SENTINEL_TLS)
    if "redis_sentinel_master" in info.data and is_sentinel != bool(info.data["redis_sentinel_master"]):
        raise ValueError("must begin with sentinel:// if REDIS_SENTINEL_MASTER is set, and only then")
    password: SecretStr | None = info.data.get("redis_password")
    if password is None:
        return value
    return SecretStr(";".join(_with_password(address, password) for address in addresses))


def _address(text: str) -> SplitResult:
    """Return the parts of one address. The messages are ours: those of urlsplit and kombu quote it."""
    try:
        parts = urlsplit(text)
        port = parts.port  # parsed only when it is read
    except ValueError:
        raise ValueError("is not an address: in a password, write # as %23, / as %2F, [ as %5B") from None
    if parts.scheme not in SCHEMES or not text.startswith(f"{parts.scheme}://"):
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in SCHEMES)}")
    if "#" in text or port == 0 or any(map(str.isspace, text)) or not parts.hostname:
        raise ValueError("must be scheme://:password@host:port/number; in a password, write # as %23")
    database = parts.path.removeprefix("/")
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError("must end with the number of a database: /0")
    _check_query(parts.query)
    return parts


def _check_query(query: str) -> None:
    options = parse_qsl(query, keep_blank_values=True)
    for name, value in options:
        if name in FILES:
            if not Path(value).is_file():
                raise ValueError(f"names a file in {name} that does not exist")
        elif name == "ssl_cert_reqs":
            if value not in TRUST:
                raise ValueError("must have required, optional or none in ssl_cert_reqs")
        elif name != "ssl_check_hostname":
            known = ", ".join(("ssl_cert_reqs", "ssl_check_hostname", *FILES))
            raise ValueError(f"has an option after ? that is unknown; known are {known}")


def _with_password(parts: SplitResult, password: SecretStr) -> str:
    user, _, host = parts.netloc.rpartition("@")
    netloc = f"{user}:{quote(password.get_secret_value(), safe='')}@{host}"
    return (parts if parts.password is not None else parts._replace(netloc=netloc)).geturl()

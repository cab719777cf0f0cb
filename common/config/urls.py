"""Types of address settings, checked when the settings are read; no message quotes one, as some contain passwords."""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, SecretStr

from common.config import broker_url, database_url


def _split(value: str) -> SplitResult:
    """The message is ours: those of urlsplit quote the value."""
    try:
        parts = urlsplit(value)
        _port = parts.port  # parsed only when it is read
    except ValueError:
        raise ValueError("is not an address") from None
    return parts


def _http_url(value: str) -> str:
    parts = _split(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or any(map(str.isspace, value)):
        raise ValueError("must be http:// or https:// and a host")
    if "@" in parts.netloc:
        raise ValueError("must not carry a user or a password")
    if parts.query or parts.fragment:
        raise ValueError("must end with the host or a path: no ? and no #")
    return value.rstrip("/")


def _origin(value: str) -> str:
    """Check that it is written as browsers send it: anything else would never match, silently."""
    parts = urlsplit(_http_url(value))
    usual_port = {"http": 80, "https": 443}[parts.scheme]
    port = f":{parts.port}" if parts.port not in (None, usual_port) else ""
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    if value != f"{parts.scheme}://{host}{port}" or not value.isascii() or "*" in value:
        raise ValueError("must be as browsers send it: scheme://host, lower case, :port only if unusual, no path, no *")
    return value


def require_web_address(value: str) -> None:
    """Raise ValueError unless it is http(s) with a host; a path and a query may follow, as they may hold a token."""
    parts = _split(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or not value.isprintable() or " " in value:
        raise ValueError("must be http:// or https:// and a host")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("must not carry a user, a password or a #")


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Origin = Annotated[str, AfterValidator(_origin)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(database_url.checked)]
BrokerUrl = Annotated[SecretStr, AfterValidator(broker_url.checked)]  # with the password of the field `redis_password`


_LONGEST = 1_000  # characters, as the ledger keeps them
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_on_host(url: str, base: str) -> bool:
    """Say whether an address that somebody else names is http(s) on the host and port of `base`, a setting of ours.

    With a base of https, nothing else will do: a token would be sent in clear.
    """
    try:
        parts, ours = urlsplit(url), urlsplit(base)
        ports = [each.port or _DEFAULT_PORTS.get(each.scheme) for each in (parts, ours)]
    except ValueError:
        return False
    if len(url) > _LONGEST or "@" in parts.netloc or not url.isprintable() or set(url) & set(" \\<>\"'`"):
        return False
    is_safe = parts.scheme in ((ours.scheme, "https") if ours.scheme == "http" else ("https",))
    is_port = ports[0] == ports[1] or (parts.port, ours.port) == (None, None)
    return is_safe and is_port and parts.hostname is not None and parts.hostname == ours.hostname


def is_loopback(host: str) -> bool:
    """Say whether the host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

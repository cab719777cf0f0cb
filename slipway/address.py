"""Addresses of the server and of its calls."""

from __future__ import annotations

import ipaddress
from urllib.parse import quote, urlsplit

BASE = "/api/v1"


def checked(url: str) -> str:
    """Return the server's address without a trailing slash. Raises ValueError when it is not an HTTP address."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("Use an address such as http://127.0.0.1:8000.")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("The address of the server must not contain a user, a query or a fragment.")
    _ = parts.port  # raises ValueError when the port is not a number
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/').removesuffix(BASE)}"


def join(url: str, *segments: str) -> str:
    """Return the address of a call; each segment is quoted. Raises ValueError for one that would change the path."""
    if any(segment in ("", ".", "..") for segment in segments):
        raise ValueError("An id must not be empty, `.` or `..`.")
    return "/".join([f"{url}{BASE}", *(quote(segment, safe="") for segment in segments)])


def unproxied(url: str) -> dict[str, str]:
    """Return the `proxies` with which `requests` connects to a loopback address without the environment's proxy."""
    host = urlsplit(url).hostname or ""
    return {"no_proxy": host} if _is_loopback(host) else {}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

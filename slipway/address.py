"""Where is the server, and what is the address of a thing below it?"""

from __future__ import annotations

import ipaddress
from urllib.parse import quote, urlsplit

BASE = "/api/v1"


def checked(url: str) -> str:
    """Return the server's address without a slash at its end. Raises ValueError for what is none."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("Use an address such as http://127.0.0.1:8000.")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("The address of the server has no user, query or fragment.")
    _ = parts.port  # raises ValueError for what is no number
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/').removesuffix(BASE)}"


def join(url: str, *segments: str) -> str:
    """Return the address of a call; each segment is quoted whole. Raises ValueError for one that would move it."""
    if any(segment in ("", ".", "..") for segment in segments):
        raise ValueError("An id is neither empty nor made of dots.")
    return "/".join([f"{url}{BASE}", *(quote(segment, safe="") for segment in segments)])


def unproxied(url: str) -> dict[str, str]:
    """Return what makes `requests` go straight to this machine's own address, whatever proxy the environment names."""
    host = urlsplit(url).hostname or ""
    return {"no_proxy": host} if _is_loopback(host) else {}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

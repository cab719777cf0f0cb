"""A single sign-on proxy in front of a stand-in, which does not let our calls through, as while it restarts.

    off      every call reaches the stand-in
    401      a page of the proxy's own, with its challenge     nginx `auth_request`, oauth2-proxy for calls of scripts
    403      a page of the proxy's own
    log-in   302 to the log-in page of the identity provider   oauth2-proxy, Keycloak's gatekeeper, Envoy's OAuth filter

Git is let through: it cannot use a log-in page, so installations leave its paths out.
"""

from __future__ import annotations

from urllib.parse import quote

from werkzeug.wrappers import Request, Response

OFF, UNAUTHORIZED, FORBIDDEN, LOG_IN = "off", "401", "403", "log-in"
MODES = (OFF, UNAUTHORIZED, FORBIDDEN, LOG_IN)
IDENTITY_PROVIDER = "https://sso.example.com/realms/platform/protocol/openid-connect/auth"
_HTML = "text/html; charset=utf-8"


def answer(mode: str, request: Request) -> Response | None:
    """Return what the proxy answers in place of the stand-in, None when it lets the call through."""
    if mode == UNAUTHORIZED:
        return _page(401, "401 Authorization Required", {"WWW-Authenticate": 'Bearer realm="sso.example.com"'})
    if mode == FORBIDDEN:
        return _page(403, "403 Forbidden", {})
    if mode == LOG_IN:
        target = f"{IDENTITY_PROVIDER}?client_id=gateway&response_type=code&redirect_uri={quote(request.url, safe='')}"
        return _page(302, "302 Found", {"Location": target})
    return None


def _page(status: int, title: str, headers: dict[str, str]) -> Response:
    body = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>"
    return Response(body, status, {"Server": "nginx", **headers}, content_type=_HTML)

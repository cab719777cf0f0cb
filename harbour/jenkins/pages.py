"""HTML of Jenkins: error pages, redirects, pages for people.

Jenkins never answers an error as JSON, not even under `/api/json`.
"""

from __future__ import annotations

import uuid
from html import escape
from http import HTTPStatus
from urllib.parse import quote

from werkzeug.wrappers import Request, Response

HTML = "text/html;charset=utf-8"


class ApiError(Exception):
    """Ends the request with `response`."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def page(title: str, body: str, *, status: int = 200) -> Response:
    """Return a page; `body` is HTML, `title` is text."""
    text = f"<!DOCTYPE html><html><head><title>{escape(title)} [Jenkins]</title></head><body>{body}</body></html>"
    return Response(text, status, content_type=HTML)


def failure(message: str) -> ApiError:
    """Return a user error: 400, with the message also in `X-Error`."""
    answer = page("Error", f"<h1>Error</h1><p>{escape(message)}</p>", status=400)
    # A header is Latin-1, so Jenkins' typographic quotes become question marks in it.
    answer.headers["X-Error"] = message.encode("latin-1", "replace").decode("latin-1")
    return ApiError(answer)


def jetty_error(status: int, text: str = "") -> Response:
    """Return the bare error page of the servlet container."""
    reason = text or HTTPStatus(status).phrase
    body = f"<h2>HTTP ERROR {status} {escape(reason)}</h2><hr/><a href='https://jetty.org/'>Powered by Jetty</a>"
    return page(f"Error {status} {reason}", body, status=status)


def oops(message: str) -> ApiError:
    """Return an uncaught exception: 500 with a logging id, permanent, whatever the status suggests."""
    logging_id = uuid.uuid4()
    body = f"<h1>Oops!</h1><p>A problem occurred. Logging ID={logging_id}</p><pre>{escape(message)}</pre>"
    return ApiError(page("Oops!", body, status=500))


def getting_ready() -> Response:
    """Return the page of a Jenkins that starts or reloads. Source: `HudsonIsLoading`, status 503."""
    text = "Please wait while Jenkins is getting ready to work ..."
    return page("Starting Jenkins", f"<h1>{text}</h1><p>Your browser will reload automatically.</p>", status=503)


def not_found() -> ApiError:
    return ApiError(jetty_error(404))


def unauthorized() -> ApiError:
    answer = jetty_error(401)
    answer.headers["WWW-Authenticate"] = 'Basic realm="Jenkins"'
    return ApiError(answer)


def forbidden(user_id: str, permission: str, *, path: str) -> ApiError:
    """Return a 403: a page that leads the anonymous to the login form, "Access Denied" to everybody else."""
    if user_id == "anonymous":
        login = f"/login?from={quote(path, safe='')}"
        answer = page("Authentication required", f"<meta http-equiv='refresh' content='1;url={login}'/>")
    else:
        text = f"{escape(user_id)} is missing the {escape(permission)} permission"
        answer = page("Access Denied", f"<h1>Access Denied</h1><p>{text}</p>")
    answer.status_code = 403
    answer.headers["X-You-Are-Authenticated-As"] = user_id
    answer.headers["X-Required-Permission"] = permission
    answer.headers["X-Permission-Implied-By"] = "hudson.model.Hudson.Administer"
    return ApiError(answer)


def redirect(location: str) -> Response:
    """Return a 302 without a body; `location` is a path or an absolute URL, as Jenkins sends both."""
    return Response(b"", 302, {"Location": location})


def is_browser(request: Request) -> bool:
    """Return whether a person opens the page; clients of the API do not accept `text/html`."""
    return "text/html" in request.headers.get("Accept", "")

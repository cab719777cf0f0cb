"""Situations in which GitLab refuses what its token may do: read-only, an organisation in maintenance, a token's end.

Source: GitLab docs, "GitLab maintenance mode"; `Gitlab::Middleware::ReadOnly`: a write is refused by its content type,
403 for JSON and 301 to the front page for the rest; `Gitlab::GitAccess`; the spec of the organisation maintenance
(gitlab-org/gitlab!251067): reads and writes of what belongs to the organisation, 503 with `Retry-After` for a move,
403 for a reason without an end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from werkzeug.wrappers import Request, Response

from harbour import situations
from harbour.gitlab.errors import ApiError, as_json
from harbour.gitlab.state import GitLabBase
from harbour.server import READS
from harbour.situations import Situation

ACTIVE, MAINTENANCE, UNAVAILABLE = "active", "maintenance", "unavailable"
READ_ONLY_TEXT = "You cannot perform write operations on a read-only instance"
_ALLOWED_WRITES = re.compile(r"PUT /api/v4/application/settings|POST .*/compare|POST .*\.git/git-upload-pack")
_OF_AN_ORGANISATION = re.compile(r"/api/v4/(projects|groups|namespaces)\b.*")
_REASONS = {
    "expired": "Token is expired. You can either do re-authorization or token refresh.",
    "revoked": "Token was revoked. You have to re-authorize from the user.",
}


class Restrictions(GitLabBase):
    """What is refused before a call is looked at. A read-only instance shows its mode in the settings, if it is EE."""

    situations: ClassVar[Mapping[str, Situation]] = {
        "is_read_only": situations.flag(),
        "organisation": situations.choice(ACTIVE, MAINTENANCE, UNAVAILABLE),
        "token_problem": situations.choice("", *_REASONS),
        "token_scopes": situations.texts("api", "admin_mode"),
        "is_administrator": situations.flag(default=True),
        **situations.in_front(),
    }
    scopes: tuple[str, ...] = ("api", "admin_mode")
    """What the API token may do."""
    organisation = ACTIVE
    token_problem = ""

    @property
    def token_scopes(self) -> list[str]:
        return list(self.scopes)

    @token_scopes.setter
    def token_scopes(self, scopes: list[str]) -> None:
        self.scopes = tuple(scopes)

    @property
    def is_administrator(self) -> bool:
        """Say whether the token's owner is one."""
        return self.state.users[1].is_admin

    @is_administrator.setter
    def is_administrator(self, value: bool) -> None:
        self.state.users[1].is_admin = value

    def refused_write(self, request: Request) -> Response | None:
        """Return the refusal of a read-only instance; it comes before the token is looked at."""
        if not self.is_read_only or request.method in READS:
            return None
        if _ALLOWED_WRITES.fullmatch(f"{request.method} {request.path}"):
            return None
        if request.path.endswith("/git-receive-pack"):
            return None  # `git_http` says why
        if request.mimetype == "application/json":
            return as_json({"message": READ_ONLY_TEXT}, 403)
        return Response(b"", 301, {"Location": f"{self.url}/"})

    def require_organisation(self, request: Request) -> None:
        """Refuse what belongs to an organisation in maintenance."""
        if self.organisation == ACTIVE or not _OF_AN_ORGANISATION.fullmatch(request.path):
            return
        if self.organisation == MAINTENANCE:
            text = "This organization is temporarily unavailable due to maintenance."
            raise ApiError(503, {"message": text}, {"Retry-After": "60"})
        raise ApiError(403, {"message": "403 Forbidden - This organization is unavailable."})

    def require_lasting_token(self) -> None:
        """Refuse a token that ended or was revoked."""
        if self.token_problem:
            body = {"error": "invalid_token", "error_description": _REASONS[self.token_problem]}
            raise ApiError(401, body)

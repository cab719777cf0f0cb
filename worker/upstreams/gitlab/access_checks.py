"""The doctor's checks of our account on GitLab: the token, its scope, its owner's rights, whether changes are accepted.

`standing` asks them, too, when GitLab refuses a call. Source: GitLab API, "Personal access tokens", "Users",
"Application settings" (`maintenance_mode`, of the Enterprise Edition only).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError, token_that_expires
from worker.upstreams.error_text import reason_in
from worker.upstreams.probe import Probe, at_least, is_html, json_object

OLDEST = (16,)
SOON = timedelta(days=7)
_API = ("api", "v4")
_NEW_ACCESS = (
    "as an administrator on GitLab: avatar → Edit profile → Access tokens → Add new token, scope api "
    "(and admin_mode, if Admin Mode is on); set GITLAB_TOKEN to it"
)


READ_ONLY = "GitLab is read-only for now: it refuses every change"
END_OF_MAINTENANCE = (
    "wait until the maintenance is over; on GitLab: Admin → Settings → General → Maintenance mode; after a failover, "
    "set GITLAB_URL to the primary site"
)


def of(probe: Probe) -> dict[str, Check]:
    """Return the checks by their names."""
    return {check.name: check for check in _Access(probe).all()}


class _Access:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    def all(self) -> list[Check]:
        return [
            Check(
                name="answers",
                question="Does GitLab answer at GITLAB_URL?",
                remedy="start GitLab, or correct GITLAB_URL",
                run=self._answers,
            ),
            Check(
                name="token",
                question="Does GitLab accept GITLAB_TOKEN?",
                remedy=_NEW_ACCESS,
                run=self._token,
                needs=("answers",),
            ),
            Check(
                name="version",
                question="Is it a version that Slipway supports?",
                remedy="upgrade GitLab",
                run=self._version,
                needs=("token",),
            ),
            Check(
                name="scope",
                question="Does the token have the scope api?",
                remedy=_NEW_ACCESS,
                run=self._scope,
                needs=("token",),
            ),
            Check(
                name="token's end",
                question="Will the token be valid next week?",
                remedy=_NEW_ACCESS,
                run=self._expiry,
                needs=("token",),
            ),
            Check(
                name="administrator",
                question="Does the token belong to an administrator?",
                remedy="on GitLab: Admin → Users → the token's owner → Edit → Administrator; or give GITLAB_TOKEN an "
                "administrator's token. With Admin Mode on, the token needs the scope admin_mode, too",
                run=self._administrator,
                needs=("scope",),
            ),
            Check(
                name="writes",
                question="Does GitLab accept changes now?",
                remedy=END_OF_MAINTENANCE,
                run=self._writes,
                needs=("administrator",),
            ),
        ]

    def _answers(self) -> str:
        reply = self._probe.get(*_API, "version")
        body = json_object(reply)
        is_it = (reply.status == 200 and "version" in body) or (
            reply.status == 401 and bool(body) and _is_refusal(body)
        )
        is_refused = reply.status in (403, 429) and not is_html(reply)  # too often, or from an address that is blocked
        if not (is_it or is_refused):
            raise self._probe.not_this_upstream(reply)
        return self._probe.url

    def _token(self) -> str:
        reply = self._probe.get(*_API, "version")
        if reply.status == 401:
            raise CheckFailedError(f"GitLab refuses GITLAB_TOKEN: {reason_in(reply.body)}")
        if not (reply.status == 403 and "insufficient_scope" in reply.text):  # `scope` says which one is missing
            self._probe.expect(reply, "reading its version")
        return "accepted"

    def _version(self) -> str:
        reply = self._probe.expect(self._probe.get(*_API, "version"), "reading its version")
        return at_least("GitLab", str(json_object(reply).get("version", "0")), OLDEST)

    def _scope(self) -> str:
        scopes = self._token_details().get("scopes") or []
        if "api" not in scopes:
            raise CheckFailedError(f"the scope api is missing: the token has {', '.join(map(str, scopes)) or 'none'}")
        return ", ".join(map(str, scopes))

    def _expiry(self) -> str:
        ends_on = self._token_details().get("expires_at")
        if not ends_on:
            return "never"
        ends_at = datetime.fromisoformat(str(ends_on)[:10]).replace(tzinfo=UTC)  # GitLab says the day
        return token_that_expires(ends_at, soon=SOON)

    def _token_details(self) -> dict[str, Any]:
        reply = self._probe.get(*_API, "personal_access_tokens", "self")
        if reply.status == 404:
            raise CheckInconclusiveError(
                "it is not a personal access token, so GitLab does not show its scopes and its expiry date",
                _NEW_ACCESS,
            )
        return json_object(self._probe.expect(reply, "reading our token"))

    def _administrator(self) -> str:
        user = json_object(self._probe.expect(self._probe.get(*_API, "user"), "reading our user"))
        if user.get("is_admin") is not True:
            raise CheckFailedError(f"the token's owner {user.get('username')} does not act as an administrator")
        return str(user.get("username"))

    def _writes(self) -> str:
        """Read the settings: an Enterprise Edition shows its maintenance mode there, a read-only secondary nothing."""
        reply = self._probe.get(*_API, "application", "settings")
        if reply.status in (403, 404):
            raise CheckInconclusiveError("GitLab does not show us its settings")
        settings = json_object(self._probe.expect(reply, "reading GitLab's settings"))
        if settings.get("maintenance_mode") is True:
            raise CheckFailedError(READ_ONLY)
        return "accepted"


def _is_refusal(body: dict[str, Any]) -> bool:
    return body.get("error") == "invalid_token" or str(body.get("message", "")).startswith("401")

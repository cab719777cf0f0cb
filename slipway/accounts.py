"""How does a person come, prove who they are, and leave?"""

from __future__ import annotations

from slipway.calls import Calls
from slipway.errors import Document


class Accounts(Calls):
    """Sign-up, log-in, log-out, off-boarding."""

    def sign_up(
        self, login: str, *, email: str, name: str, password: str, team: str, invite: str | None = None
    ) -> Document:
        """Start the making of a person's accounts. Anyone may. Returns `{job_id, status_url}`.

        `invite`: the code of an invitation, to a team that is not open to all. Raises ProblemError `taken`,
        `invalid_fields`, `team_not_open`.
        """
        body = {"id": login, "email": email, "name": name, "password": password, "team": team}
        return self._write("signup", body=body if invite is None else {**body, "invite": invite})

    def log_in(self, login: str, password: str) -> Document:
        """Return `{token, expires_at, user}` and send the token from now on. Raises ProblemError."""
        self._wire.use_token(None)  # what is left of an earlier log-in has no say in this one
        logged_in = self._write("login", body={"id": login, "password": password})
        self._wire.use_token(logged_in["token"])
        return logged_in

    def log_out(self) -> None:
        """End this log-in; one that has ended already is fine."""
        self._write("logout")
        self._wire.use_token(None)

    def get_me(self) -> Document:
        """Return `{id, email, name, team, is_admin}` of whoever is logged in."""
        return self._read("me")

    def remove_person(self, login: str) -> Document:
        """Start the closing of the accounts that were made for a person. Administrators. Returns `{job_id, …}`."""
        return self._write("users", login, method="DELETE")

"""Accounts: sign-up, log-in, log-out, passwords, sessions, API tokens, off-boarding."""

from __future__ import annotations

from slipway.calls import BaseClient
from slipway.errors import Document


class Accounts(BaseClient):
    """The calls about accounts."""

    def sign_up(
        self, login: str, *, email: str, name: str, password: str, team: str, invite: str | None = None
    ) -> Document:
        """Start the job that creates a person's accounts. Needs no log-in. Returns `{job_id, status_url}`.

        `invite`: an invitation code, for a team that is not open to all. Raises ProblemError `taken`,
        `invalid_fields`, `team_not_open`.
        """
        body = {"id": login, "email": email, "name": name, "password": password, "team": team}
        return self._write("signup", body=body if invite is None else {**body, "invite": invite})

    def log_in(self, login: str, password: str) -> Document:
        """Return `{token, expires_at, user}` and send the token from now on. Raises ProblemError."""
        self._connection.use_token(None)  # the token of an earlier log-in is not sent with this request
        logged_in = self._write("login", body={"id": login, "password": password})
        self._connection.use_token(logged_in["token"])
        return logged_in

    def log_out(self) -> None:
        """End this log-in. Safe to repeat."""
        self._write("logout")
        self._connection.use_token(None)

    def get_me(self) -> Document:
        """Return `{id, email, name, team, is_admin}` of the person who is logged in."""
        return self._read("me")

    def change_password(self, password: str, new_password: str) -> Document:
        """Start the job that sets your new password everywhere; your other sessions end. Returns `{job_id, …}`.

        Raises ProblemError `invalid_credentials`, `invalid_fields`, `busy`.
        """
        body = {"password": password, "new_password": new_password}
        return self._write("me", "password", method="PUT", body=body)

    def create_password_reset(self, login: str) -> Document:
        """Return `{reset_code, expires_at}`: a person's one-time code for a new password. Administrators only."""
        return self._write("users", login, "password-reset")

    def confirm_password_reset(self, login: str, *, reset_code: str, password: str) -> Document:
        """Start the job that sets a new password by a code. Needs no log-in. Returns `{job_id, …}`.

        Raises ProblemError `invalid_code`, `invalid_fields`, `busy`.
        """
        return self._write(
            "password-resets", "confirm", body={"id": login, "reset_code": reset_code, "password": password}
        )

    def list_sessions(self) -> list[Document]:
        """Return `[{session_id, created_at, last_used_at, expires_at, address, user_agent, current}]`, newest first."""
        return list(self._read("me", "sessions")["sessions"])

    def end_session(self, session_id: str) -> None:
        """End one of your sessions. Raises ProblemError `not_found`."""
        self._write("me", "sessions", session_id, method="DELETE")

    def end_other_sessions(self) -> Document:
        """End all your sessions but this one. Returns `{ended}`, a number."""
        return self._write("me", "sessions", method="DELETE")

    def list_tokens(self) -> list[Document]:
        """Return `[{token_id, name, scope, created_at, expires_at, last_used_at}]`, newest first."""
        return list(self._read("me", "tokens")["tokens"])

    def create_token(self, name: str, *, scope: str, expires_in_days: int | None = None) -> Document:
        """Create an API token and return it; `token` is its value, which the server shows only now.

        `scope`: read, build, deploy or team. Raises ProblemError `taken`, `too_many_tokens`, `invalid_fields`.
        """
        days = {} if expires_in_days is None else {"expires_in_days": expires_in_days}
        return self._write("me", "tokens", body={"name": name, "scope": scope, **days})

    def revoke_token(self, token_id: str) -> None:
        """Revoke one of your API tokens. Raises ProblemError `not_found`."""
        self._write("me", "tokens", token_id, method="DELETE")

    def remove_person(self, login: str) -> Document:
        """Start the job that closes a person's accounts. Administrators only. Returns `{job_id, …}`."""
        return self._write("users", login, method="DELETE")

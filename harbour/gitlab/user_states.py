"""Changes of an account: its fields, and its state.

active ── block ──▶ blocked ── unblock ──▶ active          blocked_pending_approval ── approve ──▶ active
       ── ban ──▶ banned ── unban ──▶ active               ── reject ──▶ (deleted)
       ── deactivate ──▶ deactivated ── activate, or signing in ──▶ active

Source: GitLab API, "Users", "User moderation".
"""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from harbour.gitlab import rules
from harbour.gitlab.errors import Params, as_json, refuse
from harbour.gitlab.model import User
from harbour.gitlab.users import API, SETTABLE_FLAGS, SETTABLE_TEXTS, Users
from harbour.passwords import digest
from harbour.server import route

USER = f"{API}/users/:user_id"
LDAP = "LDAP blocked users cannot be modified by the API"


class UserStates(Users):
    """`PUT /users/:id` and `POST /users/:id/block`, `/unblock`, `/deactivate`, `/activate`, `/approve`, …"""

    @route("PUT", USER)
    def change_user(self, request: Request, user_id: str) -> Response:
        """Change the fields that are given. A password that an administrator sets for somebody else has expired."""
        user, params = self.find_user(user_id), Params(request)
        others = [each for each in self.state.users.values() if each is not user]
        if any(each.email.lower() == str(params.get("email")).lower() for each in others):
            refuse(409, "Email has already been taken")
        if any(each.username.lower() == str(params.get("username")).lower() for each in others):
            refuse(409, "Username has already been taken")
        if params.given("username") and (problems := rules.username_problems(str(params.text("username")))):
            refuse(400, {"username": problems})
        if params.given("password"):
            self._refuse_password(user, str(params.text("password")))
        for name in params.given("email", "username", "name", "note"):
            setattr(user, name, params.text(name))
        if params.given("password"):
            user.digest = digest(str(params.text("password")), owner=user.username)
            user.is_password_expired = user is not self.caller()
        if "admin" in params:
            user.is_admin = params.flag("admin")
        user.options |= {name: params.flag(name) for name in SETTABLE_FLAGS if name in params}
        user.options |= {name: params.text(name) for name in SETTABLE_TEXTS if name in params}
        return as_json(self.views.user(user))

    @staticmethod
    def _refuse_password(user: User, password: str) -> None:
        problems = rules.password_problems(password, username=user.username, name=user.name, email=user.email)
        if problems:
            refuse(400, {"password": problems})

    @route("POST", f"{USER}/block")
    def block_user(self, _request: Request, user_id: str) -> Response:
        """Block; answered with true, and with 403 for oneself and for whom LDAP has blocked."""
        user = self.find_user(user_id)
        if user is self.caller():
            refuse(403, "403 Forbidden - The API initiating user cannot be blocked by the API")
        if user.state == "ldap_blocked":
            refuse(403, f"403 Forbidden - {LDAP}")
        return self._become(user, "blocked")

    @route("POST", f"{USER}/unblock")
    def unblock_user(self, _request: Request, user_id: str) -> Response:
        """Unblock; whom LDAP has blocked and who is deactivated need another way."""
        user = self.find_user(user_id)
        if user.state == "ldap_blocked":
            refuse(403, f"403 Forbidden - {LDAP}")
        if user.state == "deactivated":
            refuse(403, "403 Forbidden - Deactivated users cannot be unblocked by the API")
        return self._become(user, "active")

    @route("POST", f"{USER}/deactivate")
    def deactivate_user(self, _request: Request, user_id: str) -> Response:
        user = self.find_user(user_id)
        if user.state != "active":
            refuse(403, "403 Forbidden - A blocked user cannot be deactivated by the API")
        return self._become(user, "deactivated")

    @route("POST", f"{USER}/activate")
    def activate_user(self, _request: Request, user_id: str) -> Response:
        user = self.find_user(user_id)
        if user.state not in ("active", "deactivated"):
            refuse(403, "403 Forbidden - A blocked user must be unblocked to be activated")
        return self._become(user, "active")

    @route("POST", f"{USER}/ban")
    def ban_user(self, _request: Request, user_id: str) -> Response:
        user = self.find_user(user_id)
        if user.state != "active":
            refuse(403, f"403 Forbidden - You cannot ban {user.state} users.")
        return self._become(user, "banned")

    @route("POST", f"{USER}/unban")
    def unban_user(self, _request: Request, user_id: str) -> Response:
        user = self.find_user(user_id)
        if user.state != "banned":
            refuse(403, f"403 Forbidden - You cannot unban {user.state} users.")
        return self._become(user, "active")

    @route("POST", f"{USER}/approve")
    def approve_user(self, _request: Request, user_id: str) -> Response:
        user = self.find_user(user_id)
        if user.state != "blocked_pending_approval":
            refuse(409, "The user you are trying to approve is not pending approval")
        user.state = "active"
        return as_json({"message": "Success"}, 201)

    @staticmethod
    def _become(user: User, state: str) -> Response:
        user.state = state
        return as_json(True, 201)

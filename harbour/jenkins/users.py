"""Jenkins' own user database: create, show, delete users.

Trap: a refused sign-up is a *200* whose HTML repeats the submitted password; only a 302 to
`…/securityRealm/` is success.
"""

from __future__ import annotations

import re
from html import escape

from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Request, Response

from harbour.jenkins.core import ADMINISTER, READ, REALM, JenkinsCore, User, caller_of
from harbour.jenkins.pages import failure, forbidden, not_found, page, redirect
from harbour.jenkins.tree import exported
from harbour.passwords import digest
from harbour.server import route

PROHIBITED = frozenset({"anonymous", "system", "unknown"})
BCRYPT_LIMIT_BYTES = 72
FIELDS = ("username", "password1", "password2", "fullname", "email")
TOO_LONG = (
    "Password cannot be longer than 72 characters. Note that some characters count as more than one: "
    "the limit is 72 bytes in UTF-8."
)


class JenkinsUsers(JenkinsCore):
    """The users, as clients see them."""

    @route("POST", "/securityRealm/createAccountByAdmin")
    def create_account(self, request: Request) -> Response:
        self.require(request, ADMINISTER)
        form = request.form
        errors = self._errors_of(form)
        if errors:
            return _form_again(form, errors)
        name = form["username"]
        self.users[name.lower()] = User(
            id=name,
            full_name=form.get("fullname") or name,
            address=form["email"],
            digest=digest(form["password1"], owner=name),
        )
        return redirect(f"{request.host_url}securityRealm/")

    def _errors_of(self, form: MultiDict[str, str]) -> dict[str, str]:
        errors = {"username": self._username_error(form.get("username", ""))}
        errors["password1"] = errors["password2"] = _password_error(form)
        if form.get("fullname", "").lower() in PROHIBITED:
            errors["fullname"] = f'"{form["fullname"]}" is prohibited as a full name for security reasons.'
        if "@" not in form.get("email", ""):
            errors["email"] = "Invalid e-mail address"
        return {field: error for field, error in errors.items() if error}

    def _username_error(self, name: str) -> str:
        if not name:
            return "User name is required"
        if not re.fullmatch(r"[\w-]+", name, re.ASCII):
            return "User name must only contain alphanumeric characters, underscore and dash"
        if name.lower() in PROHIBITED:
            return f'"{name}" is prohibited as a username for security reasons.'
        known = self.users.get(name.lower())
        # A commit author has no account yet: the sign-up creates it.
        return "User name is already taken" if known and known.digest is not None else ""

    def remember_author(self, user_id: str, full_name: str) -> None:
        """Create a commit author, a user who cannot log in, as a build's change log does."""
        with self.lock:
            self.users[user_id.lower()] = User(id=user_id, full_name=full_name)

    # -- all of them -----------------------------------------------------------------------------------------

    @route("GET", REALM)
    def users_page(self, request: Request) -> Response:
        """Show all users, to administrators only; the URL ends with a slash."""
        if not request.path.endswith("/"):
            return redirect(f"{request.path}/")
        self.require(request, ADMINISTER)
        rows = "".join(f"<li>{escape(user.id)}</li>" for user in self.users.values() if user.digest is not None)
        return page("Users", f"<h1>Users</h1><ul>{rows}</ul>")

    # -- one user: by id only, or by id *or full name* -------------------------------------------------------

    @route("GET", "/securityRealm/user/:user/api/json")
    def read_by_id(self, request: Request, user: str) -> Response:
        return self._shown(request, self._by_id(user))

    @route("GET", "/me/api/json")
    def read_me(self, request: Request) -> Response:
        """Show the caller; the anonymous has no such page."""
        caller = caller_of(request)
        if caller.id == "anonymous":
            raise forbidden(caller.id, READ, path=request.path)
        return self._shown(request, self._by_id(caller.id))

    @route("GET", "/user/:user/api/json")
    def read_by_any_name(self, request: Request, user: str) -> Response:
        return self._shown(request, self._by_any_name(user))

    @route("POST", "/securityRealm/user/:user/doDelete")
    def delete_by_id(self, request: Request, user: str) -> Response:
        return self._deleted(request, self._by_id(user), "/securityRealm/")

    @route("POST", "/user/:user/doDelete")
    def delete_by_any_name(self, request: Request, user: str) -> Response:
        return self._deleted(request, self._by_any_name(user), "/")

    @route("POST", "/securityRealm/user/:user/submitDescription")
    def describe(self, request: Request, user: str) -> Response:
        """Set the description; everybody has every right on themselves. Source: `User.getACL`."""
        found = self._by_id(user)
        if found.id.lower() != caller_of(request).id.lower():
            self.require(request, ADMINISTER)
        found.description = request.values.get("description", "")
        return redirect(f"/securityRealm/user/{found.id}/")

    @route("GET", "/user/:user")
    @route("GET", "/securityRealm/user/:user")
    def user_page(self, request: Request, user: str) -> Response:  # noqa: ARG002 - the handler's signature
        found = self._by_id(user)
        return page(found.full_name, f"<h1>{escape(found.full_name)}</h1><p>Jenkins user id: {escape(found.id)}</p>")

    def _by_id(self, name: str) -> User:
        if name.lower() not in self.users:
            raise not_found()
        return self.users[name.lower()]

    def _by_any_name(self, name: str) -> User:
        if name.lower() in self.users:
            return self.users[name.lower()]
        for user in self.users.values():
            if user.full_name == name:
                return user
        raise not_found()

    def _shown(self, request: Request, user: User) -> Response:
        self.require(request, "hudson.model.Hudson.Read")
        is_admin = self.permits(caller_of(request), ADMINISTER)
        shown = {
            "_class": "hudson.model.User",
            "absoluteUrl": f"{request.host_url}user/{user.id}",
            "description": user.description,
            "fullName": user.full_name,
            "id": user.id,
            "property": _properties(user) if is_admin else [],
        }
        return exported(request, shown)

    def _deleted(self, request: Request, user: User, back: str) -> Response:
        self.require(request, ADMINISTER)
        if user.id.lower() == caller_of(request).id.lower():
            raise failure("Cannot delete self")
        del self.users[user.id.lower()]  # role assignments stay, for the next user of that name
        return redirect(back)


def _properties(user: User) -> list[dict[str, str]]:
    shown = [{"_class": "jenkins.security.ApiTokenProperty"}]
    if user.digest is not None:
        shown.append({"_class": "hudson.security.HudsonPrivateSecurityRealm$Details"})
    if user.address:
        shown.append({"_class": "hudson.tasks.Mailer$UserProperty", "address": user.address})
    return shown


def _password_error(form: MultiDict[str, str]) -> str:
    password = form.get("password1", "")
    if password != form.get("password2", ""):
        return "Password didn't match"
    if not password:
        return "Password is required"
    return TOO_LONG if len(password.encode()) > BCRYPT_LIMIT_BYTES else ""


def _form_again(form: MultiDict[str, str], errors: dict[str, str]) -> Response:
    rows = [
        f'<input name="{field}" value="{escape(form.get(field, ""))}"/>'
        + (f'<div class="error jenkins-!-margin-bottom-2">{escape(errors[field])}</div>' if field in errors else "")
        for field in FIELDS
    ]
    answer = page("Create User", f"<form method='post'>{''.join(rows)}</form>")
    answer.headers["X-Dialog-Title"] = "Create User"
    return answer

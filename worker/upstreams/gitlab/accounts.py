"""GitLab's users: created, found, blocked.

user   marker: a line of the admin-only `note`, and the e-mail must be equal
       usable unless blocked, banned or waiting for approval; whoever is deactivated comes back by signing in
       blocked, which can be undone, and never removed: GitLab would remove every project of the person's own
       namespace, and with `hard_delete` every group that nobody else owns
"""

from __future__ import annotations

from collections.abc import Callable

from common.errors import ActionBy, StepError, Transient
from common.plain_text import quoted
from worker.upstreams.base import Api
from worker.upstreams.error_text import reason_in
from worker.upstreams.gitlab.errors import is_locked, not_ours
from worker.upstreams.gitlab.schemas import GroupSchema, User, UserSchema, same_path, user_of
from worker.upstreams.marker import is_line_of
from worker.upstreams.replies import Reply

_FIELDS = frozenset({"email", "name", "password", "username"})  # that a person chooses
_PENDING = "blocked_pending_approval"
_BLOCKED = frozenset({"blocked", "ldap_blocked", _PENDING, "banned"})  # a block changes none of them


class Accounts:
    """The users of one GitLab."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def ensure_user(
        self,
        *,
        login: str,
        email: str,
        name: str,
        password: str | None,
        marker: str,
        on_create: Callable[[], None],
        is_confirmed: bool = False,
        extern_uid: str | None = None,
        provider: str | None = None,
    ) -> User:
        """Return the user `login`, creating it, without rights of its own, when absent.

        `is_confirmed`: somebody vouches that the address is the person's; otherwise GitLab asks them by mail.
        `extern_uid` and `provider` name the identity with which the person signs in elsewhere; without a `password`,
        GitLab makes a random one that nobody knows. Safe to repeat: a user with our marker and the same e-mail is ours.
        An existing user's password is never touched. Raises Conflict when the name (also as a group's) or the e-mail
        belongs to somebody else, Permanent with GitLab's reasons when it does not accept what the person chose, and
        when the account cannot be used. Source: GitLab users API, "Create a user".
        """
        user = self._by_login(login)
        if user is None:
            on_create()
            identity = {"extern_uid": extern_uid, "provider": provider} if extern_uid and provider else {}
            options = {**identity, "skip_confirmation": is_confirmed}
            reply = self._create_user(login, email, name, password, marker, options)
            if reply.status == 201:
                return self._usable(reply.read_as(UserSchema), found=False)
            user = self._by_login(login) if reply.status in (400, 409) else None
            if user is None:
                raise self._refused_user(reply, login, password or "")
        return self._our_user(user, email=email, marker=marker)

    def require_free(self, *, login: str, email: str, marker: str) -> None:
        """Check that `ensure_user` meets nobody else's user, address or group. Reads only.

        A user with our marker and this address passes. Raises Conflict.
        Source: GitLab users API, "List users"; users and top-level groups share one set of names.
        """
        if (user := self._by_login(login)) is not None:
            if not _is_ours(user, email, marker):
                raise self._taken(user)
            return
        if self._by_email(email) is not None:
            raise self._taken_address()
        reply = self._api.send("GET", "groups", login, params={"with_projects": "false"})
        if reply.status not in (200, 404):
            raise self._api.failed(reply, f"reading the group {login}")
        if reply.status == 200 and same_path(reply.read_as(GroupSchema).full_path, login):
            raise not_ours(self._api, f"the id {login} is taken on GitLab, by a group", "choose another id")

    def find_user(self, login: str) -> User | None:
        """Return the user `login`, whoever made it. Source: GitLab users API, "List users", `username`."""
        user = self._by_login(login)
        return user_of(user, found=True) if user else None

    def may_sign_in(self, user_id: int) -> bool:
        """Say whether there is a user of this id, who is not blocked. Reads only."""
        user = self._by_id(user_id)
        return user is not None and user.state not in _BLOCKED

    def find_person(
        self, *, login: str, email: str, extern_uid: str | None = None, provider: str | None = None
    ) -> User | None:
        """Return the account that somebody else made for a person, None while there is none. Creates nothing.

        The identity at the provider decides where it is given, otherwise the e-mail address. Raises Conflict when the
        login is an account of another address, Permanent when the account cannot be used.
        Source: GitLab users API, "List users": `extern_uid` and `provider`, `search`, `username`.
        """
        if extern_uid and provider:
            known = self._listed(f"the user of {provider}", extern_uid=extern_uid, provider=provider)
            if known:
                return self._usable(known[0], found=True)
        user = self._by_email(email)
        if user is None and (user := self._by_login(login)) and (user.email or "").lower() != email.lower():
            raise not_ours(
                self._api,
                f"GitLab's user {user.username} has another e-mail address",
                "correct the e-mail address on GitLab",
            )
        return self._usable(user, found=True) if user else None

    def _usable(self, user: UserSchema, *, found: bool) -> User:
        """Return the account. Raises Permanent when nobody can sign in to it."""
        if user.state == _PENDING:
            raise self._api.permanent(
                f"GitLab's user {user.username} waits for approval: an administrator of GitLab has to approve it under "
                "Admin → Users → Pending approval; then retry"
            )
        if user.state in _BLOCKED:
            raise self._api.permanent(
                f"GitLab's user {user.username} is {user.state}: an administrator of GitLab has to unblock it under "
                "Admin → Users; then retry"
            )
        return user_of(user, found=found)

    def _by_login(self, login: str) -> UserSchema | None:
        users = self._listed(f"the user {login}", username=login)
        return next((user for user in users if same_path(user.username, login)), None)

    def _by_email(self, email: str) -> UserSchema | None:
        found = self._listed(f"the user {email}", search=email)  # it may match a part of the address only
        return next((each for each in found if (each.email or "").lower() == email.lower()), None)

    def _listed(self, what: str, **filters: str) -> list[UserSchema]:
        reply = self._api.send("GET", "users", params=filters)
        return self._api.expect(reply, f"reading {what}").read_as(list[UserSchema])

    def _create_user(
        self, login: str, email: str, name: str, password: str | None, marker: str, options: dict[str, object]
    ) -> Reply:
        user = {
            "username": login,
            "email": email,
            "name": name,
            **({"password": password} if password else {"force_random_password": True}),
            **options,
            "note": marker,
            "projects_limit": 0,
            "can_create_group": False,
        }
        return self._api.send("POST", "users", json=user)

    def _our_user(self, user: UserSchema, *, email: str, marker: str) -> User:
        if _is_ours(user, email, marker):
            return self._usable(user, found=True)
        raise self._taken(user)

    def _taken(self, user: UserSchema) -> StepError:
        reason = f"GitLab already has a user {user.username}, and we did not make it"
        return not_ours(self._api, reason, "choose another id")

    def _taken_address(self) -> StepError:
        return not_ours(self._api, "the e-mail address belongs to another user of GitLab", "use another e-mail address")

    def _refused_user(self, reply: Reply, login: str, password: str) -> StepError:
        """Say why GitLab did not create a user who does not exist."""
        doing = f"creating the user {login}"
        if reply.status == 409 and not is_locked(reply):
            # the name is free, so it is the address; GitLab checks it before everything else
            return self._taken_address()
        faults = _validation_faults(reply) if reply.status == 400 else {}
        if not faults:
            return self._api.failed(reply, doing, secrets=(password,))
        why = reason_in(reply.body, secrets=(password,))
        if "base" in faults:  # users and groups share one set of names
            return not_ours(self._api, f"the id {login} is taken on GitLab: {quoted(why)}", "choose another id")
        fields = ", ".join(sorted(_FIELDS & faults.keys())) or "what was sent"
        return self._api.permanent(f"GitLab refused {doing}: it does not accept {fields}: {quoted(why)}", ActionBy.USER)

    def block_user(self, user_id: int, *, login: str, marker: str) -> bool:
        """Return True once the user cannot sign in: blocked, or gone.

        Safe to repeat. Raises Conflict when the user has another name or lacks `marker`.
        Source: GitLab users API, "Block a user".
        """
        user = self._by_id(user_id)
        if user is None:
            return True
        if not (same_path(user.username, login) and is_line_of(user.note, marker)):
            raise not_ours(
                self._api, f"GitLab's user {user.username} was renamed, or we did not make it", "block it on GitLab"
            )
        if user.state in _BLOCKED:
            return True
        reply = self._api.send("POST", "users", str(user_id), "block")
        if reply.status != 201:
            raise self._api.failed(reply, f"blocking the user {login}")
        user = self._by_id(user_id)
        if user and user.state not in _BLOCKED:
            raise self._api.transient(f"GitLab does not show the user {login} as blocked")
        return True

    def set_password(self, login: str, password: str, *, marker: str, trace: str) -> bool:
        """Set the password of our user `login`; return False when there is no such user.

        Safe to repeat: `trace`, a line of the note that is written with the password, shows that it was set. GitLab
        regards a password that an administrator has set as expired. Raises Conflict when the user is not ours,
        Permanent with GitLab's reasons when it does not accept the password.
        Source: GitLab users API, "Modify a user".
        """
        user = self._by_login(login)
        if user is None:
            return False
        if not is_line_of(user.note, marker):
            raise not_ours(self._api, f"GitLab's user {user.username} is not one that we made", "change it on GitLab")
        if is_line_of(user.note, trace):
            return True
        kept = [line for line in (user.note or "").splitlines() if not line.startswith(trace.partition(":")[0])]
        change = {"password": password, "note": "\n".join([*kept, trace])}
        reply = self._api.send("PUT", "users", str(user.id), json=change)
        if reply.status == 400 and _validation_faults(reply):
            why = reason_in(reply.body, secrets=(password,))
            raise self._api.permanent(f"GitLab refused the password of {login}: {why}", ActionBy.USER)
        if reply.status not in (200, 404):
            raise self._api.failed(reply, f"setting the password of {login}", secrets=(password,))
        return reply.status == 200

    def _by_id(self, user_id: int) -> UserSchema | None:
        reply = self._api.send("GET", "users", str(user_id))
        if reply.status not in (200, 404):
            raise self._api.failed(reply, f"reading the user {user_id}")
        return reply.read_as(UserSchema) if reply.status == 200 else None


def _is_ours(user: UserSchema, email: str, marker: str) -> bool:
    return is_line_of(user.note, marker) and (user.email or "").lower() == email.lower()


def _validation_faults(reply: Reply) -> dict[str, object]:
    """Return the faults by field of a 400 from the model; {} for any other 400."""
    try:
        body = reply.json()
    except Transient:
        return {}
    message = body.get("message") if isinstance(body, dict) else None
    return message if isinstance(message, dict) else {}

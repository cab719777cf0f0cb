"""How do we see and make users, role assignments and pipelines on Jenkins?

Jenkins answers people, not programs: a rejected form is a 200, an accepted one a 302, and a role call is a 200 whether
or not it did anything. So every write is proved by reading the object back.
Source: jenkinsci/jenkins 2.568, role-strategy 898, cloudbees-folder 6.1100.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field

from common.errors import Conflict, Mender, Permanent, Transient
from worker.upstreams.http import Deadline, Http, Reply
from worker.upstreams.jenkins_answers import form_errors, location, refusal
from worker.upstreams.jenkins_xml import PipelineDefinition, drift, read, render

_LOGIN_ACCOUNT = "hudson.security.HudsonPrivateSecurityRealm$Details"
_FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
_XML = "application/xml; charset=utf-8"  # config.xml is decoded by this charset, not by the prolog
_STRATEGY = ("role-strategy", "strategy")
_PIPELINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True, kw_only=True)
class User:
    """A login account. `url` is Jenkins' own; `found`: it was there before the call."""

    id: str
    url: str
    found: bool


@dataclass(frozen=True, kw_only=True)
class RoleAssignment:
    """A role that a user has. `found`: the user had it before the call."""

    role: str
    found: bool


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A pipeline job. `full_name` is `folder/name`, `url` Jenkins' own; `found`: it was there before the call."""

    full_name: str
    url: str
    found: bool


@dataclass(frozen=True, kw_only=True)
class _Item:
    kind: Annotated[str, Field(alias="_class")]
    fullName: str  # noqa: N815 - Jenkins' word
    url: str


@dataclass(frozen=True, kw_only=True)
class _Person:
    id: str
    absoluteUrl: str  # noqa: N815 - Jenkins' word
    property: list[dict[str, Any]]

    def can_log_in_as(self, login: str) -> bool:
        """Say whether this is the login account `login`: commit authors are users of Jenkins, too."""
        has_password = any(entry.get("_class") == _LOGIN_ACCOUNT for entry in self.property)
        return has_password and self.id.casefold() == login.casefold()


class Jenkins:
    """Our account on one Jenkins. Needs Overall/Administer for users and roles."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def within(self, deadline: Deadline) -> Jenkins:
        """Return a copy whose calls all end by `deadline`."""
        return Jenkins(self._http.within(deadline))

    # -- users ----------------------------------------------------------------------------------------------

    def ensure_user(self, *, login: str, password: str, name: str, email: str, on_create: Callable[[], None]) -> User:
        """Return the login account `login`, creating it when absent. `on_create` runs just before the creation.

        Safe to repeat: an account that opens with `password` is ours. Raises Conflict when it does not, Permanent for
        the user when Jenkins rejects the form, and for the operator when Jenkins does not keep its own users.
        Source: `HudsonPrivateSecurityRealm.doCreateAccountByAdmin`.
        """
        person = self._find_person(login)
        found = person is not None
        if person is None:
            on_create()
            rejection = self._submit_account(login, password, name, email)
            person = self._find_person(login)
            if person is None:
                raise rejection or self._unseen(f"the user {login}")
        self._prove_ours(login, password)
        return User(id=person.id, url=person.absoluteUrl, found=found)

    def _find_person(self, login: str) -> _Person | None:
        # not /user/{x}: that also answers with whoever has x as a *full name*
        reply = self._http.send("GET", "securityRealm", "user", login, "api", "json")
        if reply.status == 404:
            return None
        person = self._expect(reply, f"reading the user {login}").read_as(_Person)
        return person if person.can_log_in_as(login) else None

    def _submit_account(self, login: str, password: str, name: str, email: str) -> Permanent | None:
        """Send the form; return why it was rejected, None when it was accepted."""
        fields = {"username": login, "password1": password, "password2": password}
        form = {**fields, "fullname": name, "email": email}
        reply = self._http.send("POST", "securityRealm", "createAccountByAdmin", form=form)
        if reply.status == 302 and location(reply).endswith("/securityRealm/"):
            return None
        if reply.status == 200:
            return self._permanent(form_errors(reply, secrets=(password,)), Mender.USER)
        if reply.status == 404:
            raise self._permanent("Jenkins does not keep its own users: another security realm is active")
        raise refusal(self._http, reply, f"creating the user {login}", secrets=(password,))

    def _prove_ours(self, login: str, password: str) -> None:
        """Log in with the password: two creations of one name can both succeed, and the last password wins."""
        reply = self._http.send("GET", "whoAmI", "api", "json", auth=(login, password))
        if reply.status not in (200, 401):
            raise refusal(self._http, reply, f"checking the user {login}", secrets=(password,))
        who = reply.read_as(dict[str, Any]) if reply.status == 200 else {}
        if str(who.get("name", "")).casefold() != login.casefold():
            raise Conflict(
                f"Jenkins already has a user {login} with another password",
                choices=("choose another login", "ask an operator to remove the Jenkins user"),
                upstream=self._http.name,
            )

    # -- roles ----------------------------------------------------------------------------------------------

    def ensure_role(
        self, login: str, *, role: str, role_type: str = "projectRoles", on_create: Callable[[], None]
    ) -> RoleAssignment:
        """Give `login` the existing role `role`. `on_create` runs just before the assignment.

        Safe to repeat: a role's members are a set. Raises Permanent when the role or the role strategy is missing,
        because Jenkins would answer 200 and assign nothing; Transient when the assignment did not take.
        Source: role-strategy `RoleBasedAuthorizationStrategy.doAssignUserRole`.
        """
        if login in self._members(role, role_type):
            return RoleAssignment(role=role, found=True)
        on_create()
        self._assign(login, role, role_type)
        if login not in self._members(role, role_type):
            raise self._unseen(f"the role {role} of {login}")
        return RoleAssignment(role=role, found=False)

    def _members(self, role: str, role_type: str) -> set[str]:
        params = {"type": role_type, "roleName": role}
        reply = self._http.send("GET", *_STRATEGY, "getRole", params=params)
        if reply.status == 404:
            raise self._no_role_strategy()
        details = self._expect(reply, f"reading the role {role}").read_as(dict[str, Any])
        if not details:
            raise self._permanent(f"Jenkins has no role {role} among its {role_type}")
        return {name for entry in details.get("sids") or () if (name := _user_of(entry))}

    def _assign(self, login: str, role: str, role_type: str) -> None:
        form = {"type": role_type, "roleName": role}
        reply = self._http.send("POST", *_STRATEGY, "assignUserRole", form={**form, "user": login})
        if reply.status == 404:  # a plugin older than 657, or no role strategy at all
            self._require_role_strategy(role_type)
            reply = self._http.send("POST", *_STRATEGY, "assignRole", form={**form, "sid": login})
        self._expect(reply, f"assigning the role {role}")

    def _require_role_strategy(self, role_type: str) -> None:
        reply = self._http.send("GET", *_STRATEGY, "getAllRoles", params={"type": role_type})
        if reply.status == 404:
            raise self._no_role_strategy()
        self._expect(reply, "reading the roles")

    def _no_role_strategy(self) -> Permanent:
        return self._permanent("role-strategy is not the active authorization of Jenkins")

    # -- pipelines ------------------------------------------------------------------------------------------

    def ensure_pipeline(
        self, folder: str, name: str, *, definition: PipelineDefinition, on_create: Callable[[], None]
    ) -> Pipeline:
        """Return the pipeline `folder/name` as `definition` says, creating or correcting it.

        `on_create` runs just before a creation. Safe to repeat: a pipeline whose description begins with our marker
        is ours. Raises Conflict when the name holds anything else, Permanent when the folder is missing or Jenkins
        dropped a part of what it was given.
        Source: `ItemGroupMixIn.createTopLevelItem`, `AbstractItem.doConfigDotXml`.
        """
        self._require_name(name)
        xml = render(definition)
        home = self._read_folder(folder)
        actual = self._read_definition(folder, name)
        found = actual is not None
        if actual is None:
            on_create()
            actual = self._create_pipeline(folder, name, xml)
        self._require_ours(f"{folder}/{name}", definition, actual)
        if drift(definition, actual):
            self._replace_definition(folder, name, definition, xml)
        return Pipeline(full_name=f"{home.fullName}/{name}", url=f"{home.url}job/{quote(name)}/", found=found)

    def find_pipeline(self, folder: str, name: str) -> Pipeline | None:
        """Return the job `folder/name`, whoever made it; None when it is absent or our account cannot see it."""
        item = self._find_item(folder, name)
        if item is None:
            return None
        return Pipeline(full_name=item.fullName, url=item.url, found=True)

    def _require_name(self, name: str) -> None:
        if not _PIPELINE_NAME.fullmatch(name):
            reason = f"{name!r} cannot be a pipeline's name: 1 to 63 letters, digits, - and _"
            raise self._permanent(reason, Mender.USER)

    def _read_folder(self, folder: str) -> _Item:
        item = self._find_item(folder)
        if item is None:
            raise self._permanent(f"Jenkins has no folder {folder}, or our account cannot see it")
        if item.kind != _FOLDER:
            raise self._permanent(f"{folder} on Jenkins is not a folder")
        return item

    def _find_item(self, *names: str) -> _Item | None:
        params = {"tree": "_class,fullName,url"}
        reply = self._http.send("GET", *_job(*names), "api", "json", params=params)
        if reply.status == 404:
            return None
        return self._expect(reply, f"reading {'/'.join(names)}").read_as(_Item)

    def _read_definition(self, folder: str, name: str) -> PipelineDefinition | None:
        reply = self._http.send("GET", *_job(folder, name), "config.xml")
        if reply.status == 404:
            return None
        return read(self._expect(reply, f"reading the pipeline {name}").body)

    def _create_pipeline(self, folder: str, name: str, xml: bytes) -> PipelineDefinition:
        """Create it and return what is there now: a refused creation may have lost against an earlier one of ours."""
        content = (_XML, xml)
        reply = self._http.send("POST", *_job(folder), "createItem", params={"name": name}, content=content)
        if reply.status not in (200, 400, 500):
            raise refusal(self._http, reply, f"creating the pipeline {name}")
        actual = self._read_definition(folder, name)
        if actual is not None:
            return actual
        if reply.status == 200:
            raise self._unseen(f"the pipeline {name}")
        raise refusal(self._http, reply, f"creating the pipeline {name}")

    def _require_ours(self, place: str, wanted: PipelineDefinition, actual: PipelineDefinition) -> None:
        if actual.marker != wanted.marker:
            raise Conflict(
                f"{place} exists on Jenkins and was not made for this app",
                choices=("choose another app name", "ask an operator to move or delete that job"),
                upstream=self._http.name,
            )

    def _replace_definition(self, folder: str, name: str, wanted: PipelineDefinition, xml: bytes) -> None:
        reply = self._http.send("POST", *_job(folder, name), "config.xml", content=(_XML, xml))
        self._expect(reply, f"updating the pipeline {name}")
        actual = self._read_definition(folder, name)
        if actual is None:
            raise self._unseen(f"the pipeline {name}")
        if lost := drift(wanted, actual):
            raise self._permanent(
                f"Jenkins did not keep {', '.join(lost)} of the pipeline {name}: a plugin may be missing"
            )

    # -- what answers mean -----------------------------------------------------------------------------------

    def _expect(self, reply: Reply, doing: str) -> Reply:
        if reply.status != 200:
            raise refusal(self._http, reply, doing)
        return reply

    def _unseen(self, what: str) -> Transient:
        return Transient(f"Jenkins accepted {what} but does not show it yet", upstream=self._http.name)

    def _permanent(self, reason: str, mender: Mender = Mender.OPERATOR) -> Permanent:
        return Permanent(reason, mender=mender, upstream=self._http.name)


def _job(*names: str) -> tuple[str, ...]:
    """Return the path segments of an item: every level, also of a nested folder, is a `job` of its own."""
    return tuple(part for name in names for level in name.split("/") for part in ("job", level))


def _user_of(entry: Any) -> str | None:
    """Return the user of a role's member: a plain name before role-strategy 657, else an object with a type."""
    if isinstance(entry, dict):
        return entry.get("sid") if entry.get("type") != "GROUP" else None
    return entry if isinstance(entry, str) else None

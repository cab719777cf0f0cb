"""What a platform team makes once on Jenkins: plugins, authorization, credentials, API tokens.

Source: jenkins 2.568 `PluginManager.doInstallNecessaryPlugins`, `ApiTokenProperty.doGenerateNewToken`; the plugins
configuration-as-code (`doApply`), credentials (user guide, "REST API"), role-strategy (its section of that file).
"""

from __future__ import annotations

import json
import secrets
import uuid
import xml.etree.ElementTree as ET
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.jenkins import xml
from harbour.jenkins.core import ADMINISTER, PLUGINS, Role, User, caller_of
from harbour.jenkins.items import ITEM, JenkinsItems
from harbour.jenkins.pages import ApiError, forbidden, jetty_error, not_found, oops, redirect
from harbour.passwords import digest
from harbour.server import route

JCASC = "configuration-as-code"
NEW_TOKEN = "descriptorByName/jenkins.security.ApiTokenProperty/generateNewToken"  # noqa: S105 - a path
USER_AND_PASSWORD = "com.cloudbees.plugins.credentials.impl.UsernamePasswordCredentialsImpl"  # noqa: S105 - a class
GROUPS = {
    "Overall": "hudson.model.Hudson",
    "Job": "hudson.model.Item",
    "Run": "hudson.model.Run",
    "View": "hudson.model.View",
    "Agent": "hudson.model.Computer",
    "SCM": "hudson.scm.SCM",
    "Credentials": "com.cloudbees.plugins.credentials.CredentialsProvider",
}
"""The classes behind the names of permissions in Jenkins' own pages and in configuration as code."""


class JenkinsSetup(JenkinsItems):
    """The calls with which an administrator prepares Jenkins."""

    # -- plugins ---------------------------------------------------------------------------------------------

    @route("POST", "/pluginManager/installNecessaryPlugins")
    def install_plugins(self, request: Request) -> Response:
        """Install what `<jenkins><install plugin="ID@VERSION"/></jenkins>` names; here it is active at once."""
        self.require(request, ADMINISTER)
        for element in parsed(request).iter("install"):
            name = element.get("plugin", "").partition("@")[0]
            self.plugins[name] = PLUGINS.get(name, "1.0")
        return redirect("/pluginManager/updates/")

    # -- authorization ---------------------------------------------------------------------------------------

    @route("POST", f"/{JCASC}/apply")
    def apply_configuration(self, request: Request) -> Response:
        """Apply configuration as code, written as JSON, which is YAML, too: the role strategy and nothing else.

        As in the plugin, the whole strategy is replaced, with all its roles and assignments.
        """
        if JCASC not in self.plugins:
            raise not_found()
        self.require(request, ADMINISTER)
        jenkins = _configuration(request)
        strategy = jenkins.pop("authorizationStrategy", {})
        if jenkins or set(strategy) - {"roleBased"}:
            raise oops("io.jenkins.plugins.casc.UnknownAttributesException")
        if "role-strategy" not in self.plugins:
            raise oops("io.jenkins.plugins.casc.ConfiguratorException: No hudson.security.AuthorizationStrategy")
        roles = strategy["roleBased"].get("roles", {})
        self.roles["globalRoles"] = dict(map(_role, roles.get("global", ())))
        self.roles["projectRoles"] = dict(map(_role, roles.get("items", ())))
        self.has_role_strategy = True
        return Response()

    # -- credentials -----------------------------------------------------------------------------------------

    @route("POST", "/credentials/store/system/domain/_/createCredentials")
    def create_system_credential(self, request: Request) -> Response:
        self.require(request, ADMINISTER)
        return self._create_credential(request, "")

    @route("POST", f"{ITEM}/credentials/store/folder/domain/_/createCredentials")
    def create_folder_credential(self, request: Request, item: str) -> Response:
        name = self.find_visible(request, item)
        if not xml.is_folder(self.items[name]):
            raise not_found()
        self.require(request, "com.cloudbees.plugins.credentials.CredentialsProvider.Create", name)
        return self._create_credential(request, name)

    def _create_credential(self, request: Request, folder: str) -> Response:
        element = parsed(request)
        if element.tag != USER_AND_PASSWORD:
            raise oops(f"com.thoughtworks.xstream.mapper.CannotResolveClassException: {element.tag}")
        fields = {child.tag: child.text or "" for child in element}
        if not self.add_credential(folder, fields):
            raise ApiError(jetty_error(409))
        return Response()

    def add_credential(self, folder: str, fields: dict[str, str]) -> bool:  # noqa: ARG002 - a hook
        """Keep a credential of a folder, "" for the whole system; false when there is one of this id."""
        return False

    # -- tokens ----------------------------------------------------------------------------------------------

    @route("POST", f"/user/:user/{NEW_TOKEN}")
    def new_token_of(self, request: Request, user: str) -> Response:
        """Create an API token: for oneself only, unless a system property allows administrators to do it for others."""
        found = self.users.get(user.lower())
        if found is None:
            raise not_found()
        if found.id.lower() != caller_of(request).id.lower():
            raise forbidden(caller_of(request).id, ADMINISTER, path=request.path)
        return self._new_token(request, found)

    @route("POST", f"/me/{NEW_TOKEN}")
    def new_token(self, request: Request) -> Response:
        found = self.users.get(caller_of(request).id.lower())
        if found is None:
            raise not_found()
        return self._new_token(request, found)

    def _new_token(self, request: Request, user: User) -> Response:
        name, text = request.values.get("newTokenName", ""), f"11{secrets.token_hex(16)}"
        user.tokens.append(digest(text, owner="token"))
        shown = {"tokenName": name, "tokenUuid": str(uuid.uuid4()), "tokenValue": text}
        return Response(json.dumps({"status": "ok", "data": shown}), content_type="application/json;charset=UTF-8")


def parsed(request: Request) -> ET.Element:
    try:
        return ET.fromstring(request.get_data())  # noqa: S314 - of an administrator  # nosec B314
    except ET.ParseError as error:
        raise oops("java.io.IOException: Failed to parse XML") from error


def _configuration(request: Request) -> dict[str, Any]:
    try:
        document = json.loads(request.get_data())
        jenkins: dict[str, Any] = document.pop("jenkins")
    except (ValueError, KeyError, AttributeError) as error:
        raise oops("io.jenkins.plugins.casc.ConfiguratorException: the document cannot be read") from error
    if document:
        raise oops(f"io.jenkins.plugins.casc.UnknownConfiguratorException: {', '.join(document)}")
    return jenkins


def _role(entry: dict[str, Any]) -> tuple[str, Role]:
    """Return name and role of an entry `{name, pattern, permissions, entries: [{user} or {group}]}`."""
    permissions = [_permission(each) for each in entry.get("permissions", ())]
    sids = {(kind.upper(), sid) for each in entry.get("entries", ()) for kind, sid in each.items()}
    return entry["name"], Role(pattern=entry.get("pattern", ""), permissions=permissions, sids=sids)


def _permission(name: str) -> str:
    group, _, verb = name.partition("/")
    return f"{GROUPS.get(group, group)}.{verb}" if verb else name

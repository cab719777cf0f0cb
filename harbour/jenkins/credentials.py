"""Credential stores of the whole Jenkins and of folders: listed, created, changed, deleted.

A secret is never shown again. Source: credentials plugin, user guide, "REST API".
"""

from __future__ import annotations

import json
from html import escape
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.jenkins import xml
from harbour.jenkins.builds import JenkinsBuilds
from harbour.jenkins.items import ITEM
from harbour.jenkins.pages import not_found, redirect
from harbour.jenkins.setup import USER_AND_PASSWORD, parsed
from harbour.jenkins.tree import exported
from harbour.jenkins.workspace import Account
from harbour.server import route

RIGHTS = "com.cloudbees.plugins.credentials.CredentialsProvider."
_ACTION = "com.cloudbees.plugins.credentials.CredentialsStoreAction"
_SYSTEM = "/credentials/store/system"
_FOLDER = f"{ITEM}/credentials/store/folder"
_ONE = "domain/_/credential/(?P<credential>[^/]+)"


class JenkinsCredentials(JenkinsBuilds):
    """The credentials; the accounts behind them are used by builds alone."""

    # -- the whole Jenkins -----------------------------------------------------------------------------------

    @route("GET", f"{_SYSTEM}/api/json")
    def system_store(self, request: Request) -> Response:
        return self._store_shown(request, None)

    @route("GET", f"{_SYSTEM}/domain/_/api/json")
    def system_credentials(self, request: Request) -> Response:
        return exported(request, self._domain(request, None))

    @route("GET", f"{_SYSTEM}/{_ONE}/api/json")
    def system_credential(self, request: Request, credential: str) -> Response:
        return self._credential_shown(request, None, credential)

    @route("GET", f"{_SYSTEM}/{_ONE}/config.xml")
    def system_config(self, request: Request, credential: str) -> Response:
        return self._credential_config(request, None, credential)

    @route("POST", f"{_SYSTEM}/{_ONE}/config.xml")
    def change_in_system(self, request: Request, credential: str) -> Response:
        return self._credential_changed(request, None, credential)

    @route("DELETE", f"{_SYSTEM}/{_ONE}/config.xml")
    @route("POST", f"{_SYSTEM}/{_ONE}/doDelete")
    def delete_from_system(self, request: Request, credential: str) -> Response:
        return self._credential_deleted(request, None, credential)

    # -- folders ---------------------------------------------------------------------------------------------

    @route("GET", f"{_FOLDER}/api/json")
    def folder_store(self, request: Request, item: str) -> Response:
        return self._store_shown(request, self._folder(request, item))

    @route("GET", f"{_FOLDER}/domain/_/api/json")
    def folder_credentials(self, request: Request, item: str) -> Response:
        return exported(request, self._domain(request, self._folder(request, item)))

    @route("GET", f"{_FOLDER}/{_ONE}/api/json")
    def folder_credential(self, request: Request, item: str, credential: str) -> Response:
        return self._credential_shown(request, self._folder(request, item), credential)

    @route("GET", f"{_FOLDER}/{_ONE}/config.xml")
    def folder_config(self, request: Request, item: str, credential: str) -> Response:
        return self._credential_config(request, self._folder(request, item), credential)

    @route("POST", f"{_FOLDER}/{_ONE}/config.xml")
    def change_in_folder(self, request: Request, item: str, credential: str) -> Response:
        return self._credential_changed(request, self._folder(request, item), credential)

    @route("DELETE", f"{_FOLDER}/{_ONE}/config.xml")
    @route("POST", f"{_FOLDER}/{_ONE}/doDelete")
    def delete_from_folder(self, request: Request, item: str, credential: str) -> Response:
        return self._credential_deleted(request, self._folder(request, item), credential)

    def _folder(self, request: Request, item: str) -> str:
        name = self.find_visible(request, item)
        if not xml.is_folder(self.items[name]):
            raise not_found()
        return name

    # -- both: None is the whole Jenkins ----------------------------------------------------------------------

    def add_credential(self, folder: str, fields: dict[str, str]) -> bool:
        """Keep a credential of a folder, "" for the whole system; false when there is one of this id."""
        ids = self._ids(folder or None)
        if fields["id"] in ids:
            return False
        ids.append(fields["id"])
        self._keep_account(folder or None, fields)
        return True

    def _keep_account(self, folder: str | None, fields: dict[str, str]) -> None:
        account = Account(fields.get("username", ""), fields.get("password", ""))
        self.accounts[_key(folder, fields["id"])] = account

    def _ids(self, folder: str | None) -> list[str]:
        return self.credential_ids if folder is None else self.folder_credential_ids.setdefault(folder, [])

    def _require_one(self, request: Request, folder: str | None, credential: str, right: str) -> None:
        self.require(request, f"{RIGHTS}{right}", folder)
        if credential not in self._ids(folder):
            raise not_found()

    def _store_shown(self, request: Request, folder: str | None) -> Response:
        self.require(request, f"{RIGHTS}View", folder)
        shown = {"_class": _ACTION, "domains": {"_": {"_class": f"{_ACTION}$DomainWrapper", "urlName": "_"}}}
        return Response(json.dumps(shown), content_type="application/json;charset=utf-8")

    def _domain(self, request: Request, folder: str | None) -> dict[str, Any]:
        self.require(request, f"{RIGHTS}View", folder)
        return {
            "_class": f"{_ACTION}$DomainWrapper",
            "credentials": [self._brief(folder, each) for each in self._ids(folder)],
            "displayName": "Global credentials (unrestricted)",
            "fullName": f"{folder or 'system'}/_",
            "global": True,
            "urlName": "_",
        }

    def _brief(self, folder: str | None, credential: str) -> dict[str, Any]:
        user = self._user_of(folder, credential)
        return {
            "_class": f"{_ACTION}$CredentialsWrapper",
            "description": "read access to the source repositories",
            "displayName": f"{user}/******",
            "fullName": f"{folder or 'system'}/_/{credential}",
            "id": credential,
            "typeName": "Username with password",
        }

    def _user_of(self, folder: str | None, credential: str) -> str:
        account = self.accounts.get(_key(folder, credential))
        return account.username if account else self.config.gitlab_user

    def _credential_shown(self, request: Request, folder: str | None, credential: str) -> Response:
        self._require_one(request, folder, credential, "View")
        return exported(request, self._brief(folder, credential))

    def _credential_config(self, request: Request, folder: str | None, credential: str) -> Response:
        self._require_one(request, folder, credential, "View")
        user = self._user_of(folder, credential)
        fields = f"<scope>GLOBAL</scope><id>{escape(credential)}</id><username>{escape(user)}</username>"
        document = f"<{USER_AND_PASSWORD}>{fields}<password><secret-redacted/></password></{USER_AND_PASSWORD}>"
        return Response(document, content_type="application/xml;charset=utf-8")

    def _credential_changed(self, request: Request, folder: str | None, credential: str) -> Response:
        self._require_one(request, folder, credential, "Update")
        fields = {child.tag: child.text or "" for child in parsed(request)}
        self._keep_account(folder, fields | {"id": credential})
        return Response()

    def _credential_deleted(self, request: Request, folder: str | None, credential: str) -> Response:
        self._require_one(request, folder, credential, "Delete")
        self._ids(folder).remove(credential)
        self.accounts.pop(_key(folder, credential), None)
        return Response() if request.method == "DELETE" else redirect("../..")


def _key(folder: str | None, credential: str) -> str:
    return f"{folder}/{credential}" if folder else credential

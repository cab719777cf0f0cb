"""Permissions of people in a folder, for Jenkins with project-based matrix authorization (plugin matrix-auth).

entry   no marker: an entry is what it is; the folder's config.xml is changed in one property, and the rest kept

Jenkins has no call that adds an entry, only one that replaces the document, so two changes at the same time can lose
one of them. A change is therefore believed when a later look, after a pause, still shows it.
Source: matrix-auth `AuthorizationMatrixProperty` (of folders), `AbstractAuthorizationPropertyConverter`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from common.errors import NotYet
from worker.upstreams.base import Api
from worker.upstreams.jenkins.paths import job_path
from worker.upstreams.jenkins.xml_document import MEDIA_TYPE, XmlDocument

MEMBER = tuple(f"hudson.model.Item.{verb}" for verb in ("Build", "Cancel", "Read", "Workspace"))
_FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
_MATRIX = "com.cloudbees.hudson.plugins.folder.properties.AuthorizationMatrixProperty"
_INHERITING = "org.jenkinsci.plugins.matrixauth.inheritance.InheritParentStrategy"
_LOOK_AGAIN_S = 3.0


@dataclass(frozen=True, kw_only=True)
class FolderMember:
    """A person with a member's permissions in a folder. `found`: the person had them before the call."""

    folder: str
    found: bool


class FolderPermissions:
    """The permissions in the folders of one Jenkins."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def ensure(self, login: str, *, folder: str, on_create: Callable[[], None]) -> FolderMember:
        """Give `login` a member's permissions in the existing folder. `on_create` runs just before the change.

        Safe to repeat: entries are a set. Raises NotYet after a change, until a later look confirms it; Permanent when
        the folder is missing, or Jenkins does not keep the entries.
        """
        document = self._read(folder)
        if document is None:
            raise self._api.permanent(f"Jenkins has no folder {folder}, or our account cannot see it")
        if not (missing := _entries_for(login) - _held(document)):
            return FolderMember(folder=folder, found=True)
        on_create()
        matrix = _matrix_of(document)
        for entry in sorted(missing):
            SubElement(matrix, "permission").text = entry
        self._write(folder, document)
        if _entries_for(login) - self._held_in(folder):
            raise self._api.permanent(
                f"Jenkins did not keep the permissions of {login} in the folder {folder}: the plugin matrix-auth, "
                "version 3.0 or newer, may be missing"
            )
        raise self._changed(login, folder)

    def held_by(self, login: str, *, folder: str) -> set[str]:
        """Return the permissions that a user `login` has or would have by entries of the folder. Reads only.

        Jenkins keeps entries of users that it does not have, for whoever gets the name; it compares names without
        regard to case, and an entry without a kind may have been meant for a group.
        """
        entries = [_parts(entry) for entry in self._held_in(folder)]
        return {permission for permission, user in entries if user and user.casefold() == login.casefold()}

    def remove(self, login: str, *, folder: str) -> bool:
        """Take a member's permissions in the folder from `login`; return True when there are none any more.

        Safe to repeat: nothing is written when there are none, or no folder. Other permissions of `login` stay. Raises
        NotYet after a change, until a later look confirms it.
        """
        document = self._read(folder)
        if document is None or not (held := _entries_for(login) & _held(document)):
            return True
        matrix = _matrix_of(document)
        for each in matrix.findall("permission"):
            if _text(each) in held:
                matrix.remove(each)
        self._write(folder, document)
        raise self._changed(login, folder)

    def _read(self, folder: str) -> XmlDocument | None:
        reply = self._api.send("GET", *job_path(folder), "config.xml")
        if reply.status == 404:
            return None
        document = XmlDocument(self._api.expect(reply, f"reading the folder {folder}").body)
        if document.root.tag != _FOLDER:
            raise self._api.permanent(f"{folder} on Jenkins is not a folder")
        return document

    def _held_in(self, folder: str) -> set[str]:
        document = self._read(folder)
        return set() if document is None else _held(document)

    def _write(self, folder: str, document: XmlDocument) -> None:
        content = (MEDIA_TYPE, document.to_bytes())
        reply = self._api.send("POST", *job_path(folder), "config.xml", content=content)
        self._api.expect(reply, f"changing the permissions in the folder {folder}")

    def _changed(self, login: str, folder: str) -> NotYet:
        reason = f"The permissions of {login} in the folder {folder} are set; Slipway checks whether they last"
        return self._api.not_yet(reason, retry_after_s=_LOOK_AGAIN_S)


def _entries_for(login: str) -> set[str]:
    return {f"USER:{permission}:{login}" for permission in MEMBER}


def _held(document: XmlDocument) -> set[str]:
    return {_text(each) for each in document.root.iterfind(f"properties/{_MATRIX}/permission")}


def _parts(entry: str) -> tuple[str, str | None]:
    """Return the permission of an entry, and its user: None for a group's."""
    kind, _, rest = entry.partition(":")
    if kind == "GROUP":
        return rest, None
    permission, _, user = (rest if kind == "USER" else entry).partition(":")
    return permission.strip(), user.strip()


def _text(element: Element) -> str:
    return (element.text or "").strip()


def _matrix_of(document: XmlDocument) -> Element:
    """Return the property of the folder, adding one that inherits: Jenkins reads the strategy before the entries."""
    properties = document.root.find("properties")
    if properties is None:
        properties = SubElement(document.root, "properties")
    matrix = properties.find(_MATRIX)
    if matrix is None:
        matrix = SubElement(properties, _MATRIX)
        SubElement(matrix, "inheritanceStrategy", {"class": _INHERITING})
    return matrix

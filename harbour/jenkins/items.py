"""Folders and pipelines: create, read, change, delete.

Items are stored flat, by full name (`dev/shop_dev`); `/job/dev/job/shop_dev` is the same item in a URL.
"""

from __future__ import annotations

import re
import unicodedata
import xml.etree.ElementTree as ET
from codecs import lookup
from typing import Any

from werkzeug.http import parse_options_header
from werkzeug.wrappers import Request, Response

from harbour.jenkins import matrix, xml
from harbour.jenkins.core import JenkinsCore, caller_of
from harbour.jenkins.pages import ApiError, failure, is_browser, jetty_error, not_found, oops, redirect
from harbour.jenkins.tree import exported
from harbour.jenkins.views import item_page, item_shown
from harbour.server import route

ITEM = "(?P<item>(?:/job/[^/]+)+)"
"""Any depth of `/job/<name>`, as a route takes it."""
UNSAFE = frozenset("?*/\\%!@#$^&|<>[]:;")
ITEM_PERMISSION = "hudson.model.Item."
FORM_MODES = {xml.FOLDER: xml.FOLDER, xml.CLASSES[xml.PIPELINE]: xml.PIPELINE}


class JenkinsItems(JenkinsCore):
    """The items, as clients see them."""

    @route("POST", "/createItem")
    def create_at_root(self, request: Request) -> Response:
        return self._create(request, parent="")

    @route("POST", f"{ITEM}/createItem")
    def create_in_folder(self, request: Request, item: str) -> Response:
        parent = self.find_visible(request, item)
        if not xml.is_folder(self.items[parent]):
            raise not_found()
        return self._create(request, parent=parent)

    def _create(self, request: Request, *, parent: str) -> Response:
        self.require(request, f"{ITEM_PERMISSION}Create", parent)
        content_type = request.content_type or ""
        if not content_type and request.values.get("mode") != "copy":
            raise failure("No Content-Type header set")
        name = self._free_name(request, parent)
        if content_type.startswith(("application/xml", "text/xml")):
            self.items[name] = xml.serialised(self._understood(request.get_data()))
            return Response()
        mode = request.values.get("mode")
        self.items[name] = self._copied(request, parent) if mode == "copy" else _from_mode(mode)
        return redirect(f"{request.host_url.rstrip('/')}{path_of(name)}configure")

    def _copied(self, request: Request, parent: str) -> str:
        """Return the document of a copy: its source is a name in the same folder, or absolute."""
        given = request.values.get("from", "")
        source = given.lstrip("/") if given.startswith("/") else f"{parent}/{given}".lstrip("/")
        if source not in self.items:
            raise failure(f"No such job: {given}")
        return self.items[source]

    def _understood(self, document: bytes | str) -> ET.Element:
        """Return the root of a document, without what belongs to a plugin that is not installed."""
        root = xml.parse(document)
        held = root.find(f"properties/{matrix.MATRIX}")
        if held is not None and "matrix-auth" not in self.plugins:
            root.find("properties").remove(held)  # type: ignore[union-attr] # it is in there
        return root

    def _free_name(self, request: Request, parent: str) -> str:
        given = request.values.get("name")
        if given is None:
            raise failure("Query parameter 'name' is required")
        _check_name(given)
        name = f"{parent}/{given.strip()}".lstrip("/")
        if name in self.items:
            # The message does not name an item that the caller may not see.
            seen = self.permits(caller_of(request), f"{ITEM_PERMISSION}Discover", name)
            raise failure(f"A job already exists with the name ‘{given.strip()}’" if seen else "")
        return name

    # -- one item --------------------------------------------------------------------------------------------

    @route("GET", ITEM)
    def open_item(self, request: Request, item: str) -> Response:
        """Show the item's page. The stand-in has no login form, so a browser sees it without a login."""
        name = full_name(item)
        if not is_browser(request):
            name = self.find_visible(request, item)
        if name not in self.items:
            raise not_found()
        return item_page(name, self.items, builds=self.builds_listed(name))

    @route("GET", f"{ITEM}/api/json")
    def read_item(self, request: Request, item: str) -> Response:
        name = self.find_visible(request, item)
        children = [child for child in self.children_of(name) if self.may_read(request, child)]
        shown = item_shown(name, self.items, children=children, base=request.host_url)
        return exported(request, shown | self.activity(request, name))

    def activity(self, request: Request, name: str) -> dict[str, Any]:  # noqa: ARG002 - a hook: overrides use it
        """Return the builds' part of the item's `api/json`."""
        return {}

    def builds_listed(self, name: str) -> str:  # noqa: ARG002 - as above
        """Return the builds' part of the item's page, HTML."""
        return ""

    def discard_builds(self, name: str) -> None:
        """Stop and delete the item's builds before the item is deleted. Raises ApiError when one does not stop."""

    @route("GET", f"{ITEM}/configure")
    def configure_item(self, request: Request, item: str) -> Response:
        name = self.find_visible(request, item)
        self.require(request, f"{ITEM_PERMISSION}ExtendedRead", name)
        return item_page(name, self.items)

    @route("GET", f"{ITEM}/config.xml")
    def read_config(self, request: Request, item: str) -> Response:
        name = self.find_visible(request, item)
        self.require(request, f"{ITEM_PERMISSION}ExtendedRead", name)
        return Response(self.items[name], content_type="application/xml;charset=utf-8")

    @route("POST", f"{ITEM}/config.xml")
    def write_config(self, request: Request, item: str) -> Response:
        name = self.find_visible(request, item)
        self.require(request, f"{ITEM_PERMISSION}Configure", name)
        root = self._understood(_as_text(request))
        expected = xml.root_of(self.items[name]).tag
        if root.tag != expected:
            raise oops(f"Expecting class {xml.CLASSES[expected]} but got class {xml.CLASSES[root.tag]}")
        self.items[name] = xml.serialised(root)
        return Response()

    @route("POST", f"{ITEM}/disable")
    def disable(self, request: Request, item: str) -> Response:
        return self._set_disabled(request, item, "true")

    @route("POST", f"{ITEM}/enable")
    def enable(self, request: Request, item: str) -> Response:
        return self._set_disabled(request, item, "false")

    def _set_disabled(self, request: Request, item: str, disabled: str) -> Response:
        name = self.find_visible(request, item)
        self.require(request, f"{ITEM_PERMISSION}Configure", name)
        self.items[name] = xml.with_disabled(self.items[name], disabled)
        return redirect(path_of(name))

    @route("POST", f"{ITEM}/submitDescription")
    def describe_item(self, request: Request, item: str) -> Response:
        """Store the text of the form as it comes: a browser ends the lines of a text area with CR LF."""
        name = self.find_visible(request, item)
        self.require(request, f"{ITEM_PERMISSION}Configure", name)
        self.items[name] = xml.with_text(self.items[name], "description", request.values.get("description", ""))
        return redirect(path_of(name))

    @route("POST", f"{ITEM}/doDelete")
    def delete_by_form(self, request: Request, item: str) -> Response:
        parent = self._delete(request, item).rpartition("/")[0]
        return redirect(path_of(parent) if parent else "/")

    @route("DELETE", ITEM)
    def delete(self, request: Request, item: str) -> Response:
        self._delete(request, item)
        return Response(status=204)

    def _delete(self, request: Request, item: str) -> str:
        name = self.find_visible(request, item)
        self.require(request, f"{ITEM_PERMISSION}Delete", name)
        doomed = [each for each in self.items if f"{each}/".startswith(f"{name}/")]
        for each in doomed:
            self.discard_builds(each)
        for each in doomed:
            del self.items[each]
        return name

    # -- look-ups --------------------------------------------------------------------------------------------

    def find_visible(self, request: Request, item: str) -> str:
        """Return the full name, checked parent by parent: 404 for what the caller may not see."""
        name = full_name(item)
        parts = name.split("/")
        for depth in range(1, len(parts) + 1):
            self._require_visible(request, "/".join(parts[:depth]))
        return name

    def _require_visible(self, request: Request, name: str) -> None:
        caller = caller_of(request)
        if name not in self.items:
            raise not_found()
        if self.may_read(request, name):
            return
        if not self.permits(caller, f"{ITEM_PERMISSION}Discover", name):
            raise not_found()
        raise ApiError(jetty_error(403, f"Please login to access job {name}"))

    def may_read(self, request: Request, name: str) -> bool:
        return self.permits(caller_of(request), f"{ITEM_PERMISSION}Read", name)

    def children_of(self, parent: str) -> list[str]:
        return sorted(name for name in self.items if name.rpartition("/")[0] == parent)


def path_of(full_name: str) -> str:
    """Return the item's URL path, with a slash at the end."""
    return "".join(f"/job/{part}" for part in full_name.split("/")) + "/"


def full_name(item: str) -> str:
    """Return the full name of what `ITEM` matched."""
    return "/".join(item.split("/job/")[1:])


def _check_name(name: str) -> None:
    if not name.strip():
        raise failure("No name is specified")
    if name.strip() in (".", ".."):
        raise failure(f"“{name.strip()}” is not an allowed name")
    for character in name:
        if unicodedata.category(character) == "Cc":
            raise failure("No control code is allowed: name")
        if character in UNSAFE:
            raise failure(f"‘{character}’ is an unsafe character")
    if re.search(r"\.\s*$", name):
        raise failure("A name cannot end with ‘.’")


def _from_mode(mode: str | None) -> str:
    if not mode:
        raise failure("No mode given")
    if mode not in FORM_MODES:
        raise failure(f"No item type ‘{mode}’ is known")
    return xml.serialised(xml.parse(f"<{FORM_MODES[mode]}/>"))


def _as_text(request: Request) -> str:
    """Decode as a servlet reader does: with the header's charset, or Latin-1 without one."""
    _, options = parse_options_header(request.content_type)
    try:
        charset = lookup(options.get("charset", "iso-8859-1")).name
        return request.get_data().decode(charset)
    except (LookupError, UnicodeDecodeError) as error:
        raise oops("java.io.UnsupportedEncodingException") from error

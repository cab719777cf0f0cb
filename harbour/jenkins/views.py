"""Views of folders and pipelines: JSON for clients, pages for people."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import quote

from werkzeug.wrappers import Response

from harbour.jenkins import xml
from harbour.jenkins.pages import page


def item_url(name: str, base: str) -> str:
    return base + "".join(f"job/{quote(part)}/" for part in name.split("/"))


def item_brief(name: str, items: dict[str, str], *, base: str) -> dict[str, Any]:
    """Return the item as its parent lists it."""
    brief = {
        "_class": xml.CLASSES[xml.root_of(items[name]).tag],
        "name": name.rpartition("/")[2],
        "url": item_url(name, base),
    }
    if not xml.is_folder(items[name]):
        brief["color"] = "disabled" if xml.text(items[name], "disabled") == "true" else "notbuilt"
    return brief


def item_shown(name: str, items: dict[str, str], *, children: list[str], base: str) -> dict[str, Any]:
    """Return the item's `api/json`; `children` are the items of a folder that the caller may see."""
    document = items[name]
    shown = item_brief(name, items, base=base) | {
        "actions": [],
        "description": xml.text(document, "description"),
        "displayName": xml.text(document, "displayName") or name.rpartition("/")[2],
        "fullDisplayName": name.replace("/", " » "),
        "fullName": name,
        "healthReport": [],
    }
    if xml.is_folder(document):
        return shown | {"jobs": [item_brief(child, items, base=base) for child in children]}
    return shown | _job_shown(document)


def _job_shown(document: str) -> dict[str, Any]:
    disabled = xml.text(document, "disabled") == "true"
    return {
        "buildable": not disabled,
        "concurrentBuild": xml.allows_concurrent_builds(document),
        "disabled": disabled,
        "keepDependencies": xml.text(document, "keepDependencies") == "true",
        "property": _properties(document),
        "resumeBlocked": False,
    }


def _properties(document: str) -> list[dict[str, Any]]:
    shown = []
    for element in xml.root_of(document).iterfind("properties/*"):
        entry: dict[str, Any] = {"_class": element.tag}
        if element.tag == "hudson.model.ParametersDefinitionProperty":
            entry["parameterDefinitions"] = [_definition(each) for each in xml.parameters(document)]
        shown.append(entry)
    return shown


def _definition(parameter: xml.Parameter) -> dict[str, Any]:
    shown = {
        "_class": parameter.kind,
        "defaultParameterValue": parameter.valued(parameter.default),
        "description": parameter.description,
        "name": parameter.name,
        "type": parameter.kind.rpartition(".")[2],
    }
    return shown | ({"choices": list(parameter.choices)} if parameter.choices else {})


def item_page(name: str, items: dict[str, str], *, builds: str = "") -> Response:
    """Return the item's page; `builds` is the HTML of its builds."""
    document = items[name]
    body = f"<h1>{escape(name)}</h1><p>{escape(xml.text(document, 'description') or '')}</p>"
    body += _folder_list(name, items) if xml.is_folder(document) else _job_facts(document)
    return page(name, body + builds)


def _folder_list(folder: str, items: dict[str, str]) -> str:
    names = sorted(name for name in items if name.rpartition("/")[0] == folder)
    rows = (f'<li><a href="{escape(item_url(name, "/"))}">{escape(name)}</a></li>' for name in names)
    return f"<ul>{''.join(rows)}</ul>"


def _job_facts(document: str) -> str:
    repository = xml.source(document).repository
    rows = "".join(
        f"<tr><td>{escape(each.name)}</td><td>{'' if each.kind == xml.PASSWORD else escape(each.default)}</td></tr>"
        for each in xml.parameters(document)
    )
    return f"<p>Repository: {escape(repository)}</p><h2>Parameters</h2><table>{rows}</table>"

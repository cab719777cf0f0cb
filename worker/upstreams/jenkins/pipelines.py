"""How do pipelines come to be on Jenkins, and how do they go?

pipeline   marker: the first line of its description
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from pydantic import Field

from common.errors import ActionBy, Conflict, NotYet, Transient
from worker.upstreams.error_text import cleaned
from worker.upstreams.jenkins.base import Edge, job_path
from worker.upstreams.jenkins.config_xml import PipelineDefinition, drift, read, render
from worker.upstreams.jenkins.errors import refusal

_FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
_XML = "application/xml; charset=utf-8"  # config.xml is decoded by this charset, not by the prolog
_PIPELINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


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


class Pipelines(Edge):
    """The part of the client that makes, corrects and removes pipelines."""

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
        self._require_ours(f"{folder}/{name}", definition.marker, actual)
        if drift(definition, actual):
            self._replace_definition(folder, name, definition, xml)
        return Pipeline(full_name=f"{home.fullName}/{name}", url=f"{home.url}job/{quote(name)}/", found=found)

    def find_pipeline(self, folder: str, name: str) -> Pipeline | None:
        """Return the job `folder/name`, whoever made it; None when it is absent or our account cannot see it."""
        item = self._find_item(folder, name)
        if item is None:
            return None
        return Pipeline(full_name=item.fullName, url=item.url, found=True)

    def remove_pipeline(self, folder: str, name: str, *, marker: str) -> bool:
        """Delete the pipeline `folder/name` with its builds; return True when it is gone.

        Safe to repeat: an absent one is done, without a write. Raises Conflict when the name holds anything that does
        not carry our `marker`, NotYet while Jenkins still stops its builds. Source: `AbstractItem.doDoDelete`.
        """
        actual = self._read_definition(folder, name)
        if actual is None:
            return True
        self._require_ours(f"{folder}/{name}", marker, actual)
        reply = self._http.send("POST", *job_path(folder, name), "doDelete")
        if reply.status not in (302, 400, 404):
            raise refusal(self._http, reply, f"deleting the pipeline {name}")
        if self._read_definition(folder, name) is None:
            return True
        # a 400 is a build that does not stop within 15 s, or a deletion that is under way already
        why = cleaned(reply.headers.get("X-Error", ""))
        reason = f"Jenkins is still deleting the pipeline {name}" + (f": {why}" if why else "")
        raise NotYet(reason, retry_after_s=5.0, upstream=self._http.name)

    def _require_name(self, name: str) -> None:
        if not _PIPELINE_NAME.fullmatch(name):
            reason = f"{name!r} cannot be a pipeline's name: 1 to 63 letters, digits, - and _"
            raise self._permanent(reason, ActionBy.USER)

    def _read_folder(self, folder: str) -> _Item:
        item = self._find_item(folder)
        if item is None:
            raise self._permanent(f"Jenkins has no folder {folder}, or our account cannot see it")
        if item.kind != _FOLDER:
            raise self._permanent(f"{folder} on Jenkins is not a folder")
        return item

    def _find_item(self, *names: str) -> _Item | None:
        params = {"tree": "_class,fullName,url"}
        reply = self._http.send("GET", *job_path(*names), "api", "json", params=params)
        if reply.status == 404:
            return None
        return self._expect(reply, f"reading {'/'.join(names)}").read_as(_Item)

    def _read_definition(self, folder: str, name: str) -> PipelineDefinition | None:
        reply = self._http.send("GET", *job_path(folder, name), "config.xml")
        if reply.status == 404:
            return None
        body = self._expect(reply, f"reading the pipeline {name}").body
        if "html" in reply.headers.get("Content-Type", ""):  # well-formed, it would pass for a job of somebody else's
            raise Transient("Jenkins answered with a page that is no config.xml", upstream=self._http.name)
        return read(body)

    def _create_pipeline(self, folder: str, name: str, xml: bytes) -> PipelineDefinition:
        """Create it and return what is there now: a refused creation may have lost against an earlier one of ours."""
        content = (_XML, xml)
        reply = self._http.send("POST", *job_path(folder), "createItem", params={"name": name}, content=content)
        if reply.status not in (200, 400, 500):
            raise refusal(self._http, reply, f"creating the pipeline {name}")
        actual = self._read_definition(folder, name)
        if actual is not None:
            return actual
        if reply.status == 200:
            raise self._unseen(f"the pipeline {name}")
        raise refusal(self._http, reply, f"creating the pipeline {name}")

    def _require_ours(self, place: str, marker: str, actual: PipelineDefinition) -> None:
        if actual.marker != marker:
            raise Conflict(
                f"{place} exists on Jenkins and was not made for this app",
                choices=("choose another app name", "ask an operator to move or delete that job"),
                upstream=self._http.name,
            )

    def _replace_definition(self, folder: str, name: str, wanted: PipelineDefinition, xml: bytes) -> None:
        reply = self._http.send("POST", *job_path(folder, name), "config.xml", content=(_XML, xml))
        self._expect(reply, f"updating the pipeline {name}")
        actual = self._read_definition(folder, name)
        if actual is None:
            raise self._unseen(f"the pipeline {name}")
        if lost := drift(wanted, actual):
            raise self._permanent(
                f"Jenkins did not keep {', '.join(lost)} of the pipeline {name}: a plugin may be missing"
            )

"""Pipelines on Jenkins: created, corrected, removed.

pipeline   marker: a line of its description
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from pydantic import Field

from common.errors import ActionBy, Permanent
from worker.upstreams.base import Api
from worker.upstreams.error_text import cleaned
from worker.upstreams.jenkins.config_xml import Parameter, PipelineDefinition, PipelineXml, render
from worker.upstreams.jenkins.errors import unseen
from worker.upstreams.jenkins.paths import job_path
from worker.upstreams.jenkins.xml_document import MEDIA_TYPE

_FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
_PIPELINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A pipeline job. `full_name` is `folder/name`, `url` Jenkins' own; `found`: it was there before the call."""

    full_name: str
    url: str
    found: bool


@dataclass(frozen=True, kw_only=True)
class _ItemSchema:
    kind: Annotated[str, Field(alias="_class")]
    fullName: str  # noqa: N815 - Jenkins' word
    url: str


@dataclass(frozen=True)
class _BuildSchema:
    number: int
    building: bool


@dataclass(frozen=True)
class _BuildsSchema:
    builds: list[_BuildSchema]


class Pipelines:
    """The pipelines of one Jenkins."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def ensure(
        self, folder: str, name: str, *, definition: PipelineDefinition, on_create: Callable[[], None]
    ) -> Pipeline:
        """Return the pipeline `folder/name` as `definition` says, creating or correcting it.

        `on_create` runs just before a creation. Safe to repeat: a pipeline with our marker in its description is
        ours. A correction changes our fields in the document that was read: what people added stays. Raises Conflict
        when the name holds anything else, Permanent when the folder is missing or Jenkins dropped a part of what it
        was given.
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
        if actual.drift(definition):
            actual.correct(definition)
            self._write(folder, name, actual)
            if lost := self._read_back(folder, name).drift(definition):
                raise self._not_kept(name, lost)
        url = self._api.link(f"{home.url}job/{quote(name)}/", *job_path(folder, name))
        return Pipeline(full_name=f"{home.fullName}/{name}", url=url, found=found)

    def declare_parameters(self, folder: str, name: str, *, parameters: tuple[Parameter, ...], marker: str) -> None:
        """Declare those of `parameters` that the pipeline does not take as a text any more.

        A Jenkinsfile's `properties([parameters([…])])` replaces the parameters of its job, and a declarative one
        replaces those of the same name. Safe to repeat. Raises Conflict when the pipeline does not carry our `marker`,
        Permanent when it is missing. Source: workflow-multibranch `JobPropertyStep`.
        """
        actual = self._read_definition(folder, name)
        if actual is None:
            raise self._api.permanent(f"Jenkins has no pipeline {folder}/{name}, or our account cannot see it")
        self._require_ours(f"{folder}/{name}", marker, actual)
        if actual.lacks(parameters):
            actual.declare(parameters)
            self._write(folder, name, actual)
            if lost := self._read_back(folder, name).lacks(parameters):
                raise self._not_kept(name, [f"parameter {each.name}" for each in lost])

    def find(self, folder: str, name: str) -> Pipeline | None:
        """Return the job `folder/name`, whoever made it; None when it is absent or our account cannot see it."""
        item = self._find_item(folder, name)
        if item is None:
            return None
        return Pipeline(full_name=item.fullName, url=self._api.link(item.url, *job_path(folder, name)), found=True)

    def remove(self, folder: str, name: str, *, marker: str) -> bool:
        """Delete the pipeline `folder/name` with its builds; return True when it is gone.

        Safe to repeat: an absent one is done, without a write. Raises Conflict when the name holds anything that does
        not carry our `marker`, NotYet while Jenkins still stops its builds: those that ignore Jenkins' stop are killed.
        Source: `AbstractItem.doDoDelete`, `ItemDeletion.cancelBuildsInProgress`, workflow-job `WorkflowRun.doKill`.
        """
        actual = self._read_definition(folder, name)
        if actual is None:
            return True
        self._require_ours(f"{folder}/{name}", marker, actual)
        reply = self._api.send("POST", *job_path(folder, name), "doDelete")
        if reply.status not in (302, 400, 404):
            raise self._api.failed(reply, f"deleting the pipeline {name}")
        if self._read_definition(folder, name) is None:
            return True
        # a 400 is a build that does not stop within 15 s, or a deletion that is under way already
        self._kill_builds(folder, name)
        why = cleaned(reply.headers.get("X-Error", ""))
        reason = f"Jenkins is still deleting the pipeline {name}" + (f": {why}" if why else "")
        raise self._api.not_yet(reason, retry_after_s=5.0)

    def _kill_builds(self, folder: str, name: str) -> None:
        """End what still runs among the newest builds; a failure shows at the next attempt."""
        params = {"tree": "builds[number,building]"}
        reply = self._api.send("GET", *job_path(folder, name), "api", "json", params=params)
        for build in reply.read_as(_BuildsSchema).builds if reply.status == 200 else ():
            if build.building:
                self._api.send("POST", *job_path(folder, name), str(build.number), "kill")

    def _require_name(self, name: str) -> None:
        if not _PIPELINE_NAME.fullmatch(name):
            reason = f"{name!r} cannot be a pipeline's name: 1 to 63 letters, digits, - and _"
            raise self._api.permanent(reason, ActionBy.USER)

    def _read_folder(self, folder: str) -> _ItemSchema:
        item = self._find_item(folder)
        if item is None:
            raise self._api.permanent(f"Jenkins has no folder {folder}, or our account cannot see it")
        if item.kind != _FOLDER:
            raise self._api.permanent(f"{folder} on Jenkins is not a folder")
        return item

    def _find_item(self, *names: str) -> _ItemSchema | None:
        params = {"tree": "_class,fullName,url"}
        reply = self._api.send("GET", *job_path(*names), "api", "json", params=params)
        if reply.status == 404:
            return None
        return self._api.expect(reply, f"reading {'/'.join(names)}").read_as(_ItemSchema)

    def _read_definition(self, folder: str, name: str) -> PipelineXml | None:
        reply = self._api.send("GET", *job_path(folder, name), "config.xml")
        if reply.status == 404:
            return None
        body = self._api.expect(reply, f"reading the pipeline {name}").body
        if "html" in reply.headers.get(
            "Content-Type", ""
        ):  # if it is well-formed, it would be read as somebody else's job
            raise self._api.transient("Jenkins answered with a page that is not a config.xml")
        return PipelineXml(body)

    def _create_pipeline(self, folder: str, name: str, xml: bytes) -> PipelineXml:
        """Create it and return what exists now: Jenkins may refuse because an earlier request of ours created it."""
        content = (MEDIA_TYPE, xml)
        reply = self._api.send("POST", *job_path(folder), "createItem", params={"name": name}, content=content)
        if reply.status not in (200, 400, 500):
            raise self._api.failed(reply, f"creating the pipeline {name}")
        actual = self._read_definition(folder, name)
        if actual is not None:
            return actual
        if reply.status == 200:
            raise unseen(self._api, f"the pipeline {name}")
        raise self._api.failed(reply, f"creating the pipeline {name}")

    def _require_ours(self, place: str, marker: str, actual: PipelineXml) -> None:
        if not actual.carries(marker):
            raise self._api.conflict(
                f"{place} exists on Jenkins and was not made for this app",
                "choose another app name",
                "ask an operator to move or delete that job",
            )

    def _write(self, folder: str, name: str, document: PipelineXml) -> None:
        content = (MEDIA_TYPE, document.to_bytes())
        reply = self._api.send("POST", *job_path(folder, name), "config.xml", content=content)
        self._api.expect(reply, f"updating the pipeline {name}")

    def _read_back(self, folder: str, name: str) -> PipelineXml:
        actual = self._read_definition(folder, name)
        if actual is None:
            raise unseen(self._api, f"the pipeline {name}")
        return actual

    def _not_kept(self, name: str, lost: Iterable[str]) -> Permanent:
        return self._api.permanent(
            f"Jenkins did not keep {', '.join(lost)} of the pipeline {name}: a plugin may be missing"
        )

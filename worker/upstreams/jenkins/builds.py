"""Builds on Jenkins: started once, followed to their end, stopped.

    trigger ─▶ queue item ── waiting · blocked · buildable ──▶ left ─▶ build ─▶ result
                                   └────────── cancelled               └ "gone" five minutes later

Jenkins has no idempotency key: the same request may start a second build. A parameter with a value of our own takes
its place; `find` searches the queue first, because items move from the queue to the builds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import unquote, urlsplit

from common.errors import Permanent
from worker.upstreams.base import Api
from worker.upstreams.jenkins.console import Console, piece_of, start_within
from worker.upstreams.jenkins.errors import location
from worker.upstreams.jenkins.paths import job_path
from worker.upstreams.jenkins.schemas import (
    Build,
    BuildList,
    BuildSchema,
    BuildSearch,
    JobSchema,
    Queue,
    QueueItem,
    QueueItemSchema,
    build_of,
    queue_item_of,
)
from worker.upstreams.replies import Reply

__all__ = ["Build", "BuildSearch", "Builds", "Console", "Force", "QueueItem"]

Force = Literal["stop", "term", "kill"]
_PARAMETERS = "actions[parameters[name,value]]"
_SOURCES = "actions[lastBuiltRevision[SHA1],remoteUrls]"
_BUILD = f"number,url,queueId,building,inProgress,result,duration,description,{_SOURCES}"
_QUEUE_ITEM = "why,stuck,cancelled,executable[number]"
_QUEUE_LOCATION = re.compile(r"/queue/item/(\d{1,18})/?$")


class Builds:
    """The builds of one Jenkins."""

    def __init__(self, api: Api) -> None:
        self._api = api

    # -- starting -------------------------------------------------------------------------------------------

    def find(self, folder: str, name: str, *, key: str, value: str) -> BuildSearch:
        """Return where the build whose parameter `key` is `value` is: in the queue, or among the newest 100 builds.

        Nothing found is no proof of absence: a request may still be under way, and an item that has just left the
        queue is in neither list. `is_unclear`: a build has just begun and does not show its parameters yet, so it may
        be the one. That needs no clock: a build with parameters shows them shortly after its start.
        Raises Permanent when the pipeline is missing. Source: `Queue.getItems`, `Executor.run`.
        """
        reply = self._api.send("GET", "queue", "api", "json", params={"tree": f"items[id,task[url],{_PARAMETERS}]"})
        path = "/" + "/".join(job_path(folder, name)) + "/"
        for item in self._api.expect(reply, "reading the queue").read_as(Queue).items:
            if item.has(key, value) and unquote(urlsplit(item.task.url or "").path).endswith(path):
                return BuildSearch(queue_id=item.id)
        return self._find_started(folder, name, key, value)

    def _find_started(self, folder: str, name: str, key: str, value: str) -> BuildSearch:
        tree = f"builds[number,queueId,building,{_PARAMETERS}]{{0,100}}"
        reply = self._get_job(folder, name, tree)
        builds = reply.read_as(BuildList).builds
        # should there be two, ours is the first: the other was made by a request that came later
        for build in sorted(builds, key=lambda build: build.number):
            if build.has(key, value):
                return BuildSearch(queue_id=build.queueId, number=build.number)
        return BuildSearch(is_unclear=any(build.building and build.parameters is None for build in builds))

    def trigger(
        self,
        folder: str,
        name: str,
        *,
        parameters: Mapping[str, str],
        key: str,
        declare: Callable[[], None],
        on_create: Callable[[], None],
    ) -> int:
        """Queue a build and return the id of its queue item. `on_create` runs just before the request.

        `declare` puts parameters back that the pipeline does not take as a text any more: Jenkins would drop them
        silently. Not safe to repeat without `find`: Jenkins merges a request only with an identical item that still
        waits. `parameters` holds `key`. Raises Permanent for the operator when the pipeline is missing, disabled, or
        still lacks a parameter, and when Jenkins refuses to queue; Transient when the outcome is unknown.
        Source: `ParameterizedJobMixIn.doBuildWithParameters`.
        """
        wanted = {key, *parameters}
        if self._read_buildable(folder, name).lacks(wanted):
            declare()
            if undeclared := self._read_buildable(folder, name).lacks(wanted):
                raise self._api.permanent(f"the pipeline {folder}/{name} does not declare {', '.join(undeclared)}")
        on_create()
        # in the query, where no parameter of ours is: the same name twice is a 500; a bare 0 would be milliseconds
        reply = self._api.send(
            "POST", *job_path(folder, name), "buildWithParameters", params={"delay": "0sec"}, form=parameters
        )
        if reply.status in (201, 303):  # 303: an identical item was waiting
            return self._queue_id(reply)
        if reply.status == 302:
            raise self._api.permanent(f"Jenkins refused to queue a build of {folder}/{name}")
        if reply.status == 409:
            raise self._disabled(folder, name)
        raise self._api.failed(reply, f"starting a build of {folder}/{name}")

    def _read_buildable(self, folder: str, name: str) -> JobSchema:
        job = self._get_job(folder, name, "buildable,property[parameterDefinitions[name,type]]").read_as(JobSchema)
        if not job.buildable:
            raise self._disabled(folder, name)
        return job

    def _disabled(self, folder: str, name: str) -> Permanent:
        return self._api.permanent(f"the pipeline {folder}/{name} is disabled on Jenkins")

    def _queue_id(self, reply: Reply) -> int:
        match = _QUEUE_LOCATION.search(location(reply))
        if match is None:
            raise self._api.transient("Jenkins accepted the build but does not say where")
        return int(match[1])

    def _get_job(self, folder: str, name: str, tree: str) -> Reply:
        reply = self._api.send("GET", *job_path(folder, name), "api", "json", params={"tree": tree})
        if reply.status == 404:
            raise self._api.permanent(f"Jenkins has no pipeline {folder}/{name}, or our account cannot see it")
        return self._api.expect(reply, f"reading the pipeline {name}")

    # -- following ------------------------------------------------------------------------------------------

    def get_queue_item(self, queue_id: int) -> QueueItem:
        """Return the queue item; it is `gone` when Jenkins does not know it: five minutes after it left, or always.

        After a crash of Jenkins an id may belong to another item: only `find` proves which is ours.
        Source: `Queue.Item`.
        """
        reply = self._api.send("GET", "queue", "item", str(queue_id), "api", "json", params={"tree": _QUEUE_ITEM})
        if reply.status == 404:
            return QueueItem(state="gone")
        return queue_item_of(self._api.expect(reply, f"reading the queue item {queue_id}").read_as(QueueItemSchema))

    def find_run(self, folder: str, name: str, number: int) -> Build | None:
        """Return the build; None when it is not there yet, was removed by log rotation, or is invisible to us.

        Source: `Run`.
        """
        reply = self._api.send("GET", *job_path(folder, name), str(number), "api", "json", params={"tree": _BUILD})
        if reply.status == 404:
            return None
        build = self._api.expect(reply, f"reading the build {number} of {name}").read_as(BuildSchema)
        return build_of(build, url=self._api.link(build.url, *job_path(folder, name), str(number)))

    def read_console(self, folder: str, name: str, number: int, *, start: int, at_most_bytes: int) -> Console:
        """Return what the build has printed from the raw byte `start` on, its last `at_most_bytes` when it is more.

        Like Jenkins' own page it leaves out the beginning of too much; the result's `start` is then where it begins.
        Raises Permanent when the build is not there. Source: `LargeText.doProgressText`.
        """
        path = (*job_path(folder, name), str(number), "logText", "progressiveText")
        head = self._api.send("HEAD", *path, params={"start": start})  # what is too much is not even sent
        begin = start_within(head, start=start, at_most_bytes=at_most_bytes)
        reply = self._api.send("GET", *path, params={"start": begin})
        if reply.status == 404:
            raise self._api.permanent(f"Jenkins has no build {number} of {folder}/{name}")
        self._api.expect(reply, f"reading the console of build {number} of {name}")
        return piece_of(reply, start=begin, is_cut=begin > start, at_most_bytes=at_most_bytes)

    # -- stopping -------------------------------------------------------------------------------------------

    def stop(self, folder: str, name: str, number: int, *, force: Force = "stop") -> None:
        """Ask Jenkins to stop the build; it takes a while to end, as ABORTED.

        With `force` as `term` its steps fail at once, whatever they do; with `kill` the build ends without cleaning
        up. Safe to repeat: a build that has ended, or is gone, is left alone.
        Source: `Run.doStop`, workflow-job `WorkflowRun.doTerm`, `doKill`.
        """
        reply = self._api.send("POST", *job_path(folder, name), str(number), force)
        if reply.status < 400 or reply.status == 404:
            return
        build = self.find_run(folder, name, number)
        if build is not None and build.is_running:
            raise self._api.failed(reply, f"stopping the build {number} of {name}")

    def cancel_queue_item(self, queue_id: int) -> None:
        """Take the item out of the queue.

        Safe to repeat: one that is unknown (404) or has just become a build (500) is not there to cancel; `find`
        shows whether there is a build now. Source: `Queue.doCancelItem`, answers by status since 2.211.
        """
        reply = self._api.send("POST", "queue", "cancelItem", params={"id": queue_id})
        if reply.status >= 400 and reply.status not in (404, 500):
            raise self._api.failed(reply, f"cancelling the queue item {queue_id}")

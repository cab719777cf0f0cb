"""Build queue: trigger, read, cancel.

Traps: a 303 is a success, and a 302 is a refusal; parameters that the job does not declare are ignored; an item that
has left the queue can be read for five more minutes.
"""

from __future__ import annotations

import re
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.jenkins import xml
from harbour.jenkins.build_views import queue_item_shown
from harbour.jenkins.core import caller_of
from harbour.jenkins.items import ITEM, ITEM_PERMISSION, path_of
from harbour.jenkins.model import Parameters, QueueItem
from harbour.jenkins.pages import ApiError, jetty_error, not_found, oops, page, redirect
from harbour.jenkins.schedule import JenkinsSchedule
from harbour.jenkins.tree import exported
from harbour.server import route


class JenkinsQueue(JenkinsSchedule):
    """The queue, as clients see it."""

    # -- triggering ------------------------------------------------------------------------------------------

    @route("POST", f"{ITEM}/buildWithParameters")
    def build_with_parameters(self, request: Request, item: str) -> Response:
        """Queue a build: 201; 303 when an equal one waits already; 302 to the job when refused, with nothing queued."""
        name = self.find_visible(request, item)
        document = self.items[name]
        if xml.is_folder(document):
            raise not_found()
        self.require(request, f"{ITEM_PERMISSION}Build", name)
        if xml.text(document, "disabled") == "true":
            raise ApiError(jetty_error(409, f"{name} is not buildable"))
        if not xml.parameters(document):
            raise ApiError(jetty_error(400, f"{name} is not parameterized"))
        due_at = self.now() + self._quiet_s(request, document)
        parameters = [_value(each, request) for each in xml.parameters(document)]
        if name in self.vetoed:
            return redirect(f"{request.host_url.rstrip('/')}{path_of(name)}")
        return self._queued(request, name, parameters, due_at)

    def _quiet_s(self, request: Request, document: str) -> float:
        given = request.values.get("delay")
        if given is None:
            return float(xml.text(document, "quietPeriod") or self.quiet_period_s)
        match = re.fullmatch(r"\s*(\d+)\s*(secs?)?\s*", given, re.ASCII)
        if not match:
            raise oops(f'java.lang.NumberFormatException: For input string: "{given}"')
        return int(match[1]) * (1.0 if match[2] else 0.001)

    def _queued(self, request: Request, job: str, parameters: Parameters, due_at: float) -> Response:
        equal = next(
            (each for each in self.unassigned_items() if (each.job, each.parameters) == (job, parameters)), None
        )
        if equal is not None:
            equal.due_at = min(equal.due_at, due_at)
            return Response(b"", 303, {"Location": f"{request.host_url}queue/item/{equal.id}/"})
        self.last_queue_id += 1
        self.queue[self.last_queue_id] = QueueItem(
            id=self.last_queue_id,
            job=job,
            parameters=parameters,
            user=caller_of(request).id,
            since_at=self.now(),
            due_at=due_at,
        )
        return Response(b"", 201, {"Location": f"{request.host_url}queue/item/{self.last_queue_id}/"})

    # -- reading, cancelling ---------------------------------------------------------------------------------

    @route("GET", "/queue/api/json")
    def read_queue(self, request: Request) -> Response:
        """List what is still queued; an item that has left can be read by its id."""
        self.require(request, "hudson.model.Hudson.Read")
        now = self.now()
        listed = [each for each in self.queue.values() if each.is_queued(now) and self.may_read(request, each.job)]
        shown = {
            "_class": "hudson.model.Queue",
            "discoverableItems": [],
            "items": [self.queue_item_view(request, each) for each in reversed(listed)],
        }
        return exported(request, shown)

    @route("GET", "/queue/item/(?P<number>[0-9]+)/api/json")
    def read_queue_item(self, request: Request, number: str) -> Response:
        return exported(request, self.queue_item_view(request, self._queue_item(request, number)))

    @route("GET", "/queue/item/(?P<number>[0-9]+)")
    def queue_item_page(self, request: Request, number: str) -> Response:
        shown = self.queue_item_view(request, self._queue_item(request, number))
        return page("Queue item", f"<p>{shown['why'] or 'It has left the queue'}</p>")

    @route("POST", "/queue/cancelItem")
    def cancel_item(self, request: Request) -> Response:
        number = request.values.get("id")
        if number is None or not number.isdecimal():
            raise oops("jakarta.servlet.ServletException: Required Query parameter id is missing")
        item = self._queue_item(request, number)
        if not self.permits(caller_of(request), f"{ITEM_PERMISSION}Cancel", item.job):
            return jetty_error(422)
        if item.left_at is not None:
            raise oops("Could not cancel run")
        item.left_at, item.cancelled = self.now(), True
        return Response(status=204)

    def _queue_item(self, request: Request, number: str) -> QueueItem:
        item = self.queue.get(int(number))
        if item is None or not self.may_read(request, item.job):
            raise not_found()
        return item

    def queue_item_view(self, request: Request, item: QueueItem) -> dict[str, Any]:
        now = self.now()
        builds = [each for each in self.builds.get(item.job, []) if each.number == item.number and now >= each.shown_at]
        blocker = self.builds[item.job][-1].number if self.job_free_at(item.job) > now else None
        return queue_item_shown(
            item,
            now=now,
            base=request.host_url,
            blocked_by=blocker,
            build=builds[0] if builds else None,
            is_stuck=now > item.due_at + 10 * max(self.config.build_s, 60),
        )


def _value(parameter: xml.Parameter, request: Request) -> dict[str, Any]:
    """Return the value of a *declared* parameter; the rest of the request is ignored."""
    given = request.values.getlist(parameter.name)
    if len(given) > 1:
        raise oops(f"java.lang.IllegalArgumentException: Illegal number of parameter values for {parameter.name}")
    text = given[0] if given else parameter.default
    if parameter.choices and text not in parameter.choices:
        raise oops(f"java.lang.IllegalArgumentException: Illegal choice for parameter {parameter.name}: {text}")
    return parameter.valued(text)

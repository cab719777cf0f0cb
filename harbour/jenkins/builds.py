"""Builds: views, console, stop, deletion with their job.

Traps: `result` may be set long before the end; `building` turns false before `inProgress` does; parameters appear
shortly after the build; a console's offsets count the bytes of the raw log, which is never sent.
"""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.config import HarbourConfig
from harbour.jenkins import xml
from harbour.jenkins.build_views import build_body, build_brief, build_shown, builds_list, color
from harbour.jenkins.console import raw_log, without_notes
from harbour.jenkins.core import Clock, caller_of
from harbour.jenkins.items import ITEM, ITEM_PERMISSION, full_name, path_of
from harbour.jenkins.model import Build
from harbour.jenkins.nodes import JenkinsNodes
from harbour.jenkins.pages import failure, is_browser, not_found, page, redirect
from harbour.jenkins.tree import exported
from harbour.server import route

BUILD = f"{ITEM}/(?P<number>[1-9][0-9]*)"
NEWEST = 100


class JenkinsBuilds(JenkinsNodes):
    """The builds, as clients see them."""

    stopping_s = 0.01  # from a stop to its effect

    def __init__(self, config: HarbourConfig, now: Clock) -> None:
        super().__init__(config, now)
        self.ignoring_stop: set[str] = set()
        """Full names of jobs whose builds ignore `stop`: a step catches the interruption and goes on."""
        self.unstoppable: set[str] = set()
        """Full names of jobs whose builds ignore `stop` and `term`; only `kill` ends them."""
        self.in_deletion: set[str] = set()
        """Full names of jobs that are being deleted by another request."""

    @route("GET", f"{BUILD}/api/json")
    def read_build(self, request: Request, item: str, number: str) -> Response:
        build = self._build(request, item, number)
        return exported(request, build_shown(build, now=self.now(), base=request.host_url))

    @route("GET", f"{BUILD}/logText/progressiveText")
    def read_progressive_text(self, request: Request, item: str, number: str) -> Response:
        build = self._build(request, item, number)
        raw = raw_log(build, self.now())
        start = request.args.get("start", default=0, type=int)
        answer = _text(raw[start if start <= len(raw) else 0 :])
        answer.headers["X-Text-Size"] = str(len(raw))
        if build.is_in_progress(self.now()):
            answer.headers["X-More-Data"] = "true"
        return answer

    @route("GET", f"{BUILD}/consoleText")
    def read_console_text(self, request: Request, item: str, number: str) -> Response:
        return _text(raw_log(self._build(request, item, number), self.now()))

    @route("GET", BUILD)
    @route("GET", f"{BUILD}/console")
    def build_page(self, request: Request, item: str, number: str) -> Response:
        """Show the build and its console; like the job, a browser sees them without a login."""
        name = full_name(item) if is_browser(request) else self.find_visible(request, item)
        build = self._shown_build(name, int(number))
        console = without_notes(raw_log(build, self.now())).decode()
        return page(f"{name} #{number}", build_body(build, now=self.now(), console=console))

    # -- stopping --------------------------------------------------------------------------------------------

    @route("POST", f"{BUILD}/stop")
    def stop_build(self, request: Request, item: str, number: str) -> Response:
        deaf = self.unstoppable | self.ignoring_stop
        return self._stopped(request, item, number, is_unstoppable=full_name(item) in deaf)

    @route("POST", f"{BUILD}/term")
    def terminate_build(self, request: Request, item: str, number: str) -> Response:
        return self._stopped(request, item, number, is_unstoppable=full_name(item) in self.unstoppable)

    @route("POST", f"{BUILD}/kill")
    def kill_build(self, request: Request, item: str, number: str) -> Response:
        return self._stopped(request, item, number, is_unstoppable=False)

    def _stopped(self, request: Request, item: str, number: str, *, is_unstoppable: bool) -> Response:
        """End the build soon; one that is ending or has ended is not changed."""
        build = self._build(request, item, number)
        self.require(request, f"{ITEM_PERMISSION}Cancel", build.job)
        now = self.now()
        if build.is_building(now) and build.aborted_at is None and not is_unstoppable:
            build.outcome, build.aborted_at, build.aborted_by = "ABORTED", now, caller_of(request).id
            build.ends_at = now + self.stopping_s
            build.over_at = build.ends_at + self.finishing_s
        return redirect(f"{path_of(build.job)}{build.number}/")

    @route("POST", f"{BUILD}/doDelete")
    def delete_build(self, request: Request, item: str, number: str) -> Response:
        build = self._build(request, item, number)
        self.require(request, "hudson.model.Run.Delete", build.job)
        if build.is_building(self.now()):
            raise failure(f"{build.job} #{build.number} is still running")
        self.builds[build.job].remove(build)
        return redirect(path_of(build.job))

    def discard_builds(self, name: str) -> None:
        """Stop and delete the job's builds and queue items. Raises ApiError when a build does not stop."""
        if name in self.in_deletion:
            raise failure(f"{name} is currently being deleted")
        if name in self.unstoppable and any(build.is_in_progress(self.now()) for build in self.builds.get(name, [])):
            raise failure(f"Failed to interrupt and stop 1 build of {name}")
        self.builds.pop(name, None)
        self.drop_items([item for item in self.queue.values() if item.job == name])

    # -- look-ups, and the view of a job ---------------------------------------------------------------------

    def _build(self, request: Request, item: str, number: str) -> Build:
        return self._shown_build(self.find_visible(request, item), int(number))

    def _shown_build(self, job: str, number: int) -> Build:
        for build in self._shown_builds(job):
            if build.number == number:
                return build
        raise not_found()

    def _shown_builds(self, job: str) -> list[Build]:
        """Return the builds that are visible by now, newest first."""
        return [build for build in reversed(self.builds.get(job, [])) if self.now() >= build.shown_at]

    def activity(self, request: Request, name: str) -> dict[str, Any]:
        """Return the job's view of its newest builds, in full when the request has a `tree`."""
        if xml.is_folder(self.items[name]):
            return {}
        now, base = self.now(), request.host_url
        builds = self._shown_builds(name)[:NEWEST]
        ended = [build for build in builds if not build.is_in_progress(now)]
        queued = [item for item in self.queue.values() if item.job == name and item.is_queued(now)]
        is_disabled = xml.text(self.items[name], "disabled") == "true"
        is_detailed = "tree" in request.args
        return {
            "builds": [
                build_shown(each, now=now, base=base) if is_detailed else build_brief(each, base=base)
                for each in builds
            ],
            "color": "disabled" if is_disabled else color(builds, now),
            "inQueue": bool(queued),
            "lastBuild": build_brief(builds[0], base=base) if builds else None,
            "lastCompletedBuild": build_brief(ended[0], base=base) if ended else None,
            "nextBuildNumber": self.builds[name][-1].number + 1 if self.builds.get(name) else 1,
            "queueItem": self.queue_item_view(request, queued[0]) if queued else None,
        }

    def builds_listed(self, name: str) -> str:
        """Return the job's builds as links, HTML."""
        return "" if xml.is_folder(self.items[name]) else builds_list(self._shown_builds(name), now=self.now())


def _text(raw: bytes) -> Response:
    return Response(without_notes(raw), content_type="text/plain;charset=utf-8")

"""Agents, as clients see them: the built-in node, whose executors run every build.

Source: jenkins 2.568 `ComputerSet`, `Computer`, `Executor`.
"""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.jenkins.build_views import build_brief
from harbour.jenkins.model import Build
from harbour.jenkins.queue import JenkinsQueue
from harbour.jenkins.tree import exported
from harbour.server import route

BUILT_IN = "Built-In Node"


class JenkinsNodes(JenkinsQueue):
    """The one node; tests change its executors."""

    @route("GET", "/computer/api/json")
    def list_nodes(self, request: Request) -> Response:
        shown = {
            "_class": "hudson.model.ComputerSet",
            "busyExecutors": len(self._running()),
            "computer": [self._node(request)],
            "displayName": "Nodes",
            "totalExecutors": self.executors,
        }
        return exported(request, shown)

    @route("GET", r"/computer/(?P<node>(\(|%28)(built-in|master)(\)|%29))/api/json")
    def read_node(self, request: Request, node: str) -> Response:  # noqa: ARG002 - there is one, by either name
        return exported(request, self._node(request))

    def _running(self) -> list[Build]:
        now = self.now()
        builds = [each for of_job in self.builds.values() for each in of_job]
        return [each for each in builds if each.is_in_progress(now) and now >= each.shown_at]

    def _node(self, request: Request) -> dict[str, Any]:
        running = [build_brief(each, base=request.host_url) for each in self._running()]
        slots = [running[number] if number < len(running) else None for number in range(self.executors)]
        return {
            "_class": "hudson.model.Hudson$MasterComputer",
            "assignedLabels": [{"name": "built-in"}],
            "description": "the Jenkins controller's built-in node",
            "displayName": BUILT_IN,
            "executors": [
                {"currentExecutable": each, "idle": each is None, "number": number} for number, each in enumerate(slots)
            ],
            "icon": "symbol-computer",
            "idle": not running,
            "jnlpAgent": False,
            "numExecutors": self.executors,
            "offline": False,
            "offlineCause": None,
            "oneOffExecutors": [],
            "temporarilyOffline": False,
        }

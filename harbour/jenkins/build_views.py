"""Views of queue items and builds: JSON for clients, pages for people."""

from __future__ import annotations

from html import escape
from typing import Any

from harbour.jenkins.model import Build, Parameters, QueueItem
from harbour.jenkins.views import item_url

RUN = "org.jenkinsci.plugins.workflow.job.WorkflowRun"
JOB = "org.jenkinsci.plugins.workflow.job.WorkflowJob"
COLORS = {"SUCCESS": "blue", "UNSTABLE": "yellow", "FAILURE": "red", "ABORTED": "aborted"}


def queue_item_shown(
    item: QueueItem, *, now: float, base: str, blocked_by: int | None, build: Build | None, is_stuck: bool
) -> dict[str, Any]:
    """Return the item's `api/json`; `build` is its build once that is visible."""
    kind, why = _stage(item, now, blocked_by)
    shown: dict[str, Any] = {
        "_class": f"hudson.model.Queue${kind}",
        "actions": _actions(item.parameters, item.user),
        "blocked": kind == "BlockedItem",
        "buildable": kind == "BuildableItem",
        "id": item.id,
        "inQueueSince": _ms(item.since_at),
        "params": "".join(f"\n{each['name']}={each.get('value', '******')}" for each in item.parameters),
        "stuck": kind == "BuildableItem" and is_stuck,
        "task": {"_class": JOB, "name": item.job.rpartition("/")[2], "url": item_url(item.job, base)},
        "url": f"queue/item/{item.id}/",
        "why": why,
    }
    if kind == "BuildableItem":
        shown["pending"] = item.is_pending(now)
    if kind == "WaitingItem":
        shown["timestamp"] = _ms(item.due_at)
    if kind == "LeftItem":
        shown |= {"cancelled": item.cancelled, "executable": build_brief(build, base=base) if build else None}
    return shown


def _stage(item: QueueItem, now: float, blocked_by: int | None) -> tuple[str, str | None]:
    if not item.is_queued(now):
        return "LeftItem", None
    if now < item.due_at:
        return "WaitingItem", f"In the quiet period. Expires in {item.due_at - now:.1f} sec"
    if blocked_by is not None and not item.is_pending(now):
        return "BlockedItem", f"Build #{blocked_by} is already in progress"
    return "BuildableItem", "Waiting for next available executor"


def build_brief(build: Build, *, base: str) -> dict[str, Any]:
    url = f"{item_url(build.job, base)}{build.number}/"
    return {"_class": RUN, "number": build.number, "url": url}


def build_shown(build: Build, *, now: float, base: str) -> dict[str, Any]:
    """Return the build's `api/json`. It has its queue id from the start, its parameters a little later."""
    name = build.job.replace("/", " » ")
    is_attached = now >= build.attached_at
    return build_brief(build, base=base) | {
        "actions": [*(_actions(build.parameters, build.user) + _sources(build) if is_attached else []), {}],
        "building": build.is_building(now),
        "description": None if build.is_building(now) else build.description,
        "displayName": f"#{build.number}",
        "duration": round(build.duration_s(now) * 1000),
        "estimatedDuration": round(build.planned_s * 1000),
        "fullDisplayName": f"{name} #{build.number}",
        "id": str(build.number),
        "inProgress": build.is_in_progress(now),
        "keepLog": False,
        "queueId": build.queue_id,
        "result": build.result(now),
        "timestamp": _ms(build.started_at),
        "changeSets": [],
        "culprits": [],
    }


def color(builds: list[Build], now: float) -> str:
    """Return the colour of a job: how its last build ended, with `_anime` while one runs."""
    ended = [build for build in builds if not build.is_in_progress(now)]
    ball = COLORS[ended[0].outcome] if ended else "notbuilt"
    return f"{ball}_anime" if len(ended) < len(builds) else ball


def builds_list(builds: list[Build], *, now: float) -> str:
    """Return the newest builds as HTML links."""
    rows = (
        f'<li><a href="{escape(item_url(each.job, "/"))}{each.number}/">#{each.number}</a> {_result(each, now)}</li>'
        for each in builds[:20]
    )
    return f"<h2>Builds</h2><ul>{''.join(rows)}</ul>"


def build_body(build: Build, *, now: float, console: str) -> str:
    """Return the body of a build's page: its result, its parameters, its console."""
    rows = "".join(
        f"<tr><td>{escape(each['name'])}</td><td>{escape(str(each.get('value', '')))}</td></tr>"
        for each in build.parameters
    )
    head = f"<h1>#{build.number}: {_result(build, now)}</h1>"
    job = (
        f'<p><a href="{escape(item_url(build.job, "/"))}">{escape(build.job)}</a>, started by {escape(build.user)}</p>'
    )
    return f"{head}{job}<table>{rows}</table><h2>Console Output</h2><pre>{escape(console)}</pre>"


def _result(build: Build, now: float) -> str:
    return "in progress" if build.is_in_progress(now) else build.outcome


def _actions(parameters: Parameters, user: str) -> list[dict[str, Any]]:
    cause = {
        "_class": "hudson.model.Cause$UserIdCause",
        "shortDescription": f"Started by user {user}",
        "userId": user,
        "userName": user,
    }
    return [
        {"_class": "hudson.model.ParametersAction", "parameters": parameters},
        {"_class": "hudson.model.CauseAction", "causes": [cause]},
    ]


def _sources(build: Build) -> list[dict[str, Any]]:
    """Return the git plugin's record of each source that was checked out, `BuildData`."""
    shown: dict[str, dict[str, Any]] = {}
    for each in build.checkouts:
        remote = f"refs/remotes/origin/{each['branch']}"
        revision = {"SHA1": each["commit"], "branch": [{"SHA1": each["commit"], "name": remote}]}
        marked = {"_class": "hudson.plugins.git.util.Build", "buildNumber": build.number, "buildResult": None}
        shown[each["url"]] = {
            "_class": "hudson.plugins.git.util.BuildData",
            "buildsByBranchName": {remote: marked | {"marked": revision, "revision": revision}},
            "lastBuiltRevision": revision,
            "remoteUrls": [each["url"]],
            "scmName": "",
        }
    return list(shown.values())


def _ms(at: float) -> int:
    return round(at * 1000)

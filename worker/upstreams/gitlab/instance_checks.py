"""The doctor's checks of GitLab's own settings: its rate limits, and what it keeps of removed projects.

Source: GitLab API, "Application settings".
"""

from __future__ import annotations

from functools import partial
from typing import Any

from worker.upstreams.check import Check, CheckFailedError, CheckInconclusiveError
from worker.upstreams.gitlab.removals import KEEPING
from worker.upstreams.probe import Probe, json_object

_API = ("api", "v4")
_FEWER_CALLS = (
    "set GITLAB_CALLS_PER_SECOND to less than that; or exempt the owner of GITLAB_TOKEN on GitLab, with "
    "GITLAB_THROTTLE_USER_ALLOWLIST, and raise the limits under Admin → Settings → Network"
)


def instance_checks(probe: Probe, *, calls_per_s: float) -> list[Check]:
    """Return the checks; `calls_per_s` is Slipway's own limit, 0 for none."""
    return [
        Check(
            name="rate limit",
            question="Does GitLab allow as many calls as Slipway may make?",
            remedy=_FEWER_CALLS,
            run=partial(_rate_limit, probe, calls_per_s),
            needs=("administrator",),
        ),
        Check(
            name="retention",
            question="What happens to the repositories of an app that is removed?",
            remedy="on GitLab: Admin → Settings → General → Visibility and access controls → Deletion protection",
            run=partial(_retention, probe),
            needs=("administrator", "version"),
        ),
    ]


def _settings(probe: Probe) -> dict[str, Any]:
    reply = probe.get(*_API, "application", "settings")
    if reply.status in (403, 404):
        raise CheckInconclusiveError("GitLab does not show us its settings")
    return json_object(probe.expect(reply, "reading GitLab's settings"))


def _rate_limit(probe: Probe, calls_per_s: float) -> str:
    allowed = min(_allowed_per_s(_settings(probe)), default=0.0)
    if allowed and not 0 < calls_per_s <= allowed:
        made = f"{calls_per_s:g} calls a second" if calls_per_s else "any number of calls"
        raise CheckFailedError(f"GitLab allows {allowed:.3g} calls a second, and Slipway may make {made}")
    return f"{allowed:.3g} calls a second" if allowed else "no limit"


def _retention(probe: Probe) -> str:
    version = json_object(probe.expect(probe.get(*_API, "version"), "reading its version"))
    if _major(version) < KEEPING[0]:
        return "it deletes at once, so Slipway renames and archives them instead"
    days = _settings(probe).get("deletion_adjourned_period")
    return f"GitLab keeps them for {days} days" if days else "GitLab keeps them for its retention period"


def _allowed_per_s(settings: dict[str, Any]) -> list[float]:
    """Return the limits that apply to our calls, in calls a second; 0 in GitLab's settings is no limit.

    Source: GitLab, "Application settings": `project_api_limit` (a minute), `throttle_authenticated_api_*`.
    """
    limits = [float(settings.get("project_api_limit") or 0) / 60]
    if settings.get("throttle_authenticated_api_enabled"):
        calls = float(settings.get("throttle_authenticated_api_requests_per_period") or 0)
        limits.append(calls / float(settings.get("throttle_authenticated_api_period_in_seconds") or 3600))
    return [limit for limit in limits if limit > 0]


def _major(version: dict[str, Any]) -> int:
    number = str(version.get("version", "0")).partition(".")[0]
    return int(number) if number.isdigit() else 0

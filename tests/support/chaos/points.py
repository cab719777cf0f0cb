"""Kill points: every call of every step, as a job that nothing disturbs makes it, before and after it takes effect."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from common.workflows import WORKFLOWS
from harbour.faults import READS
from support.chaos.callers import new_request_id
from support.chaos.scenarios import CANCELS, NEEDS_APP, NEEDS_PERSON, Accepted, Scenarios

LABEL = re.compile(r"slipway (?P<request>[\w-]+)/(?P<step>\w+)")
NAMES = re.compile(r"(?:app|person|planned)\d+|[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/)\d+|[0-9a-f]{20,}")
OWN_ROW = "UPDATE apps"
EXAMINE, UNLABELLED = "examine", "^slipway$"  # the doctor calls from threads of its own, which know no step
SETS = re.compile(r"/(block|assignUserRole|unassignUserRole|submitDescription|doDelete|stop)$")
AWAITED = {"start_build", "sync_application"}  # what they ask for has no unique name
ONCE = 8  # points of a step that are looked at, at most, where a step asks many times


class Moment(StrEnum):
    """Where a call is while its worker meets its fate."""

    BEFORE = "before"  # it never arrives
    DURING = "during"  # it arrives afterwards
    AFTER = "after"  # it has taken effect, and its answer never arrives


@dataclass(frozen=True)
class Point:
    """One call of one step, by its number within the step; `earlier` ones of the step go to the same upstream."""

    kind: str
    step: str
    number: int
    earlier: int
    upstream: str
    call: str
    moment: Moment

    @property
    def name(self) -> str:
        return f"{self.kind}.{self.step}[{self.number}] {self.moment}"

    @property
    def is_write(self) -> bool:
        return self.call.split()[0] not in READS

    @property
    def is_awaited(self) -> bool:
        """Say whether its loss is waited out: nobody may ask again for a build or sync that may still arrive."""
        return self.moment is Moment.BEFORE and self.is_write and self.step in AWAITED

    @property
    def is_locked(self) -> bool:
        """Say whether it is held by a lock on its app's row, because it calls nobody."""
        return self.call == OWN_ROW

    def label(self, request_id: str) -> str:
        """Return what the User-Agent of its calls matches, when a job of this request makes them."""
        return UNLABELLED if self.step == EXAMINE else f"^slipway {request_id}/{self.step}$"

    @property
    def depth(self) -> int:
        """How many steps come before it in its lane: points of one depth are reached at about the same time."""
        lanes = (lane.steps for lane in WORKFLOWS[self.kind].lanes)
        places = (place for steps in lanes for place, step in enumerate(steps) if step.name == self.step)
        return next(places, 1)  # the step after a cancellation comes after the first one


Writes = Counter[str]


def rehearse(scenarios: Scenarios) -> Rehearsal:
    """Run every workflow once, undisturbed, and return what it asks of whom."""
    scenarios.stock(apps=len(NEEDS_APP) + 1, people=len(NEEDS_PERSON))
    jobs = [scenarios.accept(kind, new_request_id(kind)) for kind in WORKFLOWS]
    request_id = new_request_id("build")
    scenarios.keep_open(request_id)
    cancelled = scenarios.accept("build", request_id)
    scenarios.cancel(cancelled)
    scenarios.settle([*jobs, cancelled])
    return Rehearsal([*jobs, cancelled], scenarios.calls())


class Rehearsal:
    """What undisturbed jobs did: the kill points, and how often each step writes what."""

    def __init__(self, jobs: list[Accepted], calls: list[dict[str, Any]]) -> None:
        by_job: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for request_id, step, call in labelled(calls):
            by_job[request_id, step].append(call)
        kinds = {job.request_id: job.kind for job in jobs}
        self._calls: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for (request_id, step), made in by_job.items():  # of two builds the first one, if it came as far
            if request_id in kinds:
                self._calls.setdefault((kinds[request_id], step), made)

    def points(self) -> list[Point]:
        """Return each call that a step makes before, during and after it takes effect; a read has one moment."""
        own = [
            Point("deprovision", "release_name", 0, 0, "slipway", OWN_ROW, Moment.BEFORE),
            Point("checkup", EXAMINE, 0, 0, "gitlab", "GET /api/v4/user", Moment.BEFORE),
        ]
        return own + [
            Point(
                kind=kind,
                step=step,
                number=number,
                earlier=sum(before["upstream"] == call["upstream"] for before in calls[:number]),
                upstream=call["upstream"],
                call=f"{call['method']} {normalised(call['path'])}",
                moment=moment,
            )
            for (kind, step), calls in self._calls.items()
            for number, call in enumerate(calls[:ONCE])
            for moment in (Moment if call["method"] not in READS else (Moment.BEFORE,))
        ]

    def writes(self, kind: str, step: str) -> Writes:
        return effective_writes(self._calls.get((kind, step), ()))


def labelled(calls: Iterable[dict[str, Any]]) -> Iterable[tuple[str, str, dict[str, Any]]]:
    """Yield the calls of workers: the id of the job's request, the step, the call."""
    for call in calls:
        if found := LABEL.fullmatch(call["user_agent"]):
            yield found["request"], found["step"], call


def effective_writes(calls: Iterable[dict[str, Any]]) -> Writes:
    """Count the writes that took effect and that would make something a second time, by what they write.

    Removals are not counted: a second one finds nothing. Nor is what sets something to the value that it has already.
    A group's credential template comes with its first app.
    """
    return Counter(
        f"{call['upstream']} {call['method']} {normalised(call['path'])}"
        for call in calls
        if not (call["path"].endswith("/createAccountByAdmin") and call["status"] == 200)  # its form again: refused
        and call["method"] not in (*READS, "DELETE", "PUT")
        and not SETS.search(call["path"])
        and call["kind"] == "api"
        and call["status"]
        and call["status"] < 400
        and not re.match(r"/api/v1/repocreds\b", call["path"])
        and not call["path"].endswith("/_has_privileges")
    )


def normalised(path: str) -> str:
    """Return a path without what differs from job to job."""
    return NAMES.sub("*", path)


__all__ = ["CANCELS", "Moment", "Point", "Rehearsal", "effective_writes", "labelled", "rehearse"]

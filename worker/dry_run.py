"""What would the steps of a plan do, if they ran now?  Found out by running them without letting them write.

The steps are the real ones; their way to the upstreams refuses every write, and their ledger refuses every intent.
What a step asked for at that moment is the answer. So a forecast cannot say anything else than a run would do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from common.config import naming
from common.errors import Conflict, NotYet, Permanent
from common.workflows import PROVISION, Lane, StepPlan
from worker.context import StepContext
from worker.steps import provision
from worker.upstreams import Upstreams
from worker.upstreams.http import WouldWrite

ABSENT = 0  # the id of a project that is not there yet
NEED_A_PROJECT = frozenset({"await_source", "open_to_developers", "await_helm"})
NOT_THERE_YET = "The repository is made first."


class Forecast(StrEnum):
    """What a step would find, or do."""

    OK = "ok"  # it is there, ours, and as it should be
    ADOPT = "adopt"  # it is there, not made by us, and would be used as it is
    CREATE = "create"
    CHANGE = "change"
    WAIT = "wait"
    CONFLICT = "conflict"  # it is there and somebody else's
    FORBIDDEN = "forbidden"  # something has to be mended first
    NOT_REACHED = "not reached"  # an earlier step of the lane would fail


STOPPING = frozenset({Forecast.CONFLICT, Forecast.FORBIDDEN, Forecast.NOT_REACHED})


@dataclass(frozen=True, kw_only=True)
class StepForecast:
    """What one step would do, and why."""

    step: str
    upstream: str
    verdict: Forecast
    reason: str = ""


class WouldCreate(Exception):
    """The step was about to create something."""


class ReadingEntry:
    """The ledger of a step that only looks."""

    def __init__(self) -> None:
        self.was_found = False
        self.is_known = False

    def intend(self) -> None:
        raise WouldCreate

    def settle(self, *, outside_id: str, url: str | None, found: bool) -> None:  # noqa: ARG002 - the ledger's signature
        self.was_found = found

    def withdraw(self) -> None:
        """There is nothing to withdraw."""

    def intended_at(self) -> None:
        return None


class ReadingJob(StepContext):
    """A job whose steps only look; what earlier steps would have learnt is foretold."""

    def __init__(self, job: StepContext, outputs: Mapping[str, dict[str, Any]]) -> None:
        super().__init__(job.claim, job.around)
        self._outputs = outputs
        self.entry = ReadingEntry()

    def output_of(self, step: str) -> dict[str, Any]:
        return dict(self._outputs[step])

    def resource(self, upstream: str, kind: str, ref: str) -> ReadingEntry:  # type: ignore[override] # writes nothing
        self.entry.is_known = any(row.ref == ref for row in self.read_earlier(upstream, kind))
        return self.entry


class DryRun:
    """Foretells what PROVISION's steps would do for the app of one job."""

    def __init__(self, job: StepContext, upstreams: Upstreams) -> None:
        self._job = job
        self._upstreams = upstreams.reading()

    def findings(self) -> list[StepForecast]:
        """Return one finding a step, in the table's order. Raises Transient when an upstream stumbles."""
        return [finding for lane in PROVISION.lanes for finding in self._of_lane(lane)]

    def _of_lane(self, lane: Lane) -> list[StepForecast]:
        found: list[StepForecast] = []
        outputs: dict[str, dict[str, Any]] = {}
        for step in lane.steps:
            if found and found[-1].verdict in STOPPING:
                found.append(StepForecast(step=step.name, upstream=step.upstream, verdict=Forecast.NOT_REACHED))
                continue
            found.append(self._of_step(step, outputs))
        return found

    def _of_step(self, step: StepPlan, outputs: dict[str, dict[str, Any]]) -> StepForecast:
        """Return what the step would do, and add to `outputs` what it would learn."""
        try:
            verdict, reason, output = self._attempt(step, outputs)
            outputs[step.name] = output or self._foretold(step, outputs)
        except Conflict as error:
            verdict, reason = Forecast.CONFLICT, error.reason
        except Permanent as error:
            verdict, reason = Forecast.FORBIDDEN, error.reason
        return StepForecast(step=step.name, upstream=step.upstream, verdict=verdict, reason=reason)

    def _attempt(self, step: StepPlan, outputs: Mapping[str, dict[str, Any]]) -> tuple[Forecast, str, dict[str, Any]]:
        if step.name in NEED_A_PROJECT and any(output.get("project_id") == ABSENT for output in outputs.values()):
            return (Forecast.WAIT if step.wait and step.skip is None else Forecast.CHANGE), NOT_THERE_YET, {}
        job = ReadingJob(self._job, outputs)
        try:
            output: dict[str, Any] = getattr(provision, step.name)(job, self._upstreams)
        except WouldCreate:
            return Forecast.CREATE, "", {}
        except WouldWrite as write:
            return Forecast.CHANGE, f"{write.method} {write.path} would be needed.", {}
        except NotYet as error:
            return Forecast.WAIT, error.reason, {}
        return (Forecast.ADOPT if job.entry.was_found and not job.entry.is_known else Forecast.OK), "", output

    def _foretold(self, step: StepPlan, outputs: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Return what a step would have learnt, as far as it can be known before. Raises Permanent as it would."""
        job, app = self._job, self._job.input("app")
        match step.name:
            case "fork_source" | "await_source":
                return self._copy(job.app_type.source_template, app)
            case "fork_helm" | "await_helm":
                return self._copy(job.app_type.helm_template, naming.helm_repository(app))
            case "register_repository":
                return {"repository_url": outputs["await_helm"]["clone_url"]}
        return {}

    def _copy(self, template: str, path: str) -> dict[str, Any]:
        """Return what a fork of the template into the team's group would be: GitLab itself says what its URLs are."""
        group = self._upstreams.gitlab.groups.get(self._job.team.gitlab_group)
        origin = self._upstreams.gitlab.projects.get(template)
        base = origin.clone_url.removesuffix(f"{origin.path}.git")
        return {
            "project_id": ABSENT,
            "clone_url": f"{base}{group.path}/{path}.git",
            "branch": origin.default_branch or "",
        }


def as_report(findings: list[StepForecast]) -> list[dict[str, Any]]:
    """Return findings as plain values."""
    return [asdict(finding) for finding in findings]

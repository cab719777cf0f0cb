"""Dry run: what the steps of provisioning would do if they ran now.

It runs the real steps on clients that refuse every write and on a ledger that refuses every intent. What a step wanted
to write at that moment is the forecast, so a forecast cannot differ from a run. What cannot be known without writing is
declared beside the step (`PREVIEWS` of `worker/steps/provision.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType

from common.errors import Conflict, NotYet, Permanent, Refused
from common.jobs import ledger
from common.step_outputs import PlannedStep, StepOutput
from common.workflows import PROVISION, Lane, StepPlan, Upstream
from worker.context import Recorded, StepContext
from worker.preview import ABSENT, Preview
from worker.upstreams import Upstreams
from worker.upstreams.http import WouldWrite
from worker.upstreams.standing import Held

NOT_THERE_YET = "The repository is made first."


class Forecast(StrEnum):
    """What a step would find, or do."""

    OK = "ok"  # it is there, ours, and as it should be
    ADOPT = "adopt"  # it is there, not made by us, and would be used as it is
    CREATE = "create"
    CHANGE = "change"
    DIFFERS = "differs"  # it is there, ours, and differs in something that is left as it is
    WAIT = "wait"
    CONFLICT = "conflict"  # it is there and somebody else's
    FORBIDDEN = "forbidden"  # the cause has to be corrected first
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
    """The ledger of a step that only reads."""

    def __init__(self) -> None:
        self.was_found = False
        self.is_known = False

    def intend(self) -> None:
        raise WouldCreate

    def settle(self, *, outside_id: str, url: str | None, found: bool) -> None:  # noqa: ARG002 - the ledger's signature
        self.was_found = found

    def withdraw(self) -> None:
        """There is nothing to withdraw."""

    def finish(self) -> None:
        """There is nothing to finish."""

    def may_arrive_for_s(self) -> float:
        return 0.0


class ReadingTrace(ReadingEntry):
    """The same for what leaves nothing but a trace: what it would write, the write itself says."""

    def intend(self) -> None:
        """Go on."""


class ReadingJob(StepContext):
    """A job whose steps only read. The outputs of earlier steps are given, as far as they can be known."""

    def __init__(self, job: StepContext, outputs: Mapping[str, Mapping[str, object]]) -> None:
        super().__init__(job.claim, job.worker)
        self._outputs = outputs
        self.entry = ReadingEntry()
        self.remarks: list[str] = []

    def remark(self, reason: str) -> None:
        self.remarks.append(reason)

    def output_of(self, key: StepOutput[Recorded]) -> Recorded:
        return self._outputs[key.step]  # type: ignore[return-value] # the step of this key, or its preview, made it

    def resource(self, upstream: str, kind: str, ref: str) -> ReadingEntry:  # type: ignore[override] # writes nothing
        if kind in ledger.OF_A_RUN:
            return ReadingTrace()
        self.entry.is_known = any(row.ref == ref for row in self.read_earlier(upstream, kind))
        return self.entry


class DryRun:
    """Forecasts what PROVISION's steps would do for the app of one job."""

    def __init__(
        self, job: StepContext, upstreams: Upstreams, steps: ModuleType, previews: Mapping[str, Preview]
    ) -> None:
        """`steps` holds the functions of PROVISION's steps, `previews` what is assumed of those that cannot run."""
        self._job = job
        self._upstreams = upstreams.reading()
        self._steps = steps
        self._previews = previews

    def forecasts(self) -> list[StepForecast]:
        """Return one forecast a step, in the table's order. Raises Transient when an upstream fails temporarily."""
        return [forecast for lane in PROVISION.lanes for forecast in self._of_lane(lane)]

    def _of_lane(self, lane: Lane) -> list[StepForecast]:
        found: list[StepForecast] = []
        outputs: dict[str, Mapping[str, object]] = {}
        for step in lane.steps:
            if found and found[-1].verdict in STOPPING:
                found.append(StepForecast(step=step.name, upstream=step.upstream, verdict=Forecast.NOT_REACHED))
                continue
            found.append(self._of_step(step, outputs))
        return found

    def _of_step(self, step: StepPlan, outputs: dict[str, Mapping[str, object]]) -> StepForecast:
        """Return what the step would do, and add to `outputs` what it would record."""
        preview = self._previews.get(step.name, Preview())
        job = ReadingJob(self._job, outputs)
        try:
            verdict, reason, output = self._attempt(step, preview, job, outputs)
            outputs[step.name] = output or (preview.output(job, self._upstreams) if preview.output else {})
        except Conflict as error:
            verdict, reason = Forecast.CONFLICT, error.reason
        except Refused as error:
            self._require_standing(error)
            verdict, reason = Forecast.FORBIDDEN, error.reason
        except Permanent as error:
            verdict, reason = Forecast.FORBIDDEN, error.reason
        return StepForecast(step=step.name, upstream=step.upstream, verdict=verdict, reason=reason)

    def _require_standing(self, refused: Refused) -> None:
        """Raise the refusal again unless it is known to be about this one part: then nothing can be compared now."""
        upstream = Upstream.labelled(refused.upstream)
        if upstream is None or isinstance(self._upstreams.standing(upstream, refused), Held):
            raise refused

    def _attempt(
        self, step: StepPlan, preview: Preview, job: ReadingJob, outputs: Mapping[str, Mapping[str, object]]
    ) -> tuple[Forecast, str, Mapping[str, object]]:
        if preview.needs_project and any(output.get("project_id") == ABSENT for output in outputs.values()):
            return (Forecast.WAIT if step.wait and step.skip is None else Forecast.CHANGE), NOT_THERE_YET, {}
        try:
            output: Mapping[str, object] = getattr(self._steps, step.name)(job, self._upstreams)
        except WouldCreate:
            return Forecast.CREATE, "", {}
        except WouldWrite as write:
            return Forecast.CHANGE, f"{write.method} {write.path} would be needed.", {}
        except NotYet as error:
            return Forecast.WAIT, error.reason, {}
        if job.entry.was_found and not job.entry.is_known:
            return Forecast.ADOPT, "", output
        return (Forecast.DIFFERS if job.remarks else Forecast.OK), " ".join(job.remarks), output


def as_report(forecasts: list[StepForecast]) -> list[PlannedStep]:
    """Return forecasts as plain values."""
    return [
        {"step": each.step, "upstream": each.upstream, "verdict": each.verdict, "reason": each.reason}
        for each in forecasts
    ]

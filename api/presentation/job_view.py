"""Documents of jobs, rendered for several jobs at a time with a handful of queries.

A front end polls a job all day. So the statements are made once, and read the columns that are shown, as rows: an ORM
entity of each step and attempt costs several times as much.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import BindParameter, Select, and_, bindparam, func, or_, select
from sqlalchemy.orm import Session

from api.contract import accounts
from api.presentation import links
from api.presentation.durations import StepDurations
from api.presentation.job_schemas import (
    AttemptShown,
    Failure,
    Intervention,
    JobShown,
    JobSummary,
    LaneShown,
    Link,
    Progress,
    Remaining,
    StepShown,
    WaitingOn,
)
from common import audit, workflows
from common.admission import outages, refusals, slots
from common.admission.outages import Hold, HoldCode
from common.audit import ActionKind, Channel
from common.config.settings import Settings
from common.database.models import Action, Attempt, Job, Resource, Step, UpstreamStatus
from common.jobs import outputs
from common.plain_text import own_words
from common.states import CLAIMABLE, OPEN, PASSED, StepState
from common.step_outputs import AWAIT_EXECUTOR
from common.workflows import Upstream

Part = TypeVar("Part", StepShown, AttemptShown, WaitingOn, Failure)
WAITING = frozenset({StepState.WAITING, StepState.RETRYING})

_IDS: BindParameter[list[str]] = bindparam("job_ids", expanding=True)
_STEPS = (
    select(
        Step.job_id,
        Step.id,
        Step.lane,
        Step.name,
        Step.upstream,
        Step.state,
        Step.output,
        Step.code,
        Step.reason,
        Step.remedy,
        Step.due_at,
        Step.parked_at,
        Step.waiting_since,
        Step.started_at,
        Step.finished_at,
    )
    .where(Step.job_id.in_(_IDS))
    .order_by(Step.position)
)
_SUMMARIZED = _STEPS.where(  # those that a list entry shows
    or_(
        Step.state.in_((StepState.FAILED, StepState.WAITING, StepState.RETRYING)),
        Step.parked_at.is_not(None),
        and_(Step.state == StepState.PENDING, Step.code.is_not(None)),
        Step.name == AWAIT_EXECUTOR.step,
    )
)
_ATTEMPTS = (
    select(
        Attempt.step_id,
        Attempt.number,
        Attempt.outcome,
        Attempt.polls,
        Attempt.code,
        Attempt.reason,
        Attempt.started_at,
        Attempt.finished_at,
    )
    .join(Step, Step.id == Attempt.step_id)
    .where(Step.job_id.in_(_IDS))
    .order_by(Attempt.number)
)
_RESOURCES = (
    select(Resource.job_id, Resource.upstream, Resource.kind, Resource.ref, Resource.url)
    .where(Resource.job_id.in_(_IDS))
    .order_by(Resource.id)
)
INTERVENTIONS_SHOWN = 50  # of a job, the last ones
_FROM_THE_LAST = func.row_number().over(partition_by=Action.object_id, order_by=Action.id.desc())
_NUMBERED = (
    select(Action.id, _FROM_THE_LAST.label("number"))
    .where(Action.object_id.in_(_IDS), Action.kind.in_(audit.INTERVENTIONS))
    .subquery()
)
_INTERVENTIONS = (
    select(Action.object_id, Action.at, Action.kind, Action.channel, Action.actor, Action.after, Action.reason)
    .join(_NUMBERED, _NUMBERED.c.id == Action.id)
    .where(_NUMBERED.c.number <= INTERVENTIONS_SHOWN)
    .order_by(Action.id)
)


@dataclass(frozen=True, kw_only=True)
class RenderedJob:
    """A job's document. `retry_after_s` is the number of seconds until the next poll, None when the job is over."""

    body: JobShown
    etag: str
    retry_after_s: int | None

    @property
    def headers(self) -> dict[str, str]:
        return headers(self.etag, self.retry_after_s)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The rows that a job's document shows, besides its own; `attempts` by step, `statuses` by upstream."""

    steps: Sequence[Step]
    attempts: Mapping[str, list[Attempt]]
    resources: Sequence[Resource]
    interventions: Sequence[Any]
    statuses: Mapping[str, UpstreamStatus]


class JobView:
    """Renders jobs for the users of this installation."""

    def __init__(self, settings: Settings, durations: StepDurations) -> None:
        self._settings = settings
        self._durations = durations

    def render(self, session: Session, jobs: Sequence[Job], now: datetime) -> list[RenderedJob]:
        """Return the documents of jobs, in their order."""
        ids = [job.id for job in jobs]
        steps = _grouped(session, _STEPS, ids)
        attempts = _grouped(session, _ATTEMPTS, ids)
        resources = _grouped(session, _RESOURCES, ids)
        interventions = _grouped(session, _INTERVENTIONS, ids)
        statuses = _statuses(session, steps)
        return [
            RenderedJob(
                body=self._document(
                    summary,
                    job,
                    Parts(
                        steps=steps[job.id],
                        attempts=attempts,
                        resources=resources[job.id],
                        interventions=interventions[job.id],
                        statuses=statuses,
                    ),
                    now,
                ),
                etag=etag(job),
                retry_after_s=self.retry_after_s(job, steps[job.id], now),
            )
            for summary, job in zip(_summaries(session, jobs, steps, statuses), jobs, strict=True)
        ]

    def for_members(self, body: JobShown) -> JobShown:
        """Return the document without what reasons quote of upstreams; the job of a sign-up needs no log-in."""
        lanes = [
            lane.model_copy(
                update={
                    "steps": [
                        _in_own_words(step).model_copy(update={"attempts": [*map(_in_own_words, step.attempts)]})
                        for step in lane.steps
                    ]
                }
            )
            for lane in body.lanes
        ]
        return body.model_copy(update={**_said_in_own_words(body), "lanes": lanes})

    def for_visitors(self, body: JobShown) -> JobShown:
        """Return the document as members see it, without what people did: anybody may follow a sign-up."""
        return self.for_members(body).model_copy(update={"interventions": []})

    def for_operators(self, body: JobShown) -> JobShown:
        """Return the document with a link to the job's tasks in Flower, which only administrators can open."""
        url = links.flower_tasks_url(body.kind, body.job_id, self._settings)
        link = [Link(upstream="flower", kind="tasks", name=body.job_id, url=url)] if url else []
        return body.model_copy(update={"links": body.links + link})

    def retry_after_s(self, job: Job, steps: Sequence[Step], now: datetime) -> int | None:
        """Return the seconds until an open job should be polled again, None for a job that is over."""
        return self._durations.poll_delay_s(job, steps, now) if job.state in OPEN else None

    def _document(
        self,
        summary: JobSummary,
        job: Job,
        parts: Parts,
        now: datetime,
    ) -> JobShown:
        steps = parts.steps
        return JobShown(
            **vars(summary),
            version=job.version,
            image_tag=job.input.get("image_tag"),
            result=links.external_within(outputs.result_of(job, steps), self._settings),
            progress=Progress(
                done=sum(step.state in PASSED for step in steps),
                total=len(steps),
                remaining=self._remaining(job, steps, now),
            ),
            lanes=[
                LaneShown(name=name, steps=[_step(job, step, parts.attempts[step.id]) for step in lane])
                for name, lane in groupby(steps, key=lambda step: step.lane)
            ],
            interventions=[*map(_intervention, parts.interventions)],
            links=self._links(parts.resources),
        )

    def _remaining(self, job: Job, steps: Sequence[Step], now: datetime) -> Remaining | None:
        is_known = job.state in OPEN and not any(step.state is StepState.PENDING and step.code for step in steps)
        typical = self._durations.remaining(job, steps, now) if is_known else None
        return Remaining(p50_s=round(typical.p50_s, 1), p90_s=round(typical.p90_s, 1)) if typical else None

    def _links(self, resources: Sequence[Resource]) -> list[Link]:
        shown = [(row, links.external(row.url, self._settings)) for row in resources]
        return [Link(upstream=row.upstream, kind=row.kind, name=row.ref, url=url) for row, url in shown if url]


def etag(job: Job) -> str:
    """Return the tag of a job's current state, without the syntax of a weak tag."""
    return f"{job.id}-{job.version}"


def headers(tag: str, retry_after_s: int | None) -> dict[str, str]:
    """Return the headers of a job's document, or of a 304.

    The tag is weak: the remaining time changes while the job does not.
    """
    fields = {"ETag": f'W/"{tag}"', "Cache-Control": "private, no-cache"}
    return fields if retry_after_s is None else {**fields, "Retry-After": str(retry_after_s)}


def summaries(session: Session, jobs: Sequence[Job]) -> list[JobSummary]:
    """Return the list entries of jobs, in their order."""
    steps = _grouped(session, _SUMMARIZED, [job.id for job in jobs])
    return _summaries(session, jobs, steps, _statuses(session, steps))


def summary_for_members(body: JobSummary) -> JobSummary:
    """Return the list entry without what reasons quote of upstreams."""
    return body.model_copy(update=_said_in_own_words(body))


def _summaries(
    session: Session,
    jobs: Sequence[Job],
    steps: Mapping[str, Sequence[Step]],
    statuses: Mapping[str, UpstreamStatus],
) -> list[JobSummary]:
    logins = accounts.logins(session, (job.user_id for job in jobs))
    return [_summary(job, logins.get(job.user_id), steps[job.id], statuses) for job in jobs]


def _summary(job: Job, user: str | None, steps: Sequence[Step], statuses: Mapping[str, UpstreamStatus]) -> JobSummary:
    return JobSummary(
        job_id=job.id,
        kind=job.kind,
        title=_title(job, steps),
        state=job.state,
        team=job.team_id,
        app_id=job.app_id,
        app=job.input.get("app"),
        subject=_subject(job),
        user=user,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        waiting_on=[
            _pending(step)
            if step.state is StepState.PENDING
            else _parked(job, step, statuses)
            if step.parked_at
            else _waiting_on(step)
            for step in steps
            if _waits(step)
        ],
        errors=[_failure(step) for step in steps if step.state is StepState.FAILED],
    )


def _subject(job: Job) -> str | None:
    """Return the app or person that a job is about, by the name that it had then."""
    return job.input.get("app") or job.input.get("login")


def _title(job: Job, steps: Sequence[Step]) -> str:
    flow, subject, tag = workflows.WORKFLOWS.get(job.kind), _subject(job) or "unknown", job.input.get("image_tag")
    if job.input.get("rollback_of") and tag:
        return f"Rollback of {subject} to {tag}"
    begun = [step.output for step in steps if step.name == AWAIT_EXECUTOR.step and step.output]
    which = begun[0].get("number") if begun else tag if job.kind == workflows.DEPLOY.name else None
    return flow.title.format(subject=subject, which=f" {which}" if which else "") if flow else job.kind


def _statuses(session: Session, steps: Mapping[str, Sequence[Step]]) -> Mapping[str, UpstreamStatus]:
    """Return the statuses of all upstreams if a step is held back; otherwise nobody needs them."""
    is_any_parked = any(step.parked_at for of_job in steps.values() for step in of_job)
    return outages.read(session) if is_any_parked else {}


def _said_in_own_words(body: JobSummary) -> dict[str, Any]:
    return {"waiting_on": [*map(_in_own_words, body.waiting_on)], "errors": [*map(_in_own_words, body.errors)]}


def _in_own_words(part: Part) -> Part:
    return part.model_copy(update={"reason": own_words(part.reason)}) if part.reason else part


def steps_of(session: Session, job_id: str) -> Sequence[Step]:
    """Return the steps of a job, in their order, as rows of the columns that are shown."""
    return _grouped(session, _STEPS, [job_id])[job_id]


def _grouped(session: Session, statement: Select[*tuple[Any, ...]], job_ids: Sequence[str]) -> dict[str, list[Any]]:
    """Return the rows that belong to these jobs, grouped by the first column."""
    grouped: dict[str, list[Any]] = defaultdict(list)
    for row in session.connection().execute(statement, {"job_ids": job_ids}):
        grouped[row[0]].append(row)
    return grouped


def _step(job: Job, step: Step, attempts: Sequence[Attempt]) -> StepShown:
    plan = workflows.find_step(job.kind, step.name)
    return StepShown(
        name=step.name,
        upstream=step.upstream,
        state=step.state,
        attempts_allowed=plan.retry.attempts if plan else None,
        expected_s=plan.expected_s if plan else None,
        code=step.code,
        reason=step.reason,
        remedy=step.remedy or [],
        started_at=step.started_at,
        finished_at=step.finished_at,
        attempts=[AttemptShown.model_validate(attempt, from_attributes=True) for attempt in attempts],
    )


def _waits(step: Step) -> bool:
    is_parked = step.parked_at and step.state in CLAIMABLE
    return step.state in WAITING or bool(is_parked) or (step.state is StepState.PENDING and step.code is not None)


def _pending(step: Step) -> WaitingOn:
    """Return why the whole job is pending: its first step says it, and no upstream has to do with it."""
    return WaitingOn(
        step=step.name,
        upstream=Upstream.SLIPWAY.value,
        code=step.code,
        reason=step.reason,
        since=step.waiting_since,
        next_look_at=None,
    )


def _waiting_on(step: Step) -> WaitingOn:
    return WaitingOn(
        step=step.name,
        upstream=step.upstream,
        code=step.code,
        reason=step.reason,
        since=step.waiting_since or step.started_at,
        next_look_at=step.due_at,
    )


def _parked(job: Job, step: Step, statuses: Mapping[str, UpstreamStatus]) -> WaitingOn:
    """Return why the step is held back now, which may differ from the reason for which it was parked."""
    plan = workflows.find_step(job.kind, step.name)
    visits = plan.visits if plan else ()
    hold = slots.hold_on_any(statuses, visits) or (slots.busy(visits) if step.code in set(HoldCode) else None)
    return WaitingOn(
        step=step.name,
        upstream=step.upstream,
        code=hold.code if hold else step.code,
        reason=hold.reason if hold else step.reason,
        since=step.parked_at,
        next_look_at=_next_look_at(hold, statuses, visits),
    )


def _next_look_at(
    hold: Hold | None, statuses: Mapping[str, UpstreamStatus], visits: Collection[Upstream]
) -> datetime | None:
    """Return when a worker looks next whether a hold is over, None when it does not."""
    if hold is None or hold.code not in (HoldCode.OUTAGE, HoldCode.REFUSED):
        return None
    rows = [status for name in visits if (status := statuses.get(name))]
    looks = (
        [row.look_at for row in rows if row.look_at]
        if hold.code is HoldCode.OUTAGE
        else [refusal.look_at for row in rows if (refusal := refusals.of(row.refusals, None))]
    )
    return min(looks, default=None)


def _intervention(row: Any) -> Intervention:
    is_person = row.channel in (Channel.SESSION, Channel.TOKEN)
    return Intervention(
        at=row.at,
        action=ActionKind(row.kind),
        channel=Channel(row.channel),
        user=row.actor if is_person else None,
        step=(row.after or {}).get("step"),
        reason=row.reason,
    )


def _failure(step: Step) -> Failure:
    return Failure(step=step.name, upstream=step.upstream, code=step.code, reason=step.reason, remedy=step.remedy or [])

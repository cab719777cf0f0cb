"""A refusal of our account at any call of any step costs its job nothing but time; a missing right ends it at once.

The cases are made from `common/workflows.py` and the situations of the stand-ins. `make proofs` plays every call of
every step in every situation and prints how many; otherwise each step meets one situation, at one call.
"""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.refusals import LACKING, PASSING, Beginning, Row, accepted_writes
from support.runs import runs
from support.step_cases import CASES, Case, Stages
from support.world import Time, World, settings_for

from common.admission import outages, refusals
from common.database import migrate
from common.database.engine import Database
from common.database.models import Job
from common.states import Outcome, StepState
from common.workflows import Upstream
from harbour import situations
from harbour.faults import Call
from harbour.server import Service
from harbour.world import Harbour
from worker import upstreams
from worker.outage_probe import OutageProbe
from worker.refusals import RefusalProbe, asking
from worker.runner import NextAction, StepResult

pytestmark = pytest.mark.half

LASTS_S = (5.0, 10.0, 20.0, 60.0, 300.0, 900.0)  # what passes while the situation lasts, between looks
RELEASED_AFTER_S = 15.0
LOOKS = 80
IS_WHOLE = runs(1) > 1
HIDDEN = (
    "does not show it yet"  # the right went between a change and the look at it: Jenkins hides, and refuses nothing
)
MESSAGES = ("upstream_refused", "upstream_accepted")


@dataclass
class Stage:
    """A world with both probes, and jobs at any step."""

    world: World
    stages: Stages

    def __post_init__(self) -> None:
        world = self.world
        logins = upstreams.logins(world.settings, world.context.vault)
        self._refusals = RefusalProbe(world.db, asking(world.clients), logins)
        self._outages = OutageProbe(world.db, world.clients.connections)

    def look(self, job: Job, step: str, after_s: float) -> StepResult:
        """Let time pass, probe, and run the step if it may."""
        world = self.world
        world.harbour.gitlab.background.settle()
        world.time.advance(after_s)
        self._refusals.run()
        self._outages.run()
        return world.runner.run(job.id, step)

    def is_held(self) -> bool:
        rows = self.world.db.read(outages.read).values()
        return any(refusals.of(row.refusals, None) is not None for row in rows)


@pytest.fixture(scope="module")
def opened(
    time: Time, open_harbour: Harbour, new_name: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    url = f"sqlite:///{Path(tmp_path_factory.mktemp('refusals')) / 'slipway.db'}"
    db = Database(url, now=time)
    migrate.upgrade(db)
    settings = settings_for(open_harbour, url).model_copy(update={"outage_after": 3})
    world = World(db, time, open_harbour, settings)
    yield Stage(world, Stages(world, new_name))
    db.dispose()


@pytest.fixture
def stage(opened: Stage, harbour: Harbour) -> Iterator[Stage]:
    yield opened
    for service in harbour.services:
        situations.end(service)
    for upstream in Upstream:
        refusals.end_by_hand(opened.world.db, upstream, opened.world.time())


@dataclass(frozen=True)
class Moment:
    """The call of a step before which a situation begins."""

    service: Service
    row: Row
    skip: int
    call: Call

    def __str__(self) -> str:
        return f"{self.service.name} {dict(self.row)} before {self.call.method} {self.call.path}"

    def begin(self) -> Beginning:
        beginning = Beginning(service=self.service, row=self.row, skip=self.skip)
        self.service.inject(beginning)
        return beginning


def moments(stage: Stage, case: Case, rows: Callable[[Service], tuple[Row, ...]]) -> list[Moment]:
    calls = stage.stages.done(case).calls
    found = []
    for service in stage.stages.services(case):
        own = [call for call in calls if call.upstream == service.name]
        found += [Moment(service, row, skip, call) for skip, call in enumerate(own) for row in rows(service)]
    return found


def some(of: list[Moment], case: Case) -> list[Moment]:
    """Return all, or one that differs from case to case."""
    return of if IS_WHOLE or not of else [of[hash_of(case.name) % len(of)]]


def hash_of(name: str) -> int:
    return sum(map(ord, name))


@pytest.fixture(scope="module")
def count() -> Iterator[Callable[[str], None]]:
    counted: dict[str, int] = {}

    def add(what: str) -> None:
        counted[what] = counted.get(what, 0) + 1

    yield add
    sys.stdout.write(f"\n{sum(counted.values())} refusals: {counted}\n")


ALL = [pytest.param(case, id=case.name) for case in CASES if IS_WHOLE or not case.is_missing]


@pytest.mark.parametrize("case", ALL)
def test_a_refusal_that_passes_fails_no_job_and_doubles_nothing(
    stage: Stage, case: Case, count: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    model = stage.stages.done(case)
    wanted = len(accepted_writes(model.calls))
    begin = stage.stages.begin if wanted or case.step.wait else stage.stages.ready

    for moment in some(moments(stage, case, lambda service: PASSING[service.name]), case):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            job = begin(case)
            number = len(stage.world.harbour.calls())
            beginning = moment.begin()
            result = _play(stage, job, case.step.name, moment)
        assert result.action is NextAction.GO_ON, f"{moment}: {result.reason}"
        if beginning.times:  # polled once less than the model: there is no such call
            moment.service.clear_faults()
            continue
        calls = [call for call in stage.world.harbour.calls()[number:] if call.kind != "git"]
        writes = len(accepted_writes(calls))
        has_ended = case.step is case.flow.on_cancel and writes == 0  # meanwhile the build ended by itself
        assert writes == wanted or has_ended, f"{moment}: {accepted_writes(calls)}"
        _require_one_message(caplog, moment)
        assert not _outcomes(stage.world, job, case.step.name) & {Outcome.FAILED}, moment
        count(f"{moment.service.name} {dict(moment.row)}")


def _play(stage: Stage, job: Job, step: str, moment: Moment) -> StepResult:
    """Run a step, in a situation that begins amid it, lasts a while and ends, until it is over."""
    result = stage.world.runner.run(job.id, step)
    for after_s in LASTS_S:
        if result.action is not NextAction.LATER:
            break
        result = stage.look(job, step, after_s)
    situations.end(moment.service)
    for _ in range(LOOKS):
        if result.action is not NextAction.LATER and not stage.is_held():
            break
        again = stage.look(job, step, RELEASED_AFTER_S)
        result = again if result.action is NextAction.LATER else result
    return result


def _require_one_message(caplog: pytest.LogCaptureFixture, moment: Moment) -> None:
    said = [record.message for record in caplog.records if record.message in MESSAGES]
    assert said in ([], list(MESSAGES)), f"{moment}: {said}"


def _outcomes(world: World, job: Job, step: str) -> set[Outcome | None]:
    return {attempt.outcome for attempt in world.attempts(job, step)}


@pytest.mark.parametrize("case", ALL)
def test_a_missing_right_ends_a_step_within_one_attempt(
    stage: Stage, case: Case, count: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    begin = stage.stages.begin if accepted_writes(stage.stages.done(case).calls) else stage.stages.ready

    for moment in some(moments(stage, case, lambda service: (LACKING[service.name],)), case):
        job = begin(case)
        tries = len(stage.world.attempts(job, case.step.name))
        moment.begin()
        result = stage.world.run_through(job, case.step.name)
        situations.end(moment.service)

        assert result.action in (NextAction.STOP, NextAction.GO_ON), moment
        row = stage.world.step(job, case.step.name)
        if result.action is NextAction.STOP:
            assert row.state is StepState.FAILED, moment
            made = stage.world.attempts(job, case.step.name)[tries:]
            again = [each.reason or "" for each in made if each.outcome is Outcome.TRANSIENT]
            assert all(HIDDEN in reason for reason in again), f"{moment}: {again}"
            assert [each.outcome for each in made].count(Outcome.FAILED) == 1, moment
        assert not stage.is_held(), moment
        assert not [each for each in caplog.records if each.message in MESSAGES], moment
        count("missing right: failed at once" if result.action is NextAction.STOP else "missing right: not needed")


def test_every_upstream_and_every_situation_is_played() -> None:
    assert set(PASSING) == set(LACKING) == {each.value for each in Upstream if each is not Upstream.SLIPWAY}
    assert len(list(itertools.chain(*PASSING.values()))) >= 20

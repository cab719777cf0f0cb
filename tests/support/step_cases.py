"""A job of any workflow, brought to any of its steps: what the generated tests of steps start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import requests

from common import workflows
from common.database.models import Job
from common.errors import NotYet
from common.jobs import interventions
from common.states import StepState
from common.step_outputs import REGISTER_REPOSITORY
from common.workflows import StepPlan, Upstream, Workflow
from harbour.faults import Call
from harbour.server import Service
from support.builds import pace, paced
from support.world import World
from worker.runner import NextAction
from worker.upstreams.adapter import Target

A_LONG_TIME_S = 3600.0
A_LONG_BUILD_S = 600.0
MAINTAINER = 40  # GitLab's access level


@dataclass(frozen=True)
class Case:
    """One row of the table. `is_missing`: what the step makes is taken away before its job begins."""

    flow: Workflow
    step: StepPlan
    is_missing: bool = False

    @property
    def name(self) -> str:
        name = workflows.task_name(self.flow.name, self.step.name)
        return f"{name}-missing" if self.is_missing else name


CASES = [
    *(Case(flow, step) for flow in workflows.WORKFLOWS.values() for step in flow.steps),
    *(Case(workflows.RECONCILE, step, is_missing=True) for step in workflows.RECONCILE.steps),
]


@dataclass(frozen=True)
class Done:
    """A job whose step was run once: what it returned and what it asked of whom."""

    job: Job
    output: dict[str, Any] | None
    calls: list[Call]


class Stages:
    """Makes jobs, and shares those that a test leaves as it found them."""

    def __init__(self, world: World, new_name: Callable[[str], str]) -> None:
        self.world = world
        self._new_name = new_name
        self._ready: dict[Case, Job] = {}
        self._done: dict[Case | None, Done] = {}
        self._templates: dict[str, Any] = {}
        self._accept: dict[str, Callable[[bool], Job]] = {
            "signup": lambda _: world.sign_up(new_name("person"), is_checked=True),
            "provision": lambda _: world.make_app(new_name("app")),
            "build": lambda _: world.accept_build(self._new_app()),  # those of one app wait for each other
            "deploy": lambda _: world.accept_for(self._new_app(), "deploy", image_tag="1.2.3"),
            "deprovision": lambda _: world.accept_for(self._new_app(), "deprovision"),
            "removal_preview": lambda _: world.accept_for(self._app, "removal_preview"),
            "reconcile": lambda is_missing: world.accept_for(self._new_app() if is_missing else self._app, "reconcile"),
            "drift": lambda _: world.accept_for(self._app, "drift"),
            "plan": lambda _: world.accept_for(self._app, "plan", app=new_name("planned")),
            "checkup": lambda _: world.accept_for(self._app, "checkup"),
            "change_password": lambda _: world.change_password(world.drive(world.sign_up(new_name("person")))),
            "offboard": lambda _: world.accept_for(world.drive(world.sign_up(new_name("person"))), "offboard"),
        }

    def begin(self, case: Case) -> Job:
        """Return a new job whose turn it is to run the case's step; only its own lane has run up to there."""
        self.world.time.advance(A_LONG_TIME_S)  # what earlier jobs began outside has come to its end
        job = self._accept[case.flow.name](case.is_missing)
        if case.is_missing:
            take_away(self.world, job, case.step.name)
        for name in _steps_before(case):
            result = self.world.run_through(job, name)
            assert result.action is NextAction.GO_ON, f"{name}: {result}"
        if case.step is case.flow.on_cancel:
            self._cancel_amid_a_build(job)
        assert self.world.step(job, case.step.name).state is StepState.READY
        self._set_templates(case)
        return job

    def ready(self, case: Case) -> Job:
        """Return the shared job that stands before the step, for a test in which nothing gets done outside."""
        if case not in self._ready:
            self._ready[case] = self.begin(case)
        self.world.forget(self._ready[case], case.step.name)
        return self._ready[case]

    def done(self, case: Case) -> Done:
        """Return the shared job whose step was done; where it can be, the one that did the steps before."""
        if case not in self._done:
            before = self._done.get(_case_before(case))
            job = before.job if before else self.begin(case)
            self._set_templates(case)
            number = len(self.world.harbour.calls())
            result = self.world.run_through(job, case.step.name)
            assert result.action is NextAction.GO_ON, result
            calls = [call for call in self.world.harbour.calls()[number:] if call.kind != "git"]
            self._done[case] = Done(job, self.world.step(job, case.step.name).output, calls)
        return self._done[case]

    def services(self, case: Case) -> list[Service]:
        """Return whom the step may ask."""
        harbour = self.world.harbour
        if case.step.upstream is Upstream.SLIPWAY:
            return list(harbour.services)
        return [service for service in harbour.services if service.name == case.step.upstream]

    def _set_templates(self, case: Case) -> None:
        """Let each job be the first of its group, which makes what Argo CD reads the others' repositories with.

        A test may end before that was made again: the other steps find what there was.
        """
        templates = self.world.harbour.argocd.templates
        if case.step.name == REGISTER_REPOSITORY.step:
            self._templates.update(templates)
            templates.clear()
        else:
            templates.update({url: each for url, each in self._templates.items() if url not in templates})

    def _cancel_amid_a_build(self, job: Job) -> None:
        world, jenkins = self.world, self.world.harbour.jenkins
        with paced(jenkins):
            pace(jenkins, build_s=A_LONG_BUILD_S)
            world.time.advance(1)
            jenkins.catch_up()
        world.db.transaction(lambda session: interventions.cancel(session, job.id, world.time()))

    @cached_property
    def _app(self) -> Job:
        return self._new_app()

    def _new_app(self) -> Job:
        return self.world.drive(self.world.make_app(self._new_name("app")))


def _case_before(case: Case) -> Case | None:
    names = _steps_before(case)
    if not names or case.is_missing or case.step is case.flow.on_cancel or case.step.after:
        return None
    return next(each for each in CASES if each.flow is case.flow and each.step.name == names[-1])


def _steps_before(case: Case) -> list[str]:
    if case.step is case.flow.on_cancel:
        return [case.flow.steps[0].name]
    lane = next(lane for lane in case.flow.lanes if case.step in lane.steps)
    before = lane.steps[: lane.steps.index(case.step)]
    elsewhere = dict.fromkeys(name for step in (*before, case.step) for name in step.after)
    return [*elsewhere, *(step.name for step in before if step.name not in elsewhere)]


MADE_BY = {"await_source": "fork_source", "await_helm": "fork_helm"}  # what these wait for, others make


def take_away(world: World, made: Job, step: str) -> None:
    """Take from the upstreams what a step of provisioning makes, as somebody would by hand; no ledger knows of it."""
    rows = world.ledger(made)
    if step == "open_to_developers":
        source = next(row for row in rows if row.step == "fork_source")
        _until_done(world, lambda: _close_to_developers(world, source.outside_id))
        return
    row = next(row for row in rows if row.step == MADE_BY.get(step, step))
    team = world.context.catalog.teams[made.input["team"]]
    target = Target(ref=row.ref, outside_id=row.outside_id, marker=f"slipway:{made.subject_id}", team=lambda: team)
    _until_done(world, lambda: world.clients.remove(Upstream(row.upstream), row.kind, target))


def _until_done(world: World, remove: Callable[[], bool]) -> None:
    while True:
        try:
            assert remove()
        except NotYet as error:
            world.time.advance(error.retry_after_s)
            world.harbour.gitlab.background.settle()
        else:
            return


def _close_to_developers(world: World, project_id: str | None) -> bool:
    config, url = world.harbour.config, f"{world.harbour.gitlab.url}/api/v4/projects/{project_id}/protected_branches"
    headers = {"PRIVATE-TOKEN": config.gitlab_token}
    requests.delete(f"{url}/main", headers=headers, timeout=5).raise_for_status()
    closed = {"name": "main", "push_access_level": MAINTAINER, "merge_access_level": MAINTAINER}
    requests.post(url, headers=headers, json=closed, timeout=5).raise_for_status()
    return True

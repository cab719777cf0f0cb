"""In which worlds is an app made, and what befalls the workers meanwhile?  Everything is drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from random import Random
from typing import Any

from common.database.models import Job
from common.errors import StepError
from common.jobs import interventions
from common.states import OPEN
from common.workflows import task_name
from harbour.faults import Fault
from harbour.world import Harbour
from support.faults import Killed
from support.operators import FOLDER_XML, Hands, pipeline_xml
from support.world import World
from worker.context import StepContext
from worker.registry import StepFunction
from worker.runner import Runner
from worker.upstreams import Upstreams

SOMEBODY = "slipway:01920000-0000-7000-8000-000000000000"  # the marker of an app that is not ours
TYPES = ("Spring", "Django", "Flask")
CALLS = {"gitlab": 14, "jenkins": 4, "argocd": 7}  # about as many as a job makes: a fault beyond them never hits


class Place:
    """A name for an app, a team and a type: what a request for it says, and where its things would be."""

    def __init__(self, draw: Random, name: str) -> None:
        self.name = name
        self.team = draw.choice(("dev", "ops"))
        self.type = draw.choice(TYPES)
        self.source = f"{self.team}/{name}"
        self.helm = f"{self.team}/{name}_helm"
        self.pipeline = f"{name}_{self.team}"

    def make(self, world: World, project: str = "first") -> Job:
        """Accept the making of the app, in a project of its own."""
        maker = world.add_user(f"{project}-maker-of-{self.name}", self.team)
        return world.make_app(self.name, self.type, self.team, by=maker, project_name=f"{project}-{self.name}")


class Strangers:
    """Other people, who were there first."""

    def __init__(self, draw: Random, hands: Hands, place: Place) -> None:
        self._draw = draw
        self._hands = hands
        self._place = place
        self._kept = set(hands.harbour.gitlab.state.projects)
        self.clashes: list[str] = []  # what stands where our things would be

    def settle_in(self) -> None:
        """Put things in our places now and then, and others beside them."""
        place, hands = self._place, self._hands
        self._now_and_then("source", partial(self._occupy, place.source))
        self._now_and_then("helm", partial(self._occupy, place.helm))
        self._now_and_then("pipeline", self._take_pipeline)
        self._now_and_then("application", self._take_application)
        self._now_and_then("repository", self._register)
        hands.found_project(f"{place.team}/{place.name}-theirs", SOMEBODY)
        hands.make_item(place.team, f"{place.name}-theirs", pipeline_xml(SOMEBODY))
        hands.make_application(f"{place.name}-theirs", project=place.team)
        hands.make_kibana_user(place.name)
        hands.register(f"https://git.example/{place.name}.git", place.team)

    def leave(self) -> None:
        """Take the repositories along: each costs every later look at the harbour."""
        gitlab = self._hands.harbour.gitlab
        for project in [each for key, each in gitlab.state.projects.items() if key not in self._kept]:
            gitlab.erase(project)

    def _now_and_then(self, what: str, act: Callable[[], object]) -> None:
        if self._draw.random() < 0.2:
            self.clashes.append(what)
            act()

    def _occupy(self, path: str) -> None:
        description = self._draw.choice(("", "ours, not yours", SOMEBODY, f"about it\n{SOMEBODY}"))
        way = self._draw.choice(("by hand", "forked", "forked", "in capitals"))
        if way == "forked":
            template = "Helm_Template" if path.endswith("_helm") else f"{self._place.type}_Template"
            self._hands.fork(f"templates/{template}", path, description)
            return
        namespace, _, name = path.rpartition("/")
        shown = name.upper() if way == "in capitals" else name
        self._hands.found_project(f"{namespace}/{shown}", description)

    def _take_pipeline(self) -> None:
        xml = self._draw.choice((pipeline_xml(""), pipeline_xml("Nightly"), pipeline_xml(SOMEBODY), FOLDER_XML))
        self._hands.make_item(self._place.team, self._place.pipeline, xml)

    def _take_application(self) -> None:
        annotations = self._draw.choice(({}, {"slipway.dev/marker": SOMEBODY}))
        project = self._draw.choice((self._place.team, "default"))
        self._hands.make_application(self._place.name, project=project, annotations=annotations)

    def _register(self) -> None:
        url = f"{self._hands.harbour.gitlab.url}/{self._place.helm}.git"
        spelling = self._draw.choice((url, url.removesuffix(".git"), url.upper().replace("HTTP", "http")))
        if self._draw.random() < 0.3:
            self._hands.register(spelling, self._place.team)
        else:
            self._hands.register_for_all(spelling)


@contextmanager
def mischief(draw: Random, harbour: Harbour, place: Place) -> Iterator[str]:
    """Let something be missing now and then that every app needs, and say what."""
    missing = draw.choice(("nothing", "nothing", "nothing", "template", "group", "folder"))
    state, items = harbour.gitlab.state, harbour.jenkins.items
    template, group = state.project_at(f"templates/{place.type}_Template"), state.group_at(place.team)
    assert template is not None
    assert group is not None
    match missing:
        case "template":
            template.path += "-moved"
        case "group":
            group.path = group.full_path = f"{place.team}-moved"
        case "folder":
            items[f"{place.team}-moved"] = items.pop(place.team)
    yield missing
    template.path = f"{place.type}_Template"
    group.path = group.full_path = place.team
    if missing == "folder":
        items[place.team] = items.pop(f"{place.team}-moved")


class Fate:
    """What befalls the worker of one job, once: a fault on a call, its death at a call or between two, or nothing."""

    KINDS = ("nothing", "lost", "reset", "stumble", "refusal", "outage", "dies at", "dies after", "sleeps", "forgets")

    def __init__(self, draw: Random) -> None:
        self.kind = draw.choice(self.KINDS)
        self.is_given_up = draw.random() < 0.5  # after a death: the job is cancelled, else another worker goes on
        self.service = draw.choice(tuple(CALLS))
        self.at = draw.randrange(CALLS[self.service])
        self._attempts = 0
        self._fault: Fault | None = None

    def __repr__(self) -> str:
        return f"{self.kind} {self.service} {self.at}{' and given up' if self.is_given_up else ''}"

    def inject(self, world: World) -> None:
        fault = {
            "lost": Fault(kind="lost", times=1),
            "reset": Fault(kind="reset", times=1),
            "stumble": Fault(kind="status_after", status=502, times=1),
            "refusal": Fault(kind="status", status=403, times=1),
            "outage": Fault(kind="reset"),
            "dies at": Fault(kind="reset", times=1),
            "dies after": Fault(kind="lost", times=1),
        }.get(self.kind)
        service = world.harbour.service(self.service)
        if fault is None or service is None:
            return
        fault.skip, fault.path = self.at, r"^(?!.*\.git/)"  # what Argo CD asks of git is no call of ours
        self._fault = service.inject(fault)

    def on(self, steps: Mapping[str, StepFunction]) -> dict[str, StepFunction]:
        """Return the steps as this fate lets them run."""
        return {name: partial(self._run, step) for name, step in steps.items()}

    def _run(self, step: StepFunction, job: StepContext, upstreams: Upstreams) -> dict[str, Any]:
        self._attempts += 1
        is_now = self._attempts - 1 == self.at
        if is_now and self.kind == "sleeps":
            raise Killed
        try:
            output = step(job, upstreams)
        except StepError:
            if self.kind.startswith("dies") and self._fault and self._fault.times == 0:
                self._fault = None
                raise Killed from None
            raise
        if is_now and self.kind == "forgets":
            raise Killed
        return output


def live_through(world: World, job: Job, fate: Fate) -> Job:
    """Drive a job to its end under this fate. It is cancelled, or another worker goes on, when its worker dies."""
    fate.inject(world)
    world.runner = Runner(
        world.context, world.clients, fate.on(world.steps), world.limits, worker="mortal", jitter=lambda: 1.0
    )
    try:
        world.drive(job)
    except Killed:
        if fate.is_given_up:
            cancel(world, job)
    world.harbour.clear_faults()
    world.runner = world.runner_named("survivor")
    return world.drive(job) if world.job(job).state in OPEN else world.job(job)


def cancel(world: World, job: Job) -> None:
    now = world.time()
    world.db.transaction(lambda session: interventions.cancel(session, job.id, now))


def dying_at(world: World, job: Job, upstream: str, step: str, fault: Fault) -> Job:
    """Drive a job up to a step, and let the worker die of a fault in its call."""
    world.drive(job, until=step)
    service = world.harbour.service(upstream)
    assert service is not None
    service.inject(fault)

    def mortal(running: StepContext, upstreams: Upstreams) -> dict[str, Any]:
        try:
            return world.steps[task](running, upstreams)
        except StepError:
            raise Killed from None

    task = task_name(job.kind, step)
    runner = Runner(world.context, world.clients, {task: mortal}, world.limits, worker="mortal")
    with suppress(Killed):
        runner.run(job.id, step)
    assert fault.times == 0, "the fault never hit"
    return job

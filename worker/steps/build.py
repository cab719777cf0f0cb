"""Steps that start exactly one build and follow it to its end (the plan: `common/workflows.py`)."""

from __future__ import annotations

from common.config import naming
from common.errors import ActionBy, NotYet, Permanent
from common.step_outputs import AWAIT_EXECUTOR, START_BUILD, FinishedBuild, QueuedBuild, RunningBuild, StoppedBuild
from worker import build_parameters, build_report
from worker.build_parameters import BUILD_KEY
from worker.context import StepContext
from worker.upstreams import Upstreams
from worker.upstreams.jenkins.builds import Build, Force
from worker.upstreams.jenkins.schemas import QueueItem

POLL_AGAIN_S = 3.0
TURN = {"first_s": 2.0, "cap_s": 15.0}
POLL = {"first_s": 2.0, "cap_s": 30.0}  # Jenkins forgets a queue item five minutes after it left
TERMINATE_AFTER_S = 60.0  # Jenkins itself offers it 15 s after a stop, and a kill 15 s after that
KILL_AFTER_S = 120.0
STOPPING = {"first_s": 2.0, "cap_s": 10.0}
HOW: dict[Force, str] = {"stop": "", "term": ": it ignores that, so its steps are terminated", "kill": ": it is killed"}
CONSOLE_BYTES = 512 * 1024
TAIL_CHARACTERS = 2000
SEARCHED_CHARACTERS = 64 * 1024  # of the console's end, for the image that was pushed


def start_build(job: StepContext, upstreams: Upstreams) -> QueuedBuild:
    """Trigger the build unless it exists; after a lost answer, wait until it can no longer arrive.

    Builds of an app run one after another: while one runs, a second job stands for all that is pushed meanwhile.
    """
    if not job.is_next:
        raise NotYet("Another build of this app is running; this one follows it", retry_after_s=job.pause_s(**TURN))
    folder, name = _pipeline(job)
    entry = job.resource("jenkins", "build", job.id)
    seen = upstreams.jenkins.builds.find(folder, name, key=BUILD_KEY, value=job.id)
    if seen.queue_id is not None or seen.number is not None:
        entry.settle(outside_id=str(seen.number or seen.queue_id), url=None, found=True)
        return {"queue_id": seen.queue_id, "number": seen.number}
    if seen.is_unclear or entry.may_arrive_for_s():
        raise NotYet("Jenkins may have the build already; Slipway is searching for it", retry_after_s=POLL_AGAIN_S)
    queue_id = upstreams.jenkins.builds.trigger(
        folder,
        name,
        parameters=build_parameters.given(job),
        key=BUILD_KEY,
        declare=lambda: _declare_parameters(job, upstreams),
        on_create=entry.intend,
    )
    entry.settle(outside_id=str(queue_id), url=None, found=False)
    return {"queue_id": queue_id, "number": None}


def await_executor(job: StepContext, upstreams: Upstreams) -> RunningBuild:
    """Wait until the queue item has become a build; a queue item that has expired is found by our id."""
    folder, name = _pipeline(job)
    started = job.output_of(START_BUILD)
    number = started["number"] or _number_of(job, upstreams, started["queue_id"])
    build = upstreams.jenkins.builds.find_run(folder, name, number)
    if build is None:
        raise NotYet(f"Jenkins does not show build {number} yet", retry_after_s=1.0)
    job.resource("jenkins", "build", job.id).settle(outside_id=str(number), url=build.url, found=True)
    return {"number": number, "url": build.url, "console_url": f"{build.url}console"}


def await_result(job: StepContext, upstreams: Upstreams) -> FinishedBuild:
    """Wait for the end and keep the console; a build that Jenkins fails is a failed job with its last lines."""
    folder, name = _pipeline(job)
    executor = job.output_of(AWAIT_EXECUTOR)
    build = upstreams.jenkins.builds.find_run(folder, name, executor["number"])
    if build is None:
        raise Permanent("Jenkins has deleted the build's record.", action_by=ActionBy.UPSTREAM)
    _follow_console(job, upstreams, build)
    if build.is_running:
        raise NotYet(f"Build {build.number} is running", retry_after_s=job.pause_s(**POLL))
    if build.result != "SUCCESS":
        tail = job.console_tail(TAIL_CHARACTERS)
        raise Permanent(
            f"Build {build.number} ended as {build.result}. Its last lines:\n{tail}", action_by=ActionBy.USER
        )
    return {
        **executor,
        "result": build.result,
        "duration_s": build.duration_s,
        "commit": build_report.commit(build, job.input("gitlab_address")),
        "image": build_report.image(
            build, naming.image(job.settings, job.input("app")), job.console_tail(SEARCHED_CHARACTERS)
        ),
    }


def stop_build(job: StepContext, upstreams: Upstreams) -> StoppedBuild:
    """Stop the build of this job, queued or running; nothing is to be done where it never existed or has ended.

    A pipeline that ignores the stop is terminated, then killed. Source: workflow-job `WorkflowRun`.
    """
    folder, name = _pipeline(job)
    seen = upstreams.jenkins.builds.find(folder, name, key=BUILD_KEY, value=job.id)
    if seen.queue_id is not None and seen.number is None:
        upstreams.jenkins.builds.cancel_queue_item(seen.queue_id)
        raise NotYet("Jenkins is taking the build out of its queue", retry_after_s=1.0)
    if seen.number is not None:
        build = upstreams.jenkins.builds.find_run(folder, name, seen.number)
        if build is not None and build.is_running:
            force = _force_after(job.waited_s)
            upstreams.jenkins.builds.stop(folder, name, seen.number, force=force)
            raise NotYet(f"Build {seen.number} is stopping{HOW[force]}", retry_after_s=job.pause_s(**STOPPING))
        return {"number": seen.number, "result": build.result if build else None}
    if seen.is_unclear or job.resource("jenkins", "build", job.id).may_arrive_for_s():
        raise NotYet("Jenkins may still receive the build; Slipway is searching for it", retry_after_s=POLL_AGAIN_S)
    return {"number": None, "result": None}


def _force_after(waited_s: float) -> Force:
    """Return how to stop a build that has not stopped for so long."""
    if waited_s < TERMINATE_AFTER_S:
        return "stop"
    return "term" if waited_s < KILL_AFTER_S else "kill"


def _declare_parameters(job: StepContext, upstreams: Upstreams) -> None:
    """Put back what the app's Jenkinsfile has taken from the pipeline."""
    folder, name = _pipeline(job)
    url, branch = job.input("gitlab_address"), build_parameters.default_branch(job)
    parameters = build_parameters.declared(job, url=url, branch=branch)
    upstreams.jenkins.pipelines.declare_parameters(folder, name, parameters=parameters, marker=job.marker)


def _number_of(job: StepContext, upstreams: Upstreams, queue_id: int | None) -> int:
    folder, name = _pipeline(job)
    item = upstreams.jenkins.builds.get_queue_item(queue_id) if queue_id is not None else QueueItem(state="gone")
    if item.state == "cancelled":
        raise Permanent("The build was cancelled in Jenkins' queue.", action_by=ActionBy.USER)
    if item.number is not None:
        return item.number
    seen = upstreams.jenkins.builds.find(folder, name, key=BUILD_KEY, value=job.id) if item.state == "gone" else None
    if seen is not None and seen.number is not None:
        return seen.number
    raise NotYet(f"Jenkins has it in its queue: {item.why or item.state}", retry_after_s=job.pause_s(**POLL))


def _follow_console(job: StepContext, upstreams: Upstreams, build: Build) -> None:
    """Keep what was printed since the last poll."""
    folder, name = _pipeline(job)
    after = job.console_position()
    piece = upstreams.jenkins.builds.read_console(
        folder, name, build.number, start=after[1], at_most_bytes=CONSOLE_BYTES
    )
    job.keep_console(piece.text, after=after, upstream_next=piece.next_start)


def _pipeline(job: StepContext) -> tuple[str, str]:
    return job.team.jenkins_folder, naming.pipeline(job.input("app"), job.input("team"))

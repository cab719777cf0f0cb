"""The broker loses everything, dies or hangs: requests are answered, jobs go on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from support.stack import APP_WRITES, BROKER, Person, Stack, wait_for

NewName = Callable[[str], str]
ANSWERED_S = 2.5


def test_losing_every_message_again_and_again_loses_no_job(stack: Stack, new_name: NewName) -> None:
    person = stack.person(new_name("ada"))
    project, before = person.make_project(new_name("shop")), stack.harbour.last_call()
    stack.signal("worker1", signal.SIGSTOP)
    job_id = person.make_app(project, new_name("app"))
    wait_for("messages are in the broker", lambda: stack.waiting_messages() or None)
    stack.redis.flushall()
    stack.signal("worker1", signal.SIGCONT)
    flushed_at: set[int] = set()

    def over() -> bool | None:
        job = person.job(job_id)
        if job["progress"]["done"] not in flushed_at:
            stack.redis.flushall()
            flushed_at.add(job["progress"]["done"])
        return job["state"] not in ("queued", "running") or None

    began_s = time.monotonic()
    wait_for("the job is over", over, within_s=60)

    print(f"\nflushed {len(flushed_at) + 1} times, over after {time.monotonic() - began_s:.1f} s")  # noqa: T201 - a figure that we report
    assert person.job(job_id)["state"] == "succeeded"
    assert stack.harbour.writes(since=before) == APP_WRITES


def test_a_job_is_accepted_while_the_broker_is_down_and_runs_when_it_is_back(stack: Stack, new_name: NewName) -> None:
    person = stack.person(new_name("ada"))
    project, before = person.make_project(new_name("shop")), stack.harbour.last_call()
    stack.launcher.end(BROKER, signal.SIGKILL)

    began_s = time.monotonic()
    job_id = person.make_app(project, new_name("app"))
    answered_s = time.monotonic() - began_s
    stack.start_broker()
    back_s = time.monotonic()
    resumed_s = _time_until_started(person, job_id, since_s=back_s)
    person.follow(job_id)

    print(f"\nbroker down: answered in {answered_s:.2f} s, resumed {resumed_s:.1f} s after it was back")  # noqa: T201 - a figure that we report
    assert answered_s < ANSWERED_S
    assert stack.harbour.writes(since=before) == APP_WRITES


def test_a_job_is_accepted_while_the_broker_hangs_and_runs_when_it_goes_on(stack: Stack, new_name: NewName) -> None:
    person = stack.person(new_name("ada"))
    project, before = person.make_project(new_name("shop")), stack.harbour.last_call()
    stack.signal(BROKER, signal.SIGSTOP)

    began_s = time.monotonic()
    job_id = person.make_app(project, new_name("app"))
    answered_s = time.monotonic() - began_s
    stack.signal(BROKER, signal.SIGCONT)
    resumed_s = _time_until_started(person, job_id, since_s=time.monotonic())
    person.follow(job_id)

    print(f"\nbroker hung: answered in {answered_s:.2f} s, resumed {resumed_s:.1f} s after it went on")  # noqa: T201 - a figure that we report
    assert answered_s < ANSWERED_S
    assert stack.harbour.writes(since=before) == APP_WRITES


def test_a_broker_that_dies_under_running_steps_comes_back_and_the_job_ends(stack: Stack, new_name: NewName) -> None:
    person = stack.person(new_name("ada"))
    project, before = person.make_project(new_name("shop")), stack.harbour.last_call()
    stack.harbour.fault("gitlab", kind="delay", method="POST", path="/fork$", times=2, delay_s=1.0)
    job_id = person.make_app(project, new_name("app"))
    wait_for("both forks are being made", lambda: stack.harbour.is_struck() or None)

    stack.kill(BROKER)
    killed_s = time.monotonic()
    person.follow(job_id)

    print(f"\nbroker killed: job over {time.monotonic() - killed_s:.1f} s later")  # noqa: T201 - a figure that we report
    assert stack.harbour.writes(since=before) == APP_WRITES


def _time_until_started(person: Person, job_id: str, *, since_s: float) -> float:
    wait_for("the job is running", lambda: person.job(job_id)["state"] != "queued" or None)
    return time.monotonic() - since_s

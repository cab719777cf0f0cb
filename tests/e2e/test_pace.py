"""Lanes run side by side: a job takes as long as the calls of its longer lane, and hardly more."""

from __future__ import annotations

from datetime import datetime

from support.stack import Stack

DELAY_S = 0.3
RATIO = 1.15


def test_an_app_takes_as_long_as_the_calls_of_its_longer_lane(quick_stack: Stack) -> None:
    person = quick_stack.person("ada")
    project, before = person.make_project("shop"), quick_stack.harbour.last_call()
    for upstream in ("gitlab", "jenkins", "argocd"):
        quick_stack.harbour.fault(upstream, kind="delay", path="^/(api|job)/", delay_s=DELAY_S)

    job = person.follow(person.make_app(project, "app"))

    calls = [call["upstream"] for call in quick_stack.harbour.calls(since=before) if call["kind"] == "api"]
    helm_forks_calls = 3  # looked up, forked, seen to be there
    source = calls.count("gitlab") - helm_forks_calls + calls.count("jenkins")
    helm = calls.count("argocd") + helm_forks_calls
    assert {step["attempts"][0]["polls"] for lane in job["lanes"] for step in lane["steps"]} == {0}
    ideal_s, took_s = max(source, helm) * DELAY_S, _took_s(job["created_at"], job["finished_at"])
    print(f"\n{source} and {helm} calls: {took_s:.2f} s, {took_s / ideal_s:.3f} of {ideal_s:.1f} s")  # noqa: T201 - a figure that we report
    assert took_s <= RATIO * ideal_s


def _took_s(began: str, ended: str) -> float:
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()

"""What operators are told by a whole stack: one trace of a request and all it led to, its ids on lines, numbers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from support.captured_telemetry import Samples, samples_of
from support.collector import Collector, Span
from support.stack import Stack, wait_for

from common.workflows import SIGNUP, task_name

NewName = Callable[[str], str]
SIGN_UP = "POST /api/v1/signup"
TASKS = Counter(task_name("signup", step.name) for step in SIGNUP.steps)
TOLD_OF_A_CALL = {"http.request.method", "server.address", "http.response.status_code"}


class Tree:
    """The spans of the trace that a job's request began, once all of them are there."""

    def __init__(self, collector: Collector, job_id: str) -> None:
        self._collector = collector
        self._job_id = job_id
        self.spans: list[Span] = wait_for("the whole trace has come", self._whole)

    def _whole(self) -> list[Span] | None:
        spans = self._collector.spans()
        traces = {span.trace_id for span in spans if span.attributes.get("slipway.job_id") == self._job_id}
        found = [span for span in spans if span.trace_id in traces]
        is_whole = Counter(span.name for span in found if span.kind == "CONSUMER") == TASKS and self._roots(found)
        return found if is_whole else None

    @staticmethod
    def _roots(spans: list[Span]) -> list[Span]:
        return [span for span in spans if not span.parent_id]

    @property
    def roots(self) -> list[Span]:
        return self._roots(self.spans)

    def of(self, parent: Span) -> Iterator[Span]:
        return (span for span in self.spans if span.parent_id == parent.span_id)


@pytest.fixture
def signed_up(stack: Stack, new_name: NewName) -> str:
    """The id of the job of a sign-up that is over."""
    person = stack.anyone()
    job_id = person.sign_up(new_name("ada"))
    person.follow(job_id)
    return job_id


def test_a_sign_up_is_one_tree_of_its_request_the_attempts_of_its_steps_and_their_calls(
    collector: Collector, signed_up: str
) -> None:
    tree = Tree(collector, signed_up)

    (request,) = tree.roots
    attempts = list(tree.of(request))
    calls = [call for attempt in attempts for call in tree.of(attempt)]
    assert (request.service, request.name, request.kind) == ("slipway-api", SIGN_UP, "SERVER")
    assert Counter(attempt.name for attempt in attempts) == TASKS
    assert {attempt.attributes["slipway.outcome"] for attempt in attempts} == {"succeeded"}
    assert {call.name.partition(" ")[2] for call in calls} == {"GitLab", "Jenkins", "Elasticsearch"}
    assert all(set(call.attributes) == TOLD_OF_A_CALL for call in calls)
    assert 1 + len(attempts) + len(calls) == len(tree.spans)
    print(f"\n{len(tree.spans)} spans of a sign-up: {len(attempts)} attempts, {len(calls)} calls")  # noqa: T201 - a figure that we report


def test_a_request_that_comes_with_a_trace_goes_on_with_it(stack: Stack, collector: Collector) -> None:
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

    requests.get(
        f"{stack.embedded.api_url}/api/v1/me", headers={"traceparent": f"00-{trace_id}-{span_id}-01"}, timeout=10
    )

    def ours() -> Span | None:
        return next((span for span in collector.spans() if span.trace_id == trace_id), None)

    assert wait_for("its span has come", ours).parent_id == span_id


def test_every_line_about_a_job_leads_to_the_request_that_began_it(stack: Stack, signed_up: str) -> None:
    def told(program: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in stack.log_of(program) if line.startswith("{")]

    lines = wait_for("the ends are logged", lambda: _ends(told("worker1"), signed_up))
    (request_id,) = {line["request_id"] for line in lines}

    (request,) = (line for line in told("api") if line.get("request_id") == request_id)
    assert (request["path"], request["status"]) == ("/api/v1/signup", 202)
    assert {line["trace_id"] for line in lines} == {request["trace_id"]}
    assert Counter(task_name(line["kind"], line["step"]) for line in lines) == TASKS
    assert all(line["attempt"] == 1 and line["ms"] > 0 and line["worker"] for line in lines)


def _ends(lines: list[dict[str, Any]], job_id: str) -> list[dict[str, Any]] | None:
    ends = [line for line in lines if line.get("job_id") == job_id and line["event"] == "step_ended"]
    return ends if len(ends) == TASKS.total() else None


def test_api_and_worker_tell_their_numbers_to_whoever_has_the_token(stack: Stack, signed_up: str) -> None:
    worker = f"http://127.0.0.1:{stack.environment['WORKER_METRICS_PORT']}/metrics"

    api_told, worker_told = _samples(stack, f"{stack.embedded.api_url}/metrics"), _samples(stack, worker)

    assert signed_up
    assert api_told["slipway_http_request_duration_seconds_count", "POST", "/api/v1/signup", "202"] >= 1
    assert (api_told["slipway_database_up",], api_told["slipway_broker_up",]) == (1, 1)
    assert worker_told["slipway_jobs_finished_total", "signup", "succeeded"] >= 1
    assert worker_told["slipway_tick_duration_seconds_count", "done", "clock"] >= 1
    assert worker_told["process_open_fds",] > 0
    assert requests.get(worker, timeout=10).status_code == 401
    assert requests.get(worker.removesuffix("/metrics"), headers=_token(stack), timeout=10).status_code == 404


def _samples(stack: Stack, url: str) -> Samples:
    answer = requests.get(url, headers=_token(stack), timeout=10)
    assert answer.status_code == 200
    return samples_of(text_string_to_metric_families(answer.text))


def _token(stack: Stack) -> dict[str, str]:
    return {"Authorization": f"Bearer {stack.environment['METRICS_TOKEN']}"}

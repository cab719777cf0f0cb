"""A deployment brings what was asked for, once; and it is over when that is healthy, not before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.deploys import Stage, paced, syncs_take
from support.world import World

from common.database.models import Job, Step
from common.states import JobState, StepState
from harbour.faults import Fault
from worker.runner import REMEDIES

pytestmark = pytest.mark.one_database

MINUTE_S, HOUR_S = 60.0, 3600.0


@pytest.fixture
def stage(world: World, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[Stage]:
    with paced(world.harbour.argocd):
        yield Stage(world, new_name("web"), tmp_path / "chart")


def _end(stage: Stage, job: Job) -> Step:
    """Drive the job to its end and return the step that it ended with."""
    stage.world.drive(job)
    steps = [step for step in stage.world.step_rows(job) if step.finished_at is not None]
    return steps[-1]


# -- what is brought ----------------------------------------------------------------------------------------------


def test_the_image_tag_is_deployed_and_kept(stage: Stage) -> None:
    output = stage.deploy(image_tag="7")

    assert output["images"] == stage.images() == [f"registry.example.com/apps/{stage.app}:7"]
    assert len(output["revision"]) == 40
    assert stage.kept_tag() == "7"
    assert stage.deploy()["images"] == output["images"]
    stage.world.drive(stage.world.accept_for(stage.made, "reconcile"))
    assert stage.deploy()["images"] == output["images"]


def test_without_a_tag_the_chart_decides(stage: Stage) -> None:
    assert stage.deploy()["images"] == [f"registry.example.com/apps/{stage.app}:latest"]
    assert stage.kept_tag() is None


def test_a_revision_is_deployed_though_the_application_follows_another(stage: Stage) -> None:
    first = stage.deploy()["revision"]
    second = stage.commit("values.yaml", stage.values().replace("latest", "second"))
    stage.push_image("second")
    assert stage.deploy()["revision"] == second
    assert stage.images()[0].endswith(":second")

    output = stage.deploy(revision=first)

    assert output["revision"] == first
    assert stage.images()[0].endswith(":latest")
    assert stage.read()["status"]["sync"]["status"] == "OutOfSync"


def test_a_rollback_brings_the_previous_images_back(stage: Stage) -> None:
    good = stage.deploy(image_tag="1")
    stage.commit("values.yaml", stage.values().replace("replicas: 1", "replicas: 2"))
    stage.deploy(image_tag="2")

    output = stage.deploy(image_tag="1", revision=good["revision"])

    assert (output["images"], output["revision"]) == (good["images"], good["revision"])
    assert stage.images() == good["images"]
    assert stage.kept_tag() == "1"


def test_a_revision_that_git_does_not_know_fails_the_job(stage: Stage) -> None:
    stage.deploy()
    job = stage.accept(revision="no-such-branch")

    step = _end(stage, job)

    assert (step.name, step.state, step.attempts) == ("sync_application", StepState.FAILED, 1)
    assert step.reason is not None
    assert "no-such-branch" in step.reason


def test_the_first_deployment_of_another_revision_is_for_its_user_to_put_off(stage: Stage) -> None:
    first = stage.commit("values.yaml", stage.values())
    stage.commit("values.yaml", stage.values().replace("replicas: 1", "replicas: 2"))

    step = _end(stage, stage.accept(revision=first))

    assert (step.name, step.code) == ("sync_application", "rejected")
    assert "Deploy once without a revision" in (step.reason or "")
    stage.deploy()
    assert stage.deploy(revision=first)["revision"] == first


# -- when it is over ----------------------------------------------------------------------------------------------


def test_health_from_before_the_sync_does_not_count(stage: Stage) -> None:
    stage.deploy(image_tag="1")
    syncs_take(stage.argocd, 10)
    stage.argocd.refresh_s = 5 * MINUTE_S
    stage.argocd.health_errors = ["crash loop"]
    job = stage.accept(image_tag="2")
    stage.world.drive(job, until="await_healthy")
    stage.world.time.advance(MINUTE_S)
    status = stage.read()["status"]
    assert (status["operationState"]["phase"], status["health"]["status"]) == ("Succeeded", "Healthy")

    stage.world.runner.run(job.id, "await_healthy")

    assert stage.world.step(job, "await_healthy").state is StepState.WAITING
    step = _end(stage, job)
    assert (step.state, step.code) == (StepState.FAILED, "wait_timed_out")
    assert step.reason is not None
    assert "Degraded. crash loop" in step.reason


def test_what_is_degraded_and_recovers_is_a_success(stage: Stage) -> None:
    stage.argocd.health_errors, stage.argocd.recovery_s = ["pods are restarting"], 10 * MINUTE_S
    job = stage.accept(image_tag="1")
    stage.world.drive(job, until="await_healthy")
    stage.world.time.advance(MINUTE_S)
    stage.world.runner.run(job.id, "await_healthy")
    assert "pods are restarting" in (stage.world.step(job, "await_healthy").reason or "")

    assert stage.world.drive(job).state is JobState.SUCCEEDED


def test_a_sync_that_fails_is_a_failed_job_with_argo_cds_own_words(stage: Stage) -> None:
    stage.argocd.sync_errors = ["admission webhook denied the request"]

    step = _end(stage, stage.accept(image_tag="1"))

    assert (step.name, step.state, step.code) == ("await_healthy", StepState.FAILED, "rejected")
    assert step.reason is not None
    assert "Argo CD could not sync: one or more objects failed to apply" in step.reason
    assert "Deployment" in step.reason
    assert "admission webhook denied the request" in step.reason


def test_a_chart_that_does_not_render_is_a_failed_job_that_says_so(stage: Stage) -> None:
    stage.commit("Chart.yaml", None)

    step = _end(stage, stage.accept())

    assert (step.name, step.state, step.attempts) == ("sync_application", StepState.FAILED, 1)
    assert "Chart.yaml" in (step.reason or "")
    assert step.remedy == [REMEDIES["user"]]


def test_a_chart_that_no_longer_renders_is_the_users(stage: Stage) -> None:
    stage.deploy(image_tag="1")
    stage.commit("Chart.yaml", None)

    step = _end(stage, stage.accept())

    assert (step.name, step.state) == ("await_healthy", StepState.FAILED)
    assert "Chart.yaml" in (step.reason or "")
    assert step.remedy == [REMEDIES["user"]]


def test_what_the_project_does_not_permit_is_the_operators(stage: Stage) -> None:
    stage.argocd.sync_errors = ["resource :Namespace is not permitted in project dev"]

    step = _end(stage, stage.accept(image_tag="1"))

    assert (step.name, step.state, step.code) == ("await_healthy", StepState.FAILED, "rejected")
    assert step.remedy == [REMEDIES["operator"]]


def test_somebody_elses_object_stops_the_first_deployment_and_outlives_the_app(stage: Stage) -> None:
    name = stage.app
    namespace = stage.read()["spec"]["destination"]["namespace"]
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/instance": name}},
        "spec": {"selector": {"app": "the-real-one"}},
    }
    stage.argocd.put_live("dev-cluster", theirs, is_foreign=True)

    step = _end(stage, stage.accept(image_tag="1"))

    assert (step.name, step.code, _starts(stage)) == ("sync_application", "conflict", 0)
    assert f"Service {name} in the namespace {namespace}" in (step.reason or "")
    assert stage.world.drive(stage.world.accept_for(stage.made, "deprovision")).state is JobState.SUCCEEDED
    assert theirs["spec"] in [row["manifest"]["spec"] for row in stage.argocd.live_objects]
    stage.argocd.live_objects = []


def test_a_chart_that_renders_nothing_is_no_deployment(stage: Stage) -> None:
    for template in ("deployment.yaml", "service.yaml"):
        stage.commit(f"templates/{template}", "")

    step = _end(stage, stage.accept(image_tag="1"))

    assert (step.name, step.code) == ("await_healthy", "rejected")
    assert "Nothing was deployed" in (step.reason or "")
    assert step.remedy == [REMEDIES["user"]]


def test_a_kubernetes_api_that_restarts_ends_no_deployment(stage: Stage) -> None:
    job = stage.accept(image_tag="1")
    for name in ("sync_application", "await_healthy"):
        stage.world.drive(job, until=name)
        stage.argocd.is_kubernetes_away = True
        stage.world.time.advance(MINUTE_S)
        stage.world.runner.run(job.id, name)
        stage.argocd.is_kubernetes_away = False
        assert stage.world.step(job, name).state is StepState.RETRYING
        stage.world.check_refusals()

    assert stage.world.drive(job).state is JobState.SUCCEEDED


# -- a sync that Argo CD ends with an error -----------------------------------------------------------------------

AWAY = 'ComparisonError: Failed to load live state: failed to get cluster info for "c": dial tcp: connection refused'


def _starts(stage: Stage) -> int:
    """Return how many syncs of the app were asked for: the stand-in forgets those that deployed nothing."""
    return sum(f"/{stage.app}/sync" in call.path for call in stage.argocd.writes())


def _end_with_error(stage: Stage) -> None:
    """Let the last operation end as one does whose cluster is away."""
    run = stage.argocd.applications[stage.app].runs[-1]
    run.phase, run.message = "Error", AWAY


def test_a_sync_whose_cluster_was_away_is_started_again(stage: Stage) -> None:
    job = stage.accept(image_tag="1")
    stage.world.drive(job, until="await_healthy")
    _end_with_error(stage)
    stage.world.time.advance(MINUTE_S)

    stage.world.runner.run(job.id, "await_healthy")

    step = stage.world.step(job, "await_healthy")
    assert (step.state, _starts(stage)) == (StepState.WAITING, 2)
    assert "cannot use the cluster" in (step.reason or "")
    assert stage.world.drive(job).state is JobState.SUCCEEDED
    assert (_starts(stage), stage.syncs(job)) == (2, 1)


def test_a_cluster_that_stays_away_is_the_operators_in_the_end(stage: Stage) -> None:
    job = stage.accept(image_tag="1")
    stage.world.drive(job, until="await_healthy")
    while (step := stage.world.step(job, "await_healthy")).state is not StepState.FAILED:
        _end_with_error(stage)
        stage.world.time.advance(5 * MINUTE_S)
        stage.world.runner.run(job.id, "await_healthy")

    assert step.code == "rejected"
    assert step.remedy == [REMEDIES["operator"]]
    assert "connection refused" in (step.reason or "")
    assert 5 <= _starts(stage) <= 7


# -- beside other people ------------------------------------------------------------------------------------------


def test_another_sync_is_waited_for(stage: Stage) -> None:
    syncs_take(stage.argocd, HOUR_S)
    stage.sync_by_hand()
    syncs_take(stage.argocd, 1)
    job = stage.accept(image_tag="1")
    stage.world.runner.run(job.id, "sync_application")
    assert stage.world.step(job, "sync_application").state is StepState.WAITING
    stage.world.time.advance(HOUR_S)

    assert stage.world.drive(job).state is JobState.SUCCEEDED

    assert stage.world.step(job, "sync_application").attempts == 1
    assert stage.syncs(job) == 1
    assert stage.images()[0].endswith(":1")


def test_a_closed_sync_window_is_waited_for(stage: Stage) -> None:
    stage.argocd.is_window_closed = True
    job = stage.accept(image_tag="1")
    for _ in range(60):
        stage.world.runner.run(job.id, "sync_application")
        stage.world.time.advance(MINUTE_S)
    step = stage.world.step(job, "sync_application")
    assert (step.state, step.attempts) == (StepState.WAITING, 1)
    assert "sync window" in (step.reason or "")
    stage.argocd.is_window_closed = False

    assert stage.world.drive(job).state is JobState.SUCCEEDED

    assert stage.syncs(job) == 1


@pytest.mark.parametrize(
    ("theirs", "state"), [(None, JobState.SUCCEEDED), ("theirs", JobState.FAILED)], ids=["the same", "another"]
)
def test_a_later_sync_of_somebody_else_counts_when_it_brings_our_tag(
    stage: Stage, theirs: str | None, state: JobState
) -> None:
    job = stage.accept(image_tag="ours")
    stage.world.drive(job, until="await_healthy")
    stage.world.time.advance(MINUTE_S)
    if theirs is not None:
        stage.set_tag_by_hand(theirs)
    stage.sync_by_hand()
    stage.world.time.advance(1)

    assert stage.world.drive(job).state is state

    if state is JobState.FAILED:
        step = stage.world.step(job, "await_healthy")
        assert step.code == "rejected"
        assert f"The application runs registry.example.com/apps/{stage.app}:theirs." in (step.reason or "")


# -- once ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/sync", "/spec"])
@pytest.mark.parametrize("kind", ["lost", "reset", "status", "status_after", "truncate"])
def test_a_lost_answer_leaves_one_sync(stage: Stage, kind: str, path: str) -> None:
    method = {"/sync": "POST", "/spec": "PUT"}[path]
    fault = stage.argocd.inject(Fault(kind=kind, method=method, path=path, status=502, times=1))
    job = stage.accept(image_tag="1")

    assert stage.world.drive(job).state is JobState.SUCCEEDED

    assert fault.times == 0
    assert stage.syncs(job) == 1
    assert stage.images()[0].endswith(":1")


def test_argo_cd_may_be_away_for_a_quarter_of_an_hour(stage: Stage) -> None:
    job = stage.accept(image_tag="1")
    stage.argocd.inject(Fault(kind="reset"))
    until = stage.world.time().timestamp() + 15 * MINUTE_S
    while stage.world.time().timestamp() < until:
        stage.world.runner.run(job.id, "sync_application")
        stage.world.time.advance(5)
    stage.argocd.clear_faults()

    assert stage.world.drive(job).state is JobState.SUCCEEDED

    assert stage.syncs(job) == 1

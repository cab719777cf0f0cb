"""The Argo CD client syncs once, ignores stale health, stops only its own sync, and removes only what is ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pydantic import TypeAdapter
from support.argocd import VALUES, Chart, Clock, served_chart

from common.errors import ActionBy, Conflict, NotYet, Permanent, Refused, StepError, Transient
from harbour.argocd.app import ArgoCD as StandIn
from harbour.config import HarbourConfig
from harbour.faults import Fault
from worker.upstreams.argocd.client import LIMITS, ArgoCD, argocd_headers
from worker.upstreams.argocd.manifest import with_parameters
from worker.upstreams.argocd.schemas import Info, Object, Operation
from worker.upstreams.argocd.sync_status import SyncStatus, read_status
from worker.upstreams.http import Http

MARKER = "app-1"
JOB = "job-1"


def nothing() -> None:
    """Declare no intent."""


def never() -> None:
    raise AssertionError("nothing was to be begun")


def down() -> None:
    raise Transient("the ledger is down")


@dataclass
class Shop:
    """One application of ours, the client, and the stand-in behind it with its clock."""

    argocd: ArgoCD
    service: StandIn
    clock: Clock
    chart: Chart

    def create(self, *, marker: str = MARKER) -> None:
        self.argocd.applications.ensure(
            "shop",
            project="dev",
            repository_url=self.chart.url,
            path=".",
            revision="main",
            release_name="shop",
            helm_parameters={"image.repository": "r/shop", "image.tag": "1"},
            cluster="dev-cluster",
            namespace="dev-shop",
            marker=marker,
            on_create=nothing,
        )
        self.clock.at += 60

    def set(self, revision: str | None = None, *, marker: str = MARKER, **parameters: str) -> bool:
        dotted = {key.replace("_", "."): value for key, value in parameters.items()}
        return self.argocd.applications.set_helm_parameters(
            "shop", project="dev", marker=marker, parameters=dotted, revision=revision
        )

    def start(
        self,
        job: str = JOB,
        *,
        marker: str = MARKER,
        revision: str | None = None,
        on_create: Callable[[], None] = nothing,
    ) -> None:
        self.argocd.syncs.start(
            "shop", project="dev", marker=marker, operation_id=job, revision=revision, on_create=on_create
        )

    def deploy(self, job: str) -> None:
        self.start(job)
        self.clock.at += 60

    def get(self, after_s: float = 0.0, *, job: str = JOB) -> SyncStatus:
        self.clock.at += after_s
        return self.argocd.syncs.get("shop", project="dev", operation_id=job)

    def remove(self, *, marker: str = MARKER) -> bool:
        return self.argocd.applications.remove("shop", project="dev", marker=marker)

    def writes(self, since: int = 0) -> list[str]:
        """Return the writes after the first `since`, each as its method and the end of its path."""
        calls = self.service.writes()[since:]
        return [f"{call.method} {call.path.partition('?')[0].rpartition('/')[2]}" for call in calls]

    def spec(self) -> Any:
        return self.service.applications["shop"].spec

    def fault(self, method: str, path: str, status: int, *, code: int = 0, message: str = "") -> None:
        body = json.dumps({"error": message, "code": code, "message": message})
        self.service.inject(Fault(kind="status", method=method, path=path, status=status, body=body, times=1))

    def lose(self, method: str, path: str, kind: str = "lost") -> None:
        self.service.inject(Fault(kind=kind, method=method, path=path, times=1))


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chart]:
    """Serve a chart with the branches `main` and `next`; nobody writes to it later."""
    with served_chart(tmp_path_factory.mktemp("git")) as chart:
        chart.commit(VALUES.format(tag="2.0").replace("replicas: 1", "replicas: 2"), branch="next")
        yield chart


@pytest.fixture
def empty(config: HarbourConfig, chart: Chart) -> Iterator[Shop]:
    """Return it without an application: each moment of an operation ten seconds after the last, by its own clock."""
    clock = Clock()
    service = StandIn(replace(config, sync_s=10), now=clock)
    service.pickup_s = service.refresh_s = service.terminate_s = 10
    service.start()
    http = Http("Argo CD", service.url, headers=argocd_headers(config.argocd_token), limits=LIMITS)
    yield Shop(ArgoCD(http), service, clock, chart)
    service.stop()


@pytest.fixture
def shop(empty: Shop) -> Shop:
    empty.create()
    return empty


# -- parameters -------------------------------------------------------------------------------------------------------


def test_parameters_are_set_once_and_everything_else_stays(shop: Shop) -> None:
    before = json.loads(json.dumps(shop.spec()))

    answers = [shop.set(image_tag="2", replicas="3") for _ in range(2)]

    spec = shop.spec()
    rows = spec["source"]["helm"].pop("parameters")
    before["source"]["helm"].pop("parameters")
    assert answers == [True, False]
    assert {row["name"]: row["value"] for row in rows} == {
        "image.repository": "r/shop",
        "image.tag": "2",
        "replicas": "3",
    }
    assert all(row["forceString"] for row in rows)
    assert spec == before
    assert shop.writes() == ["POST applications", "PUT spec"]


def test_a_revision_is_set_with_them(shop: Shop) -> None:
    assert [shop.set("next", image_tag="1") for _ in range(2)] == [True, False]
    assert [shop.set(None, image_tag="1"), shop.spec()["source"]["targetRevision"]] == [False, "next"]


def test_a_lost_reply_to_a_change_converges(shop: Shop) -> None:
    shop.lose("PUT", "/spec")

    with pytest.raises(Transient, match="unknown"):
        shop.set(image_tag="2")

    assert shop.set(image_tag="2") is False
    assert shop.writes() == ["POST applications", "PUT spec"]


def test_a_change_that_was_not_kept_is_not_believed(shop: Shop) -> None:
    kept = json.dumps({"project": "dev"})
    shop.service.inject(Fault(kind="status", method="PUT", path="/spec", status=200, body=kept))

    with pytest.raises(Permanent, match="did not keep"):
        shop.set(image_tag="2")


def test_a_revision_that_cannot_be_rendered_is_refused_and_not_kept(shop: Shop) -> None:
    with pytest.raises(Permanent, match="unable to resolve"):
        shop.set("gone", image_tag="2")

    assert shop.spec()["source"]["targetRevision"] == "main"


ROWS = [{"name": "b", "value": "1", "forceString": True}, {"name": "a", "forceString": True}]


@pytest.mark.parametrize(
    ("source", "parameters", "rows"),
    [
        ({"helm": {"parameters": ROWS}}, {"a": "", "b": "1"}, [("b", "1"), ("a", "")]),
        ({"helm": {"parameters": ROWS}}, {"c": "x"}, [("b", "1"), ("a", None), ("c", "x")]),
        ({"helm": {"releaseName": "r"}}, {"c": "x"}, [("c", "x")]),
        ({}, {}, []),
    ],
)
def test_the_order_of_parameters_stays(
    source: dict[str, Any], parameters: Mapping[str, str], rows: list[tuple[str, str | None]]
) -> None:
    helm = with_parameters({"source": source}, parameters, None)["source"]["helm"]

    assert [(row["name"], row.get("value")) for row in helm["parameters"]] == rows
    assert helm.get("releaseName") == source.get("helm", {}).get("releaseName")


# -- whose application it is ------------------------------------------------------------------------------------------

EACH = pytest.mark.parametrize(
    "act",
    [
        lambda shop, marker: shop.set(marker=marker, image_tag="2"),
        lambda shop, marker: shop.start(marker=marker, on_create=never),
        lambda shop, marker: shop.remove(marker=marker),
    ],
    ids=["set", "start", "remove"],
)


@EACH
@pytest.mark.parametrize("marker", ["app-10", "app", ""])
def test_another_apps_application_is_a_conflict_and_unchanged(
    shop: Shop, act: Callable[[Shop, str], Any], marker: str
) -> None:
    before = shop.service.snapshot()

    with pytest.raises(Conflict):
        act(shop, marker)

    assert shop.service.snapshot() == before
    assert len(shop.writes()) == 1


@pytest.mark.parametrize("act", [lambda shop: shop.set(image_tag="2"), lambda shop: shop.start(on_create=never)])
def test_an_application_that_is_absent_is_somebodys_to_make(empty: Shop, act: Callable[[Shop], Any]) -> None:
    with pytest.raises(Permanent, match="does not exist"):
        act(empty)

    assert empty.writes() == []


def test_nothing_is_set_or_started_on_what_is_being_deleted(shop: Shop) -> None:
    shop.service.deletion_error = "stuck"
    with pytest.raises(NotYet):
        shop.remove()

    with pytest.raises(NotYet, match="being deleted"):
        shop.set(image_tag="2")
    with pytest.raises(Permanent, match="being deleted"):
        shop.start(on_create=never)

    assert shop.writes() == ["POST applications", "DELETE shop"]


# -- starting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after_s", [0, 15, 25, 600])
def test_a_sync_starts_once_whenever_it_is_asked_for_again(shop: Shop, after_s: float) -> None:
    seen: list[int] = []

    shop.start(on_create=lambda: seen.append(len(shop.writes())))
    shop.clock.at += after_s
    shop.start(on_create=never)

    assert shop.writes() == ["POST applications", "POST sync"]
    assert seen == [1]


@pytest.mark.parametrize("kind", ["lost", "truncate"])
def test_a_lost_reply_to_a_start_converges(shop: Shop, kind: str) -> None:
    shop.lose("POST", "/sync", kind)

    with pytest.raises(Transient, match="unknown"):
        shop.start()
    shop.start(on_create=never)

    assert shop.writes() == ["POST applications", "POST sync"]
    assert shop.get(60).phase == "succeeded"


def test_a_start_that_never_arrived_is_made_again(shop: Shop) -> None:
    shop.lose("POST", "/sync", "reset")

    with pytest.raises(Transient):
        shop.start()
    shop.start()

    assert shop.get().phase == "running"


def test_nothing_starts_when_the_intent_cannot_be_written(shop: Shop) -> None:
    with pytest.raises(Transient, match="ledger"):
        shop.start(on_create=down)

    assert shop.writes() == ["POST applications"]


def test_another_sync_is_waited_for(shop: Shop) -> None:
    shop.start("job-0")

    with pytest.raises(NotYet, match="another sync is running") as raised:
        shop.start(on_create=never)
    shop.clock.at += 60
    shop.start()

    assert raised.value.retry_after_s == 5
    assert shop.get().phase == "running"


def test_somebody_faster_is_waited_for(shop: Shop) -> None:
    with pytest.raises(NotYet, match="busy") as raised:
        shop.start(on_create=lambda: shop.start("job-0"))

    assert raised.value.retry_after_s == 5


def test_a_closed_window_is_tried_again_in_a_minute(shop: Shop) -> None:
    shop.service.is_window_closed = True

    with pytest.raises(NotYet, match="sync window") as raised:
        shop.start()

    assert raised.value.retry_after_s == 60


@pytest.mark.parametrize(
    ("status", "code", "message", "error"),
    [
        (400, 9, "unable to resolve 'x' to a commit SHA", Permanent),
        (400, 9, "dial tcp: i/o timeout", Transient),
        (400, 9, "authentication required", Permanent),
        (400, 9, "application is deleting", NotYet),
        (403, 7, "permission denied: applications, sync, dev/shop, sub: slipway", Permanent),
        (500, 2, "boom", Transient),
        (503, 14, "connection refused", Transient),
        (409, 10, "modified", Transient),
        (415, 0, "", Permanent),
    ],
)
def test_each_refusal_of_a_start_ends_as_declared(
    shop: Shop, status: int, code: int, message: str, error: type[StepError]
) -> None:
    shop.fault("POST", "/sync", status, code=code, message=message)

    with pytest.raises(error) as raised:
        shop.start()

    assert raised.value.upstream == "Argo CD"


def test_another_revision_is_for_this_run_only(shop: Shop) -> None:
    shop.deploy("job-0")
    shop.start(revision="next")

    status = shop.get(60)

    assert (status.phase, status.sync_status) == ("succeeded", "OutOfSync")
    assert shop.spec()["source"]["targetRevision"] == "main"


@pytest.mark.parametrize("earlier", [None, "cannot be applied"])
def test_the_first_deployment_is_of_what_was_compared_with_the_cluster(shop: Shop, earlier: str | None) -> None:
    if earlier is not None:
        shop.service.sync_errors = [earlier]
        shop.deploy("job-0")
    before = len(shop.writes())

    with pytest.raises(Permanent, match="the first deployment cannot be of next") as raised:
        shop.start(revision="next", on_create=never)

    assert (raised.value.action_by, shop.writes(before)) == (ActionBy.USER, [])


@pytest.mark.parametrize("named", ["branch", "commit"])
def test_the_first_deployment_may_name_what_was_compared(shop: Shop, named: str) -> None:
    shop.start(revision="main" if named == "branch" else shop.get().revision)

    assert shop.get(60).phase == "succeeded"


# -- what became of it ------------------------------------------------------------------------------------------------


def test_a_sync_is_followed_to_its_end(shop: Shop) -> None:
    shop.start()

    course = [shop.get(after_s) for after_s in (5, 10, 10, 10, 10)]

    assert [status.phase for status in course] == ["running", "running", "succeeded", "succeeded", "succeeded"]
    assert [status.is_reconciled for status in course] == [False, False, False, True, True]
    assert [status.health_status for status in course[3:]] == ["Progressing", "Healthy"]
    assert (course[4].sync_status, course[4].images) == ("Synced", ("r/shop:1",))
    assert len(course[4].revision) == 40


def test_the_health_of_before_is_not_the_health_of_the_new_one(shop: Shop) -> None:
    shop.deploy("job-0")
    shop.set(image_tag="2")
    shop.service.health_errors = ["crash loop"]
    shop.start()

    stale, settled = shop.get(25), shop.get(60)

    assert (stale.phase, stale.health_status, stale.images) == ("succeeded", "Healthy", ("r/shop:1",))
    assert not stale.is_reconciled
    assert settled.is_reconciled
    assert (settled.health_status, settled.health_message) == ("Degraded", "crash loop")
    assert settled.images == ("r/shop:2",)


def test_the_health_of_before_is_not_believed_within_the_same_second_either(shop: Shop) -> None:
    shop.deploy("job-0")
    shop.service.config = replace(shop.service.config, sync_s=0.2)
    shop.service.pickup_s, shop.service.refresh_s = 0.1, 0.1
    shop.set(image_tag="2")
    shop.start()

    stale, seen, settled = shop.get(0.35), shop.get(0.1), shop.get(0.2)

    assert (stale.phase, stale.health_status, stale.is_reconciled) == ("succeeded", "Healthy", False)
    assert (seen.health_status, seen.is_reconciled) == ("Progressing", True)
    assert (settled.health_status, settled.images) == ("Healthy", ("r/shop:2",))


def test_a_failed_sync_says_why(shop: Shop) -> None:
    shop.service.sync_errors = ["quota\nexceeded"]
    shop.start()

    status = shop.get(60)

    assert (status.phase, status.is_reconciled) == ("failed", True)
    assert status.message == "one or more objects failed to apply, reason: quota exceeded"
    assert status.resources_messages == ("Deployment shop: quota exceeded",)


def test_before_anything_there_is_no_sync(empty: Shop) -> None:
    gone = empty.get()
    empty.create()

    assert (gone.phase, gone.message) == ("absent", "the application shop does not exist on Argo CD")
    assert empty.get() == SyncStatus(
        phase="absent", sync_status="OutOfSync", health_status="Missing", revision=empty.get().revision
    )


def test_anothers_sync_takes_the_place_of_ours(shop: Shop) -> None:
    shop.deploy(JOB)
    shop.service.sync_errors = ["not our business"]
    shop.start("job-2")

    during, after = shop.get(15), shop.get(60)

    assert (during.phase, during.is_reconciled) == ("superseded", False)
    assert (after.phase, after.is_reconciled, after.resources_messages) == ("superseded", True, ())
    assert (shop.get(job="job-2").phase, shop.get(job="job").phase) == ("failed", "superseded")


def test_a_rollback_by_hand_takes_the_place_of_ours(shop: Shop) -> None:
    shop.deploy(JOB)
    http = Http("Argo CD", shop.service.url, headers=argocd_headers(shop.service.config.argocd_token))
    http.send("POST", "api", "v1", "applications", "shop", "rollback", json={"project": "dev", "id": 0})

    assert shop.get(60).phase == "superseded"


def shown(**status: Any) -> Object:
    """Return an application whose last operation is ours, ended at noon unless `status` says otherwise."""
    state = {
        "phase": "Succeeded",
        "finishedAt": "2026-01-01T12:00:00Z",
        "operation": {"info": [{"name": "slipway-job", "value": JOB}]},
    } | status.pop("state", {})
    app = {"metadata": {"name": "shop", "uid": "u"}, "spec": {}, "status": {"operationState": state} | status}
    return TypeAdapter(Object).validate_python(app)


@pytest.mark.parametrize(
    ("reconciled_at", "sync", "expected"),
    [
        (None, "Synced", False),
        ("2026-01-01T11:59:59Z", "Synced", False),
        ("2026-01-01T12:00:00Z", "Synced", True),
        ("2026-01-01T12:00:00Z", "OutOfSync", False),
        ("2026-01-01T12:00:01Z", "OutOfSync", True),
        ("2026-01-01T13:00:00+02:00", "Synced", False),
        ("2026-01-01T12:00:00.123456789Z", "OutOfSync", True),
    ],
)
def test_only_what_was_seen_after_the_end_counts(reconciled_at: str | None, sync: str, expected: bool) -> None:
    status = read_status(shown(reconciledAt=reconciled_at, sync={"status": sync}), JOB)

    assert status.is_reconciled is expected


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ({"phase": "Succeeded"}, "succeeded"),
        ({"phase": "Failed"}, "failed"),
        ({"phase": "Error"}, "errored"),
        ({"phase": "Running"}, "running"),
        ({"phase": "Terminating"}, "running"),
        ({"phase": "Succeeded", "finishedAt": None}, "running"),
        ({"operation": {}}, "superseded"),
        ({"operation": {"info": [{"name": "other", "value": JOB}]}}, "superseded"),
    ],
)
def test_a_phase_is_read_with_its_end_and_its_owner(state: dict[str, Any], phase: str) -> None:
    assert read_status(shown(state=state), JOB).phase == phase


@pytest.mark.parametrize(("job", "phase"), [("job-2", "running"), (JOB, "superseded")])
def test_the_record_of_the_last_sync_says_nothing_of_the_one_just_asked_for(job: str, phase: str) -> None:
    ended = shown(state={"message": "well done"}, reconciledAt="2026-01-01T12:00:09Z", sync={"status": "Synced"})
    asked = Operation(info=[Info(name="slipway-job", value="job-2")])

    status = read_status(replace(ended, operation=asked), job)

    assert (status.phase, status.is_reconciled, status.message) == (phase, False, "")


def test_a_failure_within_the_second_is_seen_all_the_same() -> None:
    app = shown(state={"phase": "Failed"}, reconciledAt="2026-01-01T12:00:00Z", sync={"status": "OutOfSync"})

    assert read_status(app, JOB).is_reconciled


def test_conditions_are_one_line_each() -> None:
    conditions = [{"type": "ComparisonError", "message": "a\nb"}, {"type": "OrphanedResourceWarning"}]

    status = read_status(shown(conditions=conditions, summary={"images": None}), JOB)

    assert status.conditions == ("ComparisonError: a b", "OrphanedResourceWarning:")
    assert status.images == ()


@pytest.mark.parametrize("at", ["yesterday", "2026-01-01T12:00:00"])
def test_a_time_without_a_meaning_is_no_answer(shop: Shop, at: str) -> None:
    body = json.dumps({"metadata": {"name": "shop", "uid": "u"}, "spec": {}, "status": {"reconciledAt": at}})
    shop.service.inject(Fault(kind="status", method="GET", path="/shop", status=200, body=body))

    with pytest.raises(Transient, match="unknown shape"):
        shop.get()


# -- stopping ---------------------------------------------------------------------------------------------------------


def test_a_sync_is_stopped_and_another_can_start(shop: Shop) -> None:
    shop.start()

    for _ in range(2):
        shop.argocd.syncs.terminate("shop", project="dev")
    stopping, stopped = shop.get(5), shop.get(60)
    shop.start("job-2")

    assert (stopping.phase, stopped.phase, stopped.message) == ("running", "failed", "Operation terminated")
    assert shop.get(60, job="job-2").phase == "succeeded"


def test_nothing_to_stop_is_done(empty: Shop) -> None:
    empty.argocd.syncs.terminate("shop", project="dev")
    empty.create()
    empty.argocd.syncs.terminate("shop", project="dev")
    empty.deploy(JOB)

    empty.argocd.syncs.terminate("shop", project="dev")

    assert empty.get().phase == "succeeded"


def test_anothers_sync_is_not_stopped_in_the_place_of_ours(shop: Shop) -> None:
    shop.deploy(JOB)
    shop.start("job-2")

    shop.argocd.syncs.terminate("shop", project="dev", operation_id=JOB)

    assert "DELETE operation" not in shop.writes()
    assert shop.get(60, job="job-2").phase == "succeeded"


def test_ours_is_stopped_by_its_id(shop: Shop) -> None:
    shop.start()

    shop.argocd.syncs.terminate("shop", project="dev", operation_id=JOB)

    assert shop.get(60).phase == "failed"


def test_a_lost_reply_to_a_stop_converges(shop: Shop) -> None:
    shop.start()
    shop.lose("DELETE", "/operation")

    with pytest.raises(Transient):
        shop.argocd.syncs.terminate("shop", project="dev")
    shop.argocd.syncs.terminate("shop", project="dev")

    assert shop.get(60).phase == "failed"


@pytest.mark.parametrize(
    ("status", "code", "message", "error"),
    [
        (403, 7, "permission denied", Permanent),
        (404, 0, "404 page not found", Permanent),
        (400, 3, "something else", Permanent),
        (503, 14, "down", Transient),
    ],
)
def test_each_refusal_of_a_stop_ends_as_declared(
    shop: Shop, status: int, code: int, message: str, error: type[StepError]
) -> None:
    shop.fault("DELETE", "/operation", status, code=code, message=message)

    with pytest.raises(error):
        shop.argocd.syncs.terminate("shop", project="dev")


# -- removing an application ------------------------------------------------------------------------------------------


def test_an_application_is_removed_once_and_gone_later(shop: Shop) -> None:
    shop.deploy(JOB)
    before = len(shop.writes())

    for _ in range(2):
        with pytest.raises(NotYet, match="still being deleted"):
            shop.remove()
    shop.clock.at += shop.service.delete_s

    assert [shop.remove(), shop.remove()] == [True, True]
    assert shop.writes(before) == ["DELETE shop"]
    assert "cascade=true&propagationPolicy=foreground" in shop.service.writes()[-1].path


def test_what_is_gone_at_once_is_gone(shop: Shop) -> None:
    shop.service.delete_s = 0

    assert shop.remove() is True


@pytest.mark.parametrize("kind", ["lost", "truncate", "reset"])
def test_a_lost_reply_to_a_removal_converges(shop: Shop, kind: str) -> None:
    shop.lose("DELETE", "/shop", kind)

    with pytest.raises(Transient):
        shop.remove()
    with pytest.raises(NotYet):
        shop.remove()
    shop.clock.at += shop.service.delete_s

    assert shop.remove() is True


def test_a_stuck_removal_says_what_keeps_it(shop: Shop) -> None:
    shop.service.deletion_error = "dial tcp: cluster is gone"
    with pytest.raises(NotYet):
        shop.remove()

    with pytest.raises(NotYet, match="still being deleted: dial tcp: cluster is gone"):
        shop.remove()


@pytest.mark.parametrize(
    ("status", "body"), [(404, "404 page not found"), (403, '{"code":7,"message":"permission denied"}')]
)
def test_what_only_looks_absent_is_not_taken_for_gone(shop: Shop, status: int, body: str) -> None:
    shop.service.inject(Fault(kind="status", method="GET", path="/shop", status=status, body=body))

    with pytest.raises(Permanent):
        shop.remove()

    assert shop.writes() == ["POST applications"]


def test_a_removal_without_the_right_to_it_is_told(shop: Shop) -> None:
    message = "permission denied: applications, delete, dev/shop, sub: slipway"
    shop.fault("DELETE", "/shop", 403, code=7, message=message)

    with pytest.raises(Permanent, match="applications, delete"):
        shop.remove()


def test_somebody_faster_with_the_removal_is_enough(shop: Shop) -> None:
    shop.service.delete_s = 0
    shop.service.inject(Fault(kind="status_after", method="DELETE", path="/shop", status=404, times=1))

    assert shop.remove() is True


# -- removing a repository --------------------------------------------------------------------------------------------


def test_a_repository_is_removed_once(empty: Shop) -> None:
    url = empty.chart.url
    for project in (None, "dev"):
        empty.argocd.repositories.ensure(url, credentials=None, project=project, on_create=nothing)

    removed = [empty.argocd.repositories.remove(url, project="dev") for _ in range(2)]

    assert removed == [True, True]
    assert [call.method for call in empty.service.writes()] == ["POST", "POST", "DELETE"]
    assert list(empty.service.repositories) == [f" {url.removesuffix('.git')}"]


@pytest.mark.parametrize("registered", ["", "/"])
@pytest.mark.parametrize("asked", [str, str.upper, lambda url: url.removesuffix(".git"), lambda url: f"{url}/"])
def test_a_repository_is_removed_by_the_spelling_that_it_has(
    empty: Shop, registered: str, asked: Callable[[str], str]
) -> None:
    http = Http("Argo CD", empty.service.url, headers=argocd_headers(empty.service.config.argocd_token))
    body = {"repo": empty.chart.url + registered, "type": "git", "project": "dev"}
    http.send("POST", "api", "v1", "repositories", json=body)

    assert empty.argocd.repositories.remove(asked(empty.chart.url), project="dev") is True
    assert empty.service.repositories == {}


@pytest.fixture
def registered(empty: Shop) -> Shop:
    empty.argocd.repositories.ensure(empty.chart.url, credentials=None, on_create=nothing)
    return empty


@pytest.mark.parametrize("kind", ["lost", "truncate", "reset"])
def test_a_lost_reply_to_taking_a_repository_out_converges(registered: Shop, kind: str) -> None:
    registered.lose("DELETE", "repositories", kind)

    with pytest.raises(Transient):
        registered.argocd.repositories.remove(registered.chart.url)

    assert registered.argocd.repositories.remove(registered.chart.url) is True
    assert registered.service.repositories == {}


@pytest.mark.parametrize(
    ("status", "code", "message", "error"),
    [
        (403, 7, "permission denied", Refused),
        (404, 0, "404 page not found", Permanent),
        (503, 14, "down", Transient),
        (200, 0, "", NotYet),
    ],
)
def test_a_repository_that_is_still_listed_is_not_removed(
    registered: Shop, status: int, code: int, message: str, error: type[StepError]
) -> None:
    registered.fault("DELETE", "repositories", status, code=code, message=message)

    with pytest.raises(error):
        registered.argocd.repositories.remove(registered.chart.url)


def test_a_repository_that_somebody_else_took_out_is_removed(registered: Shop) -> None:
    body = json.dumps({"error": "permission denied", "code": 7, "message": "permission denied"})
    fault = Fault(kind="status_after", method="DELETE", path="repositories", status=403, body=body, times=1)
    registered.service.inject(fault)

    assert registered.argocd.repositories.remove(registered.chart.url) is True

"""Does a sync on the Argo CD stand-in take the course that it takes on Argo CD, traps included?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests
from support.argocd import VALUES, Chart, Clock, served_chart

from harbour.argocd.app import ArgoCD
from harbour.config import HarbourConfig

BUSY = (400, 9, "another operation is already in progress")
INFOS = [{"name": "job", "value": "7"}]


@dataclass
class Shop:
    """One application on a stand-in whose clock only the test moves."""

    service: ArgoCD
    clock: Clock
    chart: Chart

    def send(self, method: str, path: str = "", body: Any = None, **params: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.service.config.argocd_token}", "Content-Type": "application/json"}
        text = None if body is None else json.dumps(body)
        url = f"{self.service.url}/api/v1/applications{path}"
        return requests.request(method, url, params=params, data=text, headers=headers, timeout=20)

    def spec(self, *, parameters: dict[str, str] | None = None, **policy: Any) -> dict[str, Any]:
        source: dict[str, Any] = {"repoURL": self.chart.url, "path": ".", "targetRevision": "main"}
        if parameters:
            rows = [{"name": key, "value": value} for key, value in parameters.items()]
            source["helm"] = {"parameters": rows}
        destination = {"name": "dev-cluster", "namespace": "dev-shop"}
        return {
            "project": "dev",
            "source": source,
            "destination": destination,
            "syncPolicy": {"syncOptions": ["CreateNamespace=true"]} | policy,
        }

    def create(self, **spec: Any) -> None:
        assert self.send("POST", "", {"metadata": {"name": "shop"}, "spec": self.spec(**spec)}).status_code == 200

    def put(self, **spec: Any) -> None:
        assert self.send("PUT", "/shop/spec", self.spec(**spec), project="dev").status_code == 200

    def sync(self, **body: Any) -> requests.Response:
        return self.send("POST", "/shop/sync", {"project": "dev"} | body)

    def rollback(self, run_id: Any) -> requests.Response:
        return self.send("POST", "/shop/rollback", {"project": "dev", "id": run_id})

    def terminate(self) -> requests.Response:
        return self.send("DELETE", "/shop/operation", project="dev")

    def read(self, after_s: float = 0.0, **params: str) -> Any:
        self.clock.at += after_s
        return self.send("GET", "/shop", project="dev", **params).json()

    def seen(self, after_s: float = 0.0) -> tuple[str, str]:
        status = self.read(after_s)["status"]
        return status["sync"]["status"], status["health"].get("status", "")

    def deploy(self) -> str:
        """Sync, wait for the end of everything, and return the commit."""
        assert self.sync().status_code == 200
        return str(self.read(60)["status"]["operationState"]["syncResult"]["revision"])


def failure(reply: requests.Response) -> tuple[int, int, str]:
    body = reply.json()
    return reply.status_code, body["code"], body["message"]


@pytest.fixture
def chart(tmp_path: Path) -> Iterator[Chart]:
    with served_chart(tmp_path / "git") as chart:
        yield chart


@pytest.fixture
def shop(config: HarbourConfig, chart: Chart) -> Iterator[Shop]:
    """Return an application that nothing was deployed of, with ten seconds between the moments of a sync."""
    clock = Clock()
    service = ArgoCD(replace(config, sync_s=10), now=clock)
    service.pickup_s = service.refresh_s = service.terminate_s = 10
    service.start()
    shop = Shop(service, clock, chart)
    shop.create()
    clock.at += 60
    yield shop
    service.stop()


# -- the course of one sync -------------------------------------------------------------------------------------------


def test_a_sync_is_asked_for_begins_ends_is_looked_at_and_settles(shop: Shop) -> None:
    asked = shop.sync(infos=INFOS).json()
    moments = [shop.read(after_s)["status"] for after_s in (5, 10, 10, 10, 10)]

    phases = [status.get("operationState", {}).get("phase") for status in moments]
    seen = [(status["sync"]["status"], status["health"]["status"]) for status in moments]
    assert asked["operation"]["info"] == INFOS
    assert phases == [None, "Running", "Succeeded", "Succeeded", "Succeeded"]
    assert seen == [("OutOfSync", "Missing")] * 3 + [("Synced", "Progressing"), ("Synced", "Healthy")]


def test_an_operation_is_shown_from_the_request_to_its_end(shop: Shop) -> None:
    asked = shop.sync(infos=INFOS, prune=True, syncOptions={"items": ["Replace=true"]}).json()["operation"]
    shown = [shop.read(after_s) for after_s in (5, 10, 10)]

    assert [app.get("operation") for app in shown] == [asked, asked, None]
    assert shown[2]["status"]["operationState"]["operation"] == asked
    assert (asked["sync"]["prune"], asked["sync"]["syncOptions"]) == (True, ["Replace=true"])


def test_without_options_the_applications_own_are_used(shop: Shop) -> None:
    assert shop.sync().json()["operation"]["sync"]["syncOptions"] == ["CreateNamespace=true"]


def test_the_reply_holds_nothing_of_the_sync_before(shop: Shop) -> None:
    shop.deploy()

    status = shop.sync().json()["status"]

    assert "operationState" not in status
    assert status["health"]["status"] == "Healthy"


def test_after_the_end_the_old_health_is_shown_until_the_next_look(shop: Shop) -> None:
    shop.deploy()
    shop.service.health_errors = ["the new one crashes"]
    shop.sync()

    status = shop.read(25)["status"]

    assert status["operationState"]["phase"] == "Succeeded"
    assert status["health"]["status"] == "Healthy"
    assert status["reconciledAt"] < status["operationState"]["finishedAt"]
    assert [shop.seen(after_s)[1] for after_s in (10, 10)] == ["Progressing", "Degraded"]


def test_a_refresh_looks_at_once(shop: Shop) -> None:
    shop.sync()

    status = shop.read(25, refresh="normal")["status"]

    assert status["reconciledAt"] >= status["operationState"]["finishedAt"]
    assert status["health"]["status"] == "Progressing"


def test_what_is_deployed_is_listed_with_its_state(shop: Shop) -> None:
    shop.deploy()

    status = shop.read()["status"]

    assert {(each["kind"], each["status"], each["health"]["status"]) for each in status["resources"]} == {
        ("Deployment", "Synced", "Healthy"),
        ("Service", "Synced", "Healthy"),
    }
    results = status["operationState"]["syncResult"]["resources"]
    assert [(each["kind"], each["status"]) for each in results] == [
        ("Namespace", "Synced"),
        ("Service", "Synced"),
        ("Deployment", "Synced"),
    ]


# -- revisions and images, out of git ---------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["", "main", "next", "v2", "HEAD"])
def test_a_revision_is_what_git_says_now(shop: Shop, asked: str) -> None:
    heads = {"": "main", "HEAD": "main", "v2": "next"}
    commits = {branch: shop.chart.commit(VALUES.format(tag=branch), branch=branch) for branch in ("main", "next")}
    shop.chart.tag("v2")

    shop.sync(revision=asked)

    state = shop.read(60)["status"]["operationState"]
    assert state["syncResult"]["revision"] == commits[heads.get(asked, asked)]


@pytest.mark.parametrize("asked", ["gone", "--help", "refs/heads/"])
def test_a_revision_that_git_does_not_know_is_a_400(shop: Shop, asked: str) -> None:
    before = shop.service.snapshot()

    said = f"unable to resolve '{asked}' to a commit SHA"
    text = f"error resolving repo revision: rpc error: code = Unknown desc = {said}"
    assert failure(shop.sync(revision=asked)) == (400, 9, text)
    assert shop.service.snapshot() == before


def test_a_commit_is_taken_at_its_word_and_fails_later(shop: Shop) -> None:
    reply = shop.sync(revision="0" * 40)

    state = shop.read(60)["status"]["operationState"]
    assert reply.status_code == 200
    assert state["phase"] == "Error"
    assert "unable to resolve" in state["message"]


def test_a_git_that_is_down_is_a_400_too(shop: Shop) -> None:
    shop.service.git_timeout_s = 0.0

    assert failure(shop.sync())[:2] == (400, 9)


def test_a_new_commit_makes_no_difference_before_the_sync_that_takes_it(shop: Shop) -> None:
    old = shop.deploy()
    new = shop.chart.commit(VALUES.format(tag="2.0"))

    untouched, deployed = shop.read()["status"]["sync"], shop.deploy()

    assert untouched["revision"] == old
    assert deployed == new
    assert shop.seen() == ("Synced", "Healthy")


def test_another_revision_than_the_followed_one_is_out_of_sync_afterwards(shop: Shop) -> None:
    shop.chart.commit(VALUES.format(tag="9"), branch="next")

    shop.sync(revision="next")

    assert shop.seen(60) == ("OutOfSync", "Healthy")


@pytest.mark.parametrize(
    ("parameters", "image"),
    [
        ({}, "registry.example/shop:1.0"),
        ({"image.tag": "7"}, "registry.example/shop:7"),
        ({"image.repository": "r.example/other", "image.tag": "7"}, "r.example/other:7"),
    ],
)
def test_the_image_is_the_parameters_or_the_charts(shop: Shop, parameters: dict[str, str], image: str) -> None:
    shop.put(parameters=parameters)
    before = shop.read()["status"]["summary"]

    shop.deploy()

    assert before == {}
    assert shop.read()["status"]["summary"]["images"] == [image]


def test_a_changed_spec_is_not_deployed_by_itself(shop: Shop) -> None:
    shop.deploy()

    shop.put(parameters={"image.tag": "2"})

    assert shop.seen(600) == ("OutOfSync", "Healthy")
    assert shop.read()["status"]["summary"]["images"] == ["registry.example/shop:1.0"]


@pytest.mark.parametrize("values", ["", "image: {}\n", "replicas: 1\n", "image:\n  repository: r\nother:\n  tag: 1\n"])
def test_a_chart_without_an_image_shows_none(shop: Shop, values: str) -> None:
    shop.chart.commit(values)

    shop.deploy()

    assert shop.read()["status"]["summary"] == {}


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_only_one_operation_at_a_time(shop: Shop) -> None:
    shop.deploy()
    shop.sync()
    before = shop.service.snapshot()

    assert [failure(reply) for reply in (shop.sync(), shop.rollback(0))] == [BUSY, BUSY]
    assert shop.service.snapshot() == before


def test_a_sync_that_fails_says_why_and_leaves_what_was_there(shop: Shop) -> None:
    shop.deploy()
    shop.service.sync_errors = ["quota exceeded"]
    shop.put(parameters={"image.tag": "2"})

    shop.sync()

    status = shop.read(60)["status"]
    state = status["operationState"]
    *others, blamed = state["syncResult"]["resources"]
    assert (state["phase"], state["message"]) == (
        "Failed",
        "one or more objects failed to apply, reason: quota exceeded",
    )
    assert (blamed["status"], [each["status"] for each in others]) == ("SyncFailed", ["Synced"])
    assert (status["sync"]["status"], status["health"]["status"]) == ("OutOfSync", "Healthy")
    assert status["summary"]["images"] == ["registry.example/shop:1.0"]
    assert len(status["history"]) == 1


@pytest.mark.parametrize(("recovery_s", "then"), [(None, "Degraded"), (30, "Healthy")])
def test_what_is_degraded_may_recover(shop: Shop, recovery_s: float | None, then: str) -> None:
    shop.service.health_errors, shop.service.recovery_s = ["crash loop"], recovery_s
    shop.sync()

    status = shop.read(45)["status"]

    deployment = next(each["health"] for each in status["resources"] if each["kind"] == "Deployment")
    assert deployment == {"status": "Degraded", "message": "crash loop"}
    assert (status["health"]["status"], "message" in status["health"]) == ("Degraded", False)
    assert shop.seen(30)[1] == then


def test_a_closed_window_is_a_403(shop: Shop) -> None:
    shop.service.is_window_closed = True

    assert failure(shop.sync()) == (403, 7, "cannot sync: blocked by sync window")


def test_what_is_being_deleted_is_not_synced(shop: Shop) -> None:
    shop.deploy()
    shop.service.deletion_error = "cluster is gone"
    shop.send("DELETE", "/shop", project="dev")

    replies = [shop.sync(), shop.rollback(0)]

    assert [failure(reply) for reply in replies] == [(400, 9, "application is deleting")] * 2


def test_a_removal_that_is_stuck_says_why_until_it_is_not(shop: Shop) -> None:
    shop.service.deletion_error = "cluster is gone"
    shop.send("DELETE", "/shop", project="dev")

    stuck = shop.read(3600)
    shop.service.deletion_error = ""

    assert [(each["type"], each["message"]) for each in stuck["status"]["conditions"]] == [
        ("DeletionError", "cluster is gone")
    ]
    assert shop.read()["code"] == 5


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/none/sync"), ("POST", "/none/rollback"), ("DELETE", "/none/operation")]
)
def test_what_does_not_exist_is_hidden_without_a_project(shop: Shop, method: str, path: str) -> None:
    body = {} if method == "POST" else None

    assert failure(shop.send(method, path, body))[:2] == (403, 7)


# -- stopping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after_s", [0, 15])
def test_a_stopped_operation_ends_a_little_later(shop: Shop, after_s: float) -> None:
    shop.sync()
    shop.clock.at += after_s

    replies = [shop.terminate() for _ in range(2)]
    ending, ended = shop.read(5), shop.read(60)

    assert [(reply.status_code, reply.json()) for reply in replies] == [(200, {})] * 2
    assert ending["status"]["operationState"]["phase"] == "Terminating"
    assert "operation" in ending
    assert "operation" not in ended
    assert ended["status"]["operationState"]["phase"] == "Failed"
    assert "history" not in ended["status"]


def test_stopping_nothing_is_a_400(shop: Shop) -> None:
    shop.deploy()

    assert failure(shop.terminate()) == (400, 3, "Unable to terminate operation. No operation is in progress")


# -- the history ------------------------------------------------------------------------------------------------------


def test_ten_deployments_are_kept_and_their_numbers_go_on(shop: Shop) -> None:
    for _ in range(12):
        shop.deploy()

    history = shop.read()["status"]["history"]

    assert [each["id"] for each in history] == list(range(2, 12))
    assert history[0].keys() >= {"revision", "deployedAt", "source"}
    assert "infos" not in str(history)


def test_a_rollback_deploys_what_was_and_leaves_the_spec(shop: Shop) -> None:
    old = shop.deploy()
    shop.chart.commit(VALUES.format(tag="2.0"))
    shop.put(parameters={"image.tag": "2"})
    shop.deploy()
    spec = shop.read()["spec"]

    reply = shop.rollback(0)

    app = shop.read(60)
    assert reply.status_code == 200
    assert app["spec"] == spec
    assert app["status"]["operationState"]["syncResult"]["revision"] == old
    assert app["status"]["summary"]["images"] == ["registry.example/shop:1.0"]
    assert [each["id"] for each in app["status"]["history"]] == [0, 1, 2]
    assert shop.seen() == ("OutOfSync", "Healthy")


@pytest.mark.parametrize("run_id", [7, "x", -1])
def test_a_rollback_to_nothing_is_a_400(shop: Shop, run_id: Any) -> None:
    shop.deploy()

    text = f"application shop does not have deployment with id {run_id}"
    assert failure(shop.rollback(run_id)) == (400, 3, text)


def test_with_automated_sync_there_is_no_rollback_and_no_other_revision(shop: Shop) -> None:
    shop.deploy()
    shop.put(automated={})

    assert failure(shop.rollback(0)) == (400, 9, "rollback cannot be initiated when auto-sync is enabled")
    assert failure(shop.sync(revision="next")) == (400, 9, "Cannot sync to next: auto-sync currently set to main")
    assert shop.sync(revision="main").status_code == 200


def test_a_dry_run_deploys_nothing(shop: Shop) -> None:
    shop.sync(dryRun=True)

    status = shop.read(60)["status"]
    assert status["operationState"]["phase"] == "Succeeded"
    assert (status["sync"]["status"], status["health"]["status"]) == ("OutOfSync", "Missing")
    assert "history" not in status


# -- the stand-in itself ----------------------------------------------------------------------------------------------


def test_an_operation_goes_on_after_a_restart(shop: Shop) -> None:
    shop.deploy()
    shop.sync(infos=INFOS)

    again = ArgoCD(shop.service.config, now=shop.clock)
    again.load(json.loads(json.dumps(shop.service.dump())))

    assert again.snapshot() == shop.service.snapshot()
    assert again.shown(again.applications["shop"])["operation"]["info"] == INFOS


def test_time_alone_changes_nothing_that_is_kept(shop: Shop) -> None:
    shop.sync()
    before = shop.service.snapshot()

    shop.read(60)

    assert shop.service.snapshot() == before


def test_a_person_sees_what_runs(shop: Shop) -> None:
    shop.deploy()

    page = requests.get(f"{shop.service.url}/applications/shop", headers={"Accept": "text/html"}, timeout=5).text

    assert all(text in page for text in ("registry.example/shop:1.0", "Succeeded", "Healthy"))

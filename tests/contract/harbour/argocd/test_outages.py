"""While something is away the Argo CD stand-in answers what Argo CD does: a status that looks like another trouble."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from support.argocd_desk import Desk

from harbour.control import Control
from harbour.world import Harbour

DENIED = (403, 7, "permission denied")
REFUSED = "connect: connection refused"


@pytest.fixture
def control(harbour: Harbour) -> Iterator[str]:
    service = Control(harbour)
    yield service.start()
    service.stop()


def spec_of(desk: Desk) -> object:
    return desk.application()["spec"]


def test_without_the_kubernetes_api_every_look_is_refused_as_for_a_missing_right(desk: Desk) -> None:
    desk.create()
    desk.service.is_kubernetes_away = True

    refusals = [
        desk.refusal("GET", "applications/shop?project=dev"),
        desk.refusal("GET", "applications/nosuch?project=dev"),
        desk.refusal("POST", "applications/shop/sync", {"project": "dev"}),
        desk.refusal("PUT", "applications/shop/spec?project=dev", spec_of(desk)),
        desk.refusal("DELETE", "applications/shop?project=dev"),
    ]

    assert refusals == [DENIED] * 5
    assert desk.ask("GET", "account/can-i/applications/get/dev/shop") == (200, {"value": "yes"})
    assert [each["metadata"]["name"] for each in desk.ask("GET", "applications?name=shop")[1]["items"]] == ["shop"]


def test_without_the_kubernetes_api_what_is_new_is_a_500(desk: Desk) -> None:
    desk.service.is_kubernetes_away = True

    refusals = [
        desk.refusal("POST", "applications", desk.application("new")),
        desk.refusal("POST", "repositories", {"repo": desk.git.add("public/other", {}), "type": "git"}),
        desk.refusal("POST", "repocreds", {"url": "https://git.example/dev/"}),
        desk.refusal("GET", "projects/dev"),
    ]

    assert [(status, code) for status, code, _ in refusals] == [(500, 2)] * 4
    assert all(REFUSED in text for _, _, text in refusals)


@pytest.mark.parametrize(("state", "words"), [("down", REFUSED), ("hangs", "context deadline exceeded")])
def test_without_the_repo_server_nothing_is_read_from_git(desk: Desk, state: str, words: str) -> None:
    desk.create()
    desk.service.repo_server = state

    created = desk.refusal("POST", "applications", desk.application("new"))
    changed = desk.refusal("PUT", "applications/shop/spec?project=dev", spec_of(desk))
    synced = desk.refusal("POST", "applications/shop/sync", {"project": "dev"})
    registered = desk.register("other")
    forced = desk.ask("GET", "repositories?forceRefresh=true")[1]["items"]

    assert [created[:2], changed[:2], synced[:2]] == [(400, 3), (400, 3), (400, 9)]
    unavailable = 'rpc error: code = Unavailable desc = connection error: desc = "transport:'
    assert all(unavailable in each[2] for each in (created, changed, synced))
    assert all(words in each[2] for each in (created, changed, synced))
    assert (registered[0], registered[1]["code"]) == (503, 14)
    assert (forced[0]["connectionState"]["status"], words in str(forced)) == ("Failed", True)
    assert desk.read()["status"]["sync"]["status"] != ""


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "status code: 500"),
        (502, "status code: 502"),
        (503, "status code: 503"),
        (429, "status code: 429"),
        (404, "repository not found: broken"),
        (403, "authorization failed: broken"),
        (401, "authentication required: HTTP Basic: Access denied."),
    ],
)
def test_what_git_answers_is_in_the_text_of_a_400(desk: Desk, status: int, words: str) -> None:
    desk.create()
    desk.git.status = status

    created = desk.refusal("POST", "applications", desk.application("new"))
    changed = desk.refusal("PUT", "applications/shop/spec?project=dev", spec_of(desk))
    synced = desk.refusal("POST", "applications/shop/sync", {"project": "dev"})
    registered = desk.register("other")

    assert [created[:2], changed[:2], synced[:2]] == [(400, 3), (400, 3), (400, 9)]
    assert all(words in each[2] for each in (created, changed, synced))
    assert (registered[0], words in registered[1]["message"]) == (500, True)


def test_a_git_that_is_too_slow_is_a_400_that_says_so(desk: Desk) -> None:
    desk.create()
    desk.service.git_timeout_s, desk.git.delay_s = 0.2, 0.5

    refusals = [
        desk.refusal("POST", "applications", desk.application("new")),
        desk.refusal("POST", "applications/shop/sync", {"project": "dev"}),
    ]

    assert all("context deadline exceeded (Client.Timeout" in text for _, _, text in refusals)


def test_a_cluster_that_is_away_ends_a_sync_as_an_error(desk: Desk) -> None:
    desk.create()
    desk.service.clusters_away = ["dev-cluster"]

    created = desk.refusal("POST", "applications", desk.application("new"))
    state = desk.sync()["operationState"]
    listed = {each["name"]: each["connectionState"] for each in desk.ask("GET", "clusters")[1]["items"]}

    assert created[:2] == (500, 2)
    assert "error getting k8s server version" in created[2]
    assert (state["phase"], REFUSED in state["message"]) == ("Error", True)
    assert "resources" not in state["syncResult"]
    assert (listed["dev-cluster"]["status"], REFUSED in listed["dev-cluster"]["message"]) == ("Failed", True)


def test_situations_are_set_shown_and_ended_over_the_control_interface(harbour: Harbour, control: str) -> None:
    wanted = {"is_kubernetes_away": True, "clusters_away": ["dev-cluster"]}
    brought = requests.post(f"{control}/situations", json={"upstream": "argocd", **wanted}, timeout=5)
    during = requests.get(f"{control}/situations", timeout=5).json()["situations"]["argocd"]
    ended = requests.delete(f"{control}/situations?upstream=argocd", timeout=5)

    assert brought.status_code == 200
    assert wanted.items() <= during.items()
    assert ended.status_code == 204
    assert not harbour.argocd.is_kubernetes_away
    assert harbour.argocd.clusters_away == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"upstream": "moon"}, "upstream"),
        ({"upstream": "argocd", "weather": "bad"}, "weather"),
        ({"upstream": "gitlab", "repo_server": "down"}, "repo_server"),
        ({"upstream": "argocd", "repo_server": "gone"}, "repo_server"),
        ({"upstream": "argocd", "is_kubernetes_away": "yes"}, "is_kubernetes_away"),
    ],
)
def test_a_wrong_situation_is_refused_and_names_the_field(
    harbour: Harbour, control: str, body: object, field: str
) -> None:
    reply = requests.post(f"{control}/situations", json=body, timeout=5)

    assert (reply.status_code, reply.json()["error"]["field"]) == (422, field)
    assert harbour.argocd.repo_server == "up"

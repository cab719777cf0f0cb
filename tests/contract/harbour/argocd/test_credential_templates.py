"""Credential templates on the Argo CD stand-in: whose credentials serve, and what a change of the password does."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from support.argocd_desk import Desk
from support.git_server import USER

DENIED = "authentication required: HTTP Basic: Access denied."


def template(desk: Desk, password: str, *, url: str = "", upsert: bool = False) -> tuple[int, dict[str, object]]:
    body = {"url": url or f"{desk.git.url}/", "type": "git", "username": USER, "password": password}
    return desk.ask("POST", f"repocreds?upsert={str(upsert).lower()}", body)


def bare(desk: Desk, name: str, *, upsert: bool = False) -> tuple[int, dict[str, object]]:
    return desk.register(name, upsert=upsert, username=None, password=None)


def states(desk: Desk, query: str = "") -> dict[str, str]:
    rows = desk.ask("GET", f"repositories{query}")[1]["items"]
    return {row["repo"].rpartition("/")[2]: row["connectionState"]["status"] for row in rows}


def test_a_template_is_stored_untested_listed_without_its_password_and_removed(desk: Desk) -> None:
    none = desk.ask("GET", "repocreds")[1]["items"]
    made = template(desk, "wrong")
    listed = desk.ask("GET", "repocreds")[1]["items"]
    place = f"repocreds/{quote(desk.git.url + '/', safe='')}"
    changed, removed, again = (desk.ask(method, place, {}) for method in ("PUT", "DELETE", "DELETE"))

    assert none is None
    assert made == (200, {"url": f"{desk.git.url}/"})
    assert listed == [{"url": f"{desk.git.url}/", "username": USER}]
    assert (changed[0], removed, again[0]) == (404, (200, {}), 404)
    assert again[1]["message"] == f"repository credentials '{desk.git.url}/' not found"


def test_only_an_upsert_changes_a_template(desk: Desk) -> None:
    template(desk, "old")

    same, different, upserted = template(desk, "old"), template(desk, "new"), template(desk, "new", upsert=True)

    assert (same[0], different[0], upserted[0]) == (200, 400, 200)
    assert str(different[1]["message"]).endswith('difference in keys "Password"')


def test_a_repository_without_credentials_inherits_them_registered_or_not(desk: Desk) -> None:
    desk.git.add("other", {"Chart.yaml": "name: other\n"})
    refused = bare(desk, "other")
    template(desk, desk.git.password)

    registered = bare(desk, "other")

    shown = desk.ask("GET", "repositories")[1]["items"]
    assert (refused[0], registered[0]) == (500, 200)
    assert [row.get("inheritedCreds") for row in shown] == [None, True]
    assert desk.ask("POST", "applications", desk.application("one", "other"))[0] == 200
    desk.git.add("third", {"Chart.yaml": "name: third\n"})
    assert desk.ask("POST", "applications", desk.application("two", "third"))[0] == 200


def test_the_same_body_without_credentials_is_different_under_a_template(desk: Desk) -> None:
    desk.git.add("other", {})
    template(desk, desk.git.password)

    first, second = bare(desk, "other"), bare(desk, "other")

    assert (first[0], second[0]) == (200, 400)
    assert str(second[1]["message"]).endswith('difference in keys "InheritedCreds,Password,Username"')


def test_the_longest_address_that_fits_serves(desk: Desk) -> None:
    desk.git.add("team/app", {})
    template(desk, "wrong")
    template(desk, desk.git.password, url=f"{desk.git.url}/team/")

    assert bare(desk, "team/app")[0] == 200


def test_a_changed_password_ends_syncs_while_the_list_says_that_all_is_well(desk: Desk) -> None:
    desk.create()
    before = states(desk)

    desk.git.password = "second-password"
    cached, (status, code, text) = states(desk), desk.refusal("POST", "applications/shop/sync", {"project": "dev"})

    assert before == cached == {"good.git": "Successful"}
    assert (status, code) == (400, 9)
    assert DENIED in text
    assert states(desk, "?forceRefresh=true") == {"good.git": "Failed"}
    conditions = desk.ask("GET", "applications/shop?project=dev&refresh=normal")[1]["status"]["conditions"]
    assert [(each["type"], DENIED in each["message"]) for each in conditions] == [("ComparisonError", True)]


def test_own_credentials_outrank_a_fresh_template_until_they_are_dropped(desk: Desk) -> None:
    desk.create()
    desk.git.password = "second-password"
    template(desk, desk.git.password)

    outranked = desk.ask("POST", "applications/shop/sync", {"project": "dev"})
    dropped = bare(desk, "good", upsert=True)
    served = desk.ask("POST", "applications/shop/sync", {"project": "dev"})

    assert (outranked[0], dropped[0], served[0]) == (400, 200, 200)
    assert "password" not in dropped[1]


def test_an_upsert_of_a_repository_gives_the_password_back(desk: Desk) -> None:
    desk.git.password = "second-password"

    refused, (status, body) = desk.register(), desk.register(upsert=True)

    assert refused[1]["message"].endswith('difference in keys "Password"')
    assert (status, body["password"]) == (200, "second-password")
    assert body["connectionState"]["status"] == "Successful"


@pytest.mark.parametrize("path", ["repositories", "repocreds"])
def test_without_the_right_a_template_is_refused_and_the_list_empty(desk: Desk, path: str) -> None:
    desk.service.denied = {("repositories", "create"), ("repositories", "get")}

    status, code, text = desk.refusal("POST", path, {"repo": desk.git.url, "url": desk.git.url})

    assert (status, code) == (403, 7)
    assert text.startswith(f"permission denied: repositories, create, {desk.git.url}, sub: ")
    assert desk.ask("GET", path)[1]["items"] is None


def test_templates_survive_and_the_snapshot_holds_no_password(desk: Desk) -> None:
    template(desk, "canary")

    again = type(desk.service)(desk.service.config, now=desk.clock)
    again.load(desk.service.dump())

    assert again.snapshot() == desk.service.snapshot()
    assert "canary" not in str(again.snapshot())

"""The GitLab client removes what is ours, once and completely, and nothing else, on every version of GitLab."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from common.errors import ActionBy, Conflict, NotYet, Permanent, StepError, Transient
from harbour.config import HarbourConfig
from harbour.faults import Fault
from harbour.gitlab.app import GitLab as GitLabService
from worker.upstreams.adapter import Target
from worker.upstreams.gitlab.adapter import remove_project
from worker.upstreams.gitlab.client import GitLab
from worker.upstreams.http import Http, Limits

MARKER = "slipway:shop:7f3c"
PASSWORD = "Correct-Horse-Battery-9"
PATH = "dev/shop"
LOCKED = '{"message":"409 Conflict: Resource lock"}'
IMAGES = '{"message":"Cannot rename or delete project because it contains container registry tags"}'
Settings = dict[str, Any]

SEVENTEEN: Settings = {"gitlab_version": "17.11.2"}
EIGHTEEN: Settings = {"gitlab_version": "18.0.0"}
LATER: Settings = {"gitlab_version": "18.5.1"}
KEEPING: Settings = {"gitlab_version": "18.5.1", "gitlab_immediate_deletion": False}
removing_at_once = pytest.mark.parametrize("settings", [SEVENTEEN, EIGHTEEN, LATER], ids=["17", "18.0", "18.5"])
in_two_calls = pytest.mark.parametrize("settings", [EIGHTEEN, LATER], ids=["18.0", "18.5"])
seventeen = pytest.mark.parametrize("settings", [SEVENTEEN], ids=["17"])
keeping = pytest.mark.parametrize("settings", [KEEPING], ids=["18.5 that keeps"])
all_settings = pytest.mark.parametrize(
    "settings", [SEVENTEEN, EIGHTEEN, LATER, KEEPING], ids=["17", "18.0", "18.5", "18.5 that keeps"]
)
lost_replies = pytest.mark.parametrize("kind", ["lost", "truncate", "status_after"])


class Bench:
    """A client and the GitLab it talks to, whose background jobs wait for the test."""

    def __init__(self, service: GitLabService) -> None:
        headers = {"PRIVATE-TOKEN": service.config.gitlab_token}
        self.http = Http("GitLab", service.url, headers=headers, limits=Limits(read_s=2, total_s=2))
        self.service = service
        self.client = GitLab(self.http)
        self.before = service.snapshot()

    def fork(self, path: str = "shop", marker: str = MARKER) -> int:
        """Make a project and return its id."""
        fork = self.client.projects.ensure_fork(
            "templates/Spring_Template", namespace="dev", path=path, marker=marker, on_create=lambda: None
        )
        self.service.calls.clear()
        return fork.id

    def remove(self, project_id: int, path: str = PATH, *, purge: bool = False, is_known: bool = False) -> Any:
        return self.client.removals.remove(project_id, path=path, marker=MARKER, purge=purge, is_known=is_known)

    def purge(self, project_id: int) -> Any:
        return self.remove(project_id, purge=True)

    def purged(self, project_id: int) -> Any:
        """Remove a project for good, with GitLab doing its part as soon as it was told to."""
        try:
            return self.purge(project_id)
        except NotYet:
            self.finish()
            return self.purge(project_id)

    def finish(self) -> None:
        """Let GitLab remove what it has promised to remove."""
        for project in [each for each in self.service.state.projects.values() if each.removing]:
            self.service.erase(project)

    def admin(self, method: str, *segments: str, **body: object) -> Any:
        """Do something on GitLab that is not ours."""
        reply = self.http.send(method, "api", "v4", *segments, json=body or None)
        assert reply.status < 300, reply.text
        self.service.calls.clear()
        return reply.json() if reply.body else None

    def anna(self) -> int:
        """Make a person, a member of the group, and return their id."""
        person = {"login": "anna", "email": "anna@corp.example", "name": "Anna Bell", "password": PASSWORD}
        user = self.client.accounts.ensure_user(**person, marker=MARKER, on_create=lambda: None)
        self.client.groups.ensure_member("dev", user.id, on_create=lambda: None)
        self.service.calls.clear()
        return user.id

    def block(self, user_id: int) -> bool:
        return self.client.accounts.block_user(user_id, login="anna", marker=MARKER)

    def is_member(self, group: str, user_id: int) -> bool:
        found = self.service.state.group_at(group)
        assert found is not None
        return any(member.user_id == user_id for member in found.members)


@pytest.fixture
def settings() -> Settings:
    return LATER


@pytest.fixture
def bench(config: HarbourConfig, settings: Settings) -> Iterator[Bench]:
    teams = ("dev", "ops", "dev/web")
    service = GitLabService(dataclasses.replace(config, **settings, teams=teams, types=("Spring",), fork_s=600))
    service.start()
    yield Bench(service)
    service.stop()


# -- projects: kept, for their commits are not ours -------------------------------------------------------------

MARKING = pytest.mark.parametrize("settings", [EIGHTEEN, LATER, KEEPING], ids=["18.0", "18.5", "18.5 that keeps"])


@MARKING
def test_a_removed_project_can_be_restored_until_a_date(bench: Bench) -> None:
    shop = bench.fork()
    bench.service.retention_days = 14

    kept = bench.remove(shop)

    record = bench.service.state.projects[shop]
    assert (kept.name, kept.url) == (f"dev/{record.path}", f"{bench.service.url}/dev/{record.path}")
    assert kept.until == (date.fromisoformat(record.marked_for_deletion_on or "") + timedelta(days=14)).isoformat()
    bench.admin("POST", "projects", str(shop), "restore")
    assert bench.client.projects.get(PATH).id == shop


@all_settings
def test_a_removal_destroys_nothing_and_frees_the_path(bench: Bench) -> None:
    shop = bench.fork()
    before = bench.service.snapshot()["refs"][PATH]

    kept = bench.remove(shop)

    assert bench.service.snapshot()["refs"][kept.name] == before
    assert bench.service.state.projects[shop].archived
    assert bench.client.projects.find(PATH) is None
    assert bench.fork() != shop


@all_settings
def test_removing_again_writes_nothing_and_says_the_same(bench: Bench) -> None:
    shop = bench.fork()
    kept = bench.remove(shop)
    writes, left = len(bench.service.writes()), bench.service.snapshot()

    assert bench.remove(shop) == kept == bench.client.removals.find_remains(shop, path=PATH)
    assert len(bench.service.writes()) == writes
    assert bench.service.snapshot() == left


@seventeen
@lost_replies
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_reply_lost_while_it_is_put_aside_converges(bench: Bench, method: str, kind: str) -> None:
    shop = bench.fork()
    bench.service.inject(Fault(kind=kind, method=method, times=1, status=502, body="<html>"))

    with pytest.raises(Transient):
        bench.remove(shop)

    assert bench.remove(shop).name == f"{PATH}-removed-{shop}"
    assert bench.service.state.projects[shop].archived
    assert [call.method for call in bench.service.writes()] == ["PUT", "POST"]


@seventeen
def test_where_gitlab_deletes_at_once_the_project_is_moved_out_of_the_way(bench: Bench) -> None:
    shop = bench.fork()

    kept = bench.remove(shop)

    assert (kept.name, kept.until) == (f"{PATH}-removed-{shop}", None)
    assert "deletes at once" in kept.reason
    assert "DELETE" not in {call.method for call in bench.service.writes()}


@pytest.mark.parametrize("version", ["unknown", "", "17.11.2-ee", "16.4.0"])
def test_a_version_that_may_delete_at_once_is_told_to_delete_nothing(bench: Bench, version: str) -> None:
    shop = bench.fork()
    body = json.dumps({"version": version})
    bench.service.inject(Fault(kind="status", method="GET", path="/version$", status=200, body=body))

    assert bench.remove(shop).until is None
    assert "DELETE" not in {call.method for call in bench.service.writes()}


def test_without_a_right_to_read_the_settings_the_end_is_not_known(bench: Bench) -> None:
    bench.service.inject(Fault(kind="status", path="/application/settings$", status=403, body="{}"))

    assert bench.remove(bench.fork()).until is None


def test_a_new_project_at_the_old_path_is_not_touched(bench: Bench) -> None:
    old = bench.fork()
    bench.remove(old)
    new = bench.fork()

    assert bench.remove(old)

    assert bench.service.state.projects[new].marked_for_deletion_on is None


def test_the_end_of_the_retention_leaves_nothing(bench: Bench) -> None:
    shop = bench.fork()
    bench.remove(shop)

    bench.service.end_retention()

    assert bench.service.snapshot() == bench.before
    assert bench.remove(shop) is None


def test_images_that_forbid_a_new_path_are_for_the_user_to_remove(bench: Bench) -> None:
    shop = bench.fork()
    bench.service.inject(Fault(kind="status", method="PUT", status=400, body=IMAGES))
    bench.service.inject(Fault(kind="status", path="/version$", status=200, body='{"version":"17.3.0"}'))

    with pytest.raises(Permanent, match="container registry tags") as caught:
        bench.remove(shop)
    assert caught.value.action_by is ActionBy.USER


def test_the_ledgers_id_is_as_good_as_a_marker(bench: Bench) -> None:
    shop = bench.fork()
    spoil_marker(bench, shop)

    assert bench.remove(shop, is_known=True)


# -- projects: purged, once and whole ---------------------------------------------------------------------------


@removing_at_once
def test_a_purged_project_leaves_nothing(bench: Bench) -> None:
    shop = bench.fork()

    assert bench.purged(shop) is None

    assert bench.service.snapshot() == bench.before
    assert bench.client.projects.find(PATH) is None


@all_settings
def test_a_project_that_is_gone_is_not_written_to(bench: Bench) -> None:
    shop = bench.fork()
    bench.purged(shop)
    bench.service.end_retention()
    bench.service.calls.clear()

    assert bench.purge(shop) is None
    assert bench.service.writes() == []


@removing_at_once
def test_while_gitlab_is_at_it_we_wait(bench: Bench) -> None:
    shop = bench.fork()

    with pytest.raises(NotYet) as first:
        bench.purge(shop)
    with pytest.raises(NotYet):
        bench.purge(shop)

    assert first.value.retry_after_s == 2.0
    assert bench.service.state.projects[shop].removing


@in_two_calls
def test_the_second_call_names_the_path_that_the_first_one_gave(bench: Bench, settings: Settings) -> None:
    shop = bench.fork()
    bench.purged(shop)

    first, second = (urlsplit(call.path) for call in bench.service.writes())

    suffix = "deleted" if settings is EIGHTEEN else "deletion_scheduled"
    assert first.query == ""
    assert parse_qs(second.query) == {"permanently_remove": ["true"], "full_path": [f"{PATH}-{suffix}-{shop}"]}


@removing_at_once
@lost_replies
@pytest.mark.parametrize("skip", [0, 1])
def test_a_reply_lost_in_the_middle_converges(bench: Bench, settings: Settings, kind: str, skip: int) -> None:
    shop = bench.fork()
    bench.service.inject(Fault(kind=kind, method="DELETE", times=1, skip=skip, status=502, body="<html>"))
    calls = 1 if settings is SEVENTEEN else 2

    if skip < calls:
        with pytest.raises(Transient):
            bench.purge(shop)

    assert bench.purged(shop) is None
    assert bench.service.snapshot() == bench.before


@pytest.mark.parametrize("outside_id", [None, ""])
def test_an_undo_does_not_ask_where_the_repository_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, outside_id: str | None
) -> None:
    bench.fork()
    monkeypatch.setattr(Http, "is_own", lambda _http, _url: False)
    target = Target(ref=PATH, outside_id=outside_id, marker=MARKER, team=lambda: pytest.fail("not needed"))

    with pytest.raises(Permanent, match="address, with its scheme and port"):
        bench.client.projects.find(PATH)
    remove_project(bench.client, target)

    assert bench.client.projects.find_id(PATH) is None


@removing_at_once
def test_the_name_can_be_used_again(bench: Bench) -> None:
    bench.purged(bench.fork())

    again = bench.fork()

    found = bench.client.projects.find(PATH)
    assert found is not None
    assert found.id == again


def test_a_purge_finishes_what_somebody_else_has_marked(bench: Bench) -> None:
    shop = bench.fork()
    bench.admin("DELETE", "projects", str(shop))

    assert bench.purged(shop) is None

    assert all("permanently_remove" in call.path for call in bench.service.writes())
    assert bench.service.snapshot() == bench.before


@seventeen
def test_a_purge_finishes_what_was_put_aside(bench: Bench) -> None:
    shop = bench.fork()
    bench.remove(shop)

    assert bench.purged(shop) is None
    assert bench.client.projects.find_by_id(shop) is None


@keeping
@pytest.mark.parametrize("status", [400, 403])
def test_a_purge_that_the_instance_forbids_has_freed_the_path(bench: Bench, status: int) -> None:
    shop = bench.fork()
    refusal = Fault(kind="status", method="DELETE", path=f"/projects/{shop}$", skip=1, status=status, body="{}")
    bench.service.inject(refusal)

    assert bench.purge(shop).until

    assert bench.client.projects.find(PATH) is None
    assert bench.service.state.projects[shop].marked_for_deletion_on
    assert bench.fork() != shop


# -- projects: nobody else's ----------------------------------------------------------------------------------


def spoil_marker(bench: Bench, project_id: int) -> None:
    bench.service.state.projects[project_id].description = f"{MARKER}0"


def rename(bench: Bench, project_id: int) -> None:
    bench.service.state.projects[project_id].path = "shop-new"


not_ours = pytest.mark.parametrize("change", [spoil_marker, rename])


@all_settings
@not_ours
def test_a_project_that_is_not_ours_is_left_alone(bench: Bench, change: Callable[[Bench, int], None]) -> None:
    shop = bench.fork()
    change(bench, shop)
    before = bench.service.snapshot()

    with pytest.raises(Conflict) as caught:
        bench.remove(shop)

    assert caught.value.choices
    assert bench.service.writes() == []
    assert bench.service.snapshot() == before


@in_two_calls
@not_ours
def test_remains_that_are_not_ours_wait_for_their_time(bench: Bench, change: Callable[[Bench, int], None]) -> None:
    shop = bench.fork()
    change(bench, shop)
    bench.admin("DELETE", "projects", str(shop))

    assert bench.purge(shop)
    assert bench.service.writes() == []


def test_a_longer_name_is_another_project(bench: Bench) -> None:
    shop = bench.fork("shop-deleted")

    with pytest.raises(Conflict):
        bench.remove(shop)


# -- projects: what is refused --------------------------------------------------------------------------------


def test_images_in_the_registry_are_for_the_user_to_remove(bench: Bench) -> None:
    shop = bench.fork()
    bench.service.inject(Fault(kind="status", method="DELETE", status=400, body=IMAGES))

    with pytest.raises(Permanent, match="contains container registry tags") as caught:
        bench.remove(shop)
    assert caught.value.action_by is ActionBy.USER


STATUSES: list[tuple[int, str, type[StepError]]] = [
    *((status, "{}", Transient) for status in (408, 425, 429, 500, 502, 503, 504)),
    (409, LOCKED, Transient),
    *((status, "{}", Permanent) for status in (302, 401, 405, 412, 422)),
]
REMOVALS: dict[str, Callable[[Bench, int, int], bool]] = {
    "project": lambda bench, shop, _anna: bench.remove(shop),
    "member": lambda bench, _shop, anna: bench.client.groups.remove_member("dev", anna),
    "block": lambda bench, _shop, anna: bench.block(anna),
}
every_removal = pytest.mark.parametrize("removal", REMOVALS.values(), ids=REMOVALS.keys())


@every_removal
@pytest.mark.parametrize(("status", "body", "error"), STATUSES)
def test_a_status_ends_as_declared(
    bench: Bench, removal: Callable[[Bench, int, int], bool], status: int, body: str, error: type[StepError]
) -> None:
    shop, anna = bench.fork(), bench.anna()
    before = bench.service.snapshot()
    for method in ("DELETE", "POST"):
        bench.service.inject(Fault(kind="status", method=method, status=status, body=body))

    with pytest.raises(error):
        removal(bench, shop, anna)
    assert bench.service.snapshot() == before


@every_removal
@pytest.mark.parametrize(("status", "error"), [(503, Transient), (401, Permanent), (403, Permanent)])
def test_without_a_look_nothing_is_written(
    bench: Bench, removal: Callable[[Bench, int, int], bool], status: int, error: type[StepError]
) -> None:
    shop, anna = bench.fork(), bench.anna()
    bench.service.inject(Fault(kind="status", method="GET", status=status, body="{}"))

    with pytest.raises(error):
        removal(bench, shop, anna)
    assert bench.service.writes() == []


@every_removal
@pytest.mark.parametrize("body", ["null", "3", "[]", '{"id": "x"}', "<html>welcome</html>", ""])
def test_no_answer_of_another_shape_is_a_crash(
    bench: Bench, removal: Callable[[Bench, int, int], bool], body: str
) -> None:
    shop, anna = bench.fork(), bench.anna()
    bench.service.inject(Fault(kind="status", method="GET", status=200, body=body))

    with pytest.raises(StepError):
        removal(bench, shop, anna)
    assert bench.service.writes() == []


@in_two_calls
@pytest.mark.parametrize(("status", "body", "error"), STATUSES)
def test_the_second_call_ends_as_declared_too(bench: Bench, status: int, body: str, error: type[StepError]) -> None:
    shop = bench.fork()
    bench.service.inject(Fault(kind="status", method="DELETE", skip=1, status=status, body=body))

    with pytest.raises(error):
        bench.purge(shop)
    bench.service.clear_faults()
    assert bench.purged(shop) is None


# -- members --------------------------------------------------------------------------------------------------


def test_a_member_leaves_once(bench: Bench) -> None:
    anna = bench.anna()

    assert bench.client.groups.remove_member("dev", anna)
    assert bench.client.groups.remove_member("dev", anna)

    assert not bench.is_member("dev", anna)
    assert len(bench.service.writes()) == 1


def test_what_others_granted_below_the_group_stays(bench: Bench) -> None:
    anna = bench.anna()
    bench.admin("POST", "groups", "dev/web", "members", user_id=anna, access_level=40)

    bench.client.groups.remove_member("dev", anna)

    assert (bench.is_member("dev", anna), bench.is_member("dev/web", anna)) == (False, True)


@pytest.mark.parametrize("kind", ["lost", "status_after"])  # a 204 has no body that could be cut
def test_a_member_whose_removal_got_no_answer_is_gone(bench: Bench, kind: str) -> None:
    anna = bench.anna()
    bench.service.inject(Fault(kind=kind, method="DELETE", times=1, status=502, body="<html>"))

    with pytest.raises(Transient):
        bench.client.groups.remove_member("dev", anna)

    assert bench.client.groups.remove_member("dev", anna)
    assert len(bench.service.writes()) == 1


def test_a_member_of_a_group_that_is_not_there_is_not_called_removed(bench: Bench) -> None:
    with pytest.raises(Permanent, match="no group gone"):
        bench.client.groups.remove_member("gone", bench.anna())


def test_a_removal_that_does_not_show_is_not_believed(bench: Bench) -> None:
    anna = bench.anna()
    bench.service.inject(Fault(kind="status", method="DELETE", status=204))

    with pytest.raises(Transient, match="still shows"):
        bench.client.groups.remove_member("dev", anna)


# -- users ----------------------------------------------------------------------------------------------------


def test_a_user_is_blocked_once(bench: Bench) -> None:
    anna = bench.anna()

    assert bench.block(anna)
    assert bench.block(anna)

    assert bench.service.state.users[anna].state == "blocked"
    assert len(bench.service.writes()) == 1


@lost_replies
def test_a_block_without_an_answer_converges(bench: Bench, kind: str) -> None:
    anna = bench.anna()
    bench.service.inject(Fault(kind=kind, method="POST", times=1, status=502, body="<html>"))

    with pytest.raises(Transient):
        bench.block(anna)

    assert bench.block(anna)
    assert len(bench.service.writes()) == 1


@pytest.mark.parametrize("change", [{"note": None}, {"note": f"{MARKER}0"}, {"username": "ben"}])
def test_a_user_that_is_not_ours_is_not_blocked(bench: Bench, change: dict[str, Any]) -> None:
    anna = bench.anna()
    vars(bench.service.state.users[anna]).update(change)

    with pytest.raises(Conflict) as caught:
        bench.block(anna)

    assert caught.value.choices
    assert bench.service.writes() == []


@pytest.mark.parametrize("state", ["blocked", "ldap_blocked", "blocked_pending_approval", "banned"])
def test_whoever_cannot_sign_in_is_left_as_they_are(bench: Bench, state: str) -> None:
    anna = bench.anna()
    bench.service.state.users[anna].state = state

    assert bench.block(anna)
    assert bench.service.writes() == []


def test_a_deactivated_user_is_blocked_for_they_come_back_by_signing_in(bench: Bench) -> None:
    anna = bench.anna()
    bench.service.state.users[anna].state = "deactivated"

    assert bench.block(anna)
    assert bench.service.state.users[anna].state == "blocked"


def test_a_user_who_is_gone_is_as_good_as_blocked(bench: Bench) -> None:
    assert bench.block(4711)
    assert bench.service.writes() == []


def test_a_block_that_does_not_show_is_not_believed(bench: Bench) -> None:
    anna = bench.anna()
    bench.service.inject(Fault(kind="status", method="POST", status=201, body="true"))

    with pytest.raises(Transient, match="as blocked"):
        bench.block(anna)


def test_we_do_not_block_ourselves(bench: Bench) -> None:
    bench.service.state.users[1].note = MARKER

    with pytest.raises(Permanent, match="initiating user"):
        bench.client.accounts.block_user(1, login="root", marker=MARKER)

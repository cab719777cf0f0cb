"""The GitLab client creates each object once, and changes nobody else's, whatever GitLab replies."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import ActionBy, Conflict, NotYet, Permanent, StepError, Transient
from harbour.config import HarbourConfig
from harbour.faults import Fault
from harbour.gitlab.app import GitLab as GitLabService
from worker.upstreams.gitlab.client import GitLab, Membership, Project, User
from worker.upstreams.http import Deadline, Http, Limits

MARKER = "slipway:anna:7f3c"
PASSWORD = "Correct-Horse-Battery-9"
READER_ID = 2  # the account that may clone: no member of anything
TEMPLATE = "templates/Spring_Template"
LOCKED = '{"message":"409 Conflict: Resource lock"}'
Operation = Callable[["Bench"], Any]


class Bench:
    """A client, the GitLab it talks to, an administrator beside it, and the intents that the client declared."""

    def __init__(self, service: GitLabService) -> None:
        headers = {"PRIVATE-TOKEN": service.config.gitlab_token}
        http = Http("GitLab", service.url, headers=headers, limits=Limits(read_s=2, total_s=2))
        self.service = service
        self.client = GitLab(http)
        self.intents: list[str] = []
        self.before_create: Callable[[], object] = lambda: None
        self._http = http

    def bounded(self, deadline: Deadline) -> GitLab:
        return GitLab(self._http.within(deadline))

    def on_create(self) -> None:
        self.intents.append("create")
        self.before_create()

    def admin(self, method: str, *segments: str, **body: object) -> Any:
        """Do something on GitLab that is not ours."""
        reply = self._http.send(method, "api", "v4", *segments, json=body)
        assert reply.status < 300, reply.text
        self.service.calls.clear()
        return reply.json() if reply.body else None

    def user(self, **changes: Any) -> User:
        wanted: dict[str, Any] = {
            "login": "anna",
            "email": "anna@corp.example",
            "name": "Anna Bell",
            "password": PASSWORD,
        }
        return self.client.accounts.ensure_user(**{**wanted, **changes}, marker=MARKER, on_create=self.on_create)

    def member(self, group: str = "dev", level: int = 30) -> Membership:
        return self.client.groups.ensure_member(group, READER_ID, access_level=level, on_create=self.on_create)

    def fork(self, path: str = "shop", template: str = TEMPLATE, namespace: str = "dev") -> Project:
        return self.client.projects.ensure_fork(
            template, namespace=namespace, path=path, marker=MARKER, on_create=self.on_create
        )

    def imported(self) -> Any:
        """Fork and let the import be over, without GitLab's own protection of the branch."""
        fork = self.fork()
        record = self.service.state.projects[fork.id]
        with self.service.lock:
            record.import_status, record.default_branch = "finished", "main"
        self.service.calls.clear()
        self.intents.clear()
        return record

    def protected(self, push: list[int], merge: list[int]) -> Any:
        record = self.imported()
        record.branches.append(self.service.new_branch("main", push=push, merge=merge))
        return record

    def open_branch(self) -> None:
        self.client.projects.ensure_branch_open(self.client.projects.get("dev/shop").id, "main")

    def levels(self) -> list[tuple[list[int], list[int], bool]]:
        branches = next(p for p in self.service.state.projects.values() if p.path == "shop").branches
        return [
            ([x["access_level"] for x in b.push], [x["access_level"] for x in b.merge], b.allow_force_push)
            for b in branches
        ]


@pytest.fixture
def edition() -> str:
    return "ce"


@pytest.fixture
def bench(tmp_path: Path, edition: Any) -> Iterator[Bench]:
    with opened(tmp_path, edition) as service:
        yield Bench(service)


@pytest.fixture(scope="module")
def steady_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitLabService]:
    with opened(tmp_path_factory.mktemp("steady"), "ce") as service:
        yield service


@pytest.fixture
def steady(steady_service: GitLabService) -> Iterator[Bench]:
    """A shared bench for calls that fail before they change anything."""
    before = steady_service.snapshot()
    yield Bench(steady_service)
    steady_service.clear_faults()
    steady_service.calls.clear()
    assert steady_service.snapshot() == before


@contextlib.contextmanager
def opened(root: Path, edition: Any) -> Iterator[GitLabService]:
    """Open a GitLab whose imports do not move by themselves within a test."""
    config = HarbourConfig(
        root=root,
        gitlab_token="glpat-made-up",
        gitlab_user="cloner",
        gitlab_read_token="t",
        jenkins_user="u",
        jenkins_token="t",
        argocd_token="t",
        elasticsearch_user="u",
        elasticsearch_password="t",
        gitlab_edition=edition,
        fork_s=600,
        teams=("dev", "ops", "dev/web", "2024"),
        types=("Spring", "Django"),
    )
    service = GitLabService(config)
    service.start()
    yield service
    service.stop()


both_editions = pytest.mark.parametrize("edition", ["ce", "ee"])
ENSURED: dict[str, Operation] = {"user": Bench.user, "member": Bench.member, "fork": Bench.fork}
ensured = pytest.mark.parametrize("ensure", ENSURED.values(), ids=ENSURED.keys())
EVERYTHING: dict[str, Operation] = {
    **ENSURED,
    "find_user": lambda bench: bench.client.accounts.find_user("anna"),
    "find_person": lambda bench: bench.client.accounts.find_person(login="anna", email="anna@corp.example"),
    "get_group": lambda bench: bench.client.groups.get("dev"),
    "find_project": lambda bench: bench.client.projects.find("dev/shop"),
    "await_import": lambda bench: bench.client.projects.await_import(1),
    "open_branch": lambda bench: bench.client.projects.ensure_branch_open(1, "main"),
}
every_call = pytest.mark.parametrize("call", EVERYTHING.values(), ids=EVERYTHING.keys())


# -- what holds for all that we make --------------------------------------------------------------------------


@ensured
def test_the_first_time_creates_and_the_second_only_finds(bench: Bench, ensure: Operation) -> None:
    first, second = ensure(bench), ensure(bench)

    assert (first.found, second.found) == (False, True)
    assert dataclasses.replace(second, found=False) == first
    assert (len(bench.service.writes()), bench.intents) == (1, ["create"])


@ensured
@pytest.mark.parametrize("kind", ["lost", "truncate", "status_after"])
def test_an_answer_lost_after_the_write_converges(bench: Bench, ensure: Operation, kind: str) -> None:
    bench.service.inject(Fault(kind=kind, method="POST", times=1, status=502, body="<html>Bad Gateway</html>"))

    with pytest.raises(Transient):
        ensure(bench)
    again = ensure(bench)

    assert again.found
    assert len(bench.service.writes()) == 1


@ensured
def test_without_its_intent_nothing_is_created(bench: Bench, ensure: Operation) -> None:
    def refuse() -> None:
        raise Transient("the ledger is away")

    bench.before_create = refuse

    with pytest.raises(Transient, match="ledger"):
        ensure(bench)
    assert bench.service.writes() == []


@ensured
def test_resource_lock_is_transient_though_it_is_a_409(bench: Bench, ensure: Operation) -> None:
    bench.service.inject(Fault(kind="status", method="POST", times=1, status=409, body=LOCKED))

    with pytest.raises(Transient, match="lock"):
        ensure(bench)
    assert not ensure(bench).found


def test_all_calls_end_by_the_deadline(bench: Bench) -> None:
    with pytest.raises(Transient, match="used up"):
        bench.bounded(Deadline.within(0)).accounts.find_user("anna")


# -- what each status means -----------------------------------------------------------------------------------

STATUSES: list[tuple[int, type[StepError]]] = [
    *((status, Transient) for status in (408, 425, 429, 500, 502, 503, 504)),
    *((status, Permanent) for status in (302, 400, 401, 403, 405, 412, 422)),
]


@every_call
@pytest.mark.parametrize(("status", "error"), STATUSES)
def test_a_status_ends_as_declared(steady: Bench, call: Operation, status: int, error: type[StepError]) -> None:
    steady.service.inject(Fault(kind="status", status=status, body='{"message":"because"}'))

    with pytest.raises(error):
        call(steady)
    assert steady.service.writes() == []


@ensured
@pytest.mark.parametrize(("status", "error"), STATUSES)
def test_a_refused_write_ends_as_declared(
    steady: Bench, ensure: Operation, status: int, error: type[StepError]
) -> None:
    steady.service.inject(Fault(kind="status", method="POST", status=status, body='{"message":"because"}'))

    with pytest.raises(error, match="because"):
        ensure(steady)


def test_a_rate_limit_keeps_gitlabs_hint(bench: Bench) -> None:
    hint = {"Retry-After": "60"}
    body = '{"message":{"error":"This endpoint has been requested too many times."}}'
    bench.service.inject(Fault(kind="status", status=429, body=body, headers=hint))

    with pytest.raises(Transient, match="too many times") as caught:
        bench.fork()
    assert caught.value.retry_after_s == 60


@every_call
@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize(
    "body",
    ["null", "3", '"x"', "{}", "[]", "[null]", '{"id": null}', '[{"id": {}}]', "<html>welcome</html>", ""],
)
def test_no_answer_of_another_shape_is_a_crash(steady: Bench, call: Operation, status: int, body: str) -> None:
    steady.service.inject(Fault(kind="status", status=status, body=body))

    if body == "[]" and status == 200 and call in (EVERYTHING["find_user"], EVERYTHING["find_person"]):
        assert call(steady) is None
    else:
        with pytest.raises(StepError):
            call(steady)


# -- users ----------------------------------------------------------------------------------------------------


def test_an_address_that_nobody_vouches_for_is_confirmed_by_gitlab(bench: Bench) -> None:
    assert bench.service.state.users[bench.user().id].confirmed_at is None


def test_a_user_can_sign_in_at_once_and_do_nothing_alone(bench: Bench) -> None:
    made = bench.user(is_confirmed=True)
    record = bench.service.state.users[made.id]

    assert (record.username, record.email, record.note) == ("anna", "anna@corp.example", MARKER)
    assert record.confirmed_at
    assert (record.options["projects_limit"], record.options["can_create_group"]) == (0, False)
    assert made.web_url.endswith("/anna")
    assert bench.client.accounts.find_user("ANNA") == dataclasses.replace(made, found=True)


@pytest.mark.parametrize(
    "theirs",
    [
        {"note": None},
        {"note": MARKER + "0"},
        {"note": MARKER, "email": "other@corp.example"},
        {"note": None, "username": "Anna"},
    ],
)
def test_somebody_elses_user_is_left_alone(bench: Bench, theirs: dict[str, str]) -> None:
    bench.admin("POST", "users", **user_body(**theirs))
    before = bench.service.snapshot()

    with pytest.raises(Conflict) as caught:
        bench.user()

    assert caught.value.choices
    assert bench.service.snapshot() == before
    assert bench.intents == []


def user_body(**changes: Any) -> dict[str, Any]:
    user = {"username": "anna", "email": "anna@corp.example", "name": "Someone", "password": PASSWORD}
    return {**user, **changes}


def test_our_marker_is_found_among_other_lines(bench: Bench) -> None:
    bench.admin("POST", "users", **user_body(note=f"seen by ops\n {MARKER} \nkeep"))

    assert bench.user().found


@pytest.mark.parametrize("password", [PASSWORD, "Tiny-1"])
def test_a_taken_address_is_a_conflict_whatever_else_is_wrong(bench: Bench, password: str) -> None:
    bench.admin("POST", "users", **user_body(username="other", email="Anna@Corp.example"))

    with pytest.raises(Conflict, match="e-mail address"):
        bench.user(password=password)


def test_a_groups_name_is_taken(bench: Bench) -> None:
    with pytest.raises(Conflict, match="already exists with that username"):
        bench.user(login="ops")


def test_our_own_user_who_appears_meanwhile_is_found(bench: Bench) -> None:
    bench.before_create = lambda: bench.admin("POST", "users", **user_body(note=MARKER))

    assert bench.user().found


def test_somebody_elses_user_who_appears_meanwhile_is_a_conflict(bench: Bench) -> None:
    bench.before_create = lambda: bench.admin("POST", "users", **user_body())

    with pytest.raises(Conflict, match="did not make it"):
        bench.user()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"password": "Tiny-1"}, "password: is too short"),
        ({"password": "anna-is-great-1"}, "commonly used combinations"),
        ({"email": "nonsense"}, "email: is invalid"),
        ({"login": "admin"}, "username: is a reserved name"),
    ],
)
def test_what_the_person_chose_badly_is_for_the_person_to_mend(
    bench: Bench, changes: dict[str, str], reason: str
) -> None:
    with pytest.raises(Permanent, match=reason) as caught:
        bench.user(**changes)

    assert caught.value.action_by is ActionBy.USER


def test_an_echoed_password_is_not_shown(bench: Bench) -> None:
    body = f'{{"message":{{"password":["{PASSWORD} is weak"]}}}}'
    bench.service.inject(Fault(kind="status", method="POST", status=400, body=body))

    with pytest.raises(Permanent, match="••• is weak") as caught:
        bench.user()
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("blocked", "unblock it"),
        ("ldap_blocked", "unblock it"),
        ("banned", "unblock it"),
        ("blocked_pending_approval", "waits for approval"),
    ],
)
def test_an_account_that_cannot_sign_in_is_no_finished_sign_up(bench: Bench, state: str, reason: str) -> None:
    made = bench.user()
    bench.service.state.users[made.id].state = state

    with pytest.raises(Permanent, match=reason) as caught:
        bench.user()
    assert caught.value.action_by is ActionBy.OPERATOR


def test_a_new_account_that_waits_for_approval_is_no_finished_sign_up(bench: Bench) -> None:
    bench.service.approves_users = True
    with pytest.raises(Permanent, match="Pending approval"):
        bench.user()
    bench.admin("POST", "users", str(bench.client.accounts.find_user("anna").id), "approve")  # type: ignore[union-attr]

    assert bench.user().found


def test_a_deactivated_account_comes_back_by_signing_in(bench: Bench) -> None:
    bench.service.state.users[bench.user().id].state = "deactivated"

    assert bench.user().found


def test_an_account_of_a_person_who_signs_in_elsewhere_has_their_identity_and_no_known_password(bench: Bench) -> None:
    person = {"login": "anna", "email": "anna@corp.example", "name": "Anna Bell", "password": None}
    identity = {"extern_uid": "uid=anna", "provider": "saml"}

    made = bench.client.accounts.ensure_user(**person, **identity, marker=MARKER, on_create=bench.on_create)

    assert bench.service.state.users[made.id].identities == [{"provider": "saml", "extern_uid": "uid=anna"}]
    assert "password" not in json.loads(bench.service.writes()[0].body).keys() - {"force_random_password"}
    assert bench.client.accounts.find_person(login="x", email="other@corp.example", **identity) == dataclasses.replace(
        made, found=True
    )


# -- people whose accounts somebody else makes ----------------------------------------------------------------


@pytest.mark.parametrize("login", ["anna", "abell"])
def test_a_person_is_found_by_the_address_whatever_the_login(bench: Bench, login: str) -> None:
    bench.admin("POST", "users", **user_body(username=login, email="Anna@corp.example"))
    bench.admin("POST", "users", **user_body(username="other", email="joanna@corp.example"))

    found = bench.client.accounts.find_person(login="anna", email="anna@corp.example")

    assert found is not None
    assert (found.login, found.found) == (login, True)


def test_a_person_without_an_account_is_not_found_and_nothing_is_made(bench: Bench) -> None:
    bench.admin("POST", "users", **user_body(username="other", email="joanna@corp.example"))

    assert bench.client.accounts.find_person(login="anna", email="anna@corp.example") is None
    assert bench.service.writes() == []


def test_a_login_of_another_address_is_not_the_person(bench: Bench) -> None:
    bench.admin("POST", "users", **user_body(email="other@corp.example"))

    with pytest.raises(Conflict, match="another e-mail address"):
        bench.client.accounts.find_person(login="anna", email="anna@corp.example")


def test_a_person_who_cannot_sign_in_is_named(bench: Bench) -> None:
    made = bench.admin("POST", "users", **user_body())
    bench.admin("POST", "users", str(made["id"]), "block")

    with pytest.raises(Permanent, match="is blocked"):
        bench.client.accounts.find_person(login="anna", email="anna@corp.example")


# -- groups and members ---------------------------------------------------------------------------------------


def test_a_nested_group_is_found_by_its_full_path(bench: Bench) -> None:
    assert bench.client.groups.get("dev/web").path == "dev/web"


@pytest.mark.parametrize("path", ["nowhere", "2024"])
def test_a_group_that_cannot_be_had_by_its_path_is_missing(bench: Bench, path: str) -> None:
    with pytest.raises(Permanent, match=f"no group {path}") as caught:
        bench.member(path)
    assert caught.value.action_by is ActionBy.OPERATOR


def test_a_group_is_not_had_by_its_id(bench: Bench) -> None:
    with pytest.raises(Permanent, match="no group"):
        bench.client.groups.get(str(bench.client.groups.get("dev").id))


def test_a_level_is_raised_and_never_lowered(bench: Bench) -> None:
    levels = [bench.member("dev/web", level).access_level for level in (20, 30, 20)]

    assert levels == [20, 30, 30]
    assert [call.method for call in bench.service.writes()] == ["POST", "PUT"]


def test_a_membership_that_waits_for_approval_is_for_an_administrator_of_gitlab(bench: Bench) -> None:
    bench.service.approves_members = True

    with pytest.raises(Permanent, match="queued the membership in dev") as caught:
        bench.member()
    assert caught.value.action_by is ActionBy.OPERATOR

    bench.service.approves_members = False
    bench.admin("POST", "groups", "dev", "members", user_id=READER_ID, access_level=30)
    assert bench.member().found


def test_raising_keeps_the_expiry(bench: Bench) -> None:
    bench.admin("POST", "groups", "dev/web", "members", user_id=READER_ID, access_level=20, expires_at="2030-01-01")

    bench.member("dev/web", 30)

    (raised,) = bench.service.writes()
    assert json.loads(raised.body) == {"access_level": 30, "expires_at": "2030-01-01"}


def test_a_member_who_appears_meanwhile_is_raised(bench: Bench) -> None:
    join = {"user_id": READER_ID, "access_level": 10}
    bench.before_create = lambda: bench.admin("POST", "groups", "dev/web", "members", **join)

    membership = bench.member("dev/web")

    assert (membership.found, membership.access_level) == (True, 30)


def test_a_user_who_does_not_exist_joins_nothing(bench: Bench) -> None:
    with pytest.raises(Permanent, match="User Not Found"):
        bench.client.groups.ensure_member("dev", 4711, on_create=bench.on_create)


# -- projects -------------------------------------------------------------------------------------------------


def test_a_fork_goes_where_we_said_under_our_name(bench: Bench) -> None:
    made = bench.fork()
    record = bench.service.state.projects[made.id]

    assert (made.path, record.name, record.description) == ("dev/shop", "shop", MARKER)
    assert made.clone_url.endswith("/dev/shop.git")
    assert bench.fork("shop2").id != made.id


@pytest.mark.parametrize("description", ["hello", f"{MARKER}0", f"Was {MARKER}"])
def test_somebody_elses_project_is_left_alone(bench: Bench, description: str) -> None:
    fork = {"name": "Shop", "path": "Shop", "namespace_path": "dev", "description": description}
    bench.admin("POST", "projects", TEMPLATE, "fork", **fork)
    before = bench.service.snapshot()

    with pytest.raises(Conflict) as caught:
        bench.fork()

    assert caught.value.choices
    assert bench.service.snapshot() == before


@pytest.mark.parametrize("template", [TEMPLATE, "templates/Django_Template"])
def test_our_own_project_is_ours_wherever_it_came_from(bench: Bench, template: str) -> None:
    fork = {"name": "Shop", "path": "Shop", "namespace_path": "dev", "description": f"The shop\n{MARKER}"}
    made = bench.admin("POST", "projects", template, "fork", **fork)
    if template == TEMPLATE:
        bench.admin("DELETE", "projects", str(made["id"]), "fork")

    found = bench.fork()

    assert (found.id, found.found, found.is_fork) == (made["id"], True, False)
    assert bench.intents == []


def test_the_ledgers_id_is_as_good_as_a_marker(bench: Bench) -> None:
    made = bench.fork()
    bench.admin("PUT", "projects", str(made.id), description="The shop of the dev team")

    with pytest.raises(Conflict):
        bench.fork()
    found = bench.client.projects.ensure_fork(
        TEMPLATE, namespace="dev", path="shop", marker=MARKER, on_create=bench.on_create, known_id=made.id
    )

    assert (found.id, found.is_fork) == (made.id, True)


def test_merge_requests_of_a_fork_go_to_itself(bench: Bench) -> None:
    made = bench.fork()

    assert bench.admin("GET", "projects", str(made.id))["mr_default_target_self"] is True


def test_a_fork_whose_merge_requests_go_to_the_template_is_corrected_once(bench: Bench) -> None:
    made = bench.fork()
    bench.admin("PUT", "projects", str(made.id), mr_default_target_self=False)

    for _ in range(2):
        bench.fork()

    assert [call.method for call in bench.service.writes()] == ["PUT"]
    assert bench.admin("GET", "projects", str(made.id))["mr_default_target_self"] is True


def test_a_fork_call_that_ignores_the_target_is_followed_by_an_edit(bench: Bench) -> None:
    older = {"name": "shop", "path": "shop", "namespace_path": "dev", "description": MARKER}
    made = bench.admin("POST", "projects", TEMPLATE, "fork", **older)
    assert made["mr_default_target_self"] is False
    bench.admin("DELETE", "projects", str(made["id"]))
    answer = json.dumps({**made, "id": 1})
    bench.service.inject(Fault(kind="status", method="POST", path="/fork$", status=201, body=answer))

    bench.fork()

    assert bench.service.state.projects[1].mr_default_target_self


def test_our_own_fork_that_appears_meanwhile_is_found(bench: Bench) -> None:
    fork = {"name": "shop", "path": "shop", "namespace_path": "dev", "description": MARKER}
    bench.before_create = lambda: bench.admin("POST", "projects", TEMPLATE, "fork", **fork)

    assert bench.fork().found


def test_a_deleted_project_leaves_its_place_free(bench: Bench) -> None:
    old = bench.fork()
    bench.admin("DELETE", "projects", str(old.id))

    assert bench.client.projects.find("dev/shop") is None
    assert bench.fork().id != old.id


def test_a_project_marked_for_deletion_in_its_place_is_absent(bench: Bench) -> None:
    bench.service.state.projects[bench.fork().id].marked_for_deletion_on = "2030-01-01"

    assert bench.client.projects.find("dev/shop") is None
    with pytest.raises(Conflict, match="keeps the deleted project dev/shop"):
        bench.fork()


def test_a_name_that_a_renamed_project_still_has_is_a_conflict_that_names_it(bench: Bench) -> None:
    old = bench.fork()
    bench.admin("PUT", "projects", str(old.id), path="shop-old", description="ours no more")

    with pytest.raises(Conflict, match="dev/shop-old has the name shop") as caught:
        bench.fork()

    assert "choose another name" in caught.value.choices


def test_a_redirect_to_https_does_not_mean_that_a_place_is_free(bench: Bench) -> None:
    bench.fork()
    bench.service.calls.clear()
    bench.service.is_https_only = True

    for call in (lambda: bench.client.projects.find("dev/shop"), bench.fork):
        with pytest.raises(Permanent, match=r"redirects to https://127\.0\.0\.1:\d+: set GITLAB_URL") as caught:
            call()
        assert caught.value.action_by is ActionBy.OPERATOR
    assert bench.service.writes() == []


def test_gitlabs_own_redirect_means_that_a_place_is_free(bench: Bench) -> None:
    bench.admin("PUT", "projects", str(bench.fork().id), path="shop-old", name="shop-old")

    assert bench.client.projects.find("dev/shop") is None


@pytest.mark.parametrize("template", [TEMPLATE, "id"])
def test_an_empty_template_is_for_the_operator_at_once_and_nothing_is_made(bench: Bench, template: str) -> None:
    empty = empty_template(bench)

    with pytest.raises(Permanent, match="is empty") as caught:
        bench.fork(template=TEMPLATE if template == TEMPLATE else str(empty))

    assert caught.value.action_by is ActionBy.OPERATOR
    assert (bench.intents, bench.service.writes()) == ([], [])


def empty_template(bench: Bench) -> int:
    record = bench.service.state.project_at(TEMPLATE)
    assert record is not None
    record.default_branch = None
    return record.id


def test_the_copy_of_an_empty_template_is_for_the_operator_at_once(bench: Bench) -> None:
    record = bench.imported()
    empty_template(bench)
    record.default_branch = None

    with pytest.raises(Permanent, match=r"template .* is empty"):
        bench.client.projects.await_import(record.id)


@pytest.mark.parametrize("path", ["dev/nothing", "nothing", "1"])
def test_a_project_is_had_by_its_full_path_alone(bench: Bench, path: str) -> None:
    assert bench.client.projects.find(path) is None
    with pytest.raises(Permanent, match="shows us no project"):
        bench.client.projects.get(path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"path": "tree"}, "reserved name"),
        ({"path": "a..b"}, "Path must start"),
        ({"template": "templates/Nothing"}, "404 Project Not Found"),
        ({"namespace": "nowhere"}, "404 Namespace Not Found"),
    ],
)
def test_a_fork_that_cannot_be_says_why(bench: Bench, changes: dict[str, str], reason: str) -> None:
    with pytest.raises(Permanent, match=reason):
        bench.fork(**changes)


def test_the_older_shape_of_a_409_says_why_too(bench: Bench) -> None:
    body = '{"message":{"name":["has already been taken"]}}'
    bench.service.inject(Fault(kind="status", method="POST", status=409, body=body))

    with pytest.raises(Permanent, match="name: has already been taken"):
        bench.fork()


@pytest.mark.parametrize("status", ["none", "scheduled", "started", "something new"])
def test_an_unfinished_import_is_waited_for(bench: Bench, status: str) -> None:
    record = bench.imported()
    record.import_status = status

    with pytest.raises(NotYet, match=status):
        bench.client.projects.await_import(record.id)


def test_an_import_without_a_default_branch_is_waited_for(bench: Bench) -> None:
    record = bench.imported()
    record.default_branch = None

    with pytest.raises(NotYet, match="no commit"):
        bench.client.projects.await_import(record.id)


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_failed_import_says_why(bench: Bench, status: str) -> None:
    record = bench.imported()
    record.import_status, record.import_error = status, "disk <b>full</b>"

    with pytest.raises(Permanent, match="disk full") as caught:
        bench.client.projects.await_import(record.id)
    assert caught.value.action_by is ActionBy.UPSTREAM


def test_a_finished_import_has_a_branch(bench: Bench) -> None:
    assert bench.client.projects.await_import(bench.imported().id).default_branch == "main"


def test_a_fork_that_is_gone_is_not_waited_for(bench: Bench) -> None:
    with pytest.raises(Permanent):
        bench.client.projects.await_import(4711)


@pytest.mark.parametrize("branch", ["main", "feature/cart"])
def test_a_branch_is_read_with_its_newest_commit(bench: Bench, branch: str) -> None:
    template = bench.service.state.project_at(TEMPLATE)
    assert template is not None
    place = ("projects", TEMPLATE, "repository")
    if branch != "main":
        bench.admin("POST", *place, "branches", branch=branch, ref="main")
    actions = [{"action": "create", "file_path": "a.txt", "content": "a"}]
    made = bench.admin("POST", *place, "commits", branch=branch, commit_message="Change it", actions=actions)

    found = bench.client.projects.get_branch(template.id, branch)

    assert found is not None
    assert (found.name, found.commit_id, found.is_default) == (branch, made["id"], branch == "main")


def test_a_branch_that_does_not_exist_is_not_found(bench: Bench) -> None:
    template = bench.service.state.project_at(TEMPLATE)
    assert template is not None

    assert bench.client.projects.get_branch(template.id, "feature") is None
    with pytest.raises(Permanent):
        bench.client.projects.get_branch(4711, "main")


# -- branches -------------------------------------------------------------------------------------------------

OPEN = [([30], [30], False)]


@both_editions
def test_a_branch_that_gitlab_protected_is_opened_once(bench: Bench) -> None:
    bench.protected([40], [40])

    bench.open_branch()
    bench.open_branch()

    assert bench.levels() == OPEN
    assert [call.method for call in bench.service.writes()] == ["DELETE", "POST"]


@both_editions
def test_a_branch_that_gitlab_has_not_protected_yet_is_opened_before_it_can(bench: Bench) -> None:
    bench.imported()

    bench.open_branch()

    assert bench.levels() == OPEN


@both_editions
def test_when_gitlab_is_quicker_we_look_again(bench: Bench) -> None:
    record = bench.imported()
    body = '{"message":"Protected branch \'main\' already exists"}'
    bench.service.inject(Fault(kind="status", method="POST", times=1, status=409, body=body))

    with pytest.raises(NotYet) as caught:
        bench.open_branch()
    record.branches.append(bench.service.new_branch("main", push=[40], merge=[40]))
    bench.open_branch()

    assert caught.value.retry_after_s == 1
    assert bench.levels() == OPEN


@both_editions
@pytest.mark.parametrize(("push", "merge"), [([30, 40], [30]), ([30], [40]), ([0], [0])])
def test_other_levels_are_replaced(bench: Bench, push: list[int], merge: list[int]) -> None:
    bench.protected(push, merge)

    bench.open_branch()

    assert bench.levels() == OPEN


def test_forced_pushes_are_taken_away(bench: Bench) -> None:
    bench.protected([30], [30]).branches[0].allow_force_push = True

    bench.open_branch()

    assert bench.levels() == OPEN


@pytest.mark.parametrize("method", ["DELETE", "POST"])
@pytest.mark.parametrize("kind", ["lost", "reset", "status"])
def test_a_stumble_on_the_way_to_an_open_branch_converges(bench: Bench, method: str, kind: str) -> None:
    bench.protected([40], [40])
    bench.service.inject(Fault(kind=kind, method=method, times=1))

    with pytest.raises(Transient):
        bench.open_branch()
    bench.open_branch()

    assert bench.levels() == OPEN


def test_a_locked_branch_is_transient(bench: Bench) -> None:
    bench.imported()
    bench.service.inject(Fault(kind="status", method="POST", times=1, status=409, body=LOCKED))

    with pytest.raises(Transient, match="lock"):
        bench.open_branch()

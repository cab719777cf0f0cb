"""Does the GitLab stand-in set the traps that the real one sets?"""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from harbour.config import HarbourConfig
from harbour.gitlab.app import GitLab
from harbour.gitlab.background import Background
from harbour.server import Fault

MAIN = "/projects/dev%2Fshop/protected_branches/main"
LONG_PASSWORD = "correct horse battery staple, and so on until it is long enough to pass"
ANNA = {"email": "anna@corp.example", "username": "anna", "name": "Anna Berg", "password": LONG_PASSWORD}

Api = Callable[..., requests.Response]
Eventually = Callable[[Callable[[], Any]], Any]


@contextmanager
def connected(service: GitLab) -> Iterator[Api]:
    with requests.Session() as session:
        session.headers["PRIVATE-TOKEN"] = service.config.gitlab_token

        def call(method: str, path: str, /, **json: Any) -> requests.Response:
            url = f"{service.url}/api/v4{path}"
            return session.request(method, url, json=json or None, allow_redirects=False, timeout=10)

        yield call


@pytest.fixture
def api(gitlab: GitLab) -> Iterator[Api]:
    with connected(gitlab) as call:
        yield call


class ByHand(Background):
    """Things happen later only when the test says so, the earliest first."""

    def __init__(self) -> None:
        super().__init__()
        self.pending: list[tuple[float, Callable[[], None]]] = []

    def after(self, delay_s: float, function: Callable[[], None]) -> None:
        self.pending.append((delay_s, function))

    def run_next(self) -> None:
        self.pending.sort(key=lambda entry: entry[0])
        self.pending.pop(0)[1]()


@pytest.fixture
def later() -> ByHand:
    return ByHand()


@pytest.fixture
def slow_api(config: HarbourConfig, later: ByHand) -> Iterator[Api]:
    """Call a GitLab whose background jobs wait for `later`."""
    service = GitLab(config, later)
    service.start()
    with connected(service) as call:
        yield call
    service.stop()


@pytest.fixture
def anna(api: Api) -> int:
    number: int = api("POST", "/users", **ANNA, skip_confirmation=True).json()["id"]
    return number


def fork(api: Api, path: str = "shop", **more: Any) -> requests.Response:
    body = {"namespace_path": "dev", "name": path, "path": path} | more
    return api("POST", "/projects/templates%2FFlask_Template/fork", **body)


@pytest.fixture
def shop(api: Api, eventually: Eventually) -> int:
    """Return the id of a fork whose import and protection are over."""
    fork(api)
    eventually(lambda: api("GET", "/projects/dev%2Fshop/protected_branches/main").status_code == 200)
    number: int = api("GET", "/projects/dev%2Fshop").json()["id"]
    return number


def git(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    quiet = ("-c", "credential.helper=", "-c", "user.name=Anna", "-c", "user.email=anna@corp.example")
    command = ["git", *quiet, *map(str, arguments)]
    environment = {"PATH": "/usr/bin:/bin", "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def with_login(url: str, user: str, password: str) -> str:
    return url.replace("://", f"://{user}:{quote(password)}@")


def levels(answer: requests.Response) -> list[int]:
    return [level["access_level"] for level in answer.json()["push_access_levels"]]


# -- who may call ------------------------------------------------------------------------------------------


def test_a_wrong_token_is_unauthorized(gitlab: GitLab) -> None:
    answer = requests.get(f"{gitlab.url}/api/v4/version", headers={"PRIVATE-TOKEN": "no"}, timeout=10)

    assert (answer.status_code, answer.json()) == (401, {"message": "401 Unauthorized"})


def test_the_read_token_proves_itself_and_may_do_nothing_else(gitlab: GitLab, config: HarbourConfig) -> None:
    headers = {"PRIVATE-TOKEN": config.gitlab_read_token}

    itself = requests.get(f"{gitlab.url}/api/v4/personal_access_tokens/self", headers=headers, timeout=10).json()
    users = requests.get(f"{gitlab.url}/api/v4/users", headers=headers, timeout=10)

    assert itself["scopes"] == ["read_repository"]
    assert (users.status_code, users.json()["error"]) == (403, "insufficient_scope")


def test_the_api_token_is_an_active_administrators(api: Api) -> None:
    itself = api("GET", "/personal_access_tokens/self").json()

    assert (itself["active"], itself["revoked"], "api" in itself["scopes"]) == (True, False, True)
    assert api("GET", "/user").json()["is_admin"] is True
    assert api("GET", "/metadata").json()["enterprise"] is False


# -- users -------------------------------------------------------------------------------------------------


def test_a_new_user_shows_its_marker_and_never_its_password(api: Api) -> None:
    created = api("POST", "/users", **ANNA, note="ours", skip_confirmation=True, projects_limit=0)

    assert created.status_code == 201
    assert created.json()["note"] == "ours"
    assert created.json()["projects_limit"] == 0
    assert LONG_PASSWORD not in created.text
    assert api("GET", "/users?username=ANNA").json() == [created.json()]
    assert api("GET", "/users?username=ann").json() == []


def test_missing_parameters_are_listed_in_one_sentence(api: Api) -> None:
    answer = api("POST", "/users", username="anna", password=LONG_PASSWORD)

    assert (answer.status_code, answer.json()) == (400, {"error": "email is missing, name is missing"})


def test_a_taken_email_is_reported_before_a_weak_password(api: Api, anna: int) -> None:
    assert anna
    mail = api("POST", "/users", **ANNA | {"email": "ANNA@corp.example", "username": "b", "password": "gitlab12"})
    name = api("POST", "/users", **ANNA | {"email": "b@corp.example", "password": "gitlab12"})

    assert (mail.status_code, mail.json()) == (409, {"message": "Email has already been taken"})
    assert (name.status_code, name.json()) == (409, {"message": "Username has already been taken"})


def test_a_username_that_is_a_group_is_400_on_base(api: Api) -> None:
    answer = api("POST", "/users", **ANNA | {"username": "Dev"})

    sentence = "A user, alias, or group already exists with that username."
    assert (answer.status_code, answer.json()) == (400, {"message": {"base": [sentence]}})


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("short", "is too short (minimum is 8 characters)"),
        ("my-DevOps-word", "must not contain commonly used combinations of words and letters"),
        ("from-corp-with-love", "must not contain commonly used combinations of words and letters"),
        ("xx-berg-xx", "must not contain commonly used combinations of words and letters"),
    ],
)
def test_weak_passwords_are_refused(api: Api, password: str, problem: str) -> None:
    answer = api("POST", "/users", **ANNA | {"password": password})

    assert (answer.status_code, answer.json()) == (400, {"message": {"password": [problem]}})


def test_from_64_characters_a_password_may_hold_anything(api: Api) -> None:
    answer = api("POST", "/users", **ANNA | {"password": "gitlab-anna-" + "x" * 52})

    assert answer.status_code == 201


def test_a_deleted_user_keeps_the_name_until_the_job_is_done(slow_api: Api, later: ByHand) -> None:
    user = slow_api("POST", "/users", **ANNA).json()["id"]

    deleted = slow_api("DELETE", f"/users/{user}")
    too_early = slow_api("POST", "/users", **ANNA)
    later.run_next()

    assert (deleted.status_code, deleted.text) == (204, "")
    assert too_early.status_code == 409
    assert slow_api("DELETE", f"/users/{user}").json() == {"message": "404 User Not Found"}
    assert slow_api("POST", "/users", **ANNA).status_code == 201


def test_the_sole_owner_of_a_group_is_deleted_only_with_the_group(api: Api, anna: int, eventually: Eventually) -> None:
    api("POST", "/groups/dev/members", user_id=anna, access_level=50)
    api("DELETE", "/groups/dev/members/1")

    refused = api("DELETE", f"/users/{anna}")
    api("DELETE", f"/users/{anna}?hard_delete=true")

    assert (refused.status_code, "sole-owner" in refused.json()["message"]) == (409, True)
    eventually(lambda: api("GET", "/groups/dev").status_code == 404)


# -- groups and members ------------------------------------------------------------------------------------


def test_a_group_is_found_by_path_and_says_when_it_is_not(api: Api) -> None:
    assert api("GET", "/groups/dev?with_projects=false").json()["full_path"] == "dev"
    assert api("GET", "/groups/nobody").json() == {"message": "404 Group Not Found"}


def test_a_member_is_added_once_read_directly_changed_and_removed(api: Api, anna: int) -> None:
    added = api("POST", "/groups/dev/members", user_id=anna, access_level=30)
    again = api("POST", "/groups/dev/members", user_id=anna, access_level=40)
    changed = api("PUT", f"/groups/dev/members/{anna}", access_level=40)

    assert (added.status_code, added.json()["id"], added.json()["created_by"]["id"]) == (201, anna, 1)
    assert (again.status_code, again.json()) == (409, {"message": "Member already exists"})
    assert changed.json()["access_level"] == 40
    assert api("GET", f"/groups/dev/members/all/{anna}").json()["access_level"] == 40
    assert api("DELETE", f"/groups/dev/members/{anna}").status_code == 204
    assert api("GET", f"/groups/dev/members/{anna}").json() == {"message": "404 Not found"}


def test_member_refusals(api: Api, anna: int) -> None:
    nobody = api("POST", "/groups/dev/members", user_id=999, access_level=30)
    zero = api("POST", "/groups/dev/members", user_id=anna, access_level=0)
    several = api("POST", "/groups/dev/members", user_id=f"{anna},999", access_level=30)

    assert (nobody.status_code, nobody.json()) == (404, {"message": "404 User Not Found"})
    assert zero.json() == {"message": {"access_level": ["is not included in the list"]}}
    assert (several.status_code, several.json()["status"]) == (201, "error")


def test_what_is_inherited_is_no_direct_membership(config: HarbourConfig) -> None:
    service = GitLab(dataclasses.replace(config, teams=("company/dev",)))
    service.start()
    headers = {"PRIVATE-TOKEN": config.gitlab_token}
    group = f"{service.url}/api/v4/groups/company%2Fdev/members"

    direct = requests.get(f"{group}/1", headers=headers, timeout=10)
    inherited = requests.get(f"{group}/all/1", headers=headers, timeout=10)
    lower = requests.post(group, headers=headers, json={"user_id": 1, "access_level": 30}, timeout=10)
    service.stop()

    assert (direct.status_code, inherited.status_code, lower.status_code) == (404, 200, 400)


# -- finding projects --------------------------------------------------------------------------------------


def test_a_search_finds_the_newest_fork_before_the_template(api: Api) -> None:
    fork(api, "copy", description="made from Flask_Template")

    found = api("GET", "/projects?search=flask_template").json()

    assert [project["path"] for project in found] == ["copy", "Flask_Template"]


def test_a_project_without_its_namespace_is_never_found(api: Api) -> None:
    assert api("GET", "/projects/Flask_Template").json() == {"message": "404 Project Not Found"}
    assert api("GET", "/projects/TEMPLATES%2Fflask_template").json()["path"] == "Flask_Template"


def test_lists_come_in_pages(gitlab: GitLab, config: HarbourConfig) -> None:
    headers = {"PRIVATE-TOKEN": config.gitlab_token}

    first = requests.get(f"{gitlab.url}/api/v4/projects?per_page=3", headers=headers, timeout=10)
    second = requests.get(first.links["next"]["url"], headers=headers, timeout=10)

    assert (len(first.json()), len(second.json())) == (3, 1)
    assert (first.headers["X-Next-Page"], second.headers["X-Next-Page"]) == ("2", "")


# -- forks -------------------------------------------------------------------------------------------------


def test_a_fork_is_scheduled_then_finished_and_protected_only_after_that(slow_api: Api, later: ByHand) -> None:
    seen = [fork(slow_api).json()]
    for _ in ("begin", "import"):
        later.run_next()
        seen.append(slow_api("GET", "/projects/dev%2Fshop").json())
    between = slow_api("GET", MAIN)
    later.run_next()
    after = slow_api("GET", MAIN)

    assert [project["import_status"] for project in seen] == ["scheduled", "started", "finished"]
    assert [project["default_branch"] for project in seen] == [None, None, "main"]
    assert seen[0]["visibility"] == "private"
    assert (between.status_code, between.json()) == (404, {"message": "404 Not found"})
    assert (after.status_code, levels(after)) == (200, [40])


def test_protection_that_came_first_stays(slow_api: Api, later: ByHand) -> None:
    fork(slow_api)
    slow_api("POST", "/projects/dev%2Fshop/protected_branches", name="main", push_access_level=30)

    while later.pending:
        later.run_next()

    rules = slow_api("GET", "/projects/dev%2Fshop/protected_branches").json()
    assert [rule["push_access_levels"][0]["access_level"] for rule in rules] == [30]


def test_without_a_namespace_a_fork_lands_at_home(api: Api) -> None:
    answer = api("POST", "/projects/templates%2FFlask_Template/fork", name="lost", path="lost")

    assert answer.json()["path_with_namespace"] == "root/lost"


def test_names_are_unique_too_whatever_their_case(api: Api) -> None:
    fork(api)

    name = fork(api, name="SHOP", path="other")
    path = fork(api, name="other", path="Shop")

    assert (name.status_code, "Name has already been taken" in name.json()["message"]) == (409, True)
    assert (path.status_code, path.json()["message"]) == (409, ["Path has already been taken"])


@pytest.mark.parametrize("bad", [{"path": "tree"}, {"path": "a--b"}, {"path": "a.git"}, {"name": "-x"}])
def test_every_bad_name_is_a_409_of_sentences(api: Api, bad: dict[str, str]) -> None:
    answer = fork(api, **bad)

    assert answer.status_code == 409
    assert all(isinstance(sentence, str) for sentence in answer.json()["message"])
    assert api("GET", "/projects/dev%2Fshop").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        ({"namespace_path": "nobody"}, 404, {"message": "404 Namespace Not Found"}),
        ({"branches": "nowhere"}, 404, {"message": "404 Source Branch Not Found"}),
        ({"visibility": "secret"}, 400, {"error": "visibility does not have a valid value"}),
    ],
)
def test_fork_refusals_that_are_no_409(api: Api, body: dict[str, str], status: int, answer: dict[str, str]) -> None:
    refused = fork(api, **body)

    assert (refused.status_code, refused.json()) == (status, answer)


def test_an_import_can_fail(api: Api, gitlab: GitLab, eventually: Eventually) -> None:
    gitlab.import_errors.append("disk full")

    fork(api)

    eventually(lambda: api("GET", "/projects/dev%2Fshop/import").json()["import_status"] == "failed")
    assert api("GET", "/projects/dev%2Fshop").json()["import_error"] == "disk full"


def test_cutting_a_fork_twice_answers_304(api: Api, shop: int) -> None:
    assert api("GET", f"/projects/{shop}").json()["forked_from_project"]["path"] == "Flask_Template"
    assert api("DELETE", f"/projects/{shop}/fork").status_code == 204
    assert api("DELETE", f"/projects/{shop}/fork").status_code == 304
    assert "forked_from_project" not in api("GET", f"/projects/{shop}").json()


def test_resource_lock_is_a_409_that_did_nothing(api: Api, gitlab: GitLab) -> None:
    body = '{"message":"409 Conflict: Resource lock"}'
    gitlab.inject(Fault(kind="status", method="POST", path="/fork$", times=1, status=409, body=body))

    locked, free = fork(api), fork(api)

    assert (locked.status_code, locked.json()) == (409, {"message": "409 Conflict: Resource lock"})
    assert free.status_code == 201


# -- deleting projects -------------------------------------------------------------------------------------


def test_a_deleted_project_leaves_a_tombstone_behind_a_redirect(api: Api, shop: int, gitlab: GitLab) -> None:
    deleted = api("DELETE", "/projects/dev%2Fshop")

    moved = api("GET", "/projects/dev%2Fshop/protected_branches?page=1")
    tombstone = api("GET", f"/projects/{shop}").json()
    assert (deleted.status_code, deleted.json()) == (202, {"message": "202 Accepted"})
    target = f"{gitlab.url}/api/v4/projects/{shop}/protected_branches?page=1"
    assert (moved.status_code, moved.headers["Location"]) == (301, target)
    assert tombstone["path_with_namespace"] == f"dev/shop-deletion_scheduled-{shop}"
    assert (tombstone["archived"], tombstone["marked_for_deletion_on"] is not None) == (True, True)
    refused = api("DELETE", "/projects/dev%2Fshop/fork")
    sentence = "Non GET methods are not allowed for moved projects"
    assert (refused.status_code, refused.json()) == (405, {"message": sentence})


def test_a_new_project_takes_the_path_back(api: Api, shop: int) -> None:
    api("DELETE", f"/projects/{shop}")

    again = fork(api)

    assert again.status_code == 201
    assert api("GET", "/projects/dev%2Fshop").json()["id"] == again.json()["id"] != shop


def test_the_final_deletion_wants_the_mark_and_the_new_path(
    api: Api, shop: int, gitlab: GitLab, eventually: Eventually
) -> None:
    final = f"/projects/{shop}?permanently_remove=true&full_path="

    unmarked = api("DELETE", f"{final}dev/shop")
    api("DELETE", f"/projects/{shop}")
    old_path = api("DELETE", f"{final}dev/shop")
    accepted = api("DELETE", f"{final}dev/shop-deletion_scheduled-{shop}")

    assert unmarked.json() == {"message": "Project must be marked for deletion first."}
    assert (old_path.status_code, "`full_path` is incorrect" in old_path.json()["message"]) == (400, True)
    assert accepted.status_code == 202
    eventually(lambda: api("GET", f"/projects/{shop}").status_code == 404)
    assert api("GET", "/projects/dev%2Fshop").status_code == 404
    eventually(lambda: not (gitlab.config.root / "repositories" / f"{shop}.git").exists())


# -- protected branches ------------------------------------------------------------------------------------


def test_community_edition_ignores_allowed_to_push_with_200(api: Api, shop: int) -> None:
    assert shop
    answer = api("PATCH", MAIN, allowed_to_push=[{"access_level": 30}])

    assert (answer.status_code, levels(answer)) == (200, [40])


def test_protection_is_replaced_by_delete_and_post(api: Api, shop: int) -> None:
    rules = f"/projects/{shop}/protected_branches"

    exists = api("POST", rules, name="main")
    owner = api("POST", rules, name="x", push_access_level=50)
    deleted = api("DELETE", MAIN)
    created = api("POST", rules, name="main", push_access_level=30, merge_access_level=30)

    assert (exists.status_code, exists.json()) == (409, {"message": "Protected branch 'main' already exists"})
    assert (owner.status_code, owner.json()) == (
        400,
        {"error": "push_access_level does not have a valid value"},
    )
    assert (deleted.status_code, created.status_code, levels(created)) == (204, 201, [30])
    assert api("DELETE", f"{rules}/nowhere").json() == {"message": "404 Not found"}


def test_enterprise_edition_adds_levels_and_changes_them_by_id(config: HarbourConfig) -> None:
    service = GitLab(dataclasses.replace(config, gitlab_edition="ee"))
    service.start()
    url = f"{service.url}/api/v4/projects/templates%2FFlask_Template/protected_branches/main"

    def patch(entry: dict[str, Any]) -> requests.Response:
        headers = {"PRIVATE-TOKEN": config.gitlab_token}
        return requests.patch(url, json={"allowed_to_push": [entry]}, headers=headers, timeout=10)

    added = patch({"access_level": 30})
    again = patch({"access_level": 30})
    old_id = added.json()["push_access_levels"][0]["id"]
    destroyed = patch({"id": old_id, "_destroy": True})
    licence = patch({"user_id": 1})
    service.stop()

    assert levels(added) == [40, 30]
    assert (again.status_code, again.json()["message"]) == (
        422,
        ["Push access levels access level has already been taken"],
    )
    assert levels(destroyed) == [30]
    assert licence.status_code == 422


# -- git ---------------------------------------------------------------------------------------------------


def test_a_fork_is_a_real_clone_of_its_template(
    api: Api, shop: int, gitlab: GitLab, config: HarbourConfig, tmp_path: Path
) -> None:
    url = api("GET", f"/projects/{shop}").json()["http_url_to_repo"]

    cloned = git("clone", "--quiet", with_login(url, config.gitlab_user, config.gitlab_read_token), tmp_path / "w")

    assert cloned.returncode == 0, cloned.stderr
    assert {"Jenkinsfile", "Dockerfile", "app.py"} <= {path.name for path in (tmp_path / "w").iterdir()}
    assert [call for call in gitlab.writes() if call.kind == "git"] == []


def test_an_address_without_the_suffix_leads_to_the_repository(gitlab: GitLab, config: HarbourConfig) -> None:
    url = with_login(f"{gitlab.url}/templates/Helm_Template", "oauth2", config.gitlab_token)

    assert "refs/heads/main" in git("ls-remote", url).stdout


@pytest.mark.parametrize("template", ["Spring_Template", "Django_Template", "Flask_Template", "Helm_Template"])
def test_every_template_is_there_to_clone(gitlab: GitLab, config: HarbourConfig, tmp_path: Path, template: str) -> None:
    url = with_login(f"{gitlab.url}/templates/{template}.git", "oauth2", config.gitlab_token)

    assert git("clone", "--quiet", url, tmp_path / "w").returncode == 0
    files = {path.name for path in (tmp_path / "w").rglob("*") if path.is_file()}
    wanted = {"Chart.yaml", "values.yaml"} if template == "Helm_Template" else {"Jenkinsfile", "Dockerfile"}
    assert wanted | {"README.md"} <= files
    assert not any(name.endswith("-tpl") for name in files)


def test_a_developer_pushes_to_main_only_once_it_is_opened(
    api: Api, anna: int, shop: int, gitlab: GitLab, tmp_path: Path
) -> None:
    api("POST", "/groups/dev/members", user_id=anna, access_level=30)
    work = tmp_path / "w"
    git("clone", "--quiet", with_login(f"{gitlab.url}/dev/shop.git", "anna", LONG_PASSWORD), work)
    git("-C", work, "commit", "--quiet", "--allow-empty", "--message", "mine")

    closed = git("-C", work, "push", "origin", "main")
    branch = git("-C", work, "push", "origin", "main:topic")
    api("DELETE", MAIN)
    api("POST", f"/projects/{shop}/protected_branches", name="main", push_access_level=30)
    opened = git("-C", work, "push", "origin", "main")

    assert closed.returncode != 0
    assert "not allowed to push code to protected branches" in closed.stderr
    assert (branch.returncode, opened.returncode) == (0, 0), opened.stderr
    assert [call.path for call in gitlab.writes() if ".git" in call.path] == []


def test_a_large_push_comes_in_pieces(gitlab: GitLab, config: HarbourConfig, tmp_path: Path) -> None:
    work = tmp_path / "w"
    url = with_login(f"{gitlab.url}/templates/Flask_Template.git", "oauth2", config.gitlab_token)
    git("clone", "--quiet", url, work)
    (work / "large").write_bytes(bytes(range(256)) * 16_000)
    git("-C", work, "add", "large")
    git("-C", work, "-c", "core.compression=0", "commit", "--quiet", "--message", "large")

    pushed = git("-C", work, "-c", "core.compression=0", "push", "origin", "main")

    assert pushed.returncode == 0, pushed.stderr


def test_strangers_get_nothing(api: Api, anna: int, shop: int, gitlab: GitLab) -> None:
    assert anna
    assert shop
    refs = f"{gitlab.url}/dev/shop.git/info/refs?service=git-upload-pack"

    nobody = requests.get(refs, timeout=10)
    wrong = requests.get(refs, auth=("anna", "wrong"), timeout=10)
    outsider = requests.get(refs, auth=("anna", LONG_PASSWORD), timeout=10)
    api("POST", f"/users/{anna}/block")
    blocked = requests.get(refs, auth=("anna", LONG_PASSWORD), timeout=10)

    statuses = [answer.status_code for answer in (nobody, wrong, outsider, blocked)]
    assert statuses == [401, 401, 404, 401]
    assert nobody.headers["WWW-Authenticate"].startswith("Basic")


def test_the_cloning_account_cannot_push(shop: int, gitlab: GitLab, config: HarbourConfig) -> None:
    assert shop
    refs = f"{gitlab.url}/dev/shop.git/info/refs?service=git-receive-pack"

    answer = requests.get(refs, auth=(config.gitlab_user, config.gitlab_read_token), timeout=10)

    assert answer.status_code == 403


def test_links_lead_to_a_page(api: Api, shop: int) -> None:
    project = api("GET", f"/projects/{shop}").json()

    page = requests.get(project["web_url"], timeout=10)
    group = requests.get(project["namespace"]["web_url"], timeout=10)
    nothing = requests.get(f"{project['web_url']}-not", timeout=10)

    assert page.status_code == group.status_code == 200
    assert "Jenkinsfile" in page.text
    assert project["http_url_to_repo"] in page.text
    assert nothing.status_code == 404


# -- restarts ----------------------------------------------------------------------------------------------


def test_an_import_goes_on_after_a_restart(config: HarbourConfig, eventually: Eventually) -> None:
    first = GitLab(dataclasses.replace(config, fork_s=60))
    first.keep(config.root / "gitlab.json")
    first.start()
    headers = {"PRIVATE-TOKEN": config.gitlab_token}
    body = {"namespace_path": "dev", "name": "shop", "path": "shop"}
    source = "/api/v4/projects/templates%2FFlask_Template/fork"
    requests.post(f"{first.url}{source}", json=body, headers=headers, timeout=10)
    first.stop()

    second = GitLab(config)
    second.keep(config.root / "gitlab.json")
    second.start()
    project = second.state.project_at("dev/shop")
    assert project is not None
    eventually(lambda: project.settled)
    second.stop()

    assert project.import_status == "finished"

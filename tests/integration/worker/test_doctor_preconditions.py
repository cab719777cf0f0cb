"""Every precondition of docs/install-upstreams.md, missing alone and with all others, is found with its remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import update
from support.prepared import Original, Prepared
from support.world import Time, World

from common.database.engine import Database
from common.database.models import App
from harbour.faults import Fault
from harbour.gitlab.model import Project
from harbour.world import Harbour
from worker.upstreams.check import CheckState

POLICY = "policy.slipway.csv"
NAMESPACE = {"group": "", "kind": "Namespace"}
ANYTHING = {"group": "*", "kind": "*"}
ALLOW = 'argocd proj allow-cluster-resource dev "" Namespace'


@dataclass(frozen=True)
class Missing:
    """Something of the page that is not there: how it goes, which check finds it, and words of the remedy.

    `hides`: without it other checks cannot run. `hidden`: other things that are missing hide it. `state`: what the
    check says of it. `also`: what is wrong with it.
    """

    name: str
    go: Callable[[Harbour], object]
    found: str
    remedy: str
    hides: bool = False
    hidden: bool = False
    state: CheckState = CheckState.FAILED
    also: frozenset[str] = frozenset()


def project(harbour: Harbour, path: str) -> Project:
    found = harbour.gitlab.state.project_at(path)
    assert found is not None, path
    return found


def no_group(path: str) -> Callable[[Harbour], object]:
    def go(harbour: Harbour) -> None:
        group = harbour.gitlab.state.group_at(path)
        assert group is not None
        del harbour.gitlab.state.groups[group.id]

    return go


def no_template(name: str) -> Callable[[Harbour], object]:
    return lambda harbour: harbour.gitlab.state.projects.pop(project(harbour, f"templates/{name}").id)


def template(name: str, field: str, value: object) -> Callable[[Harbour], object]:
    return lambda harbour: setattr(project(harbour, f"templates/{name}"), field, value)


def not_a_member(name: str, path: str) -> Callable[[Harbour], object]:
    def go(harbour: Harbour) -> None:
        group, user = harbour.gitlab.state.group_at(path), harbour.gitlab.state.user_named(name)
        assert group is not None
        assert user is not None
        group.members = [each for each in group.members if each.user_id != user.id]

    return go


def user(harbour: Harbour, name: str) -> object:
    found = harbour.gitlab.state.user_named(name)
    assert found is not None
    return found


def no_plugin(name: str) -> Callable[[Harbour], object]:
    return lambda harbour: harbour.jenkins.plugins.pop(name)


def spec(team: str, **values: object) -> Callable[[Harbour], object]:
    return lambda harbour: harbour.argocd.projects[team].update(values)


def somebody_elses_template(team: str) -> Callable[[Harbour], object]:
    def go(harbour: Harbour) -> None:
        prefix = f"{harbour.gitlab.url}/{team}/"
        harbour.argocd.templates[prefix] = {"url": prefix, "type": "git", "username": "platform", "password": "x"}

    return go


def without_right(line: str) -> Callable[[Harbour], object]:
    """Remove a line of the policy."""

    def go(harbour: Harbour) -> None:
        texts = harbour.argocd.config_maps["argocd-rbac-cm"]
        lines = texts[POLICY].splitlines()
        assert line in lines
        texts[POLICY] = "\n".join(each for each in lines if each != line)

    return go


GITLAB = (
    Missing(
        "limits that Slipway's calls fit into",
        lambda harbour: setattr(harbour.gitlab, "is_throttled", True),
        "GitLab: rate limit",
        "GITLAB_CALLS_PER_SECOND",
    ),
    Missing("group of a team", no_group("ops"), "GitLab: group ops", "New group"),
    Missing(
        "administrator",
        lambda harbour: setattr(user(harbour, "slipway"), "is_admin", False),
        "GitLab: administrator",
        "Administrator",
        hides=True,
    ),
    Missing(
        "account that reads, in a group",
        not_a_member("slipway-reader", "ops"),
        "GitLab: read token",
        "ops → Manage → Members → Invite members: slipway-reader",
        hides=True,
    ),
    Missing("token of Slipway", lambda h: h.gitlab.tokens.clear(), "GitLab: token", "Access tokens", hides=True),
    *(
        Missing(f"{name} missing", no_template(name), f"GitLab: template templates/{name}", "push the template")
        for name in ("Spring_Template", "Django_Template")
    ),
    Missing(
        "template without a commit",
        template("Flask_Template", "default_branch", None),
        "GitLab: template templates/Flask_Template",
        "push the template",
    ),
    Missing(
        "template that is not to be forked",
        template("Helm_Template", "forking", "disabled"),
        "GitLab: template templates/Helm_Template",
        "Forks",
    ),
)

JENKINS = (
    *(
        Missing(f"plugin {name}", no_plugin(name), f"Jenkins: plugin {name}", "Plugins", hides=name in NEEDED)
        for NEEDED in (("role-strategy", "cloudbees-folder", "credentials"),)
        for name in (
            *("cloudbees-folder", "role-strategy", "git", "credentials", "workflow-job", "workflow-cps"),
            *("pipeline-model-definition", "credentials-binding", "durable-task", "ws-cleanup", "docker-workflow"),
        )
    ),
    Missing(
        "global role for everybody",
        lambda harbour: harbour.jenkins.roles["globalRoles"].pop("reader"),
        "Jenkins: overall read",
        "Overall/Read",
    ),
    Missing(
        "credential of a folder",
        lambda harbour: harbour.jenkins.folder_credential_ids.pop("dev"),
        "Jenkins: credential gitlab",
        "Add Credentials",
    ),
    Missing(
        "agent, with the plugin for pods",
        lambda harbour: setattr(harbour.jenkins, "executors", 0),
        "Jenkins: agents",
        "Clouds",
        hides=True,
        state=CheckState.INCONCLUSIVE,
    ),
    Missing(
        "role strategy",
        lambda harbour: setattr(harbour.jenkins, "has_role_strategy", False),
        "Jenkins: role strategy",
        "Role-Based Strategy",
        hides=True,
    ),
    Missing(
        "folder of a team",
        lambda harbour: harbour.jenkins.items.pop("ops"),
        "Jenkins: folder ops",
        "New Item",
        hides=True,
    ),
    Missing("item role", lambda h: h.jenkins.roles["projectRoles"].pop("ops"), "Jenkins: role ops", "Item roles"),
    Missing(
        "pattern of an item role",
        lambda h: setattr(h.jenkins.roles["projectRoles"]["dev"], "pattern", "development(/.*)?"),
        "Jenkins: role dev on dev/any-app_dev",
        "dev(/.*_dev)?",
    ),
)

ELASTICSEARCH = (
    Missing("role of a team", lambda h: h.elasticsearch.roles.pop("ops"), "Elasticsearch: role ops", "Create role"),
    Missing(
        "privilege of Slipway",
        lambda h: h.elasticsearch.roles["slipway"].update(cluster=["monitor"]),
        "Elasticsearch: privilege manage_security",
        "manage_security",
        hides=True,
    ),
    Missing("user", lambda h: h.elasticsearch.users.pop("slipway"), "Elasticsearch: user", "KIBANA_PWD", hides=True),
)

ARGOCD = (
    Missing("account", lambda h: h.argocd.account_tokens.clear(), "Argo CD: token", "generate-token", hides=True),
    Missing(
        "cluster of a team",
        lambda h: h.argocd.known_clusters.pop("ops-cluster"),
        "Argo CD: cluster ops-cluster",
        "argocd cluster add",
    ),
    Missing(
        "project of a team",
        lambda h: h.argocd.projects.pop("ops"),
        "Argo CD: project ops",
        "argocd proj create ops",
        hides=True,
    ),
    Missing(
        "destination", spec("dev", destinations=[]), "Argo CD: destinations of dev: dev-cluster", "add-destination dev"
    ),
    Missing(
        "fence around other namespaces",
        spec("ops", destinations=[{"name": "ops-cluster", "namespace": "*"}]),
        "Argo CD: other namespaces of ops: ops-cluster",
        "argocd proj add-destination ops ops-cluster 'ops-*' --name",
        hides=True,
        state=CheckState.INCONCLUSIVE,
    ),
    Missing(
        "cluster of the project's own",
        spec("ops", permitOnlyProjectScopedClusters=True),
        "Argo CD: destinations of ops: ops-cluster",
        "--name ops-cluster --project ops",
        hidden=True,
    ),
    *(
        Missing(f"namespace, {name}", spec(team, **rules), f"Argo CD: namespaces made in {team}", remedy)
        for name, team, rules, remedy in (
            ("no whitelist", "dev", {"clusterResourceWhitelist": None}, ALLOW),
            ("an empty whitelist", "dev", {"clusterResourceWhitelist": []}, ALLOW),
            ("another kind", "dev", {"clusterResourceWhitelist": [NAMESPACE | {"kind": "ClusterRole"}]}, ALLOW),
            ("another group", "dev", {"clusterResourceWhitelist": [NAMESPACE | {"group": "apps"}]}, ALLOW),
            ("another name", "dev", {"clusterResourceWhitelist": [NAMESPACE | {"name": "ops-*"}]}, ALLOW),
            ("blacklist", "ops", {"clusterResourceBlacklist": [NAMESPACE]}, "clusterResourceBlacklist"),
            ("blacklist of globs", "ops", {"clusterResourceBlacklist": [ANYTHING]}, "clusterResourceBlacklist"),
        )
    ),
    Missing(
        "credential template, as another user has it",
        somebody_elses_template("ops"),
        "Argo CD: git access to ops",
        "argocd repocreds rm",
        hidden=True,
    ),
    Missing("source", spec("dev", sourceRepos=[]), "Argo CD: sources of dev: dev", "add-source dev"),
    *(
        Missing(
            f"right to {right} applications",
            without_right(f"p, role:slipway, applications, {right}, ops/*, allow"),
            "Argo CD: rights in ops",
            "p, ROLE, applications, ACTION, ops/*, allow",
        )
        for right in ("get", "create", "update", "delete", "sync")
    ),
    *(
        Missing(
            f"right to {right} repositories",
            without_right(f"p, role:slipway, repositories, {right}, *, allow"),
            "Argo CD: rights on repositories",
            "p, ROLE, repositories, ACTION, *, allow",
        )
        for right in ("get", "create", "update", "delete")
    ),
    Missing(
        "right to read a project",
        without_right("p, role:slipway, projects, get, ops, allow"),
        "Argo CD: project ops",
        "argocd proj get ops",
        hides=True,
        state=CheckState.INCONCLUSIVE,
    ),
)

EVERYTHING = (*GITLAB, *JENKINS, *ELASTICSEARCH, *ARGOCD)
SHOWN = tuple(each for each in EVERYTHING if not each.hidden and each.state is CheckState.FAILED)
TOGETHER = tuple(each for each in SHOWN if not each.hides)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return Original(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def prepared(original: Original, tmp_path: Path, db_url: str) -> Iterator[Prepared]:
    with original.copied(tmp_path / "harbour", db_url) as opened:
        yield opened


on_sqlite = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)


@on_sqlite
def test_an_installation_that_was_set_up_from_the_page_has_nothing_to_correct(prepared: Prepared) -> None:
    found = prepared.findings(CheckState.FAILED, CheckState.INCONCLUSIVE)

    assert found == {}


@on_sqlite
@pytest.mark.parametrize("missing", EVERYTHING, ids=[f"{each.found}: {each.name}" for each in EVERYTHING])
def test_what_is_missing_alone_is_found_with_its_remedy(prepared: Prepared, missing: Missing) -> None:
    missing.go(prepared.harbour)
    writes = len(prepared.harbour.writes())

    found = prepared.findings(CheckState.FAILED, CheckState.INCONCLUSIVE)
    failed = {name for name, each in found.items() if each.state is CheckState.FAILED}

    assert failed - {missing.found} == set(missing.also)
    assert found[missing.found].state is missing.state
    assert missing.remedy in found[missing.found].remedy
    assert len(prepared.harbour.writes()) == writes


@on_sqlite
@pytest.mark.parametrize(
    "entry", [NAMESPACE, ANYTHING, {"group": "*", "kind": "Name*"}, NAMESPACE | {"name": "dev-*"}], ids=str
)
def test_a_whitelist_may_use_globs_and_names(prepared: Prepared, entry: dict[str, str]) -> None:
    prepared.harbour.argocd.projects["dev"]["clusterResourceWhitelist"] = [entry]

    assert prepared.findings(CheckState.FAILED, CheckState.INCONCLUSIVE) == {}


@on_sqlite
def test_namespaces_of_older_apps_belong_to_the_fence(prepared: Prepared, db: Database, time: Time) -> None:
    """Their names are no names of the pattern: a project that allows only the pattern would stop them."""
    world = World(db, time, prepared.harbour)
    world.make_app("new-app")
    world.make_app("removed-app")
    world.make_app("older-app")
    is_older, is_gone = App.name.in_(["older-app", "removed-app"]), App.name == "removed-app"
    world.db.transaction(lambda session: session.execute(update(App).where(is_older).values(namespace=None)))
    world.db.transaction(lambda session: session.execute(update(App).where(is_gone).values(claimed_name=None)))
    project, places = prepared.harbour.argocd.projects["dev"], "Argo CD: destinations of dev: dev-cluster"
    allow = "argocd proj add-destination dev dev-cluster"
    one = f"{allow} 'older-app' --name"

    found = prepared.findings(CheckState.FAILED)
    assert set(found) == {places}
    assert (found[places].remedy, "older-app on dev-cluster" in found[places].said) == (one, True)

    project["destinations"] = [{"name": "dev-cluster", "namespace": "*"}]
    fence = prepared.findings(CheckState.INCONCLUSIVE)["Argo CD: other namespaces of dev: dev-cluster"]
    assert fence.remedy.startswith(f"{allow} 'dev-*' --name; {one}; argocd proj remove-destination dev")

    project["destinations"] = [{"name": "dev-cluster", "namespace": each} for each in ("dev-*", "older-app")]
    assert prepared.findings(CheckState.FAILED, CheckState.INCONCLUSIVE) == {}


@on_sqlite
@pytest.mark.parametrize("accepts_us", [True, False])
def test_opensearch_is_called_by_its_name(prepared: Prepared, accepts_us: bool) -> None:
    no_handler = '{"error": "no handler found for uri [/_security/_authenticate] and method [GET]"}'
    realm = {"WWW-Authenticate": 'Basic realm="OpenSearch Security"'}
    about = '{"version": {"distribution": "opensearch", "number": "2.17.0"}}'
    answers = (
        [Fault(kind="status", status=200, path="^/$", body=about), Fault(kind="status", status=400, body=no_handler)]
        if accepts_us
        else [Fault(kind="status", status=401, body="Unauthorized", headers=realm)]
    )
    for answer in answers:
        prepared.harbour.elasticsearch.inject(answer)

    found = prepared.findings(CheckState.FAILED)

    assert set(found) == {"Elasticsearch: answers"}
    assert found["Elasticsearch: answers"].said.startswith("OpenSearch answers at ")


@on_sqlite
def test_without_a_read_token_each_group_needs_a_template_of_somebody(prepared: Prepared) -> None:
    prepared.set(gitlab_read_token=None)
    before = prepared.findings(CheckState.FAILED)
    somebody_elses_template("dev")(prepared.harbour)
    after = prepared.findings(CheckState.FAILED)

    assert set(before) == {"Argo CD: git access to dev", "Argo CD: git access to ops"}
    assert "Reporter in the groups of all teams" in before["Argo CD: git access to ops"].remedy
    assert set(after) == {"Argo CD: git access to ops"}


@on_sqlite
def test_what_is_missing_all_at_once_is_found_with_every_remedy(prepared: Prepared) -> None:
    for missing in TOGETHER:
        missing.go(prepared.harbour)

    found = prepared.findings(CheckState.FAILED)

    assert len(TOGETHER) > 30
    assert {each.name for each in TOGETHER if each.found not in found} == set()
    assert {each.name for each in TOGETHER if each.remedy not in found[each.found].remedy} == set()


@on_sqlite
def test_what_hides_other_checks_leaves_none_of_them_unsaid(prepared: Prepared) -> None:
    names = {f"{each.group}: {each.check}" for each in prepared.examine()}
    for missing in (each for each in SHOWN if each.hides):
        missing.go(prepared.harbour)

    found = prepared.examine()

    assert {f"{each.group}: {each.check}" for each in found} == names
    assert {each.group for each in found if each.state is CheckState.FAILED} >= {"GitLab", "Jenkins", "Argo CD"}

"""The doctor finds what is wrong and nothing else, prints what to do about it, and writes nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr
from sqlalchemy import text
from support.checkout import ROOT
from support.doctor_env import SECRETS, Broker, Clinic, environment_of, healthy_harbour, token_that_ends_in
from support.services import free_port, mariadb_database

from common.database import connections, migrate
from common.database.engine import Database
from common.workflows import EXTERNAL
from harbour.faults import Fault
from harbour.jenkins.core import Role
from harbour.passwords import digest
from worker.doctor import report
from worker.upstreams.check import CheckState

HELM = "templates/Helm_Template"
HTML = {"Content-Type": "text/html; charset=utf-8"}
SECURITY_IS_OFF = {"error": "no handler found for uri [/_security/_authenticate] and method [GET]"}


@dataclass(frozen=True)
class Ill:
    """Something that is not as it should be: how it comes, what must be found, and words of the remedy."""

    name: str
    come: Callable[[Clinic], object]
    wrong: str
    remedy: str
    config: dict[str, Any] = field(default_factory=dict)  # of the harbour
    also: frozenset[str] = frozenset()  # what cannot but be wrong with it
    has_apps: bool = False


def setting(**values: Any) -> Callable[[Clinic], object]:
    return lambda clinic: clinic.set(**values)


def fault(upstream: str, **given: Any) -> Callable[[Clinic], object]:
    return lambda clinic: clinic.harbour.service(upstream).inject(Fault(**given))  # type: ignore[union-attr] # it is one


def template(name: str, **changes: Any) -> Callable[[Clinic], object]:
    def come(clinic: Clinic) -> None:
        project = clinic.harbour.gitlab.state.project_at(f"templates/{name}")
        for key, value in changes.items():
            setattr(project, key, value)

    return come


def change(place: str, name: str, value: Any) -> Callable[[Clinic], object]:
    """Set an attribute of something in the harbour."""

    def come(clinic: Clinic) -> None:
        target: Any = clinic.harbour
        for part in place.split("."):
            target = getattr(target, part)
        setattr(target, name, value)

    return come


def without(place: str, key: Any) -> Callable[[Clinic], object]:
    """Take an entry out of a mapping in the harbour."""

    def come(clinic: Clinic) -> None:
        target: Any = clinic.harbour
        for part in place.split("."):
            target = getattr(target, part)
        del target[key]

    return come


def no_gitlab_group(clinic: Clinic) -> None:
    groups = clinic.harbour.gitlab.state.groups
    del groups[next(number for number, group in groups.items() if group.full_path == "ops")]


def no_gitlab_project(clinic: Clinic) -> None:
    projects = clinic.harbour.gitlab.state.projects
    del projects[next(number for number, project in projects.items() if project.path == "Django_Template")]


def no_gitlab_administrator(clinic: Clinic) -> None:
    clinic.harbour.gitlab.state.users[1].is_admin = False


def no_jenkins_administrator(clinic: Clinic) -> None:
    clinic.harbour.jenkins.roles["globalRoles"]["admin"] = Role(permissions=["hudson.model.Hudson.SystemRead"])


def a_pipeline_for_a_folder(clinic: Clinic) -> None:
    clinic.harbour.jenkins.items["dev"] = "<flow-definition/>"


def a_reader_of_nothing(clinic: Clinic) -> None:
    clinic.harbour.jenkins.roles["globalRoles"]["reader"] = Role(permissions=["hudson.model.View.Read"])
    clinic.teams(jenkins_global_role="reader")


def a_role_without_builds(clinic: Clinic) -> None:
    clinic.harbour.jenkins.roles["projectRoles"]["dev"].permissions.remove("hudson.model.Item.Build")


def a_pattern_for_nobody(clinic: Clinic) -> None:
    clinic.harbour.jenkins.roles["projectRoles"]["dev"].pattern = "dev(/.*-dev)?"


def a_user_who_only_looks(clinic: Clinic) -> None:
    elasticsearch, password = clinic.harbour.elasticsearch, SECRETS["elasticsearch_password"]
    elasticsearch.users["looker"] = elasticsearch.new_user("looker", ["viewer"], {}) | {
        "digest": digest(password, owner="looker")
    }
    clinic.set(elasticsearch_user="looker")


def argo_project(**spec: Any) -> Callable[[Clinic], object]:
    return lambda clinic: clinic.harbour.argocd.projects["dev"].update(spec)


def somebody_elses_template(clinic: Clinic) -> None:
    prefix = f"{clinic.harbour.gitlab.url}/dev/"
    clinic.harbour.argocd.templates[prefix] = {"url": prefix, "type": "git", "username": "platform", "password": "x"}


def sources_one_level_down(clinic: Clinic) -> None:
    clinic.harbour.argocd.projects["dev"]["sourceRepos"] = [f"{clinic.harbour.gitlab.url}/*"]


def an_argo_token_near_its_end(clinic: Clinic) -> None:
    clinic.set(argocd_token=SecretStr(f"Bearer {clinic.harbour.config.argocd_token}"))


def gitlab_behind_another_door(clinic: Clinic) -> None:
    clinic.set(gitlab_url=clinic.harbour.jenkins.url)


def an_empty_database(clinic: Clinic) -> None:
    file = Path(clinic.settings.db_url.get_secret_value().removeprefix("sqlite:///"))
    file.unlink()
    file.touch()


def no_database_file(clinic: Clinic) -> None:
    Path(clinic.settings.db_url.get_secret_value().removeprefix("sqlite:///")).unlink()


def no_database_server(clinic: Clinic) -> None:
    clinic.set(db_url=SecretStr(f"mysql+pymysql://slipway:made-up-0006@127.0.0.1:{free_port()}/slipway"))


def a_wrong_broker_password(clinic: Clinic) -> None:
    clinic.set(redis_url=SecretStr(f"redis://:wrong-0007@{clinic.broker.url.rpartition('@')[2]}"))


ILLS = (
    Ill("placeholder key", setting(secret_keys=(SecretStr("x" * 40),)), "Settings: SECRET_KEYS", "token_urlsafe"),
    Ill(
        "links into the cluster",
        setting(argocd_ext_url="http://localhost:8080", argocd_url="http://argocd-server.argocd.svc"),
        "Settings: links to ARGO_URL",
        "ARGO_EXT_URL",
        also=frozenset({"Argo CD: answers", "Settings: risks"}),
    ),
    Ill(
        "token in clear text",
        setting(gitlab_url="http://gitlab.example.com"),
        "Settings: risks",
        "refuses to start",
        also=frozenset({"GitLab: answers"}),
    ),
    Ill("database file missing", no_database_file, "Database: answers", "flask --app api db upgrade"),
    Ill("schema not current", an_empty_database, "Database: schema", "flask --app api db upgrade"),
    Ill("database down", no_database_server, "Database: answers", "DB_URL"),
    Ill("broker down", setting(redis_url=SecretStr("redis://127.0.0.1:1/0")), "Broker: answers", "REDIS_URL"),
    Ill(
        "broker's password wrong",
        a_wrong_broker_password,
        "Broker: answers",
        "correct the user and the password in REDIS_URL",
    ),
    Ill(
        "broker evicts",
        lambda clinic: clinic.broker.configure(maxmemory_policy="allkeys-lru"),
        "Broker: eviction",
        "maxmemory-policy noeviction",
    ),
    Ill(
        "broker forgets",
        lambda clinic: clinic.broker.configure(appendonly="no", save=""),
        "Broker: persistence",
        "appendonly yes",
    ),
    Ill("broker full", lambda clinic: clinic.broker.configure(maxmemory="1mb"), "Broker: room", "FLUSHALL"),
    # -- GitLab
    Ill("GitLab down", lambda clinic: clinic.harbour.gitlab.stop(), "GitLab: answers", "GITLAB_URL"),
    Ill("GitLab hangs", fault("gitlab", kind="delay", delay_s=8), "GitLab: answers", "GITLAB_URL"),
    Ill(
        "GitLab hangs now and then",
        fault("gitlab", kind="delay", delay_s=8, path="/groups/ops"),
        "GitLab: group ops",
        "",
    ),
    Ill("Jenkins where GitLab should be", gitlab_behind_another_door, "GitLab: answers", "GITLAB_URL"),
    Ill(
        "a log-in page where GitLab should be",
        fault("gitlab", kind="status", status=200, body="<html>Log in</html>", headers=HTML),
        "GitLab: answers",
        "a proxy's log-in page must not be in front of it",
    ),
    Ill(
        "GitLab moved",
        fault("gitlab", kind="status", status=302, headers={"Location": "https://git.example/users/sign_in?x=1"}),
        "GitLab: answers",
        "address that it redirects to",
    ),
    Ill(
        "GitLab in maintenance",
        change("gitlab", "is_read_only", True),
        "GitLab: writes",
        "Maintenance mode",
        config={"gitlab_edition": "ee"},
    ),
    Ill("GitLab behind a log-in", change("gitlab", "front_proxy", "log-in"), "GitLab: answers", "single sign-on"),
    Ill("Jenkins behind a log-in", change("jenkins", "front_proxy", "403"), "Jenkins: answers", "single sign-on"),
    Ill("Argo CD behind a log-in", change("argocd", "front_proxy", "401"), "Argo CD: answers", "single sign-on"),
    Ill(
        "Elasticsearch without its users",
        change("elasticsearch", "is_security_index_away", True),
        "Elasticsearch: user",
        "until its index .security is there",
    ),
    Ill(
        "Argo CD without Kubernetes",
        change("argocd", "is_kubernetes_away", True),
        "Argo CD: kubernetes",
        "control plane",
        also=frozenset({"Argo CD: project dev", "Argo CD: project ops"}),
    ),
    Ill("GitLab too old", lambda _: None, "GitLab: version", "16", config={"gitlab_version": "15.11.3"}),
    Ill("GitLab token wrong", setting(gitlab_token=SecretStr("glpat-wrong")), "GitLab: token", "Access tokens"),
    Ill(
        "GitLab token expired",
        change("gitlab", "token_ends_on", datetime.now(UTC).date()),
        "GitLab: token",
        "set GITLAB_TOKEN to it",
    ),
    Ill(
        "GitLab token about to end",
        change("gitlab", "token_ends_on", (datetime.now(UTC) + timedelta(days=3)).date()),
        "GitLab: token's end",
        "set GITLAB_TOKEN to it",
    ),
    Ill("GitLab token without scope", change("gitlab", "scopes", ("read_api",)), "GitLab: scope", "scope api"),
    Ill("GitLab token not an administrator's", no_gitlab_administrator, "GitLab: administrator", "Administrator"),
    Ill("GitLab throttles", change("gitlab", "is_throttled", True), "GitLab: rate limit", "GITLAB_CALLS_PER_SECOND"),
    Ill(
        "more calls than GitLab allows",
        setting(gitlab_calls_per_second=20.0),
        "GitLab: rate limit",
        "GITLAB_CALLS_PER_SECOND",
    ),
    Ill(
        "calls without a limit",
        setting(gitlab_calls_per_second=0.0),
        "GitLab: rate limit",
        "GITLAB_THROTTLE_USER_ALLOWLIST",
    ),
    Ill("GitLab group missing", no_gitlab_group, "GitLab: group ops", "New group"),
    Ill("template missing", no_gitlab_project, "GitLab: template templates/Django_Template", "push the template"),
    Ill(
        "template empty",
        template("Helm_Template", default_branch=None),
        f"GitLab: template {HELM}",
        "push the template",
    ),
    Ill(
        "template not to be forked", template("Helm_Template", forking="disabled"), f"GitLab: template {HELM}", "Forks"
    ),
    Ill(
        "read token wrong",
        setting(gitlab_read_token=SecretStr("gldt-wrong")),
        "GitLab: read token",
        "read_repository",
        has_apps=True,
    ),
    # -- Jenkins
    Ill("Jenkins down", lambda clinic: clinic.harbour.jenkins.stop(), "Jenkins: answers", "JENKINS_URL"),
    Ill(
        "Jenkins starting",
        fault("jenkins", kind="status", status=503, body="Please wait while Jenkins is getting ready to work"),
        "Jenkins: answers",
        "wait until it is up",
    ),
    Ill("Jenkins token wrong", setting(jenkins_auth_token=SecretStr("11wrong")), "Jenkins: token", "API Token"),
    Ill(
        "Jenkins without own users",
        change("jenkins", "has_own_users", False),
        "Jenkins: user database",
        "Security Realm",
    ),
    Ill("Jenkins account no administrator", no_jenkins_administrator, "Jenkins: administrator", "Overall/Administer"),
    Ill(
        "role-strategy missing",
        without("jenkins.plugins", "role-strategy"),
        "Jenkins: plugin role-strategy",
        "Role-based Authorization Strategy",
    ),
    Ill(
        "folder plugin missing",
        without("jenkins.plugins", "cloudbees-folder"),
        "Jenkins: plugin cloudbees-folder",
        "Folders",
    ),
    Ill(
        "role-strategy not active",
        change("jenkins", "has_role_strategy", False),
        "Jenkins: role strategy",
        "Role-Based Strategy",
    ),
    Ill(
        "nobody may open Jenkins",
        lambda c: c.harbour.jenkins.roles["globalRoles"].pop("reader"),
        "Jenkins: overall read",
        "jenkins_global_role",
    ),
    Ill(
        "global role without Overall/Read", a_reader_of_nothing, "Jenkins: overall read", "add reader with Overall/Read"
    ),
    Ill("role without builds", a_role_without_builds, "Jenkins: role dev", "give them to dev"),
    *(
        Ill(f"{plugin} missing", without("jenkins.plugins", plugin), f"Jenkins: plugin {plugin}", title)
        for plugin, title in (
            ("pipeline-model-definition", "Pipeline: Declarative"),
            ("credentials-binding", "Credentials Binding"),
            ("durable-task", "Durable Task"),
            ("ws-cleanup", "Workspace Cleanup"),
            ("docker-workflow", "Docker Pipeline"),
        )
    ),
    Ill("no agent", change("jenkins", "executors", 0), "Jenkins: agents", "Nodes → New Node"),
    Ill("Jenkins folder missing", without("jenkins.items", "ops"), "Jenkins: folder ops", "New Item → ops → Folder"),
    Ill("Jenkins folder is a job", a_pipeline_for_a_folder, "Jenkins: folder dev", "create a folder of this name"),
    Ill(
        "Jenkins role missing",
        lambda c: c.harbour.jenkins.roles["projectRoles"].pop("dev"),
        "Jenkins: role dev",
        "Item roles",
    ),
    Ill("role's pattern", a_pattern_for_nobody, "Jenkins: role dev on dev/any-app_dev", "dev(/.*_dev)?"),
    Ill(
        "Jenkins credential missing",
        without("jenkins.folder_credential_ids", "ops"),
        "Jenkins: credential gitlab",
        "Add Credentials",
    ),
    # -- Elasticsearch
    Ill("Elasticsearch down", lambda c: c.harbour.elasticsearch.stop(), "Elasticsearch: answers", "KIBANA_URL"),
    Ill(
        "Kibana where Elasticsearch should be",
        fault("elasticsearch", kind="status", status=404, body="{}", headers={"kbn-name": "kibana"}),
        "Elasticsearch: answers",
        "9200",
    ),
    Ill(
        "security off",
        fault("elasticsearch", kind="status", status=400, body=json.dumps(SECURITY_IS_OFF)),
        "Elasticsearch: security",
        "xpack.security.enabled",
    ),
    Ill(
        "Elasticsearch password wrong",
        setting(elasticsearch_password=SecretStr("wrong-0008")),
        "Elasticsearch: user",
        "KIBANA_PWD",
    ),
    Ill(
        "user without manage_security",
        a_user_who_only_looks,
        "Elasticsearch: privilege manage_security",
        "cluster privilege manage_security",
    ),
    Ill(
        "Kibana role missing", without("elasticsearch.roles", "ops"), "Elasticsearch: role ops", "Create role, name ops"
    ),
    # -- Argo CD
    Ill("Argo CD down", lambda clinic: clinic.harbour.argocd.stop(), "Argo CD: answers", "ARGO_URL"),
    Ill(
        "Argo CD wants https",
        fault("argocd", kind="status", status=307, headers={"Location": "https://argocd.example/api/version"}),
        "Argo CD: answers",
        "https://",
    ),
    Ill("Argo CD token wrong", setting(argocd_token=SecretStr("argo-wrong")), "Argo CD: token", "generate-token"),
    Ill(
        "Argo CD token expired",
        change("argocd", "token_problem", "token has invalid claims: token is expired"),
        "Argo CD: token",
        "generate-token",
    ),
    Ill(
        "Argo CD token about to end",
        an_argo_token_near_its_end,
        "Argo CD: token's end",
        "generate-token",
        config={"argocd_token": token_that_ends_in(2)},
    ),
    Ill("Argo CD project missing", without("argocd.projects", "dev"), "Argo CD: project dev", "argocd proj create dev"),
    Ill(
        "destination not allowed",
        argo_project(destinations=[{"name": "in-cluster", "server": "", "namespace": "*"}]),
        "Argo CD: destinations of dev: dev-cluster",
        "add-destination dev dev-cluster",
    ),
    Ill(
        "project as argocd proj create leaves it",
        argo_project(clusterResourceWhitelist=[]),
        "Argo CD: namespaces made in dev",
        'argocd proj allow-cluster-resource dev "" Namespace',
    ),
    Ill(
        "only another namespace may be made",
        argo_project(clusterResourceWhitelist=[{"group": "*", "kind": "Name*", "name": "ops-*"}]),
        "Argo CD: namespaces made in dev",
        'argocd proj allow-cluster-resource dev "" Namespace',
    ),
    Ill(
        "namespaces denied",
        argo_project(clusterResourceBlacklist=[{"group": "", "kind": "*"}]),
        "Argo CD: namespaces made in dev",
        "clusterResourceBlacklist",
    ),
    Ill(
        "only clusters of its own",
        argo_project(permitOnlyProjectScopedClusters=True),
        "Argo CD: destinations of dev: dev-cluster",
        "argocd cluster add CONTEXT --name dev-cluster --project dev",
    ),
    Ill(
        "template of another user",
        somebody_elses_template,
        "Argo CD: git access to dev",
        "argocd repocreds rm",
    ),
    Ill("sources one level down", sources_one_level_down, "Argo CD: sources of dev: dev", "add-source dev"),
    Ill(
        "cluster unknown",
        without("argocd.known_clusters", "ops-cluster"),
        "Argo CD: cluster ops-cluster",
        "argocd cluster add",
    ),
    Ill(
        "no right to sync",
        change("argocd", "denied", {("applications", "sync")}),
        "Argo CD: rights in dev",
        "p, ROLE, applications, ACTION, dev/*, allow",
        also=frozenset({"Argo CD: rights in ops"}),
    ),
    Ill(
        "no right on repositories",
        change("argocd", "denied", {("repositories", "create")}),
        "Argo CD: rights on repositories",
        "policy.csv",
    ),
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.stop()


@pytest.fixture
def ill(request: pytest.FixtureRequest) -> Ill | None:
    return getattr(request, "param", None)


@pytest.fixture
def clinic(ill: Ill | None, broker: Broker, db_url: str, tmp_path: Path) -> Iterator[Clinic]:
    with healthy_harbour(tmp_path / "harbour", **(ill.config if ill else {})) as harbour:
        yield Clinic(harbour, broker, db_url)
    broker.heal()


on_sqlite = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)


# -- well --------------------------------------------------------------------------------------------------


def test_a_healthy_installation_is_all_well(clinic: Clinic) -> None:
    found = clinic.examine()

    assert [each for each in found if each.state is not CheckState.PASSED] == []
    assert clinic.harbour.writes() == []
    assert len(found) > 60
    print(f"\n{len(found)} checks, {len(ILLS)} misconfigurations; a healthy look took {clinic.took_s:.2f} s")  # noqa: T201 - the figures are the point


# -- ill ---------------------------------------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize("ill", ILLS, ids=[ill.name for ill in ILLS], indirect=True)
def test_each_misconfiguration_is_found_alone_with_its_remedy_and_nothing_is_written(clinic: Clinic, ill: Ill) -> None:
    if ill.has_apps:
        fork(clinic)
    ill.come(clinic)
    written = len(clinic.harbour.writes())

    wrong = clinic.wrong()

    assert set(wrong) == {ill.wrong} | ill.also
    assert ill.remedy in wrong[ill.wrong].remedy
    assert len(wrong[ill.wrong].remedy) > 10
    assert len(clinic.harbour.writes()) == written
    assert clinic.took_s < 15


def fork(clinic: Clinic) -> None:
    """Give both teams a repository, as an app would."""
    for team in ("dev", "ops"):
        requests.post(
            f"{clinic.harbour.gitlab.url}/api/v4/projects/templates%2FHelm_Template/fork",
            json={"name": "shop_helm", "path": "shop_helm", "namespace_path": team},
            headers={"PRIVATE-TOKEN": SECRETS["gitlab_token"]},
            timeout=5,
        ).raise_for_status()
    clinic.harbour.gitlab.background.settle()


@on_sqlite
def test_upstreams_that_all_hang_hold_it_up_for_less_than_fifteen_seconds(clinic: Clinic) -> None:
    for service in clinic.harbour.services:
        service.inject(Fault(kind="delay", delay_s=20))

    wrong = clinic.wrong()

    assert set(wrong) == {f"{upstream.label}: answers" for upstream in EXTERNAL}
    assert clinic.took_s < 15


@pytest.mark.parametrize("hanging", ["Database", "Broker"])
@on_sqlite
def test_a_service_that_takes_calls_and_says_nothing_is_found(clinic: Clinic, hanging: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = f"127.0.0.1:{silent.getsockname()[1]}"
        urls = {"Database": ("db_url", f"mysql+pymysql://u@{at}/slipway"), "Broker": ("redis_url", f"redis://{at}/0")}
        name, url = urls[hanging]
        clinic.set(**{name: SecretStr(url)})

        found = clinic.examine(within_s=5)

    assert {each.group for each in found if each.state is CheckState.FAILED} == {hanging}
    assert clinic.took_s < 6


@on_sqlite
def test_a_read_token_is_tried_where_it_has_to_work(clinic: Clinic) -> None:
    fork(clinic)

    said = next(each.said for each in clinic.examine() if each.check == "read token")

    assert said == "reads dev/shop_helm, ops/shop_helm"


@on_sqlite
def test_without_a_read_token_somebody_elses_template_has_to_serve_each_group(clinic: Clinic) -> None:
    clinic.set(gitlab_read_token=None)

    wrong = clinic.wrong()

    assert set(wrong) == {"Argo CD: git access to dev", "Argo CD: git access to ops"}
    assert "Reporter in the groups of all teams" in wrong["Argo CD: git access to dev"].remedy

    clinic.harbour.argocd.templates["all"] = {"url": clinic.harbour.gitlab.url, "type": "git", "username": "platform"}
    assert clinic.wrong() == {}


# -- what cannot be told -----------------------------------------------------------------------------------


@on_sqlite
def test_what_the_token_may_not_see_is_not_called_wrong(clinic: Clinic) -> None:
    clinic.harbour.argocd.denied = {("projects", "get"), ("clusters", "get")}

    found = {each.check: each for each in clinic.examine() if each.state is not CheckState.PASSED}

    assert {each.state for each in found.values()} == {CheckState.INCONCLUSIVE}
    assert "argocd proj get dev" in found["project dev"].remedy
    assert "argocd cluster list" in found["cluster dev-cluster"].remedy


@on_sqlite
def test_a_project_that_allows_every_namespace_is_warned_about(clinic: Clinic) -> None:
    clinic.harbour.argocd.projects["dev"]["destinations"] = [{"name": "dev-cluster", "namespace": "*"}]

    (found,) = [each for each in clinic.examine() if each.state is not CheckState.PASSED]

    assert (found.check, found.state) == ("other namespaces of dev: dev-cluster", CheckState.INCONCLUSIVE)
    assert "kube-system" in found.said
    assert "argocd proj add-destination dev dev-cluster 'dev-*' --name" in found.remedy


@pytest.mark.parametrize(
    ("path", "status", "check"),
    [("^/$", 403, "version"), ("_has_privileges", 400, "privilege manage_security")],
)
@on_sqlite
def test_what_elasticsearch_does_not_let_us_ask_is_not_called_wrong(
    clinic: Clinic, path: str, status: int, check: str
) -> None:
    clinic.harbour.elasticsearch.inject(Fault(kind="status", status=status, path=path, body="{}"))

    found = [each for each in clinic.examine() if each.state is not CheckState.PASSED]

    assert found[0].check == check
    assert {each.state for each in found} == {CheckState.INCONCLUSIVE}


@pytest.mark.parametrize("body", ["[]", "null", '{"plugins": null, "spec": [], "items": 7}', "[7]"])
@on_sqlite
def test_answers_of_an_unknown_shape_are_findings_and_no_crash(clinic: Clinic, body: str) -> None:
    for service in clinic.harbour.services:
        service.inject(Fault(kind="status", status=200, body=body, headers={"X-Jenkins": "2.568"}, skip=5))

    found = clinic.examine()

    assert {each.group for each in found if each.state is CheckState.FAILED} >= {
        "GitLab",
        "Jenkins",
        "Elasticsearch",
        "Argo CD",
    }


@on_sqlite
def test_a_broker_that_hides_its_configuration_is_said_to(clinic: Clinic) -> None:
    clinic.broker.configure(appendonly="no", save="")
    clinic.broker.client.acl_setuser(
        "hidden",
        enabled=True,
        passwords=["+pw-0009"],
        keys=["*"],
        channels=["*"],
        categories=["+@all"],
        commands=["-config"],
    )
    clinic.set(redis_url=SecretStr(f"redis://hidden:pw-0009@{clinic.broker.url.rpartition('@')[2]}"))

    found = {each.check: each for each in clinic.examine() if each.state is not CheckState.PASSED}

    assert set(found) == {"persistence"}
    assert "does not show its configuration" in found["persistence"].said


@on_sqlite
def test_a_role_that_leaves_the_folder_to_another_is_not_called_wrong(clinic: Clinic) -> None:
    clinic.harbour.jenkins.roles["projectRoles"]["dev"].pattern = ".*_dev"

    found = [each for each in clinic.examine() if each.state is not CheckState.PASSED]

    assert [(each.check, each.state) for each in found] == [("role dev on dev", CheckState.INCONCLUSIVE)]


@on_sqlite
def test_a_credential_for_all_teams_is_told(clinic: Clinic) -> None:
    jenkins = clinic.harbour.jenkins
    jenkins.folder_credential_ids.pop("dev")
    jenkins.credential_ids.append("gitlab")

    found = [each for each in clinic.examine() if each.state is not CheckState.PASSED]

    assert [(each.check, each.state) for each in found] == [("credential gitlab", CheckState.INCONCLUSIVE)]
    assert "any team's Jenkinsfile" in found[0].said


@on_sqlite
def test_a_credential_for_all_beside_those_of_the_folders_is_told(clinic: Clinic) -> None:
    clinic.harbour.jenkins.credential_ids.append("gitlab")

    found = [each for each in clinic.examine() if each.state is not CheckState.PASSED]

    assert [(each.check, each.state) for each in found] == [("credential gitlab", CheckState.INCONCLUSIVE)]
    assert "without a word" in found[0].said


@on_sqlite
def test_a_global_role_of_the_teams_opens_jenkins_as_well(clinic: Clinic) -> None:
    clinic.harbour.jenkins.roles["globalRoles"]["reader"].sids.clear()
    clinic.teams(jenkins_global_role="reader")

    assert clinic.wrong() == {}


@on_sqlite
def test_a_matrix_is_told_from_roles(clinic: Clinic) -> None:
    clinic.teams(jenkins_authorization="matrix", jenkins_role="")
    jenkins = clinic.harbour.jenkins
    without_plugin = set(clinic.wrong())
    jenkins.plugins["matrix-auth"] = "3.2.6"
    not_active = clinic.wrong()
    jenkins.use_matrix()
    found = [each for each in clinic.examine() if each.state is not CheckState.PASSED]

    assert without_plugin == {"Jenkins: plugin matrix-auth"}
    assert set(not_active) == {"Jenkins: matrix authorization"}
    assert "Project-based Matrix" in not_active["Jenkins: matrix authorization"].remedy
    assert [(each.check, each.state) for each in found] == [("matrix authorization", CheckState.INCONCLUSIVE)]


@on_sqlite
def test_another_realm_is_named_and_the_rest_is_checked_all_the_same(clinic: Clinic) -> None:
    jenkins = clinic.harbour.jenkins
    jenkins.has_own_users = False
    jenkins.plugins["saml"] = "4.464"

    wrong = clinic.wrong()

    assert set(wrong) == {"Jenkins: user database"}
    assert "SAML" in wrong["Jenkins: user database"].said
    assert "[accounts]" in wrong["Jenkins: user database"].remedy


# -- MariaDB -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("harm", "wrong"),
    [
        ("ALTER TABLE tallies ENGINE=Aria", "Database: character set"),
        ("ALTER TABLE tallies CONVERT TO CHARACTER SET latin1", "Database: character set"),
        ("DROP TABLE alembic_version", "Database: schema"),
    ],
)
@on_sqlite
def test_tables_that_lose_what_they_are_given_are_found(clinic: Clinic, harm: str, wrong: str) -> None:
    with mariadb_database() as url:
        db = Database(url)
        migrate.upgrade(db)
        with db.engine.begin() as connection:
            connection.execute(text(harm))
        db.dispose()
        clinic.set(db_url=SecretStr(url))

        assert set(clinic.wrong()) == {wrong}


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ("SET innodb_lock_wait_timeout = 1", {"Database: idle sessions"}),  # as behind a proxy that keeps SET back
        ("SET innodb_lock_wait_timeout = 1, idle_transaction_timeout = 3600", {"Database: idle sessions"}),
        (None, set()),
    ],
)
@on_sqlite
def test_a_server_that_would_keep_the_locks_of_a_silent_session_is_found(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, given: str | None, wrong: set[str]
) -> None:
    with mariadb_database() as url:
        db = Database(url)
        migrate.upgrade(db)
        db.dispose()
        if given:
            monkeypatch.setattr(connections, "session_settings", lambda *_, **__: given)
        clinic.set(db_url=SecretStr(url))

        assert set(clinic.wrong()) == wrong


# -- what is printed ---------------------------------------------------------------------------------------


@on_sqlite
def test_no_secret_is_printed_even_if_an_upstream_echoes_it(clinic: Clinic) -> None:
    secrets = [
        *SECRETS.values(),
        "Key-of-no-meaning-0010-abcdefgh-ijkl",
        clinic.broker.client.connection_pool.connection_kwargs["password"],
    ]
    clinic.set(secret_keys=(SecretStr(secrets[-2]),), db_url=SecretStr("mysql+pymysql://u:pw-0011@127.0.0.1:1/slipway"))
    echo = json.dumps({"message": f"401 Unauthorized {' '.join(secrets)} pw-0011"})
    for service in clinic.harbour.services:
        service.inject(Fault(kind="status", status=500, body=echo, skip=2))

    found = clinic.examine()
    printed = report.as_text(found, took_s=1) + report.as_json(found, took_s=1)

    assert printed.count("✗") >= 4
    assert [secret for secret in [*secrets, "pw-0011"] if secret in printed] == []


@on_sqlite
def test_the_command_prints_lines_with_the_remedy_below_and_fails(clinic: Clinic, tmp_path: Path) -> None:
    clinic.harbour.elasticsearch.roles.pop("ops")

    ended = doctor(tmp_path, environment_of(clinic.settings))

    lines = ended.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("  ✗ role ops: "))
    assert lines[at + 1].startswith("      → in Kibana")
    count = len(clinic.examine())
    assert count >= 68  # none has disappeared
    assert lines[-1].startswith(f"{count} checks in ")
    assert (ended.returncode, ended.stderr) == (1, "")


@on_sqlite
def test_the_command_ends_with_0_when_all_is_well_and_speaks_json(clinic: Clinic, tmp_path: Path) -> None:
    ended = doctor(tmp_path, environment_of(clinic.settings), "--json")

    told = json.loads(ended.stdout)
    assert ended.returncode == 0
    assert told["is_well"] is True
    assert told["counts"] == {"well": len(told["checks"]), "wrong": 0, "untold": 0}


def test_settings_that_do_not_hold_together_end_it_with_78(tmp_path: Path) -> None:
    ended = doctor(tmp_path, {"GITLAB_URL": "ftp://git.example"})

    assert ended.returncode == 78
    assert "GITLAB_URL: must be http:// or https:// and a host" in ended.stderr
    assert "DB_URL is not set" in ended.stderr
    assert ended.stdout == ""


def doctor(place: Path, settings: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command where no file of settings lies."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings}
    command = [sys.executable, "-m", "worker.doctor", *options]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=60, check=False)

"""Do builds do what the Jenkinsfile in git says, at the commit that is built, with the rights of the credential?"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from support.jenkins import Clock
from support.repositories import commit, git, repository_of, show, tip

from harbour import passwords, templates
from harbour.config import HarbourConfig
from harbour.gitlab.model import MAINTAINER, Member
from harbour.jenkins import xml
from harbour.jenkins.workspace import Account
from harbour.world import Harbour

SOURCE, HELM, JOB = "templates/Flask_Template", "templates/Helm_Template", "dev/shop_dev"
IMAGE = "registry.example.com/apps/shop"
PARAMETERS = (
    *("gitlab_address", "gitlab_helm_address", "gitlab_credential", "namespace"),
    *("image_name", "image_tag", "branch", "registry_credential"),
)
FORMER_CHART_STAGE = """
        stage('Chart') {
            steps {
                dir('helm') {
                    git url: params.gitlab_helm_address, credentialsId: params.gitlab_credential, branch: 'main'
                    sh 'sed -i -e "s|^  repository:.*|  repository: $image_name|" values.yaml'
                    sh 'sed -i -e "s|^  tag:.*|  tag: \\\\"$BUILD_NUMBER\\\\"|" values.yaml'
                    sh 'git -c user.name=Jenkins -c user.email=j@x.io commit --all --message "image $BUILD_NUMBER"'
                    withCredentials([gitUsernamePassword(credentialsId: params.gitlab_credential)]) {
                        sh 'git push origin HEAD:main'
                    }
                }
            }
        }
"""


class Place:
    """A harbour whose Jenkins has one job, which builds a template as it is."""

    def __init__(self, harbour: Harbour, clock: Clock) -> None:
        self.harbour, self.clock = harbour, clock
        self.gitlab, self.jenkins, self.registry = harbour.gitlab, harbour.jenkins, harbour.registry
        self.jenkins.items[JOB] = self.definition()

    def definition(self, *, branch: str = "main", path: str = "Jenkinsfile") -> str:
        strings = "".join(f"<{xml.STRING}><name>{name}</name></{xml.STRING}>" for name in PARAMETERS)
        holder = "hudson.model.ParametersDefinitionProperty"
        declared = f"<{holder}><parameterDefinitions>{strings}</parameterDefinitions></{holder}>"
        return f"""<flow-definition><properties>{declared}</properties>
  <definition class="org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition">
    <scm class="hudson.plugins.git.GitSCM">
      <userRemoteConfigs><hudson.plugins.git.UserRemoteConfig><url>{self.url(SOURCE)}</url>
        <credentialsId>gitlab</credentialsId></hudson.plugins.git.UserRemoteConfig></userRemoteConfigs>
      <branches><hudson.plugins.git.BranchSpec><name>*/{branch}</name></hudson.plugins.git.BranchSpec></branches>
    </scm><scriptPath>{path}</scriptPath></definition></flow-definition>"""

    def url(self, project: str) -> str:
        return f"{self.gitlab.url}/{project}.git"

    def build(self, **parameters: str) -> dict[str, Any]:
        """Run a build to its end and return what Jenkins shows of it."""
        auth = (self.jenkins.config.jenkins_user, self.jenkins.config.jenkins_token)
        given = {
            "gitlab_address": self.url(SOURCE),
            "gitlab_helm_address": self.url(HELM),
            "gitlab_credential": "gitlab",
            "image_name": IMAGE,
            "image_tag": "7-abc",
            "branch": "main",
            **parameters,
        }
        path = f"{self.jenkins.url}/job/dev/job/shop_dev"
        requests.post(f"{path}/buildWithParameters?delay=0sec", given, auth=auth, timeout=5).raise_for_status()
        self.clock.pass_s(100)
        with self.jenkins.lock:
            self.jenkins.catch_up()
            number = self.jenkins.builds[JOB][-1].number
        shown: dict[str, Any] = requests.get(f"{path}/{number}/api/json", auth=auth, timeout=5).json()
        self.console = requests.get(f"{path}/{number}/consoleText", auth=auth, timeout=5).content.decode()
        return shown


@pytest.fixture
def place(config: HarbourConfig) -> Iterator[Place]:
    clock = Clock()
    harbour = Harbour(dataclasses.replace(config, queue_s=0.0, build_s=1.0), clock)
    harbour.start()
    yield Place(harbour, clock)
    harbour.stop()


def sources(build: dict[str, Any]) -> dict[str, str]:
    """Return the commits that Jenkins' git plugin recorded, by URL."""
    records = [each for each in build["actions"] if "lastBuiltRevision" in each]
    return {url: each["lastBuiltRevision"]["SHA1"] for each in records for url in each["remoteUrls"]}


# -- what is built ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Flask", "Django", "Spring"])
def test_a_bundled_jenkinsfile_builds_the_tip_and_pushes_its_image(place: Place, kind: str) -> None:
    build = place.build(gitlab_address=place.url(f"templates/{kind}_Template"))

    assert build["result"] == "SUCCESS", place.console
    assert sources(build)[place.url(f"templates/{kind}_Template")] == tip(place.gitlab, f"templates/{kind}_Template")
    assert build["description"] == f"pushed {IMAGE}:7-abc"
    assert place.registry.images() == {f"{IMAGE}:7-abc": tip(place.gitlab, f"templates/{kind}_Template")}


def test_a_branch_is_built_at_its_own_commit(place: Place) -> None:
    made = commit(place.gitlab, SOURCE, {"app.py": "# another\n"}, branch="feature/x")

    build = place.build(branch="feature/x")

    assert (build["result"], sources(build)) == ("SUCCESS", {place.url(SOURCE): made})
    assert place.registry.images() == {f"{IMAGE}:7-abc": made}


def test_a_branch_that_is_not_there_fails_the_build(place: Place) -> None:
    build = place.build(branch="feature/none")

    assert build["result"] == "FAILURE"
    assert "Couldn't find any revision to build" in place.console
    assert place.registry.images() == {}


def test_a_build_without_a_tag_makes_one_that_never_repeats(place: Place) -> None:
    first, second = place.build(image_tag=""), place.build(image_tag="")

    tags = {image.rpartition(":")[2] for image in place.registry.images()}
    assert (first["result"], second["result"]) == ("SUCCESS", "SUCCESS")
    began_ms = [round(each.started_at * 1000) for each in place.jenkins.builds[JOB]]
    assert tags == {f"jenkins-1-{began_ms[0]}", f"jenkins-2-{began_ms[1]}"}


def test_the_console_and_the_end_are_those_of_the_jenkinsfile_in_git(place: Place) -> None:
    script = "pipeline { agent any\n stages { stage('Test') { steps {\n sh 'make check'\n sh 'exit 3'\n } } } }"
    commit(place.gitlab, SOURCE, {"Jenkinsfile": script})

    build = place.build()

    assert build["result"] == "FAILURE"
    assert "+ make check" in place.console
    assert "ERROR: script returned exit code 3" in place.console


def test_an_installation_needs_a_home_in_a_container_of_the_agents_user(place: Place) -> None:
    former = show(place.gitlab, SOURCE, "Jenkinsfile").replace("environment { HOME =", "environment { ELSEWHERE =")
    commit(place.gitlab, SOURCE, {"Jenkinsfile": former})

    assert place.build()["result"] == "FAILURE"
    assert "Permission denied: '/.local'" in place.console


def test_a_repository_without_a_jenkinsfile_fails_the_build(place: Place) -> None:
    commit(place.gitlab, SOURCE, {"Jenkinsfile": None})

    assert place.build()["result"] == "FAILURE"
    assert f"Unable to find Jenkinsfile from git {place.url(SOURCE)}" in place.console


def test_a_jenkinsfile_that_is_no_groovy_fails_the_build(place: Place) -> None:
    commit(place.gitlab, SOURCE, {"Jenkinsfile": "pipeline {"})

    assert place.build()["result"] == "FAILURE"
    assert "MultipleCompilationErrorsException" in place.console


def test_a_commit_without_a_dockerfile_makes_no_image(place: Place) -> None:
    commit(place.gitlab, SOURCE, {"Dockerfile": None})

    assert place.build()["result"] == "FAILURE"
    assert place.registry.images() == {}


def test_a_stopped_build_pushes_nothing(place: Place) -> None:
    place.jenkins.config = dataclasses.replace(place.jenkins.config, build_s=1000.0)
    place.build()
    auth = (place.jenkins.config.jenkins_user, place.jenkins.config.jenkins_token)
    requests.post(f"{place.jenkins.url}/job/dev/job/shop_dev/1/stop", auth=auth, timeout=5)
    place.clock.pass_s(2000)
    requests.get(f"{place.jenkins.url}/api/json", auth=auth, timeout=5)

    assert place.registry.images() == {}


# -- rights -----------------------------------------------------------------------------------------------------------


def test_an_unknown_credential_fails_the_build(place: Place) -> None:
    assert place.build(gitlab_credential="none")["result"] == "FAILURE"
    assert "Could not find credentials entry with ID 'none'" in place.console


def test_a_credential_of_another_folder_is_unknown(place: Place) -> None:
    place.jenkins.credential_ids = []
    place.jenkins.folder_credential_ids = {"ops": ["gitlab"]}
    elsewhere = place.build()["result"]
    place.jenkins.folder_credential_ids = {"dev": ["gitlab"]}

    assert (elsewhere, place.build()["result"]) == ("FAILURE", "SUCCESS")


def test_a_refused_clone_fails_the_build(place: Place) -> None:
    place.jenkins.accounts["dev/gitlab"] = Account("cloner", "an old token")

    assert place.build()["result"] == "FAILURE"
    assert "Error cloning remote repo 'origin'" in place.console
    assert "an old token" not in place.console


def with_chart_stage(place: Place) -> None:
    end = "\n    }\n\n    post"
    script = show(place.gitlab, SOURCE, "Jenkinsfile").replace(end, f"{FORMER_CHART_STAGE}    }}\n\n    post")
    commit(place.gitlab, SOURCE, {"Jenkinsfile": script})


def test_a_reader_cannot_push_the_chart_and_the_build_fails(place: Place) -> None:
    with_chart_stage(place)
    before = tip(place.gitlab, HELM)

    build = place.build()

    assert build["result"] == "FAILURE"
    assert "You are not allowed to push code to this project" in place.console
    assert tip(place.gitlab, HELM) == before


def test_a_maintainer_pushes_the_chart_for_real(place: Place) -> None:
    with_chart_stage(place)
    pusher = place.gitlab.state.user_named("cloner")
    project = place.gitlab.state.project_at(HELM)
    assert pusher is not None
    assert project is not None
    pusher.digest = passwords.digest("a maintainer's password", owner=pusher.username)
    group = place.gitlab.state.group_at("templates")
    assert group is not None
    group.members.append(Member(user_id=pusher.id, access_level=MAINTAINER, created_by=1))
    place.jenkins.accounts["dev/gitlab"] = Account("cloner", "a maintainer's password")
    before = tip(place.gitlab, HELM)

    build = place.build()

    assert build["result"] == "SUCCESS", place.console
    assert tip(place.gitlab, HELM) != before
    assert 'tag: "1"' in show(place.gitlab, HELM, "values.yaml")
    assert sources(build)[place.url(HELM)] == before


# -- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declaration", "kept"),
    [
        ("properties([parameters([string(name: 'branch', defaultValue: 'main')])])\npipeline {", {"branch"}),
        ("pipeline { parameters { choice(name: 'branch', choices: ['main', 'next']) }", set(PARAMETERS)),
    ],
    ids=["scripted", "declarative"],
)
def test_a_jenkinsfile_changes_the_parameters_of_its_job(place: Place, declaration: str, kept: set[str]) -> None:
    script = show(place.gitlab, SOURCE, "Jenkinsfile").replace("pipeline {", declaration)
    commit(place.gitlab, SOURCE, {"Jenkinsfile": script})

    place.build()

    assert {each.name for each in xml.parameters(place.jenkins.items[JOB])} == kept


# -- agents, plugins, registry ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plugin", ["docker-workflow", "pipeline-model-definition", "durable-task", "git", "ws-cleanup"]
)
def test_a_plugin_that_the_template_needs_is_missed(place: Place, plugin: str) -> None:
    del place.jenkins.plugins[plugin]

    assert place.build()["result"] == "FAILURE"


def test_an_agent_without_docker_builds_no_image(place: Place) -> None:
    place.jenkins.has_docker_daemon = False

    assert place.build()["result"] == "FAILURE"
    assert "docker: not found" in place.console


@pytest.mark.parametrize("kind", ["Flask", "Django", "Spring"])
def test_kaniko_builds_in_a_pod_without_docker(place: Place, kind: str) -> None:
    script = (templates.DIRECTORY / f"{kind}_Template" / "Jenkinsfile.kaniko").read_text()
    assert re.search(r"image: ghcr\.io/osscontainertools/kaniko:v[\d.]+-debug\n", script)  # maintained, with a shell
    commit(place.gitlab, SOURCE, {"Jenkinsfile.kaniko": script + "// changed\n"})
    place.jenkins.items[JOB] = place.definition(path="Jenkinsfile.kaniko")
    place.jenkins.has_docker_daemon = False
    without_plugin = place.build()["result"]
    place.jenkins.plugins["kubernetes"] = "4400"

    build = place.build()

    assert (without_plugin, build["result"]) == ("FAILURE", "SUCCESS"), place.console
    assert place.registry.images() == {f"{IMAGE}:7-abc": tip(place.gitlab, SOURCE)}


def test_a_registry_login_uses_its_own_credential(place: Place) -> None:
    unknown = place.build(registry_credential="registry")["result"]
    place.jenkins.credential_ids.append("registry")
    place.jenkins.accounts["registry"] = Account("pusher", "a registry's password")

    build = place.build(registry_credential="registry")

    assert (unknown, build["result"]) == ("FAILURE", "SUCCESS"), place.console
    assert 'docker login --username "pusher" --password-stdin "registry.example.com"' in place.console
    assert "a registry's password" not in place.console


def test_a_registry_with_immutable_tags_refuses_a_tag_that_is_there(place: Place) -> None:
    place.registry.is_immutable = True
    first = place.build()["result"]

    assert (first, place.build()["result"]) == ("SUCCESS", "FAILURE")
    assert "already exists in the repository" in place.console


def test_repositories_of_the_harbour_keep_their_history(place: Place) -> None:
    place.build()

    assert git("log", "--format=%s", "main", at=str(repository_of(place.gitlab, SOURCE))) == "Start from here"

"""The official clients of Jenkins work on the stand-in as they are: api4jenkins and python-jenkins."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import api4jenkins
import jenkins as python_jenkins
import pytest
from support.jenkins import pipeline

from harbour.config import HarbourConfig
from harbour.jenkins.app import Jenkins

JOB = "dev/shop_dev"
DOCUMENT = pipeline("branch")
USER_AND_PASSWORD = "com.cloudbees.plugins.credentials.impl.UsernamePasswordCredentialsImpl"
CREDENTIAL = (
    f"<{USER_AND_PASSWORD}><scope>GLOBAL</scope><id>reads</id><description/>"
    f"<username>bot</username><password>a secret</password></{USER_AND_PASSWORD}>"
)


@pytest.fixture
def service(config: HarbourConfig) -> Iterator[Jenkins]:
    service = Jenkins(config)
    service.quiet_period_s = 0.0
    service.start()
    yield service
    service.stop()


@pytest.fixture
def api(service: Jenkins) -> api4jenkins.Jenkins:
    account = (service.config.jenkins_user, service.config.jenkins_token)
    return api4jenkins.Jenkins(f"{service.url}/", auth=account)


@pytest.fixture
def server(service: Jenkins) -> python_jenkins.Jenkins:
    return python_jenkins.Jenkins(
        service.url, username=service.config.jenkins_user, password=service.config.jenkins_token, timeout=5
    )


def wait_for(seen: Callable[[], object]) -> object:
    ends_at = time.monotonic() + 10
    while not (found := seen()):
        assert time.monotonic() < ends_at
        time.sleep(0.02)
    return found


# -- api4jenkins ------------------------------------------------------------------------------------------------------


def test_api4jenkins_gets_a_crumb_and_the_version(api: api4jenkins.Jenkins) -> None:
    assert set(api.crumb) == {"Jenkins-Crumb"}
    assert api.version == "2.568.2"
    assert api.plugins.get("git") is not None


def test_api4jenkins_follows_a_build_from_its_queue_item(service: Jenkins, api: api4jenkins.Jenkins) -> None:
    api.create_job(JOB, DOCUMENT)
    job = api.get_job(JOB)
    job.configure(DOCUMENT.replace("slipway:app-1", "changed"))

    item = api.build_job(JOB, branch="main")
    wait_for(lambda: item.api_json().get("executable"))  # an item leaves the queue a moment before its build is seen
    build = item.get_build()

    assert "changed" in job.configure()
    assert [each.value for each in build.get_parameters()] == ["main"]
    assert service.builds[JOB][0].number == 1
    wait_for(lambda: not build.building)
    api.delete_job(JOB)
    assert JOB not in service.items


def test_api4jenkins_keeps_credentials(service: Jenkins, api: api4jenkins.Jenkins) -> None:
    for domain in (api.credentials.global_domain, api.get_job("dev").credentials.global_domain):
        domain.create(CREDENTIAL)
        kept = domain.get("reads")
        shown = kept.configure()
        kept.configure(CREDENTIAL.replace("bot", "robot"))

        assert "<username>bot</username>" in shown
        assert "a secret" not in shown
        assert "robot" in kept.configure()
        kept.delete()
        assert domain.get("reads") is None
    assert service.folder_credential_ids["dev"] == ["gitlab"]


# -- python-jenkins ---------------------------------------------------------------------------------------------------


def test_python_jenkins_says_who_it_is_and_what_is_installed(server: python_jenkins.Jenkins) -> None:
    assert server.get_whoami()["id"] == "automation"
    assert server.get_version() == "2.568.2"
    assert server.get_plugins()["git"]["active"]
    assert server.get_plugins()["Folders Plugin"]["shortName"] == "cloudbees-folder"


def test_python_jenkins_makes_folders_and_jobs(service: Jenkins, server: python_jenkins.Jenkins) -> None:
    server.create_folder("team")
    server.create_job("team/app", DOCUMENT)
    server.copy_job("team/app", "team/copy")
    server.reconfig_job("team/app", DOCUMENT.replace("slipway:app-1", "changed"))

    assert server.is_folder("team")
    assert {each["name"] for each in server.get_job_info("team")["jobs"]} == {"app", "copy"}
    assert "changed" in server.get_job_config("team/app")
    assert "slipway:app-1" in server.get_job_config("team/copy")
    server.delete_job("team")
    assert [name for name in service.items if name.startswith("team")] == []


def test_python_jenkins_builds_with_parameters(service: Jenkins, server: python_jenkins.Jenkins) -> None:
    server.create_job(JOB, DOCUMENT)

    queued = server.build_job(JOB, {"branch": "main"})
    executable = wait_for(lambda: server.get_queue_item(queued).get("executable"))
    running = wait_for(server.get_running_builds)

    assert executable["number"] == 1
    assert running[0]["number"] == 1
    assert server.get_nodes() == [{"name": "Built-In Node", "offline": False}]
    wait_for(lambda: not server.get_build_info(JOB, 1)["building"])
    server.delete_build(JOB, 1)
    assert service.builds[JOB] == []


def test_python_jenkins_keeps_credentials_of_a_folder(server: python_jenkins.Jenkins) -> None:
    server.create_credential("dev", CREDENTIAL)

    assert {each["id"] for each in server.list_credentials("dev")} == {"gitlab", "reads"}
    assert server.credential_exists("reads", "dev")
    server.delete_credential("reads", "dev")
    assert not server.credential_exists("reads", "dev")

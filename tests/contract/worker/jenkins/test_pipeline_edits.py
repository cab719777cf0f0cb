"""People edit our pipelines in Jenkins: a pipeline stays ours, and what they changed beside our fields stays theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from common.errors import Conflict
from harbour.config import HarbourConfig
from harbour.jenkins import properties, xml
from harbour.jenkins.app import Jenkins as StandIn
from worker.upstreams.http import Http
from worker.upstreams.jenkins.client import Jenkins
from worker.upstreams.jenkins.config_xml import Parameter, PipelineDefinition

WHERE = ("dev", "shop_dev")
NAME = "dev/shop_dev"
MARKER = "slipway:app-1"
DEFINITION = PipelineDefinition(
    repository_url="https://gitlab.example/dev/shop.git",
    credential_id="gitlab",
    branch="main",
    script_path="Jenkinsfile",
    marker=MARKER,
    parameters=(Parameter(name="slipway_job_id"), Parameter(name="branch", default="main")),
)
OTHER = replace(DEFINITION, credential_id="other")
DISCARDER = (
    '<jenkins.model.BuildDiscarderProperty><strategy class="hudson.tasks.LogRotator">'
    "<daysToKeep>7</daysToKeep><numToKeep>5</numToKeep></strategy></jenkins.model.BuildDiscarderProperty>"
)
TRIGGERS = (
    "<org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty><triggers>"
    "<com.dabsquared.gitlabjenkins.GitLabPushTrigger><spec/><triggerOnPush>true</triggerOnPush>"
    "</com.dabsquared.gitlabjenkins.GitLabPushTrigger></triggers>"
    "</org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty>"
)
SERIAL = "<org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty/>"
THEIRS = (
    "<hudson.model.BooleanParameterDefinition><name>FAST</name><defaultValue>true</defaultValue>"
    "</hudson.model.BooleanParameterDefinition>"
)


@pytest.fixture
def service(config: HarbourConfig) -> Iterator[StandIn]:
    service = StandIn(config)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def http(service: StandIn) -> Http:
    return Http("Jenkins", service.url, auth=(service.config.jenkins_user, service.config.jenkins_token))


@pytest.fixture
def jenkins(http: Http) -> Jenkins:
    """Return a client whose pipeline exists."""
    jenkins = Jenkins(http)
    jenkins.pipelines.ensure(*WHERE, definition=DEFINITION, on_create=lambda: None)
    return jenkins


def never() -> None:
    raise AssertionError("nothing was to be created")


def edit(http: Http, service: StandIn, old: str, new: str) -> None:
    """Change the document as an administrator does, through Jenkins' own reader and writer."""
    text = service.items[NAME]
    assert old in text
    path = ("job", "dev", "job", "shop_dev", "config.xml")
    content = ("application/xml; charset=utf-8", text.replace(old, new, 1).encode())
    assert http.send("POST", *path, content=content).status == 200


def describe(http: Http, text: str) -> None:
    """Save the form "edit description"."""
    form = {"description": text}
    assert http.send("POST", "job", "dev", "job", "shop_dev", "submitDescription", form=form).status == 302


def changes(service: StandIn) -> int:
    return len([call for call in service.writes() if call.path.endswith("config.xml")])


# -- ours -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"{MARKER}\r\nOwned by the shop team",
        f"{MARKER}\r\n",
        f"  {MARKER} \nOwned by the shop team",
        f"\r\n{MARKER}",
        f"Owned by the shop team\r\n\r\n{MARKER}\r\nCall us",
        f"Owned by the shop team\n\t{MARKER}",
    ],
)
def test_an_edited_description_leaves_the_pipeline_ours(
    jenkins: Jenkins, http: Http, service: StandIn, text: str
) -> None:
    describe(http, text)

    again = jenkins.pipelines.ensure(*WHERE, definition=DEFINITION, on_create=never)

    assert again.found
    assert changes(service) == 0
    assert jenkins.pipelines.remove(*WHERE, marker=MARKER)


@pytest.mark.parametrize("text", ["slipway:app-10", f"see {MARKER}", f"{MARKER}: gone", "", f"x{MARKER}"])
def test_a_description_without_our_line_is_not_ours(jenkins: Jenkins, http: Http, text: str) -> None:
    describe(http, text)

    with pytest.raises(Conflict):
        jenkins.pipelines.remove(*WHERE, marker=MARKER)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("scriptPath", "Jenkinsfile "),
        ("scriptPath", "Jenkinsfile&#xd;"),
        ("url", " https://gitlab.example/dev/shop.git"),
        ("credentialsId", "gitlab&#xd;\n"),
        ("defaultValue", "main&#xd;"),
    ],
)
def test_blanks_and_line_ends_around_a_field_are_no_drift(
    jenkins: Jenkins, http: Http, service: StandIn, field: str, text: str
) -> None:
    plain = text.replace("&#xd;", "").strip()
    edit(http, service, f"<{field}>{plain}</{field}>", f"<{field}>{text}</{field}>")
    before = changes(service)

    jenkins.pipelines.ensure(*WHERE, definition=DEFINITION, on_create=never)

    assert changes(service) == before


# -- theirs -----------------------------------------------------------------------------------------------------------


def test_a_correction_changes_our_fields_only(jenkins: Jenkins, http: Http, service: StandIn) -> None:
    describe(http, f"{MARKER}\r\nOwned by the shop team")
    edit(http, service, "<properties>", f"<properties>{DISCARDER}{TRIGGERS}{SERIAL}")
    edit(http, service, "<parameterDefinitions>", f"<parameterDefinitions>{THEIRS}")
    wanted = service.items[NAME].replace("<credentialsId>gitlab<", "<credentialsId>other<")
    assert wanted != service.items[NAME]

    jenkins.pipelines.ensure(*WHERE, definition=OTHER, on_create=never)

    assert service.items[NAME] == wanted
    assert "Owned by the shop team" in wanted
    assert "&#xd;" in wanted
    assert all(part in wanted for part in ("numToKeep", "GitLabPushTrigger", "FAST", "DisableConcurrentBuilds"))


def test_a_pipeline_that_was_pointed_elsewhere_is_corrected_and_keeps_the_rest(
    jenkins: Jenkins, http: Http, service: StandIn
) -> None:
    edit(http, service, "<properties>", f"<properties>{DISCARDER}")
    begin = service.items[NAME].index("<definition")
    end = service.items[NAME].index("</definition>") + len("</definition>")
    inline = '<definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition"><script>x</script></definition>'
    edit(http, service, service.items[NAME][begin:end], inline)

    jenkins.pipelines.ensure(*WHERE, definition=DEFINITION, on_create=never)

    assert "<url>https://gitlab.example/dev/shop.git</url>" in service.items[NAME]
    assert "<script>" not in service.items[NAME]
    assert "<numToKeep>5</numToKeep>" in service.items[NAME]


@pytest.mark.parametrize("run", [properties.set_by_step, properties.declared_by_pipeline])
def test_parameters_that_the_jenkinsfile_sets_are_no_drift(
    jenkins: Jenkins, service: StandIn, run: Callable[[str, list[xml.Parameter]], str]
) -> None:
    theirs = xml.Parameter(kind=xml.STRING, name="branch", default="develop", description="")
    service.items[NAME] = run(service.items[NAME], [theirs])
    wanted = service.items[NAME].replace("<credentialsId>gitlab<", "<credentialsId>other<")

    jenkins.pipelines.ensure(*WHERE, definition=DEFINITION, on_create=never)
    assert changes(service) == 0
    jenkins.pipelines.ensure(*WHERE, definition=OTHER, on_create=never)

    assert service.items[NAME] == wanted


# -- characters that only XML 1.1 has ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["&#x1b;", "&#x8;", "&#11;", "&#x1B;[31m", "&#x7f;", "&#x85;"])
def test_a_control_character_anywhere_survives_our_correction(
    jenkins: Jenkins, http: Http, service: StandIn, reference: str
) -> None:
    edit(http, service, "<defaultValue>main<", f"<defaultValue>{reference}main<")
    edit(http, service, MARKER, f"{MARKER}\nred: {reference}!")
    wanted = replace(OTHER, parameters=DEFINITION.parameters[:1])
    expected = service.items[NAME].replace("<credentialsId>gitlab<", "<credentialsId>other<")

    jenkins.pipelines.ensure(*WHERE, definition=wanted, on_create=never)

    assert service.items[NAME] == expected
    assert jenkins.pipelines.remove(*WHERE, marker=MARKER)


def test_somebody_elses_job_with_a_control_character_is_a_conflict(jenkins: Jenkins, http: Http) -> None:
    describe(http, "by hand \x1b[31m")

    with pytest.raises(Conflict):
        jenkins.pipelines.ensure(*WHERE, definition=DEFINITION, on_create=never)

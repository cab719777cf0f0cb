"""From a build to the run of its Jenkinsfile, and from what that declares to the job's parameters."""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path

from harbour.jenkins import xml
from harbour.jenkins.execution import execute
from harbour.jenkins.model import Build
from harbour.jenkins.shell import Agent
from harbour.jenkins.steps import Outcome, Parameter, Task
from harbour.jenkins.workspace import Account, Workspace
from harbour.registry import Registry

HOLDER = "hudson.model.ParametersDefinitionProperty"
KINDS = {
    "string": xml.STRING,
    "text": "hudson.model.TextParameterDefinition",
    "booleanParam": xml.BOOLEAN,
    "choice": xml.CHOICE,
    "password": xml.PASSWORD,
}


def carried_out(
    build: Build,
    *,
    script: str | None,
    account: Callable[[str], Account | None],
    plugins: frozenset[str],
    registry: Registry,
    has_docker: bool,
) -> Outcome:
    """Run the pipeline of a build, with real git, and return what it leaves behind; nothing is pushed to the registry.

    `script` is the text of an inline pipeline. A build whose job has neither that nor a repository fails.
    """
    if script is None and not build.repository:
        return Outcome(result="FAILURE", lines=["ERROR: No flow definition, cannot run"])
    workspace = Workspace(Path(tempfile.mkdtemp(prefix="jenkins-")))
    variables = {
        "BUILD_ID": str(build.number),
        "BUILD_NUMBER": str(build.number),
        "JOB_NAME": build.job,
        "WORKSPACE": f"/var/jenkins_home/workspace/{build.job}",
    }
    task = Task(
        repository=build.repository,
        credential=build.credential,
        branch=build.branch,
        path=build.script or "Jenkinsfile",
        script=script,
        parameters={each["name"]: each.get("value", "") for each in build.parameters},
        variables=variables,
        started_ms=round(build.started_at * 1000),
        account=account,
        plugins=plugins,
        agent=Agent(workspace=workspace, refused=registry.refusal, has_docker=has_docker),
        tests=build.outcome,
    )
    try:
        return execute(task)
    finally:
        workspace.close()


def with_declared(document: str, declared: Sequence[Parameter], *, replaces: bool) -> str:
    """Return a job's document with the parameters that its Jenkinsfile declares.

    A scripted `properties` step replaces all there were, the declarative section those of the same name.
    Source: workflow-multibranch `JobPropertyStep`, pipeline-model-definition `Utils.updateJobProperties`.
    """
    root = xml.root_of(document)
    properties = root.find("properties")
    if properties is None:
        properties = ET.SubElement(root, "properties")
    holder = properties.find(HOLDER)
    if holder is None:
        holder = ET.SubElement(properties, HOLDER)
    definitions = holder.find("parameterDefinitions")
    if definitions is None:
        definitions = ET.SubElement(holder, "parameterDefinitions")
    names = {each.name for each in declared}
    for element in list(definitions):
        if replaces or element.findtext("name") in names:
            definitions.remove(element)
    for each in declared:
        definitions.append(_definition(each))
    if not len(definitions):
        properties.remove(holder)
    return xml.serialised(root)


def _definition(parameter: Parameter) -> ET.Element:
    element = ET.Element(KINDS.get(parameter.kind, xml.STRING))
    ET.SubElement(element, "name").text = parameter.name
    ET.SubElement(element, "description").text = parameter.description
    if parameter.choices:
        holder = ET.SubElement(ET.SubElement(element, "choices", {"class": "java.util.Arrays$ArrayList"}), "a")
        for choice in parameter.choices:
            ET.SubElement(holder, "string").text = choice
    else:
        ET.SubElement(element, "defaultValue").text = parameter.default
    return element

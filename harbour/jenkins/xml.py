"""Reading and writing of config.xml, as Jenkins does it.

It keeps what its classes know, ignores everything else, adds `plugin=` attributes and missing
defaults, and writes an XML 1.1 prolog: a document that is read back never has the bytes that were sent.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any

from harbour.jenkins import matrix, xstream
from harbour.jenkins.pages import oops
from harbour.jenkins.permissions import PERMISSIONS

Shape = dict[str, "Shape | None"]
"""Known children by tag, or by `tag:class` where the class decides; None is an element with text."""

FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
PIPELINE = "flow-definition"
CLASSES = {FOLDER: FOLDER, PIPELINE: "org.jenkinsci.plugins.workflow.job.WorkflowJob"}
PARAMETERS_PROPERTY = "hudson.model.ParametersDefinitionProperty"
DECLARED_BY_PIPELINE = "org.jenkinsci.plugins.pipeline.modeldefinition.actions.DeclarativeJobPropertyTrackerAction"
SET_BY_STEP = "org.jenkinsci.plugins.workflow.multibranch.JobPropertyTrackerAction"

_PARAMETER: Shape = dict.fromkeys(("name", "description", "defaultValue"))
_CHOICES: Shape = {"a": {"string": None}, "string": None}
_PARAMETERS: Shape = {
    "hudson.model.StringParameterDefinition": {**_PARAMETER, "trim": None},
    "hudson.model.TextParameterDefinition": {**_PARAMETER, "trim": None},
    "hudson.model.BooleanParameterDefinition": _PARAMETER,
    "hudson.model.PasswordParameterDefinition": _PARAMETER,
    "hudson.model.ChoiceParameterDefinition": {"name": None, "description": None, "choices": _CHOICES},
    "com.cloudbees.plugins.credentials.CredentialsParameterDefinition": {
        **_PARAMETER,
        "credentialType": None,
        "required": None,
    },
}
_GIT: Shape = {
    "configVersion": None,
    "userRemoteConfigs": {
        "hudson.plugins.git.UserRemoteConfig": dict.fromkeys(("name", "refspec", "url", "credentialsId"))
    },
    "branches": {"hudson.plugins.git.BranchSpec": {"name": None}},
    "doGenerateSubmoduleConfigurations": None,
    "submoduleCfg": {},
    "extensions": {},
}
_TRIGGERS: Shape = {
    "hudson.triggers.TimerTrigger": {"spec": None},
    "hudson.triggers.SCMTrigger": {"spec": None, "ignorePostCommitHooks": None},
    "com.dabsquared.gitlabjenkins.GitLabPushTrigger": dict.fromkeys(("spec", "triggerOnPush", "secretToken")),
}
_ROTATOR: Shape = dict.fromkeys(("daysToKeep", "numToKeep", "artifactDaysToKeep", "artifactNumToKeep"))
_JOB_PROPERTIES: Shape = {
    PARAMETERS_PROPERTY: {"parameterDefinitions": _PARAMETERS},
    "org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty": {"abortPrevious": None},
    "jenkins.model.BuildDiscarderProperty": {"strategy:hudson.tasks.LogRotator": _ROTATOR},
    "org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty": {"triggers": _TRIGGERS},
}
_JOB_ACTIONS: Shape = {
    DECLARED_BY_PIPELINE: {"jobProperties": {}, "triggers": {}, "parameters": {"string": None}, "options": {}},
    SET_BY_STEP: {"jobPropertyDescriptors": {"string": None}},
}
_KNOWN: dict[str, Shape] = {
    PIPELINE: {
        "actions": _JOB_ACTIONS,
        "description": None,
        "displayName": None,
        "keepDependencies": None,
        "quietPeriod": None,
        "properties": _JOB_PROPERTIES,
        "definition:org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition": {
            "scm:hudson.plugins.git.GitSCM": _GIT,
            "scriptPath": None,
            "lightweight": None,
        },
        "definition:org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition": {"script": None, "sandbox": None},
        "triggers": {},
        "disabled": None,
    },
    FOLDER: {"actions": {}, "description": None, "displayName": None, "properties": {matrix.MATRIX: {}}},
}
_DEFAULTS = {PIPELINE: {"keepDependencies": "false", "disabled": "false"}, FOLDER: {}}
_PLUGINS = {
    FOLDER: "cloudbees-folder@6.1100.vb_a_1e2cd7d3f5",
    PIPELINE: "workflow-job@1571.vb_423c255d6d9",
    "org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition": "workflow-cps@4275.v5f2b_61c2f1e4",
    "org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition": "workflow-cps@4275.v5f2b_61c2f1e4",
    "hudson.plugins.git.GitSCM": "git@5.10.1",
}


def parse(document: bytes | str) -> ET.Element:
    """Return the root of the document, known parts only; a malformed or unknown one is a permanent 500."""
    try:
        root = xstream.read(document)
    except (ET.ParseError, ValueError, LookupError) as error:
        raise oops("java.io.IOException: Failed to persist config.xml") from error
    if root.tag not in _KNOWN:
        raise oops(f"com.thoughtworks.xstream.mapper.CannotResolveClassException: {root.tag}")
    kept = _keep(root, _KNOWN[root.tag])
    for tag, text in _DEFAULTS[root.tag].items():
        if kept.find(tag) is None:
            ET.SubElement(kept, tag).text = text
    return kept


def serialised(root: ET.Element) -> str:
    """Return the document as Jenkins writes it; what no XML can hold is a permanent 500."""
    try:
        return xstream.write(root)
    except ValueError as error:
        raise oops(f"com.thoughtworks.xstream.io.StreamException: {error}") from error


def _keep(element: ET.Element, shape: Shape) -> ET.Element:
    kept = ET.Element(element.tag)
    name = element.get("class", element.tag)
    if "class" in element.attrib:
        kept.set("class", name)
    if name in _PLUGINS:
        kept.set("plugin", _PLUGINS[name])
    for child in element:
        if child.tag == matrix.MATRIX and matrix.MATRIX in shape:
            kept.append(matrix.rewritten(child, PERMISSIONS))
            continue
        key = f"{child.tag}:{child.get('class')}" if "class" in child.attrib else child.tag
        key = key if key in shape else child.tag
        if key not in shape:
            continue
        known = shape[key]
        if known is None:
            ET.SubElement(kept, child.tag).text = child.text
        else:
            kept.append(_keep(child, known))
    return kept


# -- reading a stored document -------------------------------------------------------------------------------


PASSWORD = "hudson.model.PasswordParameterDefinition"  # noqa: S105 - the name of a class
BOOLEAN = "hudson.model.BooleanParameterDefinition"
CHOICE = "hudson.model.ChoiceParameterDefinition"
STRING = "hudson.model.StringParameterDefinition"
NEVER = float("inf")


@dataclass(frozen=True, kw_only=True)
class Parameter:
    kind: str
    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()
    is_trimmed: bool = False

    def valued(self, text: str) -> dict[str, Any]:
        """Return the parameter as a build shows it; a password shows no value."""
        kind = STRING if self.kind == CHOICE else self.kind  # the value of a choice is a string
        shown: dict[str, Any] = {"_class": kind.replace("Definition", "Value"), "name": self.name}
        if self.kind == BOOLEAN:
            shown["value"] = text in ("true", "on")
        elif self.kind != PASSWORD:
            shown["value"] = text.strip() if self.is_trimmed else text
        return shown


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a pipeline is read from; "" for what the document does not say."""

    repository: str
    credential: str
    branch: str
    script: str


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """Which builds are kept: the newest `builds`, if they are no older than `age_s`."""

    builds: int
    age_s: float


def root_of(document: str) -> ET.Element:
    return xstream.read(document)


def parameters(document: str) -> list[Parameter]:
    return [_parameter(element) for element in root_of(document).iterfind("properties/*/parameterDefinitions/*")]


def _parameter(element: ET.Element) -> Parameter:
    choices = tuple(choice.text or "" for choice in element.iterfind("choices//string"))
    return Parameter(
        kind=element.tag,
        name=element.findtext("name", ""),
        default=choices[0] if choices else element.findtext("defaultValue", ""),
        description=element.findtext("description", ""),
        choices=choices,
        is_trimmed=element.findtext("trim") == "true",
    )


def source(document: str) -> Source:
    root = root_of(document)
    remote = "definition/scm/userRemoteConfigs/*"
    return Source(
        repository=root.findtext(f"{remote}/url", ""),
        credential=root.findtext(f"{remote}/credentialsId", ""),
        branch=root.findtext("definition/scm/branches/*/name", "").removeprefix("*/"),
        script=root.findtext("definition/scriptPath", ""),
    )


def rotation(document: str) -> Rotation | None:
    """Return what log rotation keeps, None without log rotation."""
    if "BuildDiscarderProperty" not in document:
        return None
    strategy = "properties/jenkins.model.BuildDiscarderProperty/strategy"
    root = root_of(document)
    builds, days = (int(root.findtext(f"{strategy}/{tag}", "-1")) for tag in ("numToKeep", "daysToKeep"))
    return Rotation(builds=builds if builds > 0 else sys.maxsize, age_s=days * 86400 if days > 0 else NEVER)


def allows_concurrent_builds(document: str) -> bool:
    return "DisableConcurrentBuildsJobProperty" not in document


def text(document: str, tag: str) -> str | None:
    return root_of(document).findtext(tag)


def is_folder(document: str) -> bool:
    return root_of(document).tag == FOLDER


def with_text(document: str, tag: str, text: str) -> str:
    """Return the document with this text in the child `tag` of its root."""
    root = root_of(document)
    element = root.find(tag)
    element = ET.SubElement(root, tag) if element is None else element
    element.text = text
    return serialised(root)


def with_disabled(document: str, disabled: str) -> str:
    """Return the document with `<disabled>` set to `true` or `false`."""
    root = root_of(document)
    element = root.find("disabled")
    if element is not None:  # folders have none
        element.text = disabled
    return serialised(root)

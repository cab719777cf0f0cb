"""A pipeline as Jenkins' config.xml, and the fields of it that are ours.

    PipelineDefinition -- render --> bytes -- Jenkins rewrites them --> bytes -- read --> PipelineDefinition

Jenkins adds attributes, changes the prolog and drops what it does not know, so documents are compared by `drift`,
never byte by byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from common.errors import ActionBy, Permanent

_GIT = "hudson.plugins.git"
_STRING_PARAMETER = "hudson.model.StringParameterDefinition"
_REMOTE = f"definition/scm/userRemoteConfigs/{_GIT}.UserRemoteConfig"
_BRANCH = f"definition/scm/branches/{_GIT}.BranchSpec/name"
_ANY_BRANCH_PREFIX = "*/"
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SINGLE_FIELDS = ("marker", "repository_url", "credential_id", "branch", "script_path")


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A string parameter of a build."""

    name: str
    default: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class PipelineDefinition:
    """The fields of a pipeline that we own.

    `marker` says whose it is: one line, written as the first line of the description; people may edit the rest.
    `script_path` is relative to the repository's root.
    """

    repository_url: str
    credential_id: str
    branch: str
    script_path: str
    marker: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()


def render(definition: PipelineDefinition) -> bytes:
    """Return the config.xml of a pipeline. Raises Permanent for characters that XML 1.0 cannot carry.

    Source: git plugin `UserRemoteConfig`, workflow-cps `CpsScmFlowDefinition`.
    """
    root = Element("flow-definition")
    _add(root, "description", "\n".join(filter(None, (definition.marker, definition.description))))
    _add(root, "keepDependencies", "false")
    _add_parameters(_add(root, "properties"), definition.parameters)
    _add_source(root, definition)
    _add(root, "triggers")
    _add(root, "disabled", "false")
    xml: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return xml.replace(b"\r", b"&#13;")  # a reader turns a bare CR into LF; the reference survives


def read(xml: bytes) -> PipelineDefinition:
    """Return our fields of a config.xml, empty where it has none: a job of another kind has no marker.

    Raises Permanent when it is not XML or brings a document type (entities could read files or fill the memory).
    """
    root = _parse(xml)
    is_pipeline = root.tag == "flow-definition"
    marker, _, description = _text(root, "description").partition("\n")
    return PipelineDefinition(
        marker=marker if is_pipeline else "",
        description=description,
        repository_url=_text(root, f"{_REMOTE}/url"),
        credential_id=_text(root, f"{_REMOTE}/credentialsId"),
        branch=_text(root, _BRANCH).removeprefix(_ANY_BRANCH_PREFIX),
        script_path=_text(root, "definition/scriptPath"),
        parameters=tuple(_read_parameter(item) for item in root.iter(_STRING_PARAMETER)),
    )


def drift(wanted: PipelineDefinition, actual: PipelineDefinition) -> tuple[str, ...]:
    """Return the names of our fields in which `actual` is not what we want.

    More parameters than ours are no drift: a Jenkinsfile declares its own.
    """
    fields = tuple(name for name in _SINGLE_FIELDS if getattr(wanted, name) != getattr(actual, name))
    defaults = {parameter.name: parameter.default for parameter in actual.parameters}
    return fields + tuple(
        f"parameter {parameter.name}"
        for parameter in wanted.parameters
        if defaults.get(parameter.name) != parameter.default
    )


def _add(parent: Element, tag: str, text: str = "", kind: str | None = None) -> Element:
    if _ILLEGAL.search(text):
        reason = f"the pipeline's {tag} has characters that Jenkins cannot store"
        raise Permanent(reason, action_by=ActionBy.USER)
    child = SubElement(parent, tag, {"class": kind} if kind else {})
    child.text = text
    return child


def _add_parameters(properties: Element, parameters: tuple[Parameter, ...]) -> None:
    if not parameters:
        return
    holder = _add(properties, "hudson.model.ParametersDefinitionProperty")
    definitions = _add(holder, "parameterDefinitions")
    for parameter in parameters:
        item = _add(definitions, _STRING_PARAMETER)
        _add(item, "name", parameter.name)
        _add(item, "description", parameter.description)
        _add(item, "defaultValue", parameter.default)
        _add(item, "trim", "true")


def _add_source(root: Element, definition: PipelineDefinition) -> None:
    """Add where the Jenkinsfile comes from. The branch is fixed, so the lightweight checkout works."""
    flow = _add(root, "definition", kind="org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition")
    scm = _add(flow, "scm", kind=f"{_GIT}.GitSCM")
    _add(scm, "configVersion", "2")
    remote = _add(_add(scm, "userRemoteConfigs"), f"{_GIT}.UserRemoteConfig")
    _add(remote, "url", definition.repository_url)
    _add(remote, "credentialsId", definition.credential_id)
    branch = _add(_add(scm, "branches"), f"{_GIT}.BranchSpec")
    _add(branch, "name", _ANY_BRANCH_PREFIX + definition.branch)
    _add(scm, "doGenerateSubmoduleConfigurations", "false")
    _add(scm, "submoduleCfg", kind="empty-list")
    _add(scm, "extensions")
    _add(flow, "scriptPath", definition.script_path)
    _add(flow, "lightweight", "true")


class _Document(ElementTree.TreeBuilder):
    def doctype(self, *_declaration: str | None) -> None:
        """Stop at `<!DOCTYPE`, before any entity is declared, in whatever encoding it comes."""
        raise ElementTree.ParseError("a document type is refused")


def _parse(xml: bytes) -> Element:
    try:
        parser = ElementTree.XMLParser(target=_Document())  # noqa: S314 - _Document refuses document types
        return ElementTree.fromstring(xml, parser)  # noqa: S314 - as above
    except (ElementTree.ParseError, ValueError, LookupError):  # the last two: encodings that expat does not know
        raise Permanent("Jenkins answered with a config.xml that cannot be read") from None


def _text(element: Element, path: str) -> str:
    return element.findtext(path) or ""


def _read_parameter(item: Element) -> Parameter:
    return Parameter(
        name=_text(item, "name"),
        default=_text(item, "defaultValue"),
        description=_text(item, "description"),
    )

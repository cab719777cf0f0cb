"""A pipeline as Jenkins' config.xml, and the fields of it that are ours.

    PipelineDefinition -- render --> createItem -- Jenkins rewrites it --> PipelineXml -- correct --> config.xml

Jenkins adds attributes, changes the prolog and drops what it does not know, and people edit the rest: so fields are
compared, never documents, and a correction changes our fields in the document that was read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from common.errors import ActionBy, Permanent
from worker.upstreams.jenkins.xml_document import XmlDocument, is_storable, written
from worker.upstreams.marker import is_line_of

_GIT = "hudson.plugins.git"
_TEXT_PARAMETERS = ("hudson.model.StringParameterDefinition", "hudson.model.TextParameterDefinition")
_PARAMETERS_PROPERTY = "hudson.model.ParametersDefinitionProperty"
_PARAMETERS = ("properties", _PARAMETERS_PROPERTY, "parameterDefinitions")
_FLOW = "org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition"
_SCM = f"{_GIT}.GitSCM"
_REMOTE = ("definition", "scm", "userRemoteConfigs", f"{_GIT}.UserRemoteConfig")
_FIELDS = {
    "repository_url": (*_REMOTE, "url"),
    "credential_id": (*_REMOTE, "credentialsId"),
    "branch": ("definition", "scm", "branches", f"{_GIT}.BranchSpec", "name"),
    "script_path": ("definition", "scriptPath"),
}
_ANY_BRANCH_PREFIX = "*/"
_PLUGINS = "actions/org.jenkinsci.plugins"
_DECLARED_BY_PIPELINE = (
    f"{_PLUGINS}.pipeline.modeldefinition.actions.DeclarativeJobPropertyTrackerAction/parameters/string"
)
_SET_BY_STEP = f"{_PLUGINS}.workflow.multibranch.JobPropertyTrackerAction/jobPropertyDescriptors/string"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A string parameter of a build."""

    name: str
    default: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class PipelineDefinition:
    """The fields of a pipeline that we own.

    `marker` says whose it is: one line, written as the first line of the description; people may edit the rest, and
    move it. `script_path` is relative to the repository's root.
    """

    repository_url: str
    credential_id: str
    branch: str
    script_path: str
    marker: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()


def render(definition: PipelineDefinition) -> bytes:
    """Return the config.xml of a new pipeline. Raises Permanent for characters that XML 1.0 cannot carry.

    Source: git plugin `UserRemoteConfig`, workflow-cps `CpsScmFlowDefinition`.
    """
    return written(_rendered(definition))


class PipelineXml:
    """The config.xml of a job, as Jenkins has it."""

    def __init__(self, xml: bytes) -> None:
        """Read the document. Raises Permanent when it cannot be read."""
        self._document = XmlDocument(xml)
        self._root = self._document.root

    def to_bytes(self) -> bytes:
        return self._document.to_bytes()

    def carries(self, marker: str) -> bool:
        """Return whether it is a pipeline with `marker` on a line of its own in the description."""
        return self._root.tag == "flow-definition" and is_line_of(self._root.findtext("description"), marker)

    def drift(self, wanted: PipelineDefinition) -> tuple[str, ...]:
        """Return the names of our fields that are not as wanted, blanks and line ends at their ends ignored.

        More parameters than ours are no drift. Parameters that the Jenkinsfile sets are its own: Jenkins puts them
        back with each build, and `declare` adds ours before each trigger.
        """
        fields = [name for name in _FIELDS if self._field(name) != getattr(wanted, name).strip()]
        return (*fields, *(f"parameter {each.name}" for each in self._drifted(wanted.parameters)))

    def correct(self, wanted: PipelineDefinition) -> None:
        """Set our fields as wanted, and nothing else."""
        fresh = _rendered(wanted)
        _require_class(self._root, fresh, "definition")
        _require_class(_child(self._root, "definition"), _child(fresh, "definition"), "scm")
        for name, path in _FIELDS.items():
            if self._field(name) != getattr(wanted, name).strip():
                prefix = _ANY_BRANCH_PREFIX if name == "branch" else ""
                _descend(self._root, path).text = prefix + getattr(wanted, name)
        self._put(self._drifted(wanted.parameters))

    def lacks(self, parameters: Iterable[Parameter]) -> list[Parameter]:
        """Return those that are not declared, or not as a text: a build could not be given them."""
        held = self._held()
        return [each for each in parameters if each.name not in held or held[each.name].tag not in _TEXT_PARAMETERS]

    def declare(self, parameters: Iterable[Parameter]) -> None:
        """Declare those that it lacks, and change no other."""
        self._put(self.lacks(parameters))

    def _field(self, name: str) -> str:
        text = (self._root.findtext("/".join(_FIELDS[name])) or "").strip()
        return text.removeprefix(_ANY_BRANCH_PREFIX) if name == "branch" else text

    def _drifted(self, parameters: Iterable[Parameter]) -> list[Parameter]:
        if _PARAMETERS_PROPERTY in _texts(self._root, _SET_BY_STEP):
            return []
        ours = [each for each in parameters if each.name not in _texts(self._root, _DECLARED_BY_PIPELINE)]
        held, lacking = self._held(), self.lacks(ours)
        return [each for each in ours if each in lacking or _default(held[each.name]) != each.default.strip()]

    def _held(self) -> dict[str, Element]:
        definitions = self._root.find("/".join(_PARAMETERS))
        return {(each.findtext("name") or "").strip(): each for each in (() if definitions is None else definitions)}

    def _put(self, parameters: list[Parameter]) -> None:
        """Set the default of each that is a text; replace or add the others."""
        held = self._held()
        for parameter in parameters:
            element = held.get(parameter.name)
            if element is not None and element.tag in _TEXT_PARAMETERS:
                _child(element, "defaultValue").text = parameter.default
                continue
            definitions = _descend(self._root, _PARAMETERS)
            if element is not None:
                definitions.remove(element)
            _add_parameter(definitions, parameter)


def _texts(root: Element, path: str) -> set[str]:
    return {(each.text or "").strip() for each in root.iterfind(path)}


def _default(parameter: Element) -> str:
    return (parameter.findtext("defaultValue") or "").strip()


def _child(parent: Element, tag: str) -> Element:
    """Return the first child of this tag, adding it when there is none."""
    found = parent.find(tag)
    return SubElement(parent, tag) if found is None else found


def _descend(root: Element, path: tuple[str, ...]) -> Element:
    for tag in path:
        root = _child(root, tag)
    return root


def _require_class(parent: Element, fresh: Element, tag: str) -> None:
    """Replace the child `tag` by the one of `fresh` unless it is of the same class: its fields mean something else."""
    held, wanted = parent.find(tag), _child(fresh, tag)
    if held is not None and held.get("class") == wanted.get("class"):
        return
    if held is not None:
        parent.remove(held)
    parent.append(wanted)


# -- a new document ---------------------------------------------------------------------------------------------------


def _rendered(definition: PipelineDefinition) -> Element:
    root = Element("flow-definition")
    _add(root, "description", "\n".join(filter(None, (definition.marker, definition.description))))
    _add(root, "keepDependencies", "false")
    properties = _add(root, "properties")
    if definition.parameters:
        definitions = _add(_add(properties, _PARAMETERS_PROPERTY), "parameterDefinitions")
        for parameter in definition.parameters:
            _add_parameter(definitions, parameter)
    _add_source(root, definition)
    _add(root, "triggers")
    _add(root, "disabled", "false")
    return root


def _add(parent: Element, tag: str, text: str = "", kind: str | None = None) -> Element:
    if not is_storable(text):
        reason = f"the pipeline's {tag} has characters that Jenkins cannot store"
        raise Permanent(reason, action_by=ActionBy.USER)
    child = SubElement(parent, tag, {"class": kind} if kind else {})
    child.text = text
    return child


def _add_parameter(definitions: Element, parameter: Parameter) -> None:
    item = _add(definitions, _TEXT_PARAMETERS[0])
    _add(item, "name", parameter.name)
    _add(item, "description", parameter.description)
    _add(item, "defaultValue", parameter.default)
    _add(item, "trim", "true")


def _add_source(root: Element, definition: PipelineDefinition) -> None:
    """Add where the Jenkinsfile comes from. The branch is fixed, so the lightweight checkout works."""
    flow = _add(root, "definition", kind=_FLOW)
    scm = _add(flow, "scm", kind=_SCM)
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

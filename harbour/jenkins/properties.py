"""What a Jenkinsfile does to the parameters of its job, once it has run.

    properties([parameters([…])])   scripted: the parameters of the job are replaced by these
    parameters { … }                declarative: replaces those of the same name, and removes those that an earlier
                                    run declared; others of the job stay

Both leave a note in the job's actions. Source: workflow-multibranch `JobPropertyStep`; pipeline-model-definition
`Utils.getParametersToApply`.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from harbour.jenkins import xml


def set_by_step(document: str, parameters: Sequence[xml.Parameter]) -> str:
    """Return the job after a run of `properties([parameters([…])])`."""
    root = xml.root_of(document)
    _replace_parameters(root, [_element(each) for each in parameters])
    note = _note(root, xml.SET_BY_STEP)
    ET.SubElement(_child(note, "jobPropertyDescriptors"), "string").text = xml.PARAMETERS_PROPERTY
    return xml.serialised(root)


def declared_by_pipeline(document: str, parameters: Sequence[xml.Parameter]) -> str:
    """Return the job after a run of a declarative pipeline with `parameters { … }`."""
    root = xml.root_of(document)
    earlier = {each.text for each in root.iterfind(f"actions/{xml.DECLARED_BY_PIPELINE}/parameters/string")}
    ours = {each.name for each in parameters}
    held = list(root.iterfind(f"properties/{xml.PARAMETERS_PROPERTY}/parameterDefinitions/*"))
    kept = [each for each in held if each.findtext("name") not in earlier | ours]
    _replace_parameters(root, [*(_element(each) for each in parameters), *kept])
    names = _child(_note(root, xml.DECLARED_BY_PIPELINE), "parameters")
    for parameter in parameters:
        ET.SubElement(names, "string").text = parameter.name
    return xml.serialised(root)


def _replace_parameters(root: ET.Element, definitions: list[ET.Element]) -> None:
    properties = _child(root, "properties")
    held = properties.find(xml.PARAMETERS_PROPERTY)
    if held is not None:
        properties.remove(held)
    if definitions:
        holder = ET.SubElement(ET.SubElement(properties, xml.PARAMETERS_PROPERTY), "parameterDefinitions")
        holder.extend(definitions)


def _element(parameter: xml.Parameter) -> ET.Element:
    element = ET.Element(parameter.kind)
    ET.SubElement(element, "name").text = parameter.name
    ET.SubElement(element, "description").text = parameter.description
    if parameter.kind == xml.CHOICE:
        choices = ET.SubElement(ET.SubElement(element, "choices", {"class": "java.util.Arrays$ArrayList"}), "a")
        for choice in parameter.choices:
            ET.SubElement(choices, "string").text = choice
    else:
        ET.SubElement(element, "defaultValue").text = parameter.default
    return element


def _note(root: ET.Element, kind: str) -> ET.Element:
    """Return the empty note of this kind in the job's actions, in place of an earlier one."""
    actions = _child(root, "actions")
    earlier = actions.find(kind)
    if earlier is not None:
        actions.remove(earlier)
    return ET.SubElement(actions, kind)


def _child(parent: ET.Element, tag: str) -> ET.Element:
    found = parent.find(tag)
    return ET.SubElement(parent, tag) if found is None else found

"""What a chart at one commit makes: Kubernetes objects, rendered as helm does, or read as they stand without a chart.

Source: argo-cd 3.5 `reposerver/repository`, helm 4 `template`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

from harbour.argocd import yaml
from harbour.argocd.git import ChartError
from harbour.argocd.project_rules import CLUSTER_KINDS
from harbour.argocd.templating import TemplateError, Templates

Manifest = dict[str, Any]
TRACKING_ID = "argocd.argoproj.io/tracking-id"
HOOKS = ("argocd.argoproj.io/hook", "helm.sh/hook")
KUBERNETES_VERSION = "1.36.1"
RELEASE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
RELEASE_RULE = (
    "must match regex ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ "
    "and the length must not be longer than 53"
)
ORDER = (
    *("Namespace", "ServiceAccount", "Secret", "ConfigMap", "PersistentVolumeClaim", "ClusterRole", "Role", "Service"),
    *("Deployment", "StatefulSet", "Job", "CronJob", "Ingress"),
)
"""Kinds in the order in which a sync applies them; the others come last."""


def rendered(files: Mapping[str, str], source: dict[str, Any], *, name: str, namespace: str) -> list[Manifest]:
    """Return the objects of a folder's files, in the order in which they are applied. Raises ChartError."""
    if "Chart.yaml" in files:
        objects = _of_chart(files, source, name, namespace)
    elif "helm" in source:
        missing = "open <path to cached source>/Chart.yaml: no such file or directory"
        doing = "error getting helm repos: error retrieving helm dependency repos"
        raise ChartError(f"{doing}: error reading helm chart from <path to cached source>/Chart.yaml: {missing}")
    else:
        objects = _of_folder(files)
    for each in objects:
        if kind_of(each) not in CLUSTER_KINDS:
            each["metadata"].setdefault("namespace", namespace)
    return sorted(objects, key=lambda each: (_rank(each), kind_of(each), name_of(each)))


def _rank(manifest: Manifest) -> int:
    kind = kind_of(manifest)
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def _of_folder(files: Mapping[str, str]) -> list[Manifest]:
    """Return the objects of the plain files that lie directly in the folder."""
    wanted = [path for path in sorted(files) if "/" not in path and path.endswith((".yaml", ".yml", ".json"))]
    return [each for path in wanted for each in _documents(path, files[path], "Failed to unmarshal manifest")]


def _documents(path: str, text: str, doing: str) -> list[Manifest]:
    try:
        found = yaml.documents(text)
    except yaml.YAMLError as error:
        raise ChartError(f"{doing} {path}: error converting YAML to JSON: {error}") from error
    for each in found:
        if not isinstance(each, dict) or not each.get("kind") or not isinstance(each.get("metadata"), dict):
            raise ChartError(f"{doing} {path}: an object needs apiVersion, kind and metadata")
    return found


def _of_chart(files: Mapping[str, str], source: dict[str, Any], name: str, namespace: str) -> list[Manifest]:
    helm = source.get("helm", {})
    release = helm.get("releaseName") or name
    command = _command(release, namespace, helm.get("parameters", []))
    if len(release) > 53 or not RELEASE.fullmatch(release):
        reason = f'release name check failed: release name "{release}": invalid release name, {RELEASE_RULE}'
        raise ChartError(_failed(command, reason, debug=False))
    try:
        return _templated(files, helm, release, namespace)
    except (TemplateError, yaml.YAMLError) as error:
        raise ChartError(_failed(command, str(error))) from error
    except ChartError as error:
        raise ChartError(_failed(command, str(error))) from error


def _templated(files: Mapping[str, str], helm: dict[str, Any], release: str, namespace: str) -> list[Manifest]:
    chart = yaml.load(files["Chart.yaml"]) or {}
    capital = {key[:1].upper() + key[1:]: value for key, value in chart.items()}
    root = {
        "Values": _values(files, helm),
        "Release": {"Name": release, "Namespace": namespace, "Service": "Helm", "IsInstall": True, "Revision": 1},
        "Chart": capital,
        "Capabilities": {"KubeVersion": {"Version": f"v{KUBERNETES_VERSION}", "Major": "1", "Minor": "36"}},
    }
    templates, prefix = Templates(root), str(chart.get("name", ""))
    paths = [path for path in sorted(files) if path.startswith("templates/") and not path.endswith("NOTES.txt")]
    parsed = {path: templates.add(f"{prefix}/{path}", files[path]) for path in paths}
    objects = [each for path in sorted(files) if path.startswith("crds/") for each in yaml.documents(files[path])]
    for path, nodes in parsed.items():
        text = templates.render(f"{prefix}/{path}", nodes)
        if path.endswith((".yaml", ".yml", ".json")):
            objects += _documents(f"{prefix}/{path}", text, "YAML parse error on")
    return objects


def _values(files: Mapping[str, str], helm: dict[str, Any]) -> dict[str, Any]:
    """Return the chart's values, with what the source sets over them; parameters come last."""
    merged: dict[str, Any] = {}
    for path in ("values.yaml", *helm.get("valueFiles", [])):
        if path in files:
            merged = _merged(merged, yaml.load(files[path]) or {})
        elif path != "values.yaml" and not helm.get("ignoreMissingValueFiles"):
            raise ChartError(f"open <path to cached source>/{path}: no such file or directory")
    merged = _merged(merged, yaml.load(helm.get("values") or "") or {})
    merged = _merged(merged, helm.get("valuesObject") or {})
    for row in helm.get("parameters", []):
        _set(merged, str(row.get("name", "")).split("."), row)
    return merged


def _merged(one: Any, other: Any) -> Any:
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return copy.deepcopy(other)
    return one | {key: _merged(one.get(key), value) for key, value in other.items()}


def _set(values: dict[str, Any], path: list[str], row: dict[str, Any]) -> None:
    for name in path[:-1]:
        if not isinstance(values.get(name), dict):
            values[name] = {}
        values = values[name]
    text = str(row.get("value", ""))
    is_word = text in ("true", "false", "null") or re.fullmatch(r"-?(0|[1-9]\d*)", text)
    values[path[-1]] = json.loads(text) if is_word and not row.get("forceString") else text


def _command(release: str, namespace: str, parameters: list[dict[str, Any]]) -> str:
    settings = "".join(
        f" {'--set-string' if row.get('forceString') else '--set'} {row.get('name')}={row.get('value', '')}"
        for row in parameters
    )
    place = f"--name-template {release} --namespace {namespace} --kube-version {KUBERNETES_VERSION}"
    return f"helm template . {place}{settings} <api versions removed> --include-crds"


def _failed(command: str, reason: str, *, debug: bool = True) -> str:
    hint = "\n\nUse --debug flag to render out invalid YAML" if debug else ""
    running = f"failed to execute helm template command: failed running helm: `{command}`"
    return f"{running} failed exit status 1: Error: {reason}{hint}"


# -- parts of an object -----------------------------------------------------------------------------------------------


def kind_of(manifest: Manifest) -> str:
    return str(manifest["kind"])


def name_of(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("name", ""))


def group_of(manifest: Manifest) -> str:
    group, slash, _ = str(manifest.get("apiVersion", "")).partition("/")
    return group if slash else ""


def version_of(manifest: Manifest) -> str:
    return str(manifest.get("apiVersion", "")).rpartition("/")[2]


def namespace_of(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("namespace", ""))


def key_of(manifest: Manifest) -> str:
    """Return what names an object on its cluster."""
    return f"{group_of(manifest)}/{kind_of(manifest)}:{namespace_of(manifest)}/{name_of(manifest)}"


def hook_of(manifest: Manifest) -> str:
    """Return the phase of a sync in which an object runs as a hook, "" when it is none."""
    annotations = manifest["metadata"].get("annotations") or {}
    names = {"pre-install": "PreSync", "pre-upgrade": "PreSync", "post-install": "PostSync", "post-upgrade": "PostSync"}
    found = next((str(annotations[each]).split(",")[0] for each in HOOKS if each in annotations), "")
    return names.get(found, found)


def tracking_of(manifest: Manifest) -> str:
    """Return the name of the application that an object says it belongs to, "" for none."""
    annotations = manifest["metadata"].get("annotations") or {}
    return str(annotations.get(TRACKING_ID, "")).partition(":")[0]


def tracked(manifest: Manifest, application: str) -> Manifest:
    """Return an object with the annotation by which Argo CD knows its own."""
    made = copy.deepcopy(manifest)
    annotations = made["metadata"].get("annotations") or {}
    made["metadata"]["annotations"] = annotations | {TRACKING_ID: f"{application}:{key_of(manifest)}"}
    return made


def images_of(manifest: Manifest) -> list[str]:
    """Return the images that an object's containers run."""
    spec = manifest.get("spec") or {}
    template = (spec.get("jobTemplate") or {}).get("spec") or spec
    pod = (template.get("template") or {}).get("spec") or (spec if kind_of(manifest) == "Pod" else {})
    containers = [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]
    return [str(each["image"]) for each in containers if isinstance(each, dict) and each.get("image")]

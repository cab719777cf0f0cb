"""The chart as helm renders it. `make chart` installs helm 3 and 4 below var/chart; else that of the PATH is taken."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.checkout import ROOT

CHART = ROOT / "deploy/helm/slipway"
VALUE_SETS = {file.stem: file for file in sorted((ROOT / "tests/chart/values").glob("*.yaml"))}
NAMESPACE, RELEASE = "platform", "slipway"
KUBERNETES = "1.33"
MISSING = "helm is not installed: `make chart` installs it, and runs these tests"


def programs() -> list[str]:
    """Return the programs of helm that there are, helm 3 before helm 4."""
    built = [str(file) for file in sorted((ROOT / "var/chart/bin").glob("helm[34]"))]
    found = shutil.which("helm")
    return built or ([found] if found else [])


def require(program: str) -> str:
    """Return where a program is; skip the test where it is not, in CI as well: CI installs none of them."""
    built = ROOT / "var/chart/bin" / program
    found = str(built) if built.exists() else shutil.which(program)
    return found or pytest.skip(f"{program} is not installed")


@cache
def render(name: str, program: str | None = None, *options: str) -> list[dict[str, Any]]:
    """Return the objects that a set of values gives, those of hooks included."""
    helm = program or next(iter(programs()), None) or pytest.skip(MISSING)
    arguments = ("--namespace", NAMESPACE, "--kube-version", f"{KUBERNETES}.0", "--values", str(VALUE_SETS[name]))
    done = run(helm, "template", RELEASE, str(CHART), *arguments, *options)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.load_all(done.stdout, Loader=LOADER) if each]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class Pod:
    """The pod that an object starts, and the container in it."""

    owner: dict[str, Any]
    metadata: dict[str, Any]
    spec: dict[str, Any]

    @property
    def process(self) -> str:
        """Which of our processes runs in it: api, worker, flower or migrate."""
        return str(self.metadata["labels"]["app.kubernetes.io/component"])

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.metadata["labels"])

    @property
    def container(self) -> dict[str, Any]:
        (container,) = self.spec["containers"]
        return dict(container)

    @property
    def environment(self) -> dict[str, str]:
        return {each["name"]: each.get("value", "10.0.0.7") for each in self.container["env"]}

    def secret_files(self) -> dict[str, bool]:
        """Return the files below SECRETS_DIR, and whether each has to be there."""
        (sources,) = [each["projected"]["sources"] for each in self.spec["volumes"] if each["name"] == "secrets"]
        return {
            item["path"]: not source["secret"].get("optional", False)
            for source in sources
            for item in source["secret"]["items"]
        }


def pods(objects: list[dict[str, Any]]) -> list[Pod]:
    return list(_pods(objects))


def _pods(objects: list[dict[str, Any]]) -> Iterator[Pod]:
    for each in objects:
        if template := each.get("spec", {}).get("template"):
            yield Pod(owner=each, metadata=template["metadata"], spec=template["spec"])


def of_kind(objects: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [each for each in objects if each["kind"] in kinds]


def write(place: Path, objects: Any) -> Path:
    place.write_text(yaml.safe_dump(objects, sort_keys=False), encoding="utf-8")
    return place

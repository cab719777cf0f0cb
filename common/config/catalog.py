"""The catalog: what a team and an app type are on the upstreams, read from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from common.config.settings import Settings, SettingsError


class CatalogTeam(BaseModel):
    """One team and its places on the upstreams."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    self_join: bool = False
    gitlab_group: str
    jenkins_folder: str
    jenkins_role: str
    kibana_role: str
    argocd_project: str
    cluster: str


class AppType(BaseModel):
    """One kind of app and the repositories that it starts from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    source_template: str
    helm_template: str


class Catalog(BaseModel):
    """All teams and types by their id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    teams: Mapping[str, CatalogTeam]
    types: Mapping[str, AppType]


def load(settings: Settings) -> Catalog:
    """Read the catalog. Raises SettingsError that names what is wrong in the file."""
    return parse(read(settings.catalog_file), settings)


def read(file: Path | None) -> str:
    """Return the text of a catalog, of the bundled one for None. Raises SettingsError."""
    if file is None:
        return resources.files(__package__).joinpath("catalog.toml").read_text(encoding="utf-8")
    try:
        return file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError([f"CATALOG_FILE cannot be read: {why}"]) from None


def parse(text: str, settings: Settings) -> Catalog:
    """Return the catalog of a text. Raises SettingsError that names what is wrong in it."""
    try:
        return _parse(tomllib.loads(text), settings)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"CATALOG_FILE is not TOML: {error}"]) from None
    except ValidationError as error:
        problems = [f"CATALOG_FILE: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise SettingsError(problems) from None


def _parse(document: dict[str, Any], settings: Settings) -> Catalog:
    clusters = {"dev": settings.dev_cluster_name, "ops": settings.ops_cluster_name}
    for section in document.values():
        for key, entry in section.items() if isinstance(section, dict) else ():
            if isinstance(entry, dict):
                entry["id"] = key
    for key, cluster in clusters.items():
        team = document.get("teams", {}).get(key) if isinstance(document.get("teams"), dict) else None
        if isinstance(team, dict):
            team.setdefault("cluster", cluster)
    return Catalog.model_validate(document)

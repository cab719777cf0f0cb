"""The catalog: what a team and an app type are on the upstreams, read from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from common.config import namespaces
from common.config.accounts import Accounts
from common.config.namespaces import NamespacePattern, find_shared, pattern_of
from common.config.settings import Settings, SettingsError


class CatalogTeam(BaseModel):
    """One team and its places on the upstreams.

    `namespace` is the pattern of its apps' namespaces, `argocd_namespace` the namespace of its Argo CD applications,
    None for Argo CD's own.
    `jenkins_role` is the item role of its people; with matrix authorization they get permissions in `jenkins_folder`
    instead. `jenkins_global_role` is given to them, too, when it is set: some global role has to have Overall/Read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    self_join: bool = False
    gitlab_group: str
    jenkins_folder: str
    jenkins_authorization: Literal["role-strategy", "matrix"] = "role-strategy"
    jenkins_role: str = ""
    jenkins_global_role: str | None = None
    kibana_role: str
    argocd_project: str
    argocd_namespace: str | None = None
    cluster: str
    namespace: str = namespaces.DEFAULT

    @model_validator(mode="after")
    def _with_a_pattern(self) -> Self:
        try:
            _ = self.namespace_pattern
        except ValueError as error:
            raise ValueError(f"namespace {error}") from None
        return self

    @cached_property
    def namespace_pattern(self) -> NamespacePattern:
        return pattern_of(self.namespace, self.id)

    def namespace_of(self, app: str) -> str:
        """Return the namespace of a new app; what an app has is in its row (`App.kubernetes_namespace`)."""
        return self.namespace_pattern.namespace_of(app)

    @property
    def sample_namespace(self) -> str:
        """A namespace as the team's apps have them."""
        return self.namespace_of(namespaces.SAMPLE_APP)

    @property
    def namespace_glob(self) -> str:
        """All of the team's namespaces, as a project of Argo CD lists them: `dev-*`."""
        return self.namespace_pattern.glob

    @model_validator(mode="after")
    def _with_roles_where_there_are_roles(self) -> Self:
        if self.jenkins_authorization == "role-strategy" and not self.jenkins_role:
            raise ValueError("jenkins_role is required, unless jenkins_authorization is matrix")
        if self.jenkins_authorization == "matrix" and (self.jenkins_role or self.jenkins_global_role):
            raise ValueError("jenkins_role and jenkins_global_role are roles, which matrix authorization does not have")
        return self


class AppType(BaseModel):
    """One kind of app and the repositories that it starts from; `jenkinsfile` is the path of its pipeline in them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    source_template: str
    helm_template: str
    jenkinsfile: str = "Jenkinsfile"


class Reserved(BaseModel):
    """Names that this installation keeps, besides those that every upstream keeps.

    No app and no app's namespace may have one of `apps`, no person one of `logins`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    apps: frozenset[str] = frozenset()
    logins: frozenset[str] = frozenset()


class Catalog(BaseModel):
    """All teams and types by their id, reserved names, and who makes people's accounts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    teams: Mapping[str, CatalogTeam]
    types: Mapping[str, AppType]
    reserved: Reserved = Field(default_factory=Reserved)
    accounts: Accounts = Field(default_factory=Accounts)

    def namespace_of(self, team_id: str, app: str) -> str:
        """Return the namespace of a new app, of a team that may have left the catalog."""
        team = self.teams.get(team_id)
        return team.namespace_of(app) if team else pattern_of(namespaces.DEFAULT, team_id).namespace_of(app)

    @model_validator(mode="after")
    def _with_separate_namespaces(self) -> Self:
        if problem := shared_namespace(self.teams.values()):
            raise ValueError(problem)
        return self


def shared_namespace(teams: Iterable[CatalogTeam]) -> str | None:
    """Say which two teams could give their apps the same namespace, None when no two could."""
    for one, other in combinations(teams, 2):
        if shared := find_shared(one.namespace_pattern, other.namespace_pattern):
            return (
                f"the teams {one.id} and {other.id} could both have an app in the namespace {shared}: "
                "set namespace for one of them, with a beginning that no namespace of the other can have"
            )
    return None


def load(settings: Settings) -> Catalog:
    """Read the catalog. Raises SettingsError that names what is wrong in the file.

    The teams of the bundled one are open to everyone only where a setting says so.
    """
    loaded = parse(read(settings.catalog_file), settings)
    if settings.catalog_file is not None or settings.signup_bundled_teams_open:
        return loaded
    closed = {name: team.model_copy(update={"self_join": False}) for name, team in loaded.teams.items()}
    return loaded.model_copy(update={"teams": closed})


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
        problems = [f"CATALOG_FILE: {_place(e['loc'])}{e['msg'].removeprefix('Value error, ')}" for e in error.errors()]
        raise SettingsError(problems) from None


def _place(loc: tuple[int | str, ...]) -> str:
    return f"{'.'.join(map(str, loc))}: " if loc else ""


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

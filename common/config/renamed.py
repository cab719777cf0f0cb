"""Renamed settings: each is read under its former name, too, wherever settings come from.

A source that has both names must agree with itself; among sources the usual order decides, whichever name each uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

FORMER_NAMES: Mapping[str, str] = {
    "argocd_url": "argo_url",
    "argocd_ext_url": "argo_ext_url",
    "argocd_token": "argo_token",
    "argocd_concurrency": "argo_concurrency",
    "argocd_calls_per_second": "argo_calls_per_second",
    "argocd_proxy": "argo_proxy",
    "argocd_ca_file": "argo_ca_file",
    "elasticsearch_proxy": "kibana_proxy",
    "elasticsearch_ca_file": "kibana_ca_file",
    "elasticsearch_url": "kibana_url",
    "elasticsearch_user": "kibana_user",
    "elasticsearch_password": "kibana_pwd",
    "elasticsearch_concurrency": "kibana_concurrency",
    "elasticsearch_calls_per_second": "kibana_calls_per_second",
}  # KIBANA_EXT_URL is Kibana's own address, and keeps its name


@dataclass(frozen=True, kw_only=True)
class Ambiguous:
    """Stands for the value of a setting that one source gives under both names, with different values."""

    former: str


def shown(name: str) -> str:
    """Return the name of a setting as people may have written it."""
    former = FORMER_NAMES.get(name)
    return f"{name.upper()} (or {former.upper()})" if former else name.upper()


def settled(name: str, value: Any, former_value: Any) -> Any:
    """Return the value of a setting that a source may give under both names; None where it gives neither."""
    if value is None or former_value is None or value == former_value:
        return former_value if value is None else value
    return Ambiguous(former=FORMER_NAMES[name])


class WithFormerNames(PydanticBaseSettingsSource):
    """An environment or a file of it, in which settings may have their former names."""

    def __init__(self, settings_cls: type[BaseSettings], source: EnvSettingsSource) -> None:
        super().__init__(settings_cls)
        self._source = source

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._source.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        values = self._source()
        for name, former in FORMER_NAMES.items():
            value = settled(name, values.get(name), self._source.env_vars.get(former))
            if name in self.settings_cls.model_fields and value is not None:
                values[name] = value
        return values

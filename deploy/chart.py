"""Write the schema of the chart's values and the table of them in its README, from `values.yaml` and the settings.

In `values.yaml`, `# --` begins the description of the value below it, and `# @schema` adds a JSON object to what its
default says of the type. A mapping that is written in one line, or is empty, is a value; another one is a group.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from common.config.renamed import FORMER_NAMES
from common.config.settings import FlowerSettings, WorkerSettings

CHART = Path("deploy/helm/slipway")
BEGIN, END = "<!-- values: written by `make docs` -->\n", "<!-- end of values -->\n"
TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "seq": "array", "map": "object"}
LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}

OF_THE_CHART = frozenset({
    "secrets_dir", "db_url", "allow_plain_database", "redis_url", "redis_sentinel_master", "redis_ca_file",
    "allow_plain_broker", "catalog_file", "ca_file", "worker_concurrency", "worker_metrics_address",
    "worker_metrics_port", "flower_address", "flower_port",
})  # fmt: skip
"""The settings that templates set themselves, each from a value of its own."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """A value, or a group of values (`children`), as `values.yaml` describes it."""

    name: str
    default: Any
    kind: str
    description: str
    extra: Mapping[str, Any]
    children: Sequence[Value]


def values() -> list[Value]:
    """Return the values of the chart, in order."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    return _values(yaml.compose(text, Loader=yaml.SafeLoader), text.splitlines())


def _values(node: Any, lines: Sequence[str]) -> list[Value]:
    return [_value(key, value, lines) for key, value in node.value]


def _value(key: Any, node: Any, lines: Sequence[str]) -> Value:
    description, extra = _comments(lines, key.start_mark.line)
    is_group = node.tag.endswith(":map") and not node.flow_style and not extra.get("additionalProperties")
    return Value(
        name=key.value,
        default=yaml.constructor.SafeConstructor().construct_document(node),
        kind=TYPES[node.tag.rpartition(":")[2]],
        description=description,
        extra=extra,
        children=_values(node, lines) if is_group else (),
    )


def _comments(lines: Sequence[str], line: int) -> tuple[str, dict[str, Any]]:
    """Return the description above a line and what its `@schema` says."""
    texts: list[str] = []
    extra: dict[str, Any] = {}
    while line and (found := re.match(r"\s*# (.*)", lines[line - 1])):
        line -= 1
        if found[1].startswith("@schema "):
            extra = json.loads(found[1].removeprefix("@schema "))
        else:
            texts.insert(0, found[1])
    text = " ".join(texts)
    return (text.removeprefix("-- ") if text.startswith("-- ") else ""), extra


# -- the schema -------------------------------------------------------------------------------------------------------


def schema() -> dict[str, Any]:
    """Return the JSON schema of the values: helm checks it at each installation."""
    of_values = _object(values())
    of_values["properties"]["config"] |= config_schema()
    of_values["properties"]["global"] = {"type": "object"}  # helm's own, when another chart includes this one
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart slipway", **of_values}


def _object(children: Sequence[Value]) -> dict[str, Any]:
    properties = {child.name: _schema(child) for child in children}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _schema(value: Value) -> dict[str, Any]:
    described = {"description": value.description} if value.description else {}
    of_type = _object(value.children) if value.children else {"type": value.kind}
    return {**described, **of_type, **value.extra}


def config_schema() -> dict[str, Any]:
    """Return what `config` may hold: every setting that is no secret and that the chart does not set, typed."""
    fields = {**FlowerSettings.model_fields, **WorkerSettings.model_fields}
    properties: dict[str, Any] = {
        each.upper(): _setting(field)
        for name, field in sorted(fields.items())
        if name not in OF_THE_CHART and not is_secret(field)
        for each in filter(None, (name, FORMER_NAMES.get(name)))
    }
    properties["OTEL_EXPORTER_OTLP_HEADERS"] = False  # often a token
    others = {"^OTEL_[A-Z0-9_]+$": {"type": ["string", "number", "boolean"]}}
    return {"additionalProperties": False, "properties": properties, "patternProperties": others}


def is_secret(field: FieldInfo) -> bool:
    """Say whether a setting is for a file and never for an environment."""
    return "SecretStr" in str(field.annotation)


def _setting(field: FieldInfo) -> dict[str, Any]:
    known = {bool: "boolean", int: "integer", float: "number"}
    kind = known.get(field.annotation, "string")  # type: ignore[arg-type] # an annotation may be anything
    limits = {
        word: getattr(each, name) for each in field.metadata for name, word in LIMITS.items() if hasattr(each, name)
    }
    return {"description": field.description, "type": kind, **limits}


# -- the README -------------------------------------------------------------------------------------------------------


def readme() -> str:
    """Return the README with its table of values made afresh."""
    before, _, rest = (CHART / "README.md").read_text(encoding="utf-8").partition(BEGIN)
    table = "".join(("| value | default | meaning |\n", "| --- | --- | --- |\n", *_rows(values())))
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


def _rows(children: Sequence[Value], path: str = "") -> Iterator[str]:
    for child in children:
        default = "" if child.children else f"`{json.dumps(child.default)}`"
        if child.description or default:
            yield f"| `{path}{child.name}` | {default} | {child.description} |\n"
        yield from _rows(child.children, f"{path}{child.name}.")


def files() -> dict[Path, str]:
    """Return the content of each file to write."""
    return {
        CHART / "values.schema.json": json.dumps(schema(), indent=1, ensure_ascii=False) + "\n",
        CHART / "README.md": readme(),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")

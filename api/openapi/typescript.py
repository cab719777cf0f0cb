"""TypeScript types of the interface, for the checker of the console's code; nothing of them is served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from api.openapi.texts import EVENTS, Schema

HEAD = "// Written by `make docs` from the declarations of the endpoints, as docs/openapi.json is.\n"
SIMPLE = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def text(document: Schema) -> str:
    """Return a module with one type for each schema of the document, and one for each call, in `Calls`."""
    schemas = "".join(
        f"export type {name} = {type_of(schema)};\n" for name, schema in document["components"]["schemas"].items()
    )
    calls = "".join(
        f"  {operation['operationId']}: {_call(method, path, operation)};\n"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    return f"{HEAD}{schemas}export interface Calls {{\n{calls}}}\n"


def type_of(schema: Schema) -> str:
    """Return the type that a JSON schema describes, as far as TypeScript can say it."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_of(each) for each in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"Array<{type_of(schema.get('items', {}))}>"
    if schema.get("type") == "object":
        return _object(schema)
    return SIMPLE.get(schema.get("type", ""), "any")


def _object(schema: Schema) -> str:
    if "properties" not in schema:
        others = schema.get("additionalProperties", False)
        kind = type_of(others) if isinstance(others, dict) else "any"
        return f"Record<string, {kind if others else 'never'}>"
    required = schema.get("required", ())
    fields = "; ".join(
        f"{json.dumps(name)}{'' if name in required else '?'}: {type_of(field)}"
        for name, field in schema["properties"].items()
    )
    return f"{{ {fields} }}"


def _call(method: str, path: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    fields = {
        "method": json.dumps(method.upper()),
        "path": json.dumps(path),
        "values": _parameters(operation, "path"),
        "query": _parameters(operation, "query"),
        "body": type_of(body) if body else "undefined",
        "answer": " | ".join(dict.fromkeys(_answers(operation))) or "null",
    }
    return "{ " + "; ".join(f"{name}: {kind}" for name, kind in fields.items()) + " }"


def _parameters(operation: dict[str, Any], place: str) -> str:
    fields = [
        f"{json.dumps(each['name'])}{'' if each.get('required') else '?'}: {type_of(each['schema'])}"
        for each in operation["parameters"]
        if each["in"] == place
    ]
    return f"{{ {'; '.join(fields)} }}" if fields else "{}"


def _answers(operation: dict[str, Any]) -> Iterator[str]:
    """Yield what the successful responses hold; what is followed and not read, as streams are, is text."""
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            for media_type, content in response.get("content", {}).items():
                is_json = media_type != EVENTS and "schema" in content
                yield type_of(content["schema"]) if is_json else "string"

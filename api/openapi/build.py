"""Build the OpenAPI 3.1 document from the declarations that validate and serve requests."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from api.contract import validation
from api.contract.endpoint import JSON, Endpoint, Policy, ResponseBody
from api.contract.problems import CODES, MEDIA_TYPE, ProblemShown
from api.openapi import texts
from api.openapi.examples import EXAMPLES
from api.openapi.texts import Schema
from common.config.catalog import Catalog

REF = "#/components/schemas/{model}"
SECURITY: dict[Policy, list[dict[str, list[str]]]] = {
    Policy.PUBLIC: [],
    Policy.HOLDER: [{}, {"token": []}, {"cookie": []}],
    Policy.VISITOR: [{}, {"token": []}, {"cookie": []}],
    Policy.MEMBER: [{"token": []}, {"cookie": []}],
    Policy.BEARER: [{"token": []}],
    Policy.ADMIN: [{"token": []}, {"cookie": []}],
    Policy.SCRAPER: [{"metrics": []}],
}


def document(calls: Sequence[Endpoint], catalog: Catalog, *, cookie: str) -> Schema:
    """Return the document of these endpoints, with the teams and types of the catalog. `cookie` is a cookie's name."""
    schemas = _schemas(calls, catalog)
    paths: dict[str, Schema] = defaultdict(dict)
    for call in calls:
        paths[_path(call)][call.method.lower()] = _operation(call, schemas)
    used = {call.tag for call in calls}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Slipway",
            "version": texts.VERSION,
            "description": texts.ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": servers("/"),
        "tags": [{"name": tag, "description": text} for tag, text in texts.TAGS.items() if tag in used],
        "paths": dict(paths),
        "components": {
            "schemas": {name: schema for name, schema in schemas.items() if name not in _query_names(calls)},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The `token` of a login, or an API token.",
                },
                "metrics": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The value of the setting METRICS_TOKEN.",
                },
                "cookie": {"type": "apiKey", "in": "cookie", "name": cookie, "description": "Set by a login."},
            },
            "examples": {code: {"summary": CODES[code].title, "value": _example_of(code)} for code in CODES},
            "x-problem-codes": {code: vars(problem_type) for code, problem_type in CODES.items()},
        },
    }


def servers(root: str) -> list[Schema]:
    """Return the servers of a document; clients reach ours at the path `root`."""
    return [{"url": root}]


# -- operations ---------------------------------------------------------------------------------------------------


def _path(call: Endpoint) -> str:
    return re.sub(r"<(\w+)>", r"{\1}", call.path)


def _operation(call: Endpoint, schemas: Schema) -> Schema:
    title, _, description = call.text.partition("\n")
    operation: Schema = {
        "operationId": call.name,
        "tags": [call.tag],
        "summary": title.rstrip("."),
        "description": "\n\n".join(filter(None, (description.strip(), f"Access: {call.policy.value}.", _tokens(call)))),
        "security": SECURITY[call.policy],
        "parameters": [*_path_parameters(call), *_query_parameters(call, schemas), *_header_parameters(call)],
        "responses": {**_successes(call), **_problems(call)},
    }
    if call.takes is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": _ref(call.takes)}}}
    return operation


def _tokens(call: Endpoint) -> str:
    """Say which API tokens may make the call."""
    if not call.takes_person:
        return ""
    return f"API tokens: scope `{call.scope}`." if call.scope else "API tokens: none."


def _path_parameters(call: Endpoint) -> list[Schema]:
    names = re.findall(r"<(\w+)>", call.path)
    return [{"name": name, "in": "path", "required": True, "schema": texts.PATH[name]} for name in names]


def _query_parameters(call: Endpoint, schemas: Schema) -> list[Schema]:
    if call.query is None:
        return []
    model = schemas[call.query.__name__]
    required = model.get("required", [])
    return [_query_parameter(name, schema, name in required) for name, schema in model.get("properties", {}).items()]


def _query_parameter(name: str, schema: Schema, is_required: bool) -> Schema:
    """Describe a query parameter: None in the model means that it is absent, as a query cannot carry null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    operation = {key: value for key, value in schema.items() if key not in ("anyOf", "description")} | (
        kinds[0] if kinds else {}
    )
    if operation.get("default", ...) is None:
        del operation["default"]
    about = {"description": schema["description"]} if "description" in schema else {}
    return {"name": name, "in": "query", "required": is_required, **about, "schema": operation}


def _header_parameters(call: Endpoint) -> list[Schema]:
    sent = [texts.KEY] if call.takes_idempotency_key else []
    if 304 in call.answers:
        sent.append(texts.IF_NONE_MATCH)
    if _is_stream(call):
        sent.append(texts.LAST_EVENT)
    return sent


def _is_stream(call: Endpoint) -> bool:
    return any(model is not None and model.media_type == texts.EVENTS for model in call.answers.values())


def _successes(call: Endpoint) -> Schema:
    return {str(status): _success(call, status, model) for status, model in call.answers.items()}


def _success(call: Endpoint, status: int, model: type[ResponseBody] | None) -> Schema:
    headers = _always(texts.REQUEST_ID)
    if call.takes_idempotency_key:
        headers |= texts.REPLAYED
    if status == 202:
        headers |= _always(texts.LOCATION | texts.RETRY_AFTER)
    if 304 in call.answers:
        headers |= _always(texts.ETAG) | texts.RETRY_AFTER
    if model is not None and model.media_type == texts.CSV:
        headers |= texts.NEXT_PART
    operation: Schema = {"description": texts.SUCCESSES[status], "headers": headers}
    if model is not None:
        operation["content"] = {model.media_type: {"schema": _content(model)}}
    return operation


def _always(headers: Schema) -> Schema:
    return {name: {**header, "required": True} for name, header in headers.items()}


def _content(model: type[ResponseBody]) -> Schema:
    """Return the schema of a response; for a stream, the schema of each event, as before OpenAPI 3.2."""
    if model.media_type == JSON:
        return _ref(model)
    if model.media_type == texts.EVENTS:
        data = {"type": "string", "contentMediaType": JSON, "contentSchema": _ref(model)}
        change = {"type": "object", "properties": {**texts.EVENT, "data": data}, "required": [*texts.EVENT, "data"]}
        return {"anyOf": [change, texts.END]}
    return {"type": "string"}


def _problems(call: Endpoint) -> Schema:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in call.problems:
        by_status[CODES[code].status].append(code)
    return {str(status): _problem(status, codes) for status, codes in sorted(by_status.items())}


def _problem(status: int, codes: list[str]) -> Schema:
    headers = _always(texts.REQUEST_ID)
    if status in (429, 503):
        headers |= _always(texts.RETRY_AFTER)
    if status == 401:
        headers |= _always(texts.CHALLENGE)
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    return {
        "description": " · ".join(f"`{code}`: {CODES[code].title}" for code in codes),
        "headers": headers,
        "content": {MEDIA_TYPE: {"schema": _ref(ProblemShown), "examples": examples}},
    }


def _example_of(code: str) -> Schema:
    example = {**EXAMPLES["ProblemShown"], "type": f"urn:slipway:problem:{code}", "code": code}
    problem_type = CODES[code]
    example |= {"title": problem_type.title, "status": problem_type.status, "remedy": problem_type.remedy}
    if code not in ("invalid_fields", "taken"):
        del example["errors"]
    return example


# -- schemas ------------------------------------------------------------------------------------------------------


def _ref(model: type[BaseModel]) -> Schema:
    return {"$ref": REF.format(model=model.__name__)}


def _query_names(calls: Iterable[Endpoint]) -> set[str]:
    return {call.query.__name__ for call in calls if call.query is not None}


def _schemas(calls: Iterable[Endpoint], catalog: Catalog) -> Schema:
    """Return the schema of every model, by name."""
    calls = list(calls)
    models: dict[type[BaseModel], JsonSchemaMode] = {ProblemShown: "serialization"}
    for call in calls:
        models |= {model: "validation" for model in (call.takes, call.query) if model is not None}
        models |= {model: "serialization" for model in call.answers.values() if model is not None}
    _, made = models_json_schema(sorted(models.items(), key=lambda pair: pair[0].__name__), ref_template=REF)
    schemas = {name: _finished(schema, catalog) for name, schema in sorted(made["$defs"].items())}
    bodies = {call.takes.__name__ for call in calls if call.takes is not None}
    for name, schema in schemas.items():
        if name in bodies:
            _say_defaults(schema)
        if name in EXAMPLES:
            schema["examples"] = [EXAMPLES[name]]
    return schemas


def _say_defaults(schema: Schema) -> None:
    """Say in words what an absent field of a body stands for.

    Generators of clients take a property with a `default` for one that is always there, and demand it from callers.
    """
    for field in schema.get("properties", {}).values():
        default = field.pop("default", None)
        if default not in (None, ""):
            field["description"] = f"{field.get('description', '')} Default: {json.dumps(default)}.".lstrip()


def _finished(schema: Any, catalog: Catalog) -> Any:
    """Fill in values from the catalog, and remove titles that only repeat names."""
    if isinstance(schema, list):
        return [_finished(each, catalog) for each in schema]
    if not isinstance(schema, dict):
        return schema
    done = {
        key: _finished(value, catalog)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }
    if "x-one-of" in done:
        done["enum"] = sorted(_listed(done.pop("x-one-of"), catalog))
    if "x-none-of" in done:
        done["not"] = {"enum": sorted(_listed(done.pop("x-none-of"), catalog))}
    return done


def _listed(name: str, catalog: Catalog) -> Iterable[str]:
    match name:
        case "teams":
            return catalog.teams
        case "types":
            return catalog.types
        case "logins":
            return validation.reserved_logins(catalog)
        case "apps":
            return validation.reserved_apps(catalog)
    raise LookupError(name)

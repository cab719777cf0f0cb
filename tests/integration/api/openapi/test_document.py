"""The published document says what is served, no more and no less, and says it well."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel
from support.api import Api, open_api
from support.checkout import ROOT
from support.world import Time

from api import publish
from api.contract.endpoint import JSON, Endpoint, Policy, ResponseBody
from api.contract.problems import CODES, ProblemShown
from api.openapi.examples import EXAMPLES
from api.serving.routing import declared_endpoints

Document = dict[str, Any]
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
OF_NO_CALL = {"method_not_allowed", "no_such_path"}  # the answers where there is no such call


@pytest.fixture(scope="module")
def api(time: Time) -> Iterator[Api]:
    with open_api("mysql+pymysql://slipway@127.0.0.1:1/slipway", time) as opened:  # it needs no database
        yield opened


@pytest.fixture(scope="module")
def calls(api: Api) -> dict[str, Endpoint]:
    return {call.name: call for call in declared_endpoints(api.app)}


@pytest.fixture(scope="module")
def document(api: Api) -> Document:
    """The one that is served."""
    answer = api.visitor.get("/openapi.json")
    assert (answer.status_code, answer.mimetype) == (200, JSON)
    document: Document = json.loads(answer.data)
    return document


@pytest.fixture(scope="module")
def operations(document: Document) -> dict[str, Any]:
    paths = chain.from_iterable(path.values() for path in document["paths"].values())
    return {operation["operationId"]: operation for operation in paths}


def test_it_has_every_route_and_no_other(api: Api, document: Document) -> None:
    served = {
        (method, rule.rule) for rule in api.app.url_map.iter_rules() for method in METHODS & (rule.methods or set())
    }

    told = {(method.upper(), path) for path, of_path in document["paths"].items() for method in of_path}

    assert {(method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)) for method, path in served} == told


def test_it_is_openapi_3_1(document: Document) -> None:
    assert document["openapi"] == "3.1.0"
    validate(document)


@pytest.mark.parametrize("path", publish.files(), ids=str)
def test_the_published_files_are_current(path: Any) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == publish.files()[path], "type: python -m api.publish"


def test_every_operation_says_what_it_is_for(document: Document, operations: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in operations.items():
        assert operation["summary"][0].isupper(), name
        assert not operation["summary"].endswith("."), name
        assert "Access: " in operation["description"], name
        assert len(operation["tags"]) == 1, name
        assert set(operation["tags"]) <= tags, name
    assert len(operations) == len({operation["summary"] for operation in operations.values()}) + 1  # two log in
    assert {tag for operation in operations.values() for tag in operation["tags"]} == tags
    assert all(tag["description"] for tag in document["tags"])


def test_every_operation_wants_the_credentials_that_its_policy_wants(
    calls: dict[str, Endpoint], operations: dict[str, Any]
) -> None:
    for name, call in calls.items():
        security = operations[name]["security"]
        if call.policy in (Policy.PUBLIC, Policy.SCRAPER):
            assert security == ([] if call.policy is Policy.PUBLIC else [{"metrics": []}]), name
            continue
        assert ({} in security) == (not call.needs_login), name
        assert {"token": []} in security, name
        assert ({"cookie": []} in security) == call.takes_cookie, name


def test_every_code_is_one_that_a_call_answers_with(calls: dict[str, Endpoint]) -> None:
    answered = {code for call in calls.values() for code in call.problems}

    assert answered | OF_NO_CALL == set(CODES)


def test_every_operation_names_its_problems(calls: dict[str, Endpoint], operations: dict[str, Any]) -> None:
    for name, call in calls.items():
        for code in call.problems:
            problem = operations[name]["responses"][str(CODES[code].status)]["content"]["application/problem+json"]
            assert code in problem["examples"], name


def test_every_state_is_explained(document: Document) -> None:
    enums = {name: schema for name, schema in document["components"]["schemas"].items() if "enum" in schema}

    assert len(enums) >= 4
    for name, schema in enums.items():
        explained = re.findall(r"[a-z_]+", schema["description"])
        assert set(schema["enum"]) <= set(explained), name


# -- examples -----------------------------------------------------------------------------------------------------


def _shapes(calls: dict[str, Endpoint]) -> dict[str, type[BaseModel]]:
    """Return what goes in and out by itself."""
    shapes: set[type[BaseModel]] = {ProblemShown}
    for call in calls.values():
        shapes |= {shape for shape in (call.takes, *call.answers.values()) if shape is not None}
    return {shape.__name__: shape for shape in shapes}


def test_no_field_of_a_body_has_a_default_that_generators_would_demand(
    document: Document, calls: dict[str, Endpoint]
) -> None:
    schemas = document["components"]["schemas"]
    bodies = {call.takes.__name__ for call in calls.values() if call.takes is not None}

    assert [name for name in bodies if '"default":' in json.dumps(schemas[name].get("properties", {}))] == []
    assert schemas["NewToken"]["properties"]["expires_in_days"]["description"] == "Default: 90."


def test_whatever_goes_in_or_out_has_an_example(calls: dict[str, Endpoint]) -> None:
    shapes = _shapes(calls)
    undescribed = {name for name, shape in shapes.items() if issubclass(shape, ResponseBody) and not shape.model_fields}

    assert set(shapes) - undescribed - set(EXAMPLES) == set(), "add them to api/openapi/examples.py"


def test_every_example_is_published(document: Document) -> None:
    schemas = document["components"]["schemas"]

    assert {name: schema["examples"] for name, schema in schemas.items() if "examples" in schema} == {
        name: [example] for name, example in EXAMPLES.items()
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_valid_by_the_document(document: Document, name: str) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}

    jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(EXAMPLES[name])


def test_every_example_is_what_the_model_would_say(calls: dict[str, Endpoint]) -> None:
    for name, shape in _shapes(calls).items():
        if name in EXAMPLES:
            made = shape.model_validate_json(json.dumps(EXAMPLES[name]))
            assert made.model_dump(mode="json", exclude_unset=True) == EXAMPLES[name], name
            if issubclass(shape, ResponseBody):
                assert made.model_fields_set == set(shape.model_fields), f"{name}: an answer has all its fields"

"""What is published of a field is what is demanded of it: nothing valid is refused, nothing else is taken."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from api import publish
from api.contract import validation
from api.contract.problems import FieldError
from api.openapi.examples import EXAMPLES
from api.serving import idempotency
from api.views.apps import NewApp
from api.views.builds import NewBuild
from api.views.bulk_retry import RetryAll
from api.views.deploys import NewDeploy
from api.views.interventions import Skip
from api.views.projects import NewProject
from api.views.signup import Signup
from common.config import catalog
from common.config.settings import Settings

CATALOG = catalog.load(Settings.model_construct())
DOCUMENT = publish.document()
THOROUGH = settings(max_examples=500, deadline=None, database=None, derandomize=True)

Model = type[BaseModel]
Rule = Callable[[str], list[FieldError]]
RULES: dict[tuple[Model, str], Rule] = {
    (Signup, "id"): lambda value: validation.login_problems(value, CATALOG),
    (Signup, "email"): validation.email_problems,
    (Signup, "name"): validation.person_name_problems,
    (NewProject, "name"): validation.project_name_problems,
    (NewProject, "description"): validation.description_problems,
    (NewApp, "name"): lambda value: validation.app_name_problems(value, CATALOG),
    (NewApp, "description"): validation.description_problems,
}
BY_MODEL_ALONE: list[tuple[Model, str]] = [
    (NewBuild, "image_tag"),
    (NewBuild, "branch"),
    (NewDeploy, "revision"),
    (Skip, "reason"),
    *((RetryAll, name) for name in ("kind", "app_id", "team", "user", "code", "since", "cursor")),
]

WORDS = (
    "ada", "a-b", "root", "admin", "api", "dev", "kube-system", "shop-deleted-7", "x-deletion-scheduled-1", "signup",
    "Ada Lovelace", "李小龍", "O'Brien", "anonymous", "SYSTEM", "un\u212anown", "ada@example.com", "A.da+x@Example.co",
    "a@b.c", "01a20680-c483-751f-9394-c54e28bf16d9", "engines weave numbers", "my devops weave", "feature/x_1.2",
    "upstream_unavailable", "2030-01-31T09:30:00Z", "2016-12-31t23:59:60.5z", "2030-02-30T09:30:00+01:00",
)  # fmt: skip
CHARACTERS = st.one_of(
    st.characters(exclude_categories=["Cs"]),  # JSON holds no half characters
    st.sampled_from(string.ascii_letters + string.digits + "-.@_ "),
    st.sampled_from(
        "\n\r\t\0\x1b\x7f\x85\xa0\xad\u200b\u200d\u202e\u2028\u3000\ue000\ufeff\uffff\U000e0001İıſ\u212a<>-А٣"
    ),
)
PIECES = st.text(CHARACTERS, max_size=3)


@st.composite
def _spoilt(draw: st.DrawFn) -> str:
    """Return a word that somebody might send, in some case, with something in it or around it."""
    word = draw(st.sampled_from(WORDS) | st.text(string.ascii_lowercase + string.digits + "-", max_size=34))
    place = draw(st.integers(0, len(word)))
    cased = draw(st.sampled_from([word, word.upper(), word.title()]))
    return cased[:place] + draw(PIECES) + cased[place:]


VALUES = st.one_of(
    st.sampled_from(WORDS),
    _spoilt(),
    st.text(CHARACTERS, max_size=40),
    st.builds(lambda piece, times: piece * times, PIECES, st.integers(1, 520)),
)


def _published(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def _is_taken(model: Model, name: str, value: str) -> bool:
    try:
        model.model_validate_json(json.dumps({**EXAMPLES[model.__name__], name: value}))
    except ValidationError:
        return False
    return (model, name) not in RULES or not RULES[model, name](value)


@pytest.mark.parametrize(
    ("model", "name"), [*RULES, *BY_MODEL_ALONE], ids=lambda value: getattr(value, "__name__", value)
)
def test_what_is_published_is_what_is_demanded(model: Model, name: str) -> None:
    published = _published(DOCUMENT["components"]["schemas"][model.__name__]["properties"][name])

    @THOROUGH
    @given(VALUES)
    def agrees(value: str) -> None:
        assert published.is_valid(value) == _is_taken(model, name, value)

    agrees()


@THOROUGH
@given(VALUES)
def test_every_password_that_is_taken_is_valid_by_the_document(value: str) -> None:
    """The document cannot say all of the rules: bytes, common ones, parts of one's own data."""
    published = _published(DOCUMENT["components"]["schemas"]["Signup"]["properties"]["password"])

    if not validation.password_problems(value, login="grace", email="gmh@navy.example", name="Jo Hopper"):
        assert published.is_valid(value)


@THOROUGH
@given(VALUES | st.from_regex(idempotency.KEY, fullmatch=True))
def test_every_key_of_a_request_that_is_taken_is_valid_by_the_document(value: str) -> None:
    parameters = DOCUMENT["paths"]["/api/v1/app"]["post"]["parameters"]
    published = _published(next(each["schema"] for each in parameters if each["name"] == idempotency.HEADER))

    assert published.is_valid(value) == bool(idempotency.KEY.fullmatch(value))

"""Every call says which API tokens may make it, and none manages sessions, tokens, passwords or people."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

import api
from api.contract.endpoint import Policy
from api.contract.scopes import SCOPES, Scope
from api.serving.routing import declared_endpoints


@pytest.fixture(scope="module")
def calls() -> dict[str, object]:
    app = Flask("calls", static_folder=None)
    api.register_endpoints(app)
    return {call.name: call for call in declared_endpoints(app) if call.takes_person}


def test_every_call_that_depends_on_who_sends_it_has_a_row_and_no_other(calls: dict[str, object]) -> None:
    assert set(SCOPES) == set(calls), "say in api/contract/scopes.py which API tokens may make the call"


def test_no_token_does_what_only_a_person_may(calls: dict[str, Any]) -> None:
    personal = {name for name, call in calls.items() if call.tag in ("sessions", "tokens", "users", "passwords")}
    administrative = {name for name, call in calls.items() if call.policy is Policy.ADMIN}

    assert {name for name in personal | administrative if SCOPES[name] is not None} == set()


def test_only_the_scope_that_changes_things_reaches_calls_that_do(calls: dict[str, Any]) -> None:
    for name, call in calls.items():
        if SCOPES[name] is Scope.READ:
            assert call.method == "GET", name
            assert 202 not in call.answers, name


@pytest.mark.parametrize(("has", "needed", "is_enough"), [
    ("read", "read", True), ("read", "build", False), ("build", "read", True), ("deploy", "build", True),
    ("deploy", "team", False), ("team", "deploy", True),
])  # fmt: skip
def test_a_scope_includes_those_before_it(has: str, needed: str, is_enough: bool) -> None:
    assert Scope(has).includes(Scope(needed)) is is_enough

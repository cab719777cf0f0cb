"""Whatever is sent, valid or not, by whom ever: what comes back is as the document says.

Each call gets its systematic cases (every boundary, type, enum, missing part and other method; each as one person) and
a few drawn ones for each person. `make fuzz` draws many, and tries the systematic ones as everybody.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis import BaseSchema, Case, CheckFunction
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import allow_header_conformance, ignored_auth, unsupported_method
from support.fuzz_report import CASES, FEW, SEED, Score
from support.fuzz_values import LAST_UNSEEN, Fitting

from api import publish

# A class of so many characters takes hypothesis seconds to read; a few that it draws for it are put right by `fit`.
MANY, FEWER = "\U000e0000-\U0010ffff", f"\U000e0000-{LAST_UNSEEN}"
TROUBLE = (
    "request_crashed",
    "undeclared_problem",
    "hub_failed",
    "database_failed",
    "commit_unknown",
    "exc_type",
    "Traceback",
)


def _document() -> BaseSchema:
    """Return what the server publishes: tests are collected before there is one to ask."""
    config = schemathesis.Config.from_path(Path(__file__).parent / "schemathesis.toml")
    config.update(seed=SEED, max_failures=None)
    config.projects.default.generation.update(max_examples=CASES)
    text = json.dumps(publish.document(cookie="session"), ensure_ascii=False)
    return schemathesis.openapi.from_dict(json.loads(text.replace(MANY, FEWER)), config=config)


document = _document()


@document.parametrize()
def test_every_answer_is_as_documented(case: Case[Any], base_url: str, fitting: Fitting, score: Score) -> None:
    if CASES == FEW and not fitting.is_for(case):
        return
    target = fitting.fit(case)
    headers = fitting.headers(case)

    response = case.call(base_url=base_url, headers=headers)

    score.count(case.operation.label, response.status_code)
    if response.status_code == 409:  # what it wanted was used up
        fitting.use_up(target)
    try:
        case.validate_response(response, headers=headers, excluded_checks=_not_for(case, fitting))
    except FailureGroup as group:
        score.find(group.exceptions)
        raise
    if response.status_code < 300:
        fitting.guarded.add(case.operation.label)


@pytest.mark.usefixtures("base_url")
def test_every_call_has_succeeded(score: Score) -> None:
    """Else the answers to what is right were never looked at."""
    assert score.without_success() == []


@pytest.mark.usefixtures("base_url")
def test_the_server_had_no_trouble(server_log: Path) -> None:
    told = server_log.read_text(encoding="utf-8")

    assert [word for word in TROUBLE if word in told] == []


def _not_for(case: Case[Any], fitting: Fitting) -> list[CheckFunction]:
    """Return the checks that make no sense of this case."""
    if case.operation.label == "POST /api/v1/jobs/retry" and case.method in ("GET", "OPTIONS"):
        return [unsupported_method, allow_header_conformance]  # GET /jobs/{job_id} is there, too, and finds no such job
    if case.operation.label in fitting.guarded:
        return [ignored_auth]  # it asks again without and with wrong credentials: once is enough
    return []

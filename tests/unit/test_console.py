"""The console's files: a complete catalogue of texts, published calls only, nothing of other hosts, true copies."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

import pytest
from support.checkout import ROOT

from api.views.upstreams import UpstreamState
from common.states import AppState, JobState, Outcome, Provenance, RunHealth, StepState
from common.workflows import EXTERNAL, WORKFLOWS

STATIC = ROOT / "console/static"
VENDORED = ("preact.js", "preact-hooks.js", "htm.js")
OURS = {
    path.name: path.read_text(encoding="utf-8") for path in sorted(STATIC.glob("*.js")) if path.name not in VENDORED
}
CODE = "\n".join(text for name, text in OURS.items() if name != "messages.js")
MESSAGES: Mapping[str, list[str]] = json.loads(
    re.sub(r",\n}", "\n}", OURS["messages.js"].partition("export default ")[2].rstrip().removesuffix(";"))
)
SENDS = r"\b(fetch|EventSource|XMLHttpRequest|sendBeacon|WebSocket)\("
STEPS = [step for workflow in WORKFLOWS.values() for step in workflow.steps]
VALUES = {
    "state": {*JobState, *StepState, *Outcome, *UpstreamState},
    "app": set(AppState),
    "health": set(RunHealth),
    "provenance": set(Provenance),
    "upstream": set(EXTERNAL),
    "kind": set(WORKFLOWS),
    "lane": {lane.name for workflow in WORKFLOWS.values() for lane in workflow.lanes},
    "step": {step.name for step in STEPS},
}


# -- texts --------------------------------------------------------------------------------------------------------


def test_each_text_is_there_in_both_languages_with_the_same_values() -> None:
    def values(text: str) -> list[str]:
        return sorted(re.findall(r"{(\w+)}", text))

    assert len(MESSAGES) > 300
    assert [key for key, texts in MESSAGES.items() if len(texts) != 2 or not all(map(str.strip, texts))] == []
    assert {key: texts for key, texts in MESSAGES.items() if values(texts[0]) != values(texts[1])} == {}


def test_korean_texts_are_korean() -> None:
    names = {"GitLab", "Jenkins", "Kibana", "Elasticsearch", "Argo CD", "Slipway", "Flower", "Helm"}

    untranslated = {key for key, (_, korean) in MESSAGES.items() if not re.search("[가-힣]", korean)}

    assert {key: MESSAGES[key][1] for key in untranslated if MESSAGES[key][1] not in names | {"{user}"}} == {}


def test_the_texts_are_those_that_the_code_names() -> None:
    named = set(re.findall(r'\bt\("([\w.]+)"', CODE))
    groups = set(re.findall(r'label\("(\w+)"', CODE)) | set(re.findall(r'group="(\w+)"', CODE)) | {"app"}

    assert named - set(MESSAGES) == set()
    assert {key for key in MESSAGES if key not in named and key.partition(".")[0] not in groups} == set()


@pytest.mark.parametrize("group", VALUES)
def test_what_the_api_says_has_a_text(group: str) -> None:
    assert {str(value) for value in VALUES[group]} - {
        key.removeprefix(f"{group}.") for key in MESSAGES if key.startswith(f"{group}.")
    } == set()


# -- requests -----------------------------------------------------------------------------------------------------


def test_the_console_makes_published_calls_only() -> None:
    calls = dict(re.findall(r'^  (\w+): (\["[A-Z]+", "[^"]+"\]),$', OURS["calls.js"], re.MULTILINE))
    document = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
    published = {
        operation["operationId"]: [method.upper(), path]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }

    assert len(calls) == OURS["calls.js"].count(': ["') >= 30
    assert {name: json.loads(call) for name, call in calls.items()}.items() <= published.items()


def test_every_call_that_is_listed_is_made_and_no_other() -> None:
    listed = set(re.findall(r"^  (\w+): \[", OURS["calls.js"], re.MULTILINE))
    made = set(re.findall(r'\b(?:call|send|addressOf)\(\s*"(\w+)"', CODE))

    assert made == listed


def test_requests_are_sent_from_one_place() -> None:
    senders = {name: sorted(re.findall(SENDS, text)) for name, text in OURS.items() if re.search(SENDS, text)}

    assert senders == {"api.js": ["fetch"], "follow.js": ["EventSource"]}


def test_nothing_comes_from_another_host_and_no_text_becomes_markup() -> None:
    files = [*STATIC.glob("*.html"), *STATIC.glob("*.css"), *(STATIC / name for name in OURS)]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files if path.name != "page-design.js")

    assert re.findall(r"[\"'(](?:https?:)?//\w[^\"')]*", text) == []
    assert re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|javascript:", text) == []


# -- copies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", VENDORED)
def test_a_copy_is_the_published_file(file: str) -> None:
    table = (ROOT / "console/VENDORED.md").read_text(encoding="utf-8")
    row = next(line for line in table.splitlines() if line.startswith(f"| `{file}` "))
    content = (STATIC / file).read_text(encoding="utf-8").replace('from"./preact.js"', 'from"preact"')

    assert hashlib.sha256(content.encode()).hexdigest() in row
    assert re.search(r"\| (MIT|Apache-2\.0) \|", row)

"""What leaves a step may be shown, whatever a client forgot to clean."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from common.errors import Conflict, NotYet, Permanent, StepError
from common.jobs import build_log
from common.telemetry import sent
from common.telemetry.spellings import Secrets
from worker.boundary import ITEMS, REASON_CHARACTERS, guarded, presentable
from worker.context import StepContext

NOBODY: Any = SimpleNamespace(worker=SimpleNamespace(secrets=Secrets(["a-token-of-ours"])))
HOSTILE = "a\u202eb\u200bc\x1b[31m<svg onload=x>\ud800"


def _raising(error: StepError) -> Any:
    def step(_context: Any, _upstreams: Any) -> dict[str, object]:
        raise error

    return guarded(step)


@pytest.mark.parametrize("kind", [NotYet, Permanent, Conflict])
def test_a_reason_is_harmless(kind: type[StepError]) -> None:
    with pytest.raises(kind) as raised:
        _raising(kind(f"Jenkins has it in its queue: {HOSTILE}"))(NOBODY, None)

    assert raised.value.reason == "Jenkins has it in its queue: abc‹svg onload=x›"
    assert str(raised.value) == raised.value.reason


def test_the_lines_of_a_console_stay_lines() -> None:
    with pytest.raises(Permanent) as raised:
        _raising(Permanent("Its last lines:\none\r\n\ttwo\x1b[0m"))(NOBODY, None)

    assert raised.value.reason == "Its last lines:\none\n\ttwo"


def test_a_reason_is_bounded() -> None:
    with pytest.raises(Permanent) as raised:
        _raising(Permanent("x" * 1_000_000))(NOBODY, None)

    assert len(raised.value.reason) == REASON_CHARACTERS


def test_an_output_is_harmless_at_every_depth() -> None:
    output = guarded(lambda _context, _upstreams: {"images": [HOSTILE], "deep": {HOSTILE: {"x": HOSTILE}}, "n": 3})

    shown = output(NOBODY, None)  # type: ignore[arg-type] # no context of a job is needed

    assert shown == {
        "images": ["abc‹svg onload=x›"],
        "deep": {"abc‹svg onload=x›": {"x": "abc‹svg onload=x›"}},
        "n": 3,
    }


def test_an_output_has_an_end_and_no_number_that_json_lacks() -> None:
    assert len(presentable(["x"] * 100_000)) == ITEMS
    assert presentable([math.inf, math.nan, 1.5]) == [None, None, 1.5]


@pytest.mark.parametrize("between", ["", "\u200b", "\x1b[31m", "\x00", "\u202e"])
def test_a_secret_of_ours_does_not_leave_a_step(between: str) -> None:
    reason = f"it says a-token{between}-of-ours, or YS10b2t{between}lbi1vZi1vdXJz"
    with pytest.raises(Permanent) as raised:
        _raising(Permanent(reason))(NOBODY, None)

    assert raised.value.reason == "it says •••, or •••"


def test_a_secret_of_ours_is_in_no_console(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    monkeypatch.setattr(build_log, "append", lambda _session, _id, text, **_position: kept.append(text))
    context: Any = SimpleNamespace(id="1", _record=lambda work: work(None))

    with sent.scope(NOBODY.worker.secrets):
        StepContext.keep_console(context, "a-tok\u200ben-of-ours\n", after=(0, 0), upstream_next=1)

    assert kept == ["•••\n"]

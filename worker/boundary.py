"""What leaves a step: texts and values that people may read, whatever an upstream has put into them.

Clients clean the reasons that they quote. This is the last place where it is certain for everything else: words of a
status, names of images and branches, lines of a console, texts that a check has found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from common.errors import Conflict, StepError
from common.plain_text import harmless
from common.telemetry import sent
from worker.context import StepContext
from worker.upstreams import Upstreams

StepFunction = Callable[[StepContext, Upstreams], Mapping[str, object]]

REASON_CHARACTERS = 4_000
TEXT_CHARACTERS = 4_000
READ_CHARACTERS = 64 * 1024  # of each text
ITEMS = 1_000


def guarded(step: StepFunction) -> StepFunction:
    """Return the step with everything that it returns or says fit to be shown, and without a secret of ours."""

    @wraps(step)
    def run(context: StepContext, upstreams: Upstreams) -> Mapping[str, object]:
        with sent.scope(context.worker.secrets):
            try:
                output = step(context, upstreams)
            except StepError as error:
                _clean(error)
                raise
            return {name: presentable(value) for name, value in output.items()}

    return run


def presentable(value: Any) -> Any:
    """Return a JSON value in which every text may be shown; lists and texts that are too long are cut."""
    match value:
        case str():
            return _shown(value, TEXT_CHARACTERS)
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {presentable(str(name)): presentable(each) for name, each in list(value.items())[:ITEMS]}
        case list() | tuple():
            return [presentable(each) for each in value[:ITEMS]]
        case _:
            return value


def _clean(error: StepError) -> None:
    error.reason = _shown(error.reason, REASON_CHARACTERS)
    error.args = (error.reason,)
    if isinstance(error, Conflict):
        error.choices = tuple(presentable(each) for each in error.choices)


def _shown(text: str, characters: int) -> str:
    text = harmless(sent.visible(text[:READ_CHARACTERS]))
    return text if len(text) <= characters else text[: characters - 1] + "…"

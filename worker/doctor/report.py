"""What does the operator read?  One line a check, the remedy below what is wrong; or the same as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from common.settings import Settings
from worker.doctor.checks import Finding, State
from worker.upstreams.reasons import cleaned

SIGNS = {State.WELL: "✓", State.WRONG: "✗", State.UNTOLD: "–"}


def as_text(findings: Sequence[Finding], *, took_s: float) -> str:
    """Return the lines, grouped as they were looked at, with a summary at the end."""
    groups = groupby(findings, key=lambda finding: finding.group)
    parts = ["\n".join([name, *(line for each in found for line in _lines(each))]) for name, found in groups]
    return "\n\n".join([*parts, _summary(findings, took_s)]) + "\n"


def as_json(findings: Sequence[Finding], *, took_s: float) -> str:
    """Return `{"is_well", "took_s", "counts", "checks": [{group, check, question, state, said, remedy}]}`."""
    counts = Counter(finding.state for finding in findings)
    document = {
        "is_well": is_well(findings),
        "took_s": round(took_s, 2),
        "counts": {state.value: counts[state] for state in State},
        "checks": [
            {
                "group": each.group,
                "check": each.check,
                "question": each.question,
                "state": each.state.value,
                "said": each.said,
                "remedy": each.remedy,
            }
            for each in findings
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def is_well(findings: Iterable[Finding]) -> bool:
    return not any(finding.state is State.WRONG for finding in findings)


def without_secrets(findings: Iterable[Finding], settings: Settings) -> list[Finding]:
    """Return the findings without any secret of ours, should an upstream have echoed one."""
    secrets = _secrets_of(settings)
    return [
        replace(each, said=cleaned(each.said, secrets=secrets), remedy=cleaned(each.remedy, secrets=secrets))
        for each in findings
    ]


def _lines(finding: Finding) -> list[str]:
    line = f"  {SIGNS[finding.state]} {finding.check}: {finding.said}"
    return [line, f"      → {finding.remedy}"] if finding.remedy else [line]


def _summary(findings: Sequence[Finding], took_s: float) -> str:
    counts = Counter(finding.state for finding in findings)
    told = f"{len(findings)} checks in {took_s:.1f} s: {counts[State.WELL]} well, {counts[State.WRONG]} wrong"
    told += f", {counts[State.UNTOLD]} could not be told" if counts[State.UNTOLD] else ""
    return f"{told}. {'Everything is there.' if is_well(findings) else 'Mend what is marked ✗, and run it again.'}"


def _secrets_of(settings: Settings) -> tuple[str, ...]:
    values = [value for name in type(settings).model_fields for value in _flat(getattr(settings, name))]
    texts = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    bare = [text.split()[-1] for text in texts if text.split()]  # a token without the word Bearer
    return tuple(filter(None, {*texts, *bare, *map(_password_in, texts)}))


def _flat(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def _password_in(address: str) -> str:
    try:
        return str(make_url(address).password or "")
    except (ArgumentError, ValueError):
        return ""

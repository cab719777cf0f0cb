"""The doctor's report: one line a check, with the remedy below a failed one; or the same as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from common.config.settings import WorkerSettings
from common.step_outputs import CheckReport, CheckupOutput
from common.telemetry.redaction import secrets_of
from worker.upstreams.check import CheckState, Finding
from worker.upstreams.error_text import cleaned

SIGNS = {CheckState.PASSED: "✓", CheckState.FAILED: "✗", CheckState.INCONCLUSIVE: "–"}


def as_text(findings: Sequence[Finding], *, took_s: float) -> str:
    """Return the lines, in their groups, with a summary at the end."""
    groups = groupby(findings, key=lambda finding: finding.group)
    parts = ["\n".join([name, *(line for each in found for line in _lines(each))]) for name, found in groups]
    return "\n\n".join([*parts, _summary(findings, took_s)]) + "\n"


def as_json(findings: Sequence[Finding], *, took_s: float) -> str:
    """Return the document of `as_document` as text, with `took_s`."""
    document = {**as_document(findings), "took_s": round(took_s, 2)}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def as_document(findings: Sequence[Finding]) -> CheckupOutput:
    """Return `{"is_well", "counts", "checks": [{group, check, question, state, said, remedy}]}`."""
    counts = Counter(finding.state for finding in findings)
    return {
        "is_well": is_well(findings),
        "counts": {state.value: counts[state] for state in CheckState},
        "checks": [_check(each) for each in findings],
    }


def _check(finding: Finding) -> CheckReport:
    return {
        "group": finding.group,
        "check": finding.check,
        "question": finding.question,
        "state": finding.state.value,
        "said": finding.said,
        "remedy": finding.remedy,
        "expires_at": finding.expires_at,
    }


def is_well(findings: Iterable[Finding]) -> bool:
    return not any(finding.state is CheckState.FAILED for finding in findings)


def without_secrets(findings: Iterable[Finding], settings: WorkerSettings) -> list[Finding]:
    """Return the findings without any secret of ours that an upstream may have echoed."""
    secrets = secrets_of(settings)
    return [
        replace(each, said=cleaned(each.said, secrets=secrets), remedy=cleaned(each.remedy, secrets=secrets))
        for each in findings
    ]


def _lines(finding: Finding) -> list[str]:
    line = f"  {SIGNS[finding.state]} {finding.check}: {finding.said}"
    return [line, f"      → {finding.remedy}"] if finding.remedy else [line]


def _summary(findings: Sequence[Finding], took_s: float) -> str:
    counts = Counter(finding.state for finding in findings)
    passed, failed = counts[CheckState.PASSED], counts[CheckState.FAILED]
    summary = f"{len(findings)} checks in {took_s:.1f} s: {passed} passed, {failed} failed"
    summary += f", {counts[CheckState.INCONCLUSIVE]} inconclusive" if counts[CheckState.INCONCLUSIVE] else ""
    next_step = "Jobs can run." if is_well(findings) else "Correct what is marked ✗, and run this again."
    return f"{summary}. {next_step}"

"""Console of a build, as far as it has run.

The raw log holds console notes, which are never sent: the length of an answer is not the length of the log.
"""

from __future__ import annotations

import re

from harbour.jenkins.model import Build
from harbour.jenkins.steps import NOTE

_NOTES = re.compile(rb"\x1b\[8mha:.*?\x1b\[0m")


def raw_log(build: Build, now: float) -> bytes:
    """Return the raw log as it is by now."""
    if now < build.attached_at:
        return b""
    until = min(now, build.aborted_at or now, build.ends_at)
    planned = build.lines
    done = (until - build.started_at) / build.planned_s if build.planned_s else 1.0
    lines = planned[: int(len(planned) * done) if now < build.ends_at or build.aborted_at else None]
    if build.aborted_at is not None:
        lines += [f"Aborted by {build.aborted_by}", "Sending interrupt signal to process"]
    if not build.is_building(now):
        lines += [f"{NOTE}[Pipeline] End of Pipeline", f"Finished: {build.outcome}"]
    return "".join(f"{line}\n" for line in lines).encode()


def without_notes(raw: bytes) -> bytes:
    """Return what Jenkins sends of a log. Half a note at the start stays: it cannot be recognized."""
    return _NOTES.sub(b"", raw)

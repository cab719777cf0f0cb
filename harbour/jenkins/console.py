"""Console of a build, as far as it has run.

The raw log holds console notes, which are never sent: the length of an answer is not the length of the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harbour.jenkins.model import Build

NOTE = "\x1b[8mha:////4Kq0Zm9yLXRoZS1wYWdlLW9ubHk=\x1b[0m"
_NOTES = re.compile(rb"\x1b\[8mha:.*?\x1b\[0m")


def raw_log(build: Build, now: float) -> bytes:
    """Return the raw log as it is by now."""
    if now < build.attached_at:
        return b""
    until = min(now, build.aborted_at or now, build.ends_at)
    planned = list(_planned(build))
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


def _planned(build: Build) -> Iterator[str]:
    """Yield the lines of a build that is not stopped."""
    yield f"Started by user {NOTE}{build.user}"
    yield f"Obtained {build.script or 'Jenkinsfile'} from git {build.repository}"
    yield from (f"{NOTE}[Pipeline] {step}" for step in ("Start of Pipeline", "node"))
    yield f"Running on Jenkins in /var/jenkins_home/workspace/{build.job}"
    is_broken = False
    for name, lines in _stages(build).items():
        yield f"{NOTE}[Pipeline] stage"
        yield f"{NOTE}[Pipeline] {{ ({name})"
        yield from [f'Stage "{name}" skipped due to earlier failure(s)'] if is_broken else lines
        yield f"{NOTE}[Pipeline] }}"
        is_broken = is_broken or (name == "Test" and build.outcome == "FAILURE")
    if is_broken:
        yield "ERROR: script returned exit code 1"


def _stages(build: Build) -> dict[str, list[str]]:
    image = f"{build.parameter('image_name') or build.job}:{build.parameter('image_tag') or build.number}"
    source = build.parameter("gitlab_address") or build.repository
    chart = build.parameter("gitlab_helm_address")
    stages = {
        "Checkout": _checkout(build, source),
        "Test": [_test_summary(build.outcome)],
        "Image": [f"+ docker build --tag {image} .", f"+ docker push {image}", f"The push refers to {image}"],
    }
    if chart:
        stages["Chart"] = [*_checkout(build, chart), f"+ git commit --all --message image {image}", "+ git push"]
    return stages


def _checkout(build: Build, url: str) -> list[str]:
    branch = build.parameter("branch") or build.branch or "main"
    return [
        f"using credential {build.credential}",
        f"Cloning repository {url}",
        f" > git fetch --tags --force --progress -- {url} +refs/heads/*:refs/remotes/origin/*",
        f" > git checkout -f origin/{branch}",
    ]


def _test_summary(outcome: str) -> str:
    failures = 1 if outcome in ("UNSTABLE", "FAILURE") else 0
    return f"Tests run: 12, Failures: {failures} {'✘' if failures else '✔'}"

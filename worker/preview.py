"""Previews: what a dry run assumes about a step that it cannot run to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from worker.context import StepContext
from worker.upstreams import Upstreams

ABSENT = 0  # the id of a project that does not exist yet


@dataclass(frozen=True, kw_only=True)
class Preview:
    """`output` returns what the step would record, as far as that is known before it has written anything.

    It may raise Permanent as the step would. `needs_project`: the step calls GitLab with the id of a repository that
    an earlier step makes, so it cannot be tried while that repository is absent.
    """

    output: Callable[[StepContext, Upstreams], Mapping[str, object]] | None = None
    needs_project: bool = False

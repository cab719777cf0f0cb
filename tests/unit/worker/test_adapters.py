"""Every upstream has an adapter, and everything that steps make there can be removed."""

from __future__ import annotations

import pkgutil
import re
from dataclasses import fields
from pathlib import Path

import worker.steps
import worker.upstreams
from common.jobs.ledger import OF_A_RUN
from common.workflows import EXTERNAL
from worker.upstreams import ADAPTERS, Upstreams

MADE = re.compile(r"job\.resource\(\"(\w+)\", \"(\w+)\"")


def test_every_upstream_has_an_adapter_and_a_client() -> None:
    packages = {module.name for module in pkgutil.iter_modules(worker.upstreams.__path__) if module.ispkg}

    assert {name.value for name in ADAPTERS} == packages == set(EXTERNAL)
    assert {field.name for field in fields(Upstreams)} - {"connections"} == packages


def test_every_kind_of_resource_that_a_step_makes_can_be_removed() -> None:
    texts = [file.read_text(encoding="utf-8") for file in Path(worker.steps.__path__[0]).glob("*.py")]
    made = {pair for text in texts for pair in MADE.findall(text) if pair[1] not in OF_A_RUN}
    removed = {(name.value, kind) for name, adapter in ADAPTERS.items() for kind in adapter.removals}

    assert made == removed

"""Every setting, whichever process reads it, and the names under which it is read."""

from __future__ import annotations

from collections.abc import Mapping

from common.config.renamed import FORMER_NAMES
from common.config.settings import FlowerSettings, WorkerSettings

EVERY = {**WorkerSettings.model_fields, **FlowerSettings.model_fields}
NAMES = (*EVERY, *FORMER_NAMES.values())
NEWER = {former: name for name, former in FORMER_NAMES.items()}


def fields_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the fields that variables of an environment set, whichever of their names those have."""
    return {NEWER.get(name.lower(), name.lower()): value for name, value in environment.items()}

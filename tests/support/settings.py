"""Every setting, whichever process reads it, and the names under which it is read."""

from __future__ import annotations

from common.config.renamed import FORMER_NAMES
from common.config.settings import FlowerSettings, WorkerSettings

EVERY = {**WorkerSettings.model_fields, **FlowerSettings.model_fields}
NAMES = (*EVERY, *FORMER_NAMES.values())
NEWER = {former: name for name, former in FORMER_NAMES.items()}

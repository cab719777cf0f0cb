"""Which settings are there, whoever reads them?"""

from __future__ import annotations

from common.config.settings import FlowerSettings, WorkerSettings

EVERY = {**WorkerSettings.model_fields, **FlowerSettings.model_fields}

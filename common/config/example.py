"""The text of `.env.example`, written from the declarations of the settings."""

from __future__ import annotations

import re
from itertools import groupby

from pydantic.fields import FieldInfo

from common.config.renamed import FORMER_NAMES
from common.config.settings import FlowerSettings, WorkerSettings
from common.workflows import EXTERNAL, Upstream

HEADER = """\
# Settings of Slipway. Copy this file to .env and fill it in. The environment takes precedence over the file.
# A setting marked `required` has no default outside the embedded stack. An empty setting counts as not set.
# The API reads no token of an upstream; Flower reads no token, no encryption key and no address of the database.
# Keep secrets in files of their own: see SECRETS_DIR. For `docker compose`, `make secrets` makes these files.
"""
OWN, APPS, PROCESSES = "Slipway", "What apps are made of", "How the processes behave"
MAIL = "Mails to people"
NOTIFICATIONS = "Notifications of operators"
RISKS = "Risks that start-up refuses, and that you accept: see docs/installation.md"
LONGER = {
    Upstream.ARGOCD: "Argo CD (ARGOCD_… in place of ARGO_… is the newer name of each setting; both work)",
    Upstream.ELASTICSEARCH: "Elasticsearch and Kibana "
    "(newer names: ELASTICSEARCH_URL, _USER, _PASSWORD, _CONCURRENCY, _CALLS_PER_SECOND)",
}
REST = (PROCESSES, "(?!)")  # the place of settings that belong to no other group; the pattern matches no name
ORDER = (  # heading, and how the names of a group in this section begin; in a group the required settings are first
    *((OWN, start) for start in ("SECRETS_DIR", "DB_PASSWORD", "DB_", "REDIS_PASSWORD", "REDIS_", "SECRET_KEYS")),
    *((LONGER.get(each, each.label), f"{each.prefix}_(?!CONCURRENCY|CALLS_PER_SECOND)") for each in EXTERNAL),
    *((APPS, start) for start in ("DEV_CLUSTER|OPS_CLUSTER", "CONTAINER_|REGISTRY_|CATALOG_|CA_")),
    (MAIL, "SMTP_|SLIPWAY_EXT_"),
    REST,
    *((PROCESSES, start) for start in ("WORKER_CONCURRENCY", ".*_CONCURRENCY", ".*_CALLS_PER_SECOND", "OUTAGE_")),
    *((PROCESSES, start) for start in ("LOG_", "METRICS_|WORKER_METRICS_|OTEL_|TRACE_", "FLOWER_")),
    (NOTIFICATIONS, "NOTIFY_|WEBHOOK_|HEARTBEAT_"),
    (RISKS, "ALLOW_"),
)


def text() -> str:
    """Return every setting once, under its former name if it has one: every version reads that."""
    fields = {**FlowerSettings.model_fields, **WorkerSettings.model_fields}
    named = {FORMER_NAMES.get(name, name).upper(): field for name, field in fields.items()}
    ordered = sorted(named, key=lambda name: (_place(name), not named[name].is_required()))
    sections = groupby(ordered, key=lambda name: ORDER[_place(name)][0])
    return HEADER + "".join(
        f"\n# -- {heading}\n" + "".join(_entry(name, named[name]) for name in names) for heading, names in sections
    )


def _place(name: str) -> int:
    """Return the index in ORDER of the group to which a setting belongs."""
    return next((place for place, (_, start) in enumerate(ORDER) if re.match(start, name)), ORDER.index(REST))


def _entry(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return f"\n# {field.description}\n# required\n{name}=\n"
    default = "" if field.default in (None, ()) else str(field.default)
    return f"\n# {field.description}\n# {name}={default.lower() if isinstance(field.default, bool) else default}\n"

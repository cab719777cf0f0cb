"""Write the OpenAPI document, the problems and the metrics to `docs/`: `python -m api.publish`, or `make docs`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from flask import Flask
from prometheus_client import Counter, Histogram

from api import register_endpoints
from api.contract.problems import CODES
from api.openapi import build
from api.openapi.texts import Schema
from api.serving.routing import declared_endpoints
from common.config import catalog
from common.config.settings import Settings
from common.telemetry import metrics

COOKIE = "__Host-session"
METRICS = """\
# Metrics

In Prometheus' text format, for whoever sends the setting METRICS_TOKEN as a bearer token; nobody while it is not set.

The **API** serves them at `/metrics` on its own port: the numbers of all its processes, and what it looks up in the
database and the broker, 5 seconds old at most. Every replica of the API looks up the same: take their `max`, not their
`sum`. Each **worker** serves its own at `/metrics` on WORKER_METRICS_PORT; several on one host take the next free
ports, ten at most.

```yaml
scrape_configs:
  - job_name: slipway-api
    authorization: {credentials_file: /etc/prometheus/slipway-token}
    static_configs: [{targets: ["api.example.com:8000"]}]
  - job_name: slipway-worker
    authorization: {credentials_file: /etc/prometheus/slipway-token}
    dns_sd_configs: [{names: [worker], type: A, port: 9100}] # each container of the service `worker`
```

Rules that are worth an alert are in [`alerts.yml`](alerts.yml).

| metric | type | labels | says | of |
| --- | --- | --- | --- | --- |
"""
PROBLEMS = """\
# Problems

Every error is a problem document (RFC 9457, `application/problem+json`): `code` (stable, see below), `type`
(`urn:slipway:problem:` and the code), `title`, `status`, `remedy`, `instance` (the path), `request_id` (finds the
request in the log), and where there is one `detail`, `job_id`, and `errors`: a `{field, code, message}` for each field
at fault. 429 and 503 say in `Retry-After` when to come again.

| status | code | problem | what to do |
| --- | --- | --- | --- |
"""


def document(cookie: str = COOKIE) -> Schema:
    """Return the document, with the teams and types of the bundled catalog."""
    app = Flask("slipway", static_folder=None)
    register_endpoints(app)
    return build.document(declared_endpoints(app), catalog.load(Settings.model_construct()), cookie=cookie)


def files() -> dict[Path, str]:
    """Return what is to be written."""
    rows = sorted(CODES.items(), key=lambda row: row[1].status)
    table = "".join(f"| {problem.status} | `{code}` | {problem.title} | {problem.remedy} |\n" for code, problem in rows)
    return {
        Path("docs/openapi.json"): json.dumps(document(), indent=1) + "\n",
        Path("docs/problems.md"): PROBLEMS + table,
        Path("docs/metrics.md"): METRICS + "".join(_metric_rows()),
    }


def _metric_rows() -> Iterator[str]:
    """Return the rows of the table: what each process counts, then what is looked up."""
    shown = {"API": metrics.API, "worker": metrics.WORKER}
    names = {process: {told.name for told in registry.collect()} for process, registry in shown.items()}
    for metric in (each for each in vars(metrics).values() if isinstance(each, Counter | Histogram)):
        (told,) = metric.describe()
        shown_by = [process for process in shown if told.name in names[process]]
        name = f"{told.name}_total" if told.type == "counter" else told.name
        labels = metric._labelnames  # noqa: SLF001 - it tells them nowhere else
        yield _metric_row(name, told.type, labels, told.documentation, " and ".join(shown_by))
    for gauge in metrics.QUERIED_GAUGES:
        yield _metric_row(gauge.name, "gauge", gauge.labels, gauge.help, "API")
    yield _metric_row(
        "process_…", "gauge", (), "Memory, processor time and open files, by Prometheus' own names.", "worker"
    )


def _metric_row(name: str, kind: str, labels: Sequence[str], says: str, of: str) -> str:
    return f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {says} | {of} |\n"


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

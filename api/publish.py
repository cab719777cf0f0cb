"""Write `.env.example`, the reference in `docs/` and the types of the console: `python -m api.publish`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from flask import Flask
from prometheus_client import Counter, Gauge, Histogram

from api import register_endpoints
from api.contract.problems import CODES
from api.openapi import build, typescript
from api.openapi.texts import Schema
from api.serving.routing import declared_endpoints
from common.config import catalog, example
from common.config.settings import Settings
from common.telemetry import metrics

COOKIE = "__Host-session"
METRICS = """\
# Metrics

Metrics are in Prometheus' text format. To read them, send the value of the setting METRICS_TOKEN as a bearer token;
while the setting is empty, every request is refused.

The **API** serves `/metrics` on its own port: the counters of all its processes, and gauges that it queries from the
database and the broker, at most 5 seconds old. Every replica of the API queries the same values: aggregate them with
`max`, not `sum`. Each **worker** serves `/metrics` on WORKER_METRICS_PORT, to this machine only unless
WORKER_METRICS_ADDRESS says otherwise; several workers on one host use the next free ports, at most ten.

```yaml
scrape_configs:
  - job_name: slipway-api
    authorization: {credentials_file: /etc/prometheus/slipway-token}
    static_configs: [{targets: ["api.example.com:8000"]}]
  - job_name: slipway-worker
    authorization: {credentials_file: /etc/prometheus/slipway-token}
    dns_sd_configs: [{names: [worker], type: A, port: 9100}] # each container of the service `worker`
```

Alerting rules are in [`alerts.yml`](../deploy/helm/slipway/files/alerts.yml), and a dashboard for Grafana is in
[`dashboard.json`](../deploy/helm/slipway/files/dashboard.json): import it, or let the chart install both. The
[runbook](runbook.md) says what to do about each alert.

| metric | type | labels | meaning | served by |
| --- | --- | --- | --- | --- |
"""
PROBLEMS = """\
# Problems

Every error is a problem document (RFC 9457, `application/problem+json`): `code` (stable, see below), `type`
(`urn:slipway:problem:` and the code), `title`, `status`, `remedy`, `instance` (the path), `request_id` (identifies the
request in the log), and where they apply `detail`, `job_id` and `errors`: one `{field, code, message}` for each invalid
field. 429 and 503 carry `Retry-After`: the number of seconds to wait before the next attempt.

| status | code | meaning | what to do |
| --- | --- | --- | --- |
"""


def document(cookie: str = COOKIE) -> Schema:
    """Return the OpenAPI document, with the teams and types of the bundled catalog."""
    app = Flask("slipway", static_folder=None)
    register_endpoints(app)
    return build.document(declared_endpoints(app), catalog.load(Settings.model_construct()), cookie=cookie)


def files() -> dict[Path, str]:
    """Return the content of each file to write."""
    rows = sorted(CODES.items(), key=lambda row: row[1].status)
    table = "".join(f"| {problem.status} | `{code}` | {problem.title} | {problem.remedy} |\n" for code, problem in rows)
    interface = document()
    return {
        Path(".env.example"): example.text(),
        Path("docs/openapi.json"): json.dumps(interface, indent=1) + "\n",
        Path("console/types/api.d.ts"): typescript.text(interface),
        Path("docs/problems.md"): PROBLEMS + table,
        Path("docs/metrics.md"): METRICS + "".join(_metric_rows()),
    }


def _metric_rows() -> Iterator[str]:
    """Return the rows of the table: the counters of each process, then the gauges that are queried."""
    registries = {"API": metrics.API, "worker": metrics.WORKER}
    names = {process: {family.name for family in registry.collect()} for process, registry in registries.items()}
    for metric in (each for each in vars(metrics).values() if isinstance(each, Counter | Gauge | Histogram)):
        (family,) = metric.describe()
        served_by = [process for process in registries if family.name in names[process]]
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = metric._labelnames  # noqa: SLF001 - prometheus_client publishes them nowhere else
        yield _metric_row(name, family.type, labels, family.documentation, " and ".join(served_by))
    for gauge in metrics.QUERIED_GAUGES:
        yield _metric_row(gauge.name, "gauge", gauge.labels, gauge.help, "API")
    yield _metric_row(
        "process_…", "gauge", (), "Memory, CPU time and open files, under Prometheus' standard names.", "worker"
    )


def _metric_row(name: str, kind: str, labels: Sequence[str], meaning: str, served_by: str) -> str:
    return f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {meaning} | {served_by} |\n"


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

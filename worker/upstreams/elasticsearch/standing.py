"""Our standing with Elasticsearch, by the doctor's own checks.

Without the index that holds its users, after a restart or while a node is lost, Elasticsearch answers as for a wrong
password. Source: elastic/elasticsearch#110315.
"""

from __future__ import annotations

from common.errors import Refused
from worker.upstreams.elasticsearch import access_checks
from worker.upstreams.elasticsearch.access_checks import PRIVILEGE
from worker.upstreams.http import Http
from worker.upstreams.probe import Probe
from worker.upstreams.standing import Standing, established


def standing(http: Http, refused: Refused | None) -> Standing:  # noqa: ARG001 - any refusal is asked about alike
    """Return our standing with Elasticsearch. Raises Transient when it gives no usable answer."""
    checks = access_checks.of(Probe(http, setting="KIBANA_URL", url=http.base_url), login=http.login)
    account = (checks["answers"], checks["security"], checks["user"])
    return established(http.name, account, {f"the cluster privilege {PRIVILEGE}": checks[f"privilege {PRIVILEGE}"]})

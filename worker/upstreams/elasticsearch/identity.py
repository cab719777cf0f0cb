"""What answers at the address of Elasticsearch: itself, Kibana, or OpenSearch.

All three answer 404 for what they do not have, so a status alone does not say whose answer it is.
"""

from __future__ import annotations

from worker.upstreams.replies import Reply

KIBANA = "Kibana answers at KIBANA_URL, not Elasticsearch: Kibana's users live in Elasticsearch, usually at port 9200"
OPENSEARCH = "OpenSearch answers at KIBANA_URL, not Elasticsearch: Slipway does not support the API of its users"
_NO_HANDLER = "no handler found for uri"


def is_elasticsearch(reply: Reply) -> bool:
    """Say whether the reply names its product; Elasticsearch does since 7.14."""
    return reply.headers.get("X-Elastic-Product") == "Elasticsearch"


def is_kibana(reply: Reply) -> bool:
    return any(name.lower().startswith("kbn-") for name in reply.headers)


def is_opensearch(reply: Reply) -> bool:
    """Say whether the reply shows OpenSearch: its page `/`, or the refusal of its security plugin.

    Source: OpenSearch `MainResponse` (`distribution`, `tagline`), security plugin `HTTPBasicAuthenticator`.
    """
    if "OpenSearch" in reply.headers.get("WWW-Authenticate", ""):
        return True
    return reply.status == 200 and not is_elasticsearch(reply) and '"opensearch"' in reply.text.lower()


def foreign_answer(reply: Reply) -> str | None:
    """Return what answered a call of the security API in place of Elasticsearch, None when it may have been itself."""
    if is_kibana(reply):
        return KIBANA
    if "OpenSearch" in reply.headers.get("WWW-Authenticate", ""):
        return OPENSEARCH
    if reply.status in (400, 405) and _NO_HANDLER in reply.text:
        return "What answers at KIBANA_URL has no security API: it is OpenSearch, or an Elasticsearch without security"
    return None

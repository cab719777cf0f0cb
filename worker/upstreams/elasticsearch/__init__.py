"""Elasticsearch: the users of Kibana."""

from worker.upstreams.elasticsearch.adapter import ADAPTER

__all__ = ["ADAPTER"]

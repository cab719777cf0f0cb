"""Elasticsearch: the users who log in to Kibana."""

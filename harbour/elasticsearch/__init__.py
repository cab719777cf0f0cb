"""Stand-in for Elasticsearch's security API."""

"""The Helm chart, and what writes its reference: `python -m deploy.chart`."""

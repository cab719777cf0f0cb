"""Backlog gauges and readiness."""

"""From request to response: routing, idempotency, accepted jobs, telemetry."""

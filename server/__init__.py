"""gunicorn extensions of the API: slow clients, logs, health probe. Knows HTTP, not Slipway."""

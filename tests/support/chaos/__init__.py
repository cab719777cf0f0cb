"""Real processes on several hosts, broken at chosen moments: the harness of `tests/chaos/`."""

"""Which steps may call an upstream now: concurrency slots, rate limits, outages."""

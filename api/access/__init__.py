"""Access control: authentication, permissions, rate limits, CORS."""

"""Who may call: authentication, permissions, rate limits, CORS."""

"""Settings, secret files, the catalog of teams and types, and naming rules."""

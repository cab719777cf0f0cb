"""The connection to the database, its models and its migrations."""

"""Operator commands, one module for each subject: `flask --app api --help`."""

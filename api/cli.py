"""Operator commands: `flask --app api --help` lists the groups, and each group has its own `--help`."""

from __future__ import annotations

from flask import Flask

from api.commands import backups
from api.commands.audit_log import audit
from api.commands.database import database
from api.commands.invites import invites
from api.commands.jobs import jobs
from api.commands.keys import keys
from api.commands.ledger import ledger
from api.commands.teams import teams
from api.commands.users import users

for command in (backups.backup, backups.verify, backups.restore):
    database.add_command(command)

GROUPS = {
    "db": database,
    "users": users,
    "teams": teams,
    "invites": invites,
    "jobs": jobs,
    "ledger": ledger,
    "keys": keys,
    "audit": audit,
}


def install(app: Flask) -> None:
    """Add the command groups to Flask's own commands."""
    for name, group in GROUPS.items():
        app.cli.add_command(group, name)

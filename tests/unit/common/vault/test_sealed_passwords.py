"""The sealed password has one owner: no other module uses its table."""

from __future__ import annotations

import ast

from support.checkout import ROOT

from common.database.models import Secret


def test_only_its_owner_uses_the_table() -> None:
    users = {
        str(file.relative_to(ROOT))
        for package in ("api", "common", "worker")
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Name) and node.id == Secret.__name__)
        or (isinstance(node, ast.Attribute) and node.attr == Secret.__name__)
    }

    assert users == {"common/vault/sealed_passwords.py"}

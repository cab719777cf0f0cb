"""The `tree` parameter, which selects fields of an answer: `a,b[c]{0,20}`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from werkzeug.wrappers import Request, Response

from harbour.jenkins.pages import oops

Tree = dict[str, tuple["Tree | None", slice]]
TOKEN = re.compile(r"\s*([\w-]+|\*|[\[\],]|\{\d*,?\d*\})")


def exported(request: Request, shown: Any) -> Response:
    """Answer the object as JSON, cut down to the request's `tree`; a malformed one is a 500."""
    wanted = request.args.get("tree")
    if wanted:
        tokens = list(_tokens(wanted))
        tree = _parse(tokens)
        if tokens:
            raise oops(f"Illegal tree expression: {wanted}")
        shown = _prune(shown, tree)
    return Response(json.dumps(shown), content_type="application/json;charset=utf-8")


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise oops(f"Illegal tree expression at {at}: {text}")
        yield match[1]
        at = match.end()


def _parse(tokens: list[str]) -> Tree:
    """Take one comma list off the front of the tokens, nested lists included."""
    tree: Tree = {}
    while True:
        if not tokens or not re.match(r"[\w*]", tokens[0]):
            raise oops("Illegal tree expression: a name is missing")
        name = tokens.pop(0)
        tree[name] = (_nested(tokens), _range(tokens))
        if not tokens or tokens[0] != ",":
            return tree
        tokens.pop(0)


def _nested(tokens: list[str]) -> Tree | None:
    if not tokens or tokens[0] != "[":
        return None
    tokens.pop(0)
    tree = _parse(tokens)
    if not tokens or tokens.pop(0) != "]":
        raise oops("Illegal tree expression: ] is missing")
    return tree


def _range(tokens: list[str]) -> slice:
    if not tokens or not tokens[0].startswith("{"):
        return slice(None)
    first, comma, last = tokens.pop(0)[1:-1].partition(",")
    if not comma:
        return slice(int(first), int(first) + 1)
    return slice(int(first or 0), int(last) if last else None)


def _prune(shown: Any, tree: Tree | None) -> Any:
    if isinstance(shown, list):
        return [_prune(each, tree) for each in shown]
    if not isinstance(shown, dict) or tree is None or "*" in tree:
        return shown
    kept = {"_class": shown["_class"]} if "_class" in shown else {}
    for name, (nested, window) in tree.items():
        if name in shown:
            value = shown[name]
            kept[name] = _prune(value[window] if isinstance(value, list) else value, nested)
    return kept

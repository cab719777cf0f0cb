"""Merge patches (RFC 7396) and JSON patches (RFC 6902)."""

from __future__ import annotations

import copy
import json
from typing import Any

from harbour.argocd.core import INVALID, ApiError


def patched(shown: dict[str, Any], patch: str, kind: str) -> dict[str, Any]:
    """Return a patched copy. `patch` is JSON in a text, `kind` is `merge`, or `json` when empty."""
    if kind not in ("", "json", "merge"):
        raise ApiError(INVALID, f"Patch type '{kind}' is not supported")
    try:
        changes = json.loads(patch)
        result = _merged(shown, changes) if kind == "merge" else _applied(shown, changes)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ApiError(INVALID, "error decoding or applying the patch") from error
    if not isinstance(result, dict):
        raise ApiError(INVALID, "the patched application is not an object")
    return result


def _merged(value: Any, change: Any) -> Any:
    if not isinstance(change, dict):
        return change  # arrays are replaced whole
    merged = dict(value) if isinstance(value, dict) else {}
    for key, each in change.items():
        if each is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), each)
    return merged


def _applied(value: Any, operations: Any) -> Any:
    document = {"": copy.deepcopy(value)}
    for operation in operations:
        path = ["", *(part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:])]
        parent: Any = document
        for part in path[:-1]:
            parent = parent[int(part) if isinstance(parent, list) else part]
        _apply(parent, path[-1], operation)
    return document[""]


def _apply(parent: Any, key: str, operation: dict[str, Any]) -> None:
    kind = operation["op"]
    at: Any = key
    if isinstance(parent, list):
        at = len(parent) if key == "-" else int(key)
    if kind == "add" and isinstance(parent, list):
        parent.insert(at, operation["value"])
    elif kind == "add":
        parent[at] = operation["value"]
    elif kind == "remove":
        del parent[at]
    else:
        _replace(parent, at, operation)


def _replace(parent: Any, at: Any, operation: dict[str, Any]) -> None:
    present = parent[at]  # both operations require it
    if operation["op"] == "replace":
        parent[at] = operation["value"]
    elif operation["op"] != "test" or present != operation["value"]:
        raise ValueError(operation["op"])

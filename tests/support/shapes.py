"""Compare plain JSON values with typed dictionaries."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict


def conforms(value: object, shape: Any) -> bool:
    """Say whether a value is of this type: typed dictionaries have exactly their entries."""
    if shape is None or shape is NoneType:
        return value is None
    if is_typeddict(shape):
        hints = get_type_hints(shape)
        return (
            isinstance(value, dict)
            and value.keys() == hints.keys()
            and all(conforms(value[name], hint) for name, hint in hints.items())
        )
    origin, arguments = get_origin(shape), get_args(shape)
    if origin is UnionType:
        return any(conforms(value, each) for each in arguments)
    if origin is list:
        return isinstance(value, list) and all(conforms(each, arguments[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(conforms(each, arguments[1]) for each in value.values())
    return isinstance(value, (int, float) if shape is float else shape) and not (
        isinstance(value, bool) and shape is not bool
    )

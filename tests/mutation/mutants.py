"""Mutants of a module: what a slip of the pen would have made of it, one change each.

    a < b       a <= b, a >= b          a and b     a or b              x = min(a, b)     x = max(a, b)
    a == b      a != b                  not a       a                   .where(a, b)      .where(a), .where(b)
    a in b      a not in b              if a        if not a            .limit(n)         without it
    n           n + 1                   a + b       a - b               {a, b}            {a}, {b}
    True        False                   f(x)        nothing             a.b = c = x       c = x, a.b = x
    "a_code"    "a_code_x"              raise E     nothing             .values(a=1)      .values()

Not changed, by rule: what only people read (docstrings, texts, log calls, `__repr__`); annotations, decorators and
assertions; what a class declares, and what a constructor stores, because nothing works without it; the value of a named
number, which is a decision that a test could only repeat; how rows are locked, because SQLite locks none.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Pow: ast.Mult,
}  # fmt: skip
BUILTINS = {"min": "max", "max": "min", "any": "all", "all": "any"}
LEFT_OUT = {"order_by", "limit", "unique", "strip"}  # calls in a chain
CONDITIONS = {"where", "and_", "or_", "case", "_change", "_change_probed"}  # each argument is left out in turn
ASSIGNING = {"values", "_change", "_set"}  # each keyword is left out in turn
CODE = re.compile(r"[a-z]+(_[a-z]+)*")  # of the interface or the database; anything else is a text
SKIPPED_FIELDS = {"annotation", "returns", "decorator_list", "bases", "type_comment"}
LOCKS = {"skip_locked", "outlasts_locks", "populate_existing", "synchronize_session"}  # keywords
UNCHANGED = {"__init__", "__repr__"}


@dataclass(frozen=True)
class Mutant:
    """A node whose `field` becomes `value`. `where` is the outermost function; "" at module level."""

    node: ast.AST
    field: str
    value: Any
    statement: ast.stmt  # of the top level
    where: str
    lines: range
    key: str  # stays the same while the code above changes

    def apply(self) -> None:
        """Change the tree; it is used for this mutant alone from now on."""
        setattr(self.node, self.field, self.value)
        ast.fix_missing_locations(self.statement)


def of(tree: ast.Module, only: tuple[str, ...] = ()) -> list[Mutant]:
    """Return the mutants of a module, of these functions alone if any are named."""
    found: list[Mutant] = []
    seen: Counter[str] = Counter()
    for top in tree.body:
        for where, body in _bodies(top):
            if only and where not in only:
                continue
            for node, field, value, old, new, lines in _sites(body, where, range(body.lineno, body.lineno + 1)):
                text = f"{where or 'module'}: {old} -> {new}"
                seen[text] += 1
                key = text if seen[text] == 1 else f"{text} #{seen[text]}"
                found.append(Mutant(node, field, value, top, where, lines, key))
    return found


def _bodies(top: ast.stmt) -> Iterator[tuple[str, ast.stmt]]:
    if isinstance(top, ast.FunctionDef):
        yield top.name, top
    elif isinstance(top, ast.ClassDef):
        methods = [each for each in top.body if isinstance(each, ast.FunctionDef) and each.name not in UNCHANGED]
        yield from ((f"{top.name}.{each.name}", each) for each in methods)
    elif isinstance(top, ast.Assign | ast.AnnAssign) and not _is_call_of(top.value, "TypeVar", "getLogger", "compile"):
        yield "", top


Site = tuple[ast.AST, str, Any, str, str, range]


def _sites(node: ast.AST, where: str, lines: range) -> Iterator[Site]:
    if isinstance(node, ast.stmt):
        last = node.body[0].lineno - 1 if isinstance(node, _COMPOUND) else node.end_lineno or node.lineno
        lines = range(node.lineno, max(last, node.lineno) + 1)
    for field, value in ast.iter_fields(node):
        if field in SKIPPED_FIELDS:
            continue
        children = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if not isinstance(child, ast.AST) or _is_left_alone(child):
                continue
            for new in _alternatives(child, node, field) if _is_changed(child, where) else ():
                whole = new if index is None else [*value[:index], new, *value[index + 1 :]]
                of_child = lines if not isinstance(child, ast.stmt) else range(child.lineno, child.end_lineno + 1)  # type: ignore[operator]
                yield node, field, whole, _text(child), _text(new), of_child
            yield from _sites(child, where, lines)
    for field, shorter, dropped in _without_one(node):
        yield node, field, shorter, _text(node), f"without {_text(dropped)}", lines


_COMPOUND = (ast.FunctionDef, ast.If, ast.For, ast.While, ast.With, ast.Try)


def _alternatives(node: ast.AST, parent: ast.AST, field: str) -> Iterator[ast.AST]:
    """Return what may stand in place of a node."""
    yield from _of_statement(node) if isinstance(node, ast.stmt) else _of_expression(node, field)
    is_condition = field == "test" or (field == "ifs" and isinstance(parent, ast.comprehension))
    if is_condition and isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.NamedExpr):
        yield ast.UnaryOp(ast.Not(), node)


def _of_expression(node: ast.AST, field: str) -> Iterator[ast.AST]:  # noqa: C901 - a table
    match node:
        case ast.Compare(ops=[op]):
            yield from (ast.Compare(node.left, [new()], node.comparators) for new in COMPARISONS.get(type(op), ()))
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.BinOp() if type(node.op) in OPERATORS:
            yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str(value)) if CODE.fullmatch(value) and field != "keys":
            yield ast.Constant(f"{value}_x")
        case ast.Call(func=ast.Name(id=name)) if name in BUILTINS:
            yield ast.Call(ast.Name(BUILTINS[name], ast.Load()), node.args, node.keywords)
        case ast.Call(func=ast.Attribute(attr=name, value=receiver)) if name in LEFT_OUT:
            yield receiver


def _of_statement(node: ast.stmt) -> Iterator[ast.AST]:
    match node:
        case ast.AugAssign() if type(node.op) in OPERATORS:
            yield ast.AugAssign(node.target, OPERATORS[type(node.op)](), node.value)
        case ast.Assign(targets=[ast.Attribute() | ast.Tuple()]) if not _binds_names(node):
            yield ast.Pass()
        case ast.Raise() | ast.Break() | ast.Continue() | ast.Delete() | ast.Return(value=None):
            yield ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()


def _without_one(node: ast.AST) -> Iterator[tuple[str, list[Any], ast.AST]]:
    """Return lists of a node with one element less, and the element."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            fields = [field for field, names in (("args", CONDITIONS), ("keywords", ASSIGNING)) if name in names]
        case ast.Set():
            fields = ["elts"]
        case ast.Tuple() if len(node.elts) > 1 and all(isinstance(each, ast.Compare | ast.Call) for each in node.elts):
            fields = ["elts"]
        case ast.Assign(targets=[_, _, *_]):
            fields = ["targets"]
        case _:
            fields = []
    for field in fields:
        elements = getattr(node, field)
        yield from ((field, elements[:i] + elements[i + 1 :], each) for i, each in enumerate(elements))


def _is_changed(node: ast.AST, where: str) -> bool:
    return bool(where) or not isinstance(node, ast.Constant)


def _binds_names(node: ast.Assign) -> bool:
    elements = [each for target in node.targets for each in getattr(target, "elts", [target])]
    return any(not isinstance(each, ast.Attribute) for each in elements)


def _is_left_alone(node: ast.AST) -> bool:
    is_log = isinstance(node, ast.Expr) and _is_call_of(node.value, "error", "warning", "info", "exception", of="log")
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    is_lock = isinstance(node, ast.keyword) and node.arg in LOCKS
    return is_log or is_docstring or is_lock or isinstance(node, ast.Assert | ast.JoinedStr | ast.ClassDef)


def _is_call_of(node: ast.AST | None, *names: str, of: str = "") -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr=name, value=ast.Name(id=receiver))):
            return name in names and of in ("", receiver)
        case ast.Call(func=ast.Name(id=name)):
            return name in names and not of
    return False


def _text(node: ast.AST) -> str:
    text = re.sub(r"\s+", " ", ast.unparse(node))
    return text if len(text) <= 70 else f"{text[:40]} … {text[-27:]}"

"""Fields that are made of others: a template such as "{brand} {model}", a sum such as "net * 1.19"."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, DecimalException, localcontext

from .problem import refusal

REFERENCE = re.compile(r"\{([^{}]+)\}")
LONGEST = 200
OPERATORS: dict[type[ast.AST], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Formula:
    """A sum over columns: + - * / and brackets over numbers and column names, those with spaces in braces."""

    columns: tuple[str, ...]
    tree: ast.expr
    names: Mapping[str, str]

    def result(self, numbers: Mapping[str, float]) -> float:
        """The sum, exact to 28 digits; `numbers` holds one for each of `columns`.

        Raises:
            PydanticCustomError: bad_formula for a division by zero and what is too large.
        """
        values = {name: Decimal(repr(numbers[column])) for name, column in self.names.items()}
        try:
            with localcontext() as context:
                context.Emax, context.Emin = 400, -400
                return float(evaluated(self.tree, values))
        except DecimalException:
            raise refusal("bad_formula", "can't be computed: it divides by zero or is too large") from None


def template_columns(template: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in REFERENCE.findall(template)))


def parse_formula(text: str) -> Formula:
    """The formula that a text writes.

    Raises:
        ValueError: what is wrong with it, for people.
    """
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    names: dict[str, str] = {}

    def named(reference: re.Match[str]) -> str:
        names[f"column_{len(names)}_"] = reference[1].strip()
        return f" column_{len(names) - 1}_ "

    try:
        tree = ast.parse(REFERENCE.sub(named, text).strip(), mode="eval").body
        check(tree, names)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError("is no sum such as 'net * 1.19'") from None
    if not names:
        raise ValueError("names no column")
    return Formula(tuple(dict.fromkeys(names.values())), tree, names)


def check(node: ast.expr, names: dict[str, str]) -> None:
    match node:
        case ast.BinOp(left, kind, right) if type(kind) in OPERATORS:
            check(left, names)
            check(right, names)
        case ast.UnaryOp(ast.USub(), operand):
            check(operand, names)
        case ast.Constant(value) if type(value) in (int, float):
            pass
        case ast.Name(name):
            names.setdefault(name, name)
        case ast.Attribute():  # price.amount: a path into nested values
            path = ast.unparse(node)
            if not all(part.isidentifier() for part in path.split(".")):
                raise ValueError("can use column names, numbers, + - * / and brackets")
            names.setdefault(path, path)
        case _:
            raise ValueError("can use column names, numbers, + - * / and brackets")


def evaluated(node: ast.expr, values: Mapping[str, Decimal]) -> Decimal:
    match node:
        case ast.BinOp(left, kind, right):
            return OPERATORS[type(kind)](evaluated(left, values), evaluated(right, values))
        case ast.UnaryOp(_, operand):
            return -evaluated(operand, values)
        case ast.Constant(value):
            return Decimal(repr(value))
    return values[ast.unparse(node)]

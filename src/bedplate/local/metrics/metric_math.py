"""CloudWatch's metric math: expressions such as `100 * FILL(m1, 0) / m2` or `IF(m1 > 3, m1, 0)` over series.

A series is `{time: value}`. Two series combine where both have a value; a number combines with every value.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

Series = dict[float, float]
Value = Series | float

_BINARY: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Pow: operator.pow,
    ast.Div: lambda a, b: a / b if b else math.nan,
}
_COMPARE: dict[type, Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ONE: dict[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor, "LOG": math.log,
                                             "LOG10": math.log10, "EXP": math.exp}  # fmt: skip
_MANY: dict[str, Callable[[Sequence[float]], float]] = {
    "SUM": math.fsum,
    "MIN": min,
    "MAX": max,
    "AVG": lambda values: math.fsum(values) / len(values),
}


class UnknownExpressionError(ValueError):
    """Something in an expression that is not known here; the message names it."""


def calculate(expression: str, series: Mapping[str, Series], times: Sequence[float]) -> Series:
    """The series that an expression makes of others by their ids; `times` are the stretch's moments, for FILL.

    Values that are not a number (a division by zero) are left out, as CloudWatch does. Raises UnknownExpressionError.

    >>> calculate("100 * FILL(m1, 0) / m2", {"m1": {60.0: 1.0}, "m2": {0.0: 4.0, 60.0: 2.0}}, [0.0, 60.0])
    {0.0: 0.0, 60.0: 50.0}
    >>> calculate("IF(m1 > 2 AND m1 < 9, 1, 0)", {"m1": {0.0: 1.0, 60.0: 3.0}}, [0.0, 60.0])
    {0.0: 0.0, 60.0: 1.0}
    """
    python = re.sub(r"\bAND\b|&&", " and ", re.sub(r"\bOR\b|\|\|", " or ", expression)).replace("^", "**")
    python = re.sub(r"(?<![<>=!])=(?!=)", "==", python) if "==" not in python else python
    try:
        tree = ast.parse(python.strip(), mode="eval").body
    except SyntaxError as exc:
        raise UnknownExpressionError(f"metric math expression {expression!r} is not understood") from exc
    value = _Evaluation(series, times).of(tree)
    made = value if isinstance(value, dict) else dict.fromkeys(times, value)
    return {at: v for at, v in sorted(made.items()) if math.isfinite(v)}


class _Evaluation:
    def __init__(self, series: Mapping[str, Series], times: Sequence[float]) -> None:
        self._series, self._times = series, times

    def of(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                if name not in self._series:
                    raise UnknownExpressionError(f"metric math knows no metric with the id {name}")
                return self._series[name]
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return _each(operator.neg, self.of(inner))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _both(_BINARY[type(op)], self.of(left), self.of(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
                compare = _COMPARE[type(op)]
                return _both(lambda a, b: float(compare(a, b)), self.of(left), self.of(right))
            case ast.BoolOp(op=op, values=parts):
                values = [self.of(part) for part in parts]
                joined = values[0]
                both = isinstance(op, ast.And)
                for value in values[1:]:
                    joined = _both(lambda a, b: float((a and b) if both else (a or b)), joined, value)
                return joined
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name.upper(), arguments)
        raise UnknownExpressionError(f"metric math does not know {ast.unparse(node)!r}")

    def _call(self, name: str, arguments: list[ast.expr]) -> Value:
        if name == "FILL" and len(arguments) == 2:
            return self._fill(self.of(arguments[0]), arguments[1])
        if name == "METRICS" and not arguments:
            raise UnknownExpressionError("METRICS() stands only inside SUM, AVG, MIN or MAX")
        if name in _MANY:
            return self._aggregate(name, arguments)
        values = [self.of(argument) for argument in arguments]
        if name == "IF" and len(values) in (2, 3):
            return self._choose(values)
        if name in _ONE and len(values) == 1:
            return _each(_ONE[name], values[0])
        if name == "RATE" and len(values) == 1 and isinstance(values[0], dict):
            moments = sorted(values[0].items())
            return {b: (y - x) / (b - a) for (a, x), (b, y) in pairwise(moments)}
        raise UnknownExpressionError(f"metric math does not know the function {name}")

    def _fill(self, value: Value, filler: ast.expr) -> Value:
        known = value if isinstance(value, dict) else dict.fromkeys(self._times, value)
        if isinstance(filler, ast.Name) and filler.id == "REPEAT":
            filled, last = {}, None
            for at in self._times:
                last = known.get(at, last)
                if last is not None:
                    filled[at] = last
            return filled
        default = self.of(filler)
        return {at: known.get(at, default if isinstance(default, float) else default.get(at, math.nan))
                for at in self._times}  # fmt: skip

    def _aggregate(self, name: str, arguments: list[ast.expr]) -> Value:
        if len(arguments) != 1:
            raise UnknownExpressionError(f"{name} takes one argument")
        argument = arguments[0]
        if isinstance(argument, ast.Call) and isinstance(argument.func, ast.Name) and argument.func.id == "METRICS":
            chosen = list(self._series.values())
        elif isinstance(argument, ast.List):
            values = [self.of(part) for part in argument.elts]
            chosen = [v if isinstance(v, dict) else dict.fromkeys(self._times, v) for v in values]
        else:
            value = self.of(argument)
            numbers = list(value.values()) if isinstance(value, dict) else [value]
            return _MANY[name](numbers) if numbers else {}
        moments = sorted({at for series in chosen for at in series})
        return {at: _MANY[name]([series[at] for series in chosen if at in series]) for at in moments}

    def _choose(self, values: list[Value]) -> Value:
        condition, yes, no = values[0], values[1], values[2] if len(values) == 3 else {}
        if isinstance(condition, float):
            return yes if condition else no
        chosen: Series = {}
        for at, true in condition.items():
            pick = yes if true else no
            value = pick if isinstance(pick, float) else pick.get(at)
            if value is not None:
                chosen[at] = value
        return chosen


def _each(function: Callable[[float], float], value: Value) -> Value:
    if isinstance(value, dict):
        return {at: float(function(v)) for at, v in value.items()}
    return float(function(value))


def _both(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
    if isinstance(left, dict) and isinstance(right, dict):
        return {at: function(v, right[at]) for at, v in left.items() if at in right}
    if isinstance(left, dict):
        return {at: function(v, right) for at, v in left.items()}  # type: ignore[arg-type]
    if isinstance(right, dict):
        return {at: function(left, v) for at, v in right.items()}
    return function(left, right)

"""Evaluates CloudWatch's metric math: expressions such as `100 * FILL(m1, 0) / m2` or `IF(m1 > 3, m1, 0)`.

A series is `{time: value}`, times in epoch seconds. Two series combine where both have a value; a number combines with
every value.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
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
_FUNCTIONS: dict[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor, "LOG": math.log,
                                             "LOG10": math.log10, "EXP": math.exp}  # fmt: skip
_AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {
    "SUM": math.fsum,
    "MIN": min,
    "MAX": max,
    "AVG": lambda values: math.fsum(values) / len(values),
}


class UnknownExpressionError(ValueError):
    """An expression with a syntax, metric or function that is not supported; the message names it."""


def evaluate_expression(expression: str, series: Mapping[str, Series], times: Sequence[float]) -> Series:
    """Returns the series of an expression over `series`, by their ids; `times` are those that FILL fills.

    Like CloudWatch, leaves out values that are not a number (a division by zero). Raises UnknownExpressionError.

    >>> evaluate_expression("100 * FILL(m1, 0) / m2", {"m1": {60.0: 1.0}, "m2": {0.0: 4.0, 60.0: 2.0}}, [0.0, 60.0])
    {0.0: 0.0, 60.0: 50.0}
    >>> evaluate_expression("IF(m1 > 2 AND m1 < 9, 1, 0)", {"m1": {0.0: 1.0, 60.0: 3.0}}, [0.0, 60.0])
    {0.0: 0.0, 60.0: 1.0}
    """
    python = re.sub(r"\bAND\b|&&", " and ", re.sub(r"\bOR\b|\|\|", " or ", expression)).replace("^", "**")
    python = re.sub(r"(?<![<>=!])=(?!=)", "==", python) if "==" not in python else python
    try:
        tree = ast.parse(python.strip(), mode="eval").body
    except SyntaxError as exc:
        raise UnknownExpressionError(f"metric math expression {expression!r} has a syntax error") from exc
    evaluation = _Evaluation(series, times)
    result = evaluation.as_series(evaluation.evaluate(tree))
    return {time: value for time, value in sorted(result.items()) if math.isfinite(value)}


class _Evaluation:
    def __init__(self, series: Mapping[str, Series], times: Sequence[float]) -> None:
        self._series, self._times = series, times

    def as_series(self, value: Value) -> Series:
        """Returns a series unchanged, and a number as a series with that value at every time."""
        return value if isinstance(value, dict) else dict.fromkeys(self._times, value)

    def evaluate(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                if name not in self._series:
                    raise UnknownExpressionError(f"there is no metric with the id {name}")
                return self._series[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _map_values(operator.neg, self.evaluate(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _combine(_BINARY[type(op)], self.evaluate(left), self.evaluate(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
                compare = _COMPARE[type(op)]
                return _combine(lambda a, b: float(compare(a, b)), self.evaluate(left), self.evaluate(right))
            case ast.BoolOp(op=op, values=parts):
                is_and = isinstance(op, ast.And)
                values = [self.evaluate(part) for part in parts]
                return reduce(partial(_combine, lambda a, b: float((a and b) if is_and else (a or b))), values)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name.upper(), arguments)
        raise UnknownExpressionError(f"metric math does not support {ast.unparse(node)!r}")

    def _call(self, name: str, arguments: list[ast.expr]) -> Value:
        if name == "FILL" and len(arguments) == 2:
            return self._fill(self.evaluate(arguments[0]), arguments[1])
        if name == "METRICS" and not arguments:
            raise UnknownExpressionError("METRICS() is supported only inside SUM, AVG, MIN or MAX")
        if name in _AGGREGATES:
            return self._aggregate(name, arguments)
        values = [self.evaluate(argument) for argument in arguments]
        if name == "IF" and len(values) in (2, 3):
            return self._if(values)
        if name in _FUNCTIONS and len(values) == 1:
            return _map_values(_FUNCTIONS[name], values[0])
        if name == "RATE" and len(values) == 1 and isinstance(values[0], dict):
            points = sorted(values[0].items())
            return {time: (v - v0) / (time - t0) for (t0, v0), (time, v) in pairwise(points)}
        raise UnknownExpressionError(f"metric math does not support the function {name}")

    def _fill(self, value: Value, filler: ast.expr) -> Value:
        series = self.as_series(value)
        if isinstance(filler, ast.Name) and filler.id == "REPEAT":
            filled, previous = {}, None
            for time in self._times:
                previous = series.get(time, previous)
                if previous is not None:
                    filled[time] = previous
            return filled
        default = self.as_series(self.evaluate(filler))
        return {time: series.get(time, default.get(time, math.nan)) for time in self._times}

    def _aggregate(self, name: str, arguments: list[ast.expr]) -> Value:
        if len(arguments) != 1:
            raise UnknownExpressionError(f"{name} takes one argument")
        argument = arguments[0]
        if isinstance(argument, ast.Call) and isinstance(argument.func, ast.Name) and argument.func.id == "METRICS":
            operands = list(self._series.values())
        elif isinstance(argument, ast.List):
            operands = [self.as_series(self.evaluate(part)) for part in argument.elts]
        else:
            value = self.evaluate(argument)
            numbers = list(value.values()) if isinstance(value, dict) else [value]
            return _AGGREGATES[name](numbers) if numbers else {}
        times = sorted({time for series in operands for time in series})
        return {time: _AGGREGATES[name]([series[time] for series in operands if time in series]) for time in times}

    def _if(self, values: list[Value]) -> Value:
        condition, yes, no = values[0], values[1], values[2] if len(values) == 3 else {}
        if isinstance(condition, float):
            return yes if condition else no
        result: Series = {}
        for time, is_true in condition.items():
            branch = yes if is_true else no
            value = branch if isinstance(branch, float) else branch.get(time)
            if value is not None:
                result[time] = value
        return result


def _map_values(function: Callable[[float], float], value: Value) -> Value:
    if isinstance(value, dict):
        return {time: float(function(v)) for time, v in value.items()}
    return float(function(value))


def _combine(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
    if isinstance(left, dict) and isinstance(right, dict):
        return {time: function(v, right[time]) for time, v in left.items() if time in right}
    if isinstance(left, dict):
        return {time: function(v, right) for time, v in left.items()}  # type: ignore[arg-type]
    if isinstance(right, dict):
        return {time: function(left, v) for time, v in right.items()}
    return function(left, right)

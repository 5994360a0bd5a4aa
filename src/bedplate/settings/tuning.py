"""`training.tuning` of model.yaml: ranges, objective and number of trials of a hyper-parameter tuning job."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from bedplate.settings.types import StrictModel, Usd

Strategy = Literal["Random", "Bayesian", "Grid"]
EXPECTED = "MIN:MAX, MIN:MAX:log, or values with commas between them"


@dataclass(frozen=True, slots=True)
class Range:
    """The values that one hyper-parameter may have: from `low` to `high`, or one of `values`."""

    kind: Literal["integer", "continuous", "categorical"]
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.kind == "categorical":
            return ",".join(self.values)
        ends = [str(int(end)) if self.kind == "integer" else repr(end) for end in (self.low, self.high)]
        return ":".join([*ends, *(["log"] if self.log else [])])


def parse_range(text: str) -> Range:
    """Parses a range; numbers without decimal point and exponent are integers.

    >>> parse_range("0.01:0.3:log")
    Range(kind='continuous', low=0.01, high=0.3, log=True, values=())
    >>> parse_range("7:63").kind, parse_range("gini,entropy").values, str(parse_range("1e-3:1"))
    ('integer', ('gini', 'entropy'), '0.001:1.0')

    Raises ValueError when the text is not a range.
    """
    parts = text.split(":")
    expected = f"{text!r}: expected {EXPECTED}"
    if len(parts) == 1:
        values = tuple(dict.fromkeys(value.strip() for value in text.split(",")))
        if len(values) < 2 or not all(values):
            raise ValueError(expected)
        return Range("categorical", values=values)
    try:
        low, high = float(parts[0]), float(parts[1])
    except ValueError:
        raise ValueError(expected) from None
    if parts[2:] not in ([], ["linear"], ["log"]) or not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(expected)
    if not low < high:
        raise ValueError(f"{text!r}: the smaller value must come first")
    log = parts[2:] == ["log"]
    if log and low <= 0:
        raise ValueError(f"{text!r}: on a log scale every value is above 0")
    is_integer = all(part.strip().lstrip("+-").isdigit() for part in parts[:2])
    return Range("integer" if is_integer else "continuous", low, high, log)


def _parse(value: Any) -> Any:
    return parse_range(value) if isinstance(value, str) else value


RangeText = Annotated[Range, BeforeValidator(_parse), PlainSerializer(str)]


class Tuning(StrictModel):
    ranges: dict[str, RangeText] = Field(min_length=1)
    objective: str = Field(pattern=r"^\w+$")
    """A metric that the script prints (`metric: validation_auc=0.7`), computed on rows that it did not train on."""
    trials: int = Field(default=8, ge=1, le=500)
    parallel: int = Field(default=2, ge=1, le=100)
    strategy: Strategy = "Bayesian"
    early_stopping: bool = False
    set: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Hyper-parameters of every trial that differ from model.yaml."""
    max_usd: Usd | None = None
    """Price limit of all trials together."""

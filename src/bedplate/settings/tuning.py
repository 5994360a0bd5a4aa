"""`training.tuning` of model.yaml: between which values a tuning looks, for what, and how often."""

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
    """Where one hyper-parameter may lie: between two numbers, or one of `values`."""

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
    """Read a range as it is written; numbers without point and exponent are integers.

    >>> parse_range("0.01:0.3:log")
    Range(kind='continuous', low=0.01, high=0.3, log=True, values=())
    >>> parse_range("7:63").kind, parse_range("gini,entropy").values, str(parse_range("1e-3:1"))
    ('integer', ('gini', 'entropy'), '0.001:1.0')

    Raises ValueError for what is no range.
    """
    parts = text.split(":")
    if len(parts) == 1:
        values = tuple(dict.fromkeys(value.strip() for value in text.split(",")))
        if len(values) < 2 or not all(values):
            raise ValueError(f"{text!r}: {EXPECTED} expected")
        return Range("categorical", values=values)
    try:
        low, high = float(parts[0]), float(parts[1])
    except ValueError:
        raise ValueError(f"{text!r}: {EXPECTED} expected") from None
    if parts[2:] not in ([], ["linear"], ["log"]) or not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{text!r}: {EXPECTED} expected")
    if not low < high:
        raise ValueError(f"{text!r}: the smaller value first")
    log = parts[2:] == ["log"]
    if log and low <= 0:
        raise ValueError(f"{text!r}: on a log scale every value is above 0")
    whole = all(part.strip().lstrip("+-").isdigit() for part in parts[:2])
    return Range("integer" if whole else "continuous", low, high, log)


def _read(value: Any) -> Any:
    return parse_range(value) if isinstance(value, str) else value


Written = Annotated[Range, BeforeValidator(_read), PlainSerializer(str)]


class Tuning(StrictModel):
    ranges: dict[str, Written] = Field(min_length=1)
    objective: str = Field(pattern=r"^\w+$")
    """A figure that the script prints (`metric: validation_auc=0.7`); of rows that it did not learn from."""
    trials: int = Field(default=8, ge=1, le=500)
    parallel: int = Field(default=2, ge=1, le=100)
    strategy: Strategy = "Bayesian"
    early_stopping: bool = False
    set: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Hyper-parameters of every trial, other than model.yaml's."""
    max_usd: Usd | None = None
    """For all trials together."""

"""Hyperparameter ranges convert values and positions, and the median rule stops weak trials."""

from __future__ import annotations

import random

import pytest

from bedplate.domain.versions.tuning import is_worth_finishing, position_of, sample_point, value_at
from bedplate.settings import parse_range


def test_value_and_position_convert_to_each_other() -> None:
    rng = random.Random(3)
    ranges = {"n": parse_range("2:5"), "log": parse_range("1:100:log"), "kind": parse_range("a,b,c")}
    for _ in range(50):
        point = sample_point(ranges, rng)
        assert {
            name: value_at(ranges[name], position_of(ranges[name], value)) for name, value in point.items()
        } == point


def test_median_rule_is_reversed_when_less_is_better() -> None:
    others = [[0.6], [0.7], [0.8]]
    assert is_worth_finishing([0.5], others, maximize=False)
    assert not is_worth_finishing([0.9], others, maximize=False)


@pytest.mark.parametrize("text", ["1", "2:1", "a:b", "0:1:log", "1:2:cubic", "a,", "1:2:3:4"])
def test_invalid_range_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|first|above 0"):
        parse_range(text)

"""The profile of a release's answers fits into an environment variable and tells a shift from noise."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from bedplate.domain.drift import AnswerProfile
from bedplate.domain.drift.answers import MAX_CHARACTERS


def answers(n: int, seed: int = 0, power: float = 2) -> np.ndarray:
    return np.random.default_rng(seed).random(n) ** power


def test_profile_has_ten_bins_of_equal_frequency():
    profile = AnswerProfile.of(answers(5000))
    assert len(profile.edges) == 11
    assert sum(profile.counts) == 5000
    assert max(profile.counts) - min(profile.counts) <= 2


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_profile_fits_into_an_environment_variable(scale):
    assert len(json.dumps(AnswerProfile.of(answers(10_000_0) * scale).to_json())) < MAX_CHARACTERS


def test_profile_survives_json_as_text_and_as_values():
    profile = AnswerProfile.of(answers(500))
    assert AnswerProfile.from_json(json.dumps(profile.to_json())) == profile
    assert AnswerProfile.from_json(profile.to_json()) == profile


@pytest.mark.parametrize("wrong", ["", "[]", '{"edges": [1], "counts": [1]}', '{"edges": [0, 1], "counts": [0]}'])
def test_anything_else_is_no_profile(wrong):
    with pytest.raises(ValueError):
        AnswerProfile.from_json(wrong)


def test_three_hundred_answers_of_the_same_kind_stay_below_the_first_band():
    profile = AnswerProfile.of(answers(5000))
    assert max(profile.psi(answers(300, seed)) for seed in range(1, 60)) < 0.15


def test_other_answers_are_far_even_outside_the_profiles_range():
    profile = AnswerProfile.of(answers(5000))
    assert profile.psi(answers(300, power=1)) > 0.25
    assert profile.psi([7.0] * 300) > 1


def test_ties_make_fewer_bins():
    profile = AnswerProfile.of([0.1] * 90 + [0.2] * 10)
    assert profile.counts == (90, 10)
    assert profile.psi([0.1] * 9 + [0.2]) == pytest.approx(0)


def test_profile_of_a_constant_tells_larger_answers():
    profile = AnswerProfile.of([0.3] * 100)
    assert profile.psi([0.3] * 100) == 0
    assert profile.psi([0.4] * 100) > 1


def test_answers_that_are_no_numbers_do_not_count():
    assert AnswerProfile.of([0.1, math.nan, 0.2, math.inf]).counts == (1, 1)
    with pytest.raises(ValueError):
        AnswerProfile.of([math.nan])

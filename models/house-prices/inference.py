"""Predicts the median price of a home in a town in the next month, in US dollars.

The trees predict the logarithm of a month's price relative to the mean of the twelve months before it. So a model that
was trained on the prices of 2005 can predict those of 2015, while trees over dollars never exceed their highest label.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

CATEGORICAL = ("city", "market")
PLAIN = ("month", "mean_to_median", "inventory")
PRICES = ("last_price", "price_3", "same_month_last_year")
LEVEL = "price_12"
MODEL_FILE = "model.joblib"


@dataclass(frozen=True)
class Encoder:
    """The code of every category of the training data, by categorical column; codes follow the sorted categories."""

    codes: dict[str, dict[str, int]]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Encoder:
        return cls({name: {value: i for i, value in enumerate(sorted(rows[name].unique()))} for name in CATEGORICAL})

    def encode(self, rows: pd.DataFrame) -> np.ndarray:
        """Return (n, 10) floats, categories first; unknown categories and nulls are NaN, which the trees handle."""
        level, sales = _numbers(rows, LEVEL), _numbers(rows, "sales")
        columns = [np.array([self.codes[name].get(v, np.nan) for v in rows[name].tolist()]) for name in CATEGORICAL]
        columns += [_numbers(rows, name) for name in PLAIN]
        columns += [np.log(_numbers(rows, name) / level) for name in PRICES]
        columns += [np.log1p(sales), np.log1p(_numbers(rows, "sales_12") / 12) - np.log1p(sales)]
        return np.column_stack(columns).astype(float)


def model_fn(model_dir: str) -> tuple[Encoder, Any]:
    codes, trees = joblib.load(Path(model_dir) / MODEL_FILE)
    return Encoder(codes), trees


def predict_fn(rows: pd.DataFrame, model: tuple[Encoder, Any]) -> np.ndarray:
    encoder, trees = model
    return _numbers(rows, LEVEL) * np.exp(trees.predict(encoder.encode(rows)))


def _numbers(rows: pd.DataFrame, name: str) -> np.ndarray:
    return rows[name].to_numpy(dtype=float, na_value=np.nan)

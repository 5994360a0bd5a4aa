"""Predicts the probability that a flight arrives late.

Training and serving encode rows with the same `Encoder`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

CATEGORICAL = ("carrier", "origin", "dest")
NUMERIC = (
    "day_of_week", "hour", "minute", "clock_minutes", "distance", "departures_same_hour", "temp", "dewp", "humid",
    "wind_dir", "wind_speed", "precip", "pressure", "visib", "plane_age", "seats",
)  # fmt: skip
MODEL_FILE = "model.joblib"


@dataclass(frozen=True)
class Encoder:
    """The code of every category of the training data, by categorical column; codes follow the sorted categories."""

    codes: dict[str, dict[str, int]]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Encoder:
        return cls({name: {value: i for i, value in enumerate(sorted(rows[name].unique()))} for name in CATEGORICAL})

    def encode(self, rows: pd.DataFrame) -> np.ndarray:
        """Return (n, 19) floats, categories first; unknown categories are NaN, which the trees treat as missing."""
        matrix = np.empty((len(rows), len(CATEGORICAL) + len(NUMERIC)))
        for i, name in enumerate(CATEGORICAL):
            codes = self.codes[name]
            matrix[:, i] = [codes.get(value, np.nan) for value in rows[name].tolist()]
        for i, name in enumerate(NUMERIC, start=len(CATEGORICAL)):
            matrix[:, i] = rows[name].to_numpy(dtype=float, na_value=np.nan)
        return matrix


def model_fn(model_dir: str) -> tuple[Encoder, Any]:
    codes, classifier = joblib.load(Path(model_dir) / MODEL_FILE)
    return Encoder(codes), classifier


def predict_fn(rows: pd.DataFrame, model: tuple[Encoder, Any]) -> np.ndarray:
    encoder, classifier = model
    return classifier.predict_proba(encoder.encode(rows))[:, 1]

"""Predicts the probability of the positive class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

FEATURES = [
    "mean_radius", "mean_texture", "mean_perimeter", "mean_area", "mean_smoothness", "mean_compactness",
    "mean_concavity", "mean_symmetry",
]  # fmt: skip


def model_fn(model_dir: str) -> Any:
    return joblib.load(Path(model_dir) / "model.joblib")


def predict_fn(rows: pd.DataFrame, model: Any) -> np.ndarray:
    return model.predict_proba(rows[FEATURES].astype(float))[:, 1]

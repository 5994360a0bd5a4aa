"""Predicts the expected value of the label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

FEATURES = [
    "age", "bmi", "bp", "total_cholesterol", "ldl", "hdl", "cholesterol_ratio", "log_triglycerides", "glucose",
]  # fmt: skip


def model_fn(model_dir: str) -> Any:
    return joblib.load(Path(model_dir) / "model.joblib")


def predict_fn(rows: pd.DataFrame, model: Any) -> np.ndarray:
    return model.predict(rows[FEATURES].astype(float))

"""Writes the training data of the sample model: `python prepare.py OUT.parquet`.

Source: the diabetes data of B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least Angle Regression" (2004), which
scikit-learn contains. One row is one patient. Replace it with your own query.
"""

from __future__ import annotations

import sys

import pandas as pd
from sklearn.datasets import load_diabetes

NAMES = {"s1": "total_cholesterol", "s2": "ldl", "s3": "hdl", "s4": "cholesterol_ratio", "s5": "log_triglycerides"}


def prepare() -> pd.DataFrame:
    table = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={**NAMES, "s6": "glucose"})
    rows = table.drop(columns=["sex", "target"]).astype(float)
    rows.insert(0, "patient_id", [f"patient-{number:04d}" for number in range(len(rows))])
    rows["progression"] = table["target"].astype(float)
    return rows.sample(frac=1, random_state=1).reset_index(drop=True)


if __name__ == "__main__":
    prepare().to_parquet(sys.argv[1], index=False)

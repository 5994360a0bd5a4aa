"""Writes the training data of the sample model: `python prepare.py OUT.parquet`.

Source: the breast cancer data of Wisconsin (W. H. Wolberg, W. N. Street, O. L. Mangasarian, 1993, UCI Machine Learning
Repository), which scikit-learn contains. One row is one needle aspirate. Replace it with your own query.
"""

from __future__ import annotations

import sys

import pandas as pd
from sklearn.datasets import load_breast_cancer

MEASURES = ("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "symmetry")


def prepare() -> pd.DataFrame:
    table = load_breast_cancer(as_frame=True).frame
    rows = table[[f"mean {name}" for name in MEASURES]].set_axis([f"mean_{name}" for name in MEASURES], axis=1)
    rows.insert(0, "case_id", [f"case-{number:04d}" for number in range(len(rows))])
    rows["malignant"] = (table["target"] == 0).astype("int64")
    return rows.sample(frac=1, random_state=1).reset_index(drop=True)


if __name__ == "__main__":
    prepare().to_parquet(sys.argv[1], index=False)

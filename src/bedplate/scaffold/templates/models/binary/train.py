"""Trains the sample model in SageMaker's script mode: `python train.py --training DIR --model-dir DIR`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import joblib
import pandas as pd
from inference import FEATURES
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

LABEL = "malignant"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training", default=os.environ.get("SM_CHANNEL_TRAINING", "."))
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR", "."))
    parser.add_argument("--C", type=float, default=1.0, help="inverse strength of the regularisation")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows = pd.read_parquet(Path(args.training) / "train.parquet")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=args.C, max_iter=1000, random_state=args.seed))
    model.fit(rows[FEATURES].astype(float), rows[LABEL])
    predictions = model.predict_proba(rows[FEATURES].astype(float))[:, 1]
    print(f"metric: train_auc={roc_auc_score(rows[LABEL], predictions):.5f}", flush=True)
    joblib.dump(model, Path(args.model_dir) / "model.joblib")


if __name__ == "__main__":
    main()

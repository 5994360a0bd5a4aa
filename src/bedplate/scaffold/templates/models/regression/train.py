"""Trains the sample model in SageMaker's script mode: `python train.py --training DIR --model-dir DIR`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import joblib
import pandas as pd
from inference import FEATURES
from sklearn.linear_model import Ridge
from sklearn.metrics import root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

LABEL = "progression"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training", default=os.environ.get("SM_CHANNEL_TRAINING", "."))
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR", "."))
    parser.add_argument("--alpha", type=float, default=1.0, help="strength of the regularisation")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows = pd.read_parquet(Path(args.training) / "train.parquet")
    model = make_pipeline(StandardScaler(), Ridge(alpha=args.alpha, random_state=args.seed))
    model.fit(rows[FEATURES].astype(float), rows[LABEL])
    predictions = model.predict(rows[FEATURES].astype(float))
    print(f"metric: train_rmse={root_mean_squared_error(rows[LABEL], predictions):.5f}", flush=True)
    joblib.dump(model, Path(args.model_dir) / "model.joblib")


if __name__ == "__main__":
    main()

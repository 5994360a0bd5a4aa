"""Trains house-prices: gradient-boosted trees on `train.parquet`, in SageMaker's script mode.

    python train.py --training data/ --model-dir model/ --learning_rate 0.05

Equal rows, hyper-parameters and seed give an equal model on the same machine.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from inference import CATEGORICAL, LEVEL, MODEL_FILE, Encoder, predict_fn
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

LABEL = "median_price"


def main() -> None:
    args = _arguments()
    rows = pd.read_parquet(Path(args.training) / "train.parquet")
    encoder, prices = Encoder.of(rows), rows[LABEL].to_numpy(dtype=float)
    print(f"{len(rows):,} months of {rows['city'].nunique()} towns, median price ${np.median(prices):,.0f}", flush=True)
    trees = HistGradientBoostingRegressor(
        learning_rate=args.learning_rate,
        max_iter=args.max_iter,
        max_leaf_nodes=args.max_leaf_nodes,
        min_samples_leaf=args.min_samples_leaf,
        categorical_features=list(range(len(CATEGORICAL))),
        early_stopping=False,  # its validation split is random in time and would stop far too late
        random_state=args.seed,
    ).fit(encoder.encode(rows), np.log(prices / rows[LEVEL].to_numpy(dtype=float)))
    predictions = predict_fn(rows, (encoder, trees))
    print(f"metric: train_rmse={root_mean_squared_error(prices, predictions):.2f}")
    print(f"metric: train_mae={mean_absolute_error(prices, predictions):.2f}", flush=True)
    joblib.dump((encoder.codes, trees), Path(args.model_dir) / MODEL_FILE)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--training", default=os.environ.get("SM_CHANNEL_TRAINING", "."), help="folder of train.parquet"
    )
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR", "."), help="folder of the model")
    parser.add_argument("--learning_rate", type=float, default=0.05)
    parser.add_argument("--max_iter", type=int, default=100)
    parser.add_argument("--max_leaf_nodes", type=int, default=8)
    parser.add_argument("--min_samples_leaf", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()

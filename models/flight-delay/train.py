"""Trains flight-delay: gradient-boosted trees on `train.parquet`, in SageMaker's script mode.

    python train.py --training data/ --model-dir model/ --learning_rate 0.03

Equal rows, hyper-parameters and seed give an equal model on the same machine. With a checkpoint folder, which jobs on
spot instances have, the trees are trained in blocks, and an interrupted run resumes after its last block with the same
result.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from inference import CATEGORICAL, MODEL_FILE, Encoder
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score

LABEL = "delayed"
CHECKPOINT = "classifier.joblib"
BLOCK = 25
"""Boosting rounds between two checkpoints, which take some seconds."""


def main() -> None:
    args = _arguments()
    rows = pd.read_parquet(Path(args.training) / "train.parquet")
    started = time.monotonic()
    encoder = Encoder.of(rows)
    matrix, late = encoder.encode(rows), rows[LABEL].to_numpy()
    print(f"{len(rows):,} flights, {late.mean():.1%} late, {matrix.shape[1]} features", flush=True)
    if args.validation_fraction > 0:  # for tuning: evaluate a first model on the last rows, which it is not trained on
        cut = int(len(rows) * (1 - args.validation_fraction))
        predictions = _fit(args, matrix[:cut], late[:cut], checkpoints=None).predict_proba(matrix[cut:])[:, 1]
        print(f"metric: validation_auc={roc_auc_score(late[cut:], predictions):.5f}")
        print(f"metric: validation_log_loss={log_loss(late[cut:], predictions):.5f}", flush=True)
    classifier = _fit(args, matrix, late, checkpoints=args.checkpoint_dir)
    predictions = classifier.predict_proba(matrix)[:, 1]
    print(f"metric: train_auc={roc_auc_score(late, predictions):.5f}")
    print(f"metric: train_log_loss={log_loss(late, predictions):.5f}")
    print(f"metric: fit_seconds={time.monotonic() - started:.2f}", flush=True)
    joblib.dump((encoder.codes, classifier), Path(args.model_dir) / MODEL_FILE)


def _fit(
    args: argparse.Namespace, matrix: np.ndarray, late: np.ndarray, *, checkpoints: str | None
) -> HistGradientBoostingClassifier:
    checkpoint = Path(checkpoints) / CHECKPOINT if checkpoints else None
    classifier = _load_checkpoint(checkpoint) or HistGradientBoostingClassifier(
        learning_rate=args.learning_rate,
        max_leaf_nodes=args.max_leaf_nodes,
        min_samples_leaf=args.min_samples_leaf,
        l2_regularization=args.l2_regularization,
        categorical_features=list(range(len(CATEGORICAL))),
        early_stopping=False,  # its validation split is random in time and would stop far too late
        random_state=args.seed,
        warm_start=True,
    )
    step = BLOCK if checkpoint else args.max_iter
    for rounds in range(step * (_round_count(classifier) // step + 1), args.max_iter + step, step):
        classifier.set_params(max_iter=min(rounds, args.max_iter)).fit(matrix, late)
        if checkpoint:
            joblib.dump(classifier, checkpoint.with_suffix(".partial"))
            checkpoint.with_suffix(".partial").replace(checkpoint)
            print(f"checkpoint after {_round_count(classifier)} of {args.max_iter} rounds", flush=True)
    return classifier


def _load_checkpoint(checkpoint: Path | None) -> HistGradientBoostingClassifier | None:
    if checkpoint is None or not checkpoint.exists():
        return None
    classifier = joblib.load(checkpoint)
    print(f"resuming after {_round_count(classifier)} rounds", flush=True)
    return classifier


def _round_count(classifier: HistGradientBoostingClassifier) -> int:
    return int(getattr(classifier, "n_iter_", 0))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--training", default=os.environ.get("SM_CHANNEL_TRAINING", "."), help="folder of train.parquet"
    )
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR", "."), help="folder of the model")
    parser.add_argument("--checkpoint-dir", default=os.environ.get("SM_CHECKPOINT_DIR"), help="folder of checkpoints")
    parser.add_argument("--learning_rate", type=float, default=0.03)
    parser.add_argument("--max_iter", type=int, default=150)
    parser.add_argument("--max_leaf_nodes", type=int, default=15)
    parser.add_argument("--min_samples_leaf", type=int, default=50)
    parser.add_argument("--l2_regularization", type=float, default=1.0)
    parser.add_argument(
        "--validation_fraction", type=float, default=0.0, help="share of the last rows that evaluate a first model"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()

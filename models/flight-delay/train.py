"""Trains flight-delay: gradient-boosted trees on `train.parquet`, in SageMaker's script mode.

    python train.py --training data/ --model-dir model/ --learning_rate 0.03

The same rows, hyper-parameters and seed give the same model on the same machine. With a checkpoint folder, as a job on
spot instances has one, the trees are grown in blocks, and a run that was interrupted goes on after its last block: the
result is the same.
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
"""Boosting rounds between two checkpoints: some seconds of work."""


def main() -> None:
    args = _arguments()
    rows = pd.read_parquet(Path(args.training) / "train.parquet")
    started = time.monotonic()
    encoder = Encoder.of(rows)
    matrix, late = encoder.encode(rows), rows[LABEL].to_numpy()
    print(f"{len(rows):,} flights, {late.mean():.1%} late, {matrix.shape[1]} features", flush=True)
    if args.validation_fraction > 0:  # for a tuning: judged by the last rows, which the first model never saw
        cut = int(len(rows) * (1 - args.validation_fraction))
        judged = _fitted(args, matrix[:cut], late[:cut], checkpoints=None).predict_proba(matrix[cut:])[:, 1]
        print(f"metric: validation_auc={roc_auc_score(late[cut:], judged):.5f}")
        print(f"metric: validation_log_loss={log_loss(late[cut:], judged):.5f}", flush=True)
    classifier = _fitted(args, matrix, late, checkpoints=args.checkpoint_dir)
    answers = classifier.predict_proba(matrix)[:, 1]
    print(f"metric: train_auc={roc_auc_score(late, answers):.5f}")
    print(f"metric: train_log_loss={log_loss(late, answers):.5f}")
    print(f"metric: fit_seconds={time.monotonic() - started:.2f}", flush=True)
    joblib.dump((encoder.codes, classifier), Path(args.model_dir) / MODEL_FILE)


def _fitted(
    args: argparse.Namespace, matrix: np.ndarray, late: np.ndarray, *, checkpoints: str | None
) -> HistGradientBoostingClassifier:
    kept = Path(checkpoints) / CHECKPOINT if checkpoints else None
    classifier = _last_checkpoint(kept) or HistGradientBoostingClassifier(
        learning_rate=args.learning_rate,
        max_leaf_nodes=args.max_leaf_nodes,
        min_samples_leaf=args.min_samples_leaf,
        l2_regularization=args.l2_regularization,
        categorical_features=list(range(len(CATEGORICAL))),
        early_stopping=False,  # the validation split it takes is random in time: it would stop far too late
        random_state=args.seed,
        warm_start=True,
    )
    step = BLOCK if kept else args.max_iter
    for grown in range(step * (_grown(classifier) // step + 1), args.max_iter + step, step):
        classifier.set_params(max_iter=min(grown, args.max_iter)).fit(matrix, late)
        if kept:
            joblib.dump(classifier, kept.with_suffix(".partial"))
            kept.with_suffix(".partial").replace(kept)
            print(f"checkpoint after {_grown(classifier)} of {args.max_iter} rounds", flush=True)
    return classifier


def _last_checkpoint(kept: Path | None) -> HistGradientBoostingClassifier | None:
    if kept is None or not kept.exists():
        return None
    classifier = joblib.load(kept)
    print(f"going on after {_grown(classifier)} rounds", flush=True)
    return classifier


def _grown(classifier: HistGradientBoostingClassifier) -> int:
    return int(getattr(classifier, "n_iter_", 0))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--training", default=os.environ.get("SM_CHANNEL_TRAINING", "."), help="where train.parquet is")
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR", "."), help="where the model goes")
    parser.add_argument("--checkpoint-dir", default=os.environ.get("SM_CHECKPOINT_DIR"), help="kept while training")
    parser.add_argument("--learning_rate", type=float, default=0.03)
    parser.add_argument("--max_iter", type=int, default=150)
    parser.add_argument("--max_leaf_nodes", type=int, default=15)
    parser.add_argument("--min_samples_leaf", type=int, default=50)
    parser.add_argument("--l2_regularization", type=float, default=1.0)
    parser.add_argument("--validation_fraction", type=float, default=0.0, help="last rows to judge a first model by")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()

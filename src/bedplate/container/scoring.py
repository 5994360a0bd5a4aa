"""Scores the rows of a Parquet file with one model, in a separate process because two models would share modules.

    python -m bedplate.container.scoring MODEL_DIR ROWS.parquet OUTPUT.npy [EXPLANATION]

EXPLANATION is a JSON object (see `explanation.explanation_settings`). With it, OUTPUT.npz holds the SHAP values of
sampled rows.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from bedplate.container.explanation import explain
from bedplate.container.requests import read_features
from bedplate.container.script import InferenceError, ModelLoadError, load_script, read_contract
from bedplate.process_exit import exit_process

BATCH_ROWS = 65_536


def main(arguments: list[str]) -> int:
    model_dir, rows, output = (Path(argument) for argument in arguments[:3])
    settings = json.loads(arguments[3]) if len(arguments) > 3 else None
    try:
        seconds = score(model_dir, rows, output, settings)
    except (ModelLoadError, InferenceError, KeyError) as exc:
        print(exc.args[0], file=sys.stderr)
        return 1
    print(json.dumps({"seconds": seconds}))
    return 0


def score(model_dir: Path, rows: Path, output: Path, settings: dict[str, Any] | None = None) -> float:
    """Writes the predictions as a numpy array of floats, shape (rows,), and returns the scoring time in seconds.

    With `settings` it then explains sampled rows. A model that fails there has still scored; stderr has the reason.
    Raises ModelLoadError, InferenceError, and KeyError for a feature that the rows do not have.
    """
    import numpy as np
    import pyarrow.parquet as pq

    from bedplate.container.frames import frame_from_table

    contract = read_contract(model_dir)
    features = read_features(contract)
    script = load_script(model_dir, contract)
    with pq.ParquetFile(rows) as file:  # read_table() imports pyarrow.dataset, which is slow
        table = file.read()
    started = time.monotonic()
    batches = [
        script.predict(frame_from_table(table.slice(first_row, BATCH_ROWS), features))
        for first_row in range(0, table.num_rows, BATCH_ROWS)
    ]
    seconds = time.monotonic() - started
    np.save(output, np.concatenate(batches) if batches else np.empty(0))
    if settings:
        try:
            explain(script, table, features, settings, output.with_suffix(".npz"), time.monotonic)
        except InferenceError as exc:
            print(f"not explained: {exc.args[0]}", file=sys.stderr)
    return seconds


if __name__ == "__main__":
    exit_process(main(sys.argv[1:]))

"""Lets one model answer the rows of a Parquet file, in a process of its own: two models in one would share modules.

python -m bedplate.container.scoring MODEL_DIR ROWS.parquet OUT.npy [EXPLAIN]

EXPLAIN is JSON (see `explaining.explain`): then OUT.npz holds what the answers to some of the rows hang on.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from bedplate.container.explanation import explain
from bedplate.container.requests import features_of
from bedplate.container.script import ModelFailed, ModelWillNotLoad, contract_of, load
from bedplate.process_exit import end

BATCH_ROWS = 65_536


def main(arguments: list[str]) -> int:
    model_dir, rows, out = (Path(argument) for argument in arguments[:3])
    asked = json.loads(arguments[3]) if len(arguments) > 3 else None
    try:
        seconds = score(model_dir, rows, out, asked)
    except (ModelWillNotLoad, ModelFailed, KeyError) as exc:
        print(exc.args[0], file=sys.stderr)
        return 1
    print(json.dumps({"seconds": seconds}))
    return 0


def score(model_dir: Path, rows: Path, out: Path, asked: dict[str, Any] | None = None) -> float:
    """Write the answers as a numpy file of floats, (rows,); returns the seconds that answering took.

    With `asked` explain some of them afterwards; a model that fails in that has still scored, and stderr says why.
    Raises ModelWillNotLoad, ModelFailed, KeyError for a feature that the rows lack.
    """
    import numpy as np
    import pyarrow.parquet as pq

    from bedplate.container.frames import frame_of_table

    contract = contract_of(model_dir)
    features = features_of(contract)
    script = load(model_dir, contract)
    with pq.ParquetFile(rows) as file:  # read_table() imports pyarrow's data sets, which nothing here needs
        table = file.read()
    started = time.monotonic()
    answers = [
        script.predict(frame_of_table(table.slice(start, BATCH_ROWS), features))
        for start in range(0, table.num_rows, BATCH_ROWS)
    ]
    seconds = time.monotonic() - started
    np.save(out, np.concatenate(answers) if answers else np.empty(0))
    if asked:
        try:
            explain(script, table, features, asked, out.with_suffix(".npz"), time.monotonic)
        except ModelFailed as exc:
            print(f"not explained: {exc.args[0]}", file=sys.stderr)
    return seconds


if __name__ == "__main__":
    end(main(sys.argv[1:]))

"""Computes SHAP values of a loaded model's predictions on sampled rows, through its own `predict_fn`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from bedplate.container.requests import Feature
    from bedplate.container.script import Script
    from bedplate.settings import ModelSpec


def explanation_settings(spec: ModelSpec) -> dict[str, Any]:
    """Returns the settings of the explanation gate, which `explain` takes. The gate must be set."""
    gate = spec.gates.explanation
    assert gate is not None
    settings: dict[str, Any] = gate.model_dump(include={"rows", "background", "draws", "max_seconds"})
    return {**settings, "seed": spec.training.seed}


def explain(
    script: Script,
    table: pa.Table,
    features: Sequence[Feature],
    settings: dict[str, Any],
    output: Path,
    clock: Callable[[], float],
) -> None:
    """Writes `values` (explained rows, features), `features` and `seconds` as a numpy archive.

    `settings` is what `explanation_settings` returns. Explained and background rows are distinct rows of the table;
    the same seed samples the same rows for every model.
    """
    import numpy as np

    from bedplate.container.frames import frame_from_table
    from bedplate.domain.evidence.explanation import shapley_values

    started = clock()
    order = np.random.default_rng(settings["seed"]).permutation(table.num_rows)
    rows = min(settings["rows"], max(0, table.num_rows - 1))
    background = min(settings["background"], table.num_rows - rows)
    frame = frame_from_table(table.take(order[: rows + background]), features)
    values = shapley_values(
        _composed_predictor(script, frame),
        rows if background else 0,
        background,
        len(features),
        draws=settings["draws"],
        seed=settings["seed"],
        should_continue=lambda: clock() - started < settings["max_seconds"],
    )
    np.savez(output, values=values, features=np.array([f.name for f in features]), seconds=clock() - started)


def _composed_predictor(script: Script, frame: Any) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Returns a function that scores rows composed from `frame`; `indices[i, j]` is the row that cell i, j is from."""
    import pandas as pd

    columns = {name: frame[name].array for name in frame.columns}

    def predict(indices: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        taken = {name: column.take(indices[:, i]) for i, (name, column) in enumerate(columns.items())}
        return script.predict(pd.DataFrame(taken, copy=False))

    return predict

"""Explains the answers of a loaded model on sampled rows: SHAP values through its own `predict_fn`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from bedplate.container.requests import Feature
    from bedplate.container.script import Script


def explain(
    script: Script,
    table: pa.Table,
    features: Sequence[Feature],
    asked: dict[str, Any],
    out: Path,
    clock: Callable[[], float],
) -> None:
    """Write `values` (rows explained, features), `features` and `seconds` as a numpy archive.

    `asked` has `rows`, `background`, `draws`, `seed` and `max_seconds`. Rows and background are different rows of the
    table, the same ones for every model that is asked with the same seed.
    """
    import numpy as np

    from bedplate.container.frames import frame_of_table
    from bedplate.domain.evidence.explanation import shapley

    started = clock()
    chosen = np.random.default_rng(asked["seed"]).permutation(table.num_rows)
    rows = min(asked["rows"], max(0, table.num_rows - 1))
    background = min(asked["background"], table.num_rows - rows)
    pool = frame_of_table(table.take(chosen[: rows + background]), features)
    values = shapley(
        _answering(script, pool),
        rows if background else 0,
        background,
        len(features),
        draws=asked["draws"],
        seed=asked["seed"],
        go_on=lambda: clock() - started < asked["max_seconds"],
    )
    np.savez(out, values=values, features=np.array([f.name for f in features]), seconds=clock() - started)


def _answering(script: Script, pool: Any) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Answers composed rows: each cell is taken from the pool's row that the index names, with the pool's types."""
    import pandas as pd

    columns = {name: pool[name].array for name in pool.columns}

    def answer(indices: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        taken = {name: column.take(indices[:, i]) for i, (name, column) in enumerate(columns.items())}
        return script.predict(pd.DataFrame(taken, copy=False))

    return answer

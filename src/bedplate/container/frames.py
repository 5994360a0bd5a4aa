"""Builds the DataFrame that a script's `predict_fn` is given, with the same types in serving as in evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bedplate.container.requests import Feature

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def frame_of(columns: Mapping[str, Sequence[Any]], features: Sequence[Feature]) -> pd.DataFrame:
    """Checked columns of a request (`requests.columns_of`) as a DataFrame, in the contract's order.

    Numbers are float64; integers and booleans int64 and bool, or float64 and object where one is null; text and times
    are strings, None where null.
    """
    import numpy as np
    import pandas as pd

    arrays: dict[str, Any] = {}
    for feature in features:
        values = columns[feature.name]
        if feature.type == "number":
            arrays[feature.name] = np.array(values, dtype=np.float64)
        elif feature.type in ("integer", "boolean") and None not in values:
            arrays[feature.name] = np.array(values, dtype=np.int64 if feature.type == "integer" else np.bool_)
        elif feature.type == "integer":
            arrays[feature.name] = np.array(values, dtype=np.float64)
        else:
            arrays[feature.name] = pd.array(np.array(values, dtype=object), dtype=_TEXT[feature.type])
    return pd.DataFrame(arrays, copy=False)


def frame_of_table(table: pa.Table, features: Sequence[Feature]) -> pd.DataFrame:
    """Rows of a Parquet file with the types that a request's would have. Raises KeyError for a missing column."""
    import pyarrow as pa

    kinds = {"number": pa.float64(), "integer": pa.int64(), "string": pa.string(), "boolean": pa.bool_()}
    arrays = []
    for feature in features:
        array = table.column(feature.name)
        arrays.append(_text(array) if feature.type == "timestamp" else array.cast(kinds[feature.type]))
    return pa.table(arrays, names=[f.name for f in features]).to_pandas()


def _text(array: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return array if str(array.type) == "string" else pc.strftime(array, format="%Y-%m-%dT%H:%M:%SZ")


_TEXT = {"string": "str", "timestamp": "str", "boolean": "object"}

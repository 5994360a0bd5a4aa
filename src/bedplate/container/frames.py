"""Builds the DataFrame that `predict_fn` receives, with the same dtypes in serving and in evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bedplate.container.requests import Feature

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def build_frame(columns: Mapping[str, Sequence[Any]], features: Sequence[Feature]) -> pd.DataFrame:
    """Returns the columns of a request (from `requests.extract_columns`) as a DataFrame in the contract's order.

    Numbers are float64. Integers are int64, or float64 if a value is null; booleans are bool, or object if a value is
    null. Text and times are pandas' `str`, with null as a missing value.
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
            arrays[feature.name] = pd.array(np.array(values, dtype=object), dtype=_PANDAS_TYPES[feature.type])
    return pd.DataFrame(arrays, copy=False)


def frame_from_table(table: pa.Table, features: Sequence[Feature]) -> pd.DataFrame:
    """Returns the rows of a Parquet file with the dtypes of `build_frame`. Raises KeyError for a missing column."""
    import pyarrow as pa

    arrow_types = {"number": pa.float64(), "integer": pa.int64(), "string": pa.string(), "boolean": pa.bool_()}
    arrays = []
    for feature in features:
        array = table.column(feature.name)
        arrays.append(_format_times(array) if feature.type == "timestamp" else array.cast(arrow_types[feature.type]))
    return pa.table(arrays, names=[f.name for f in features]).to_pandas()


def _format_times(array: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns times in ISO 8601, as requests have them: `2024-05-01T12:00:00Z`. Text is returned unchanged."""
    import pyarrow.compute as pc

    return array if str(array.type) == "string" else pc.strftime(array, format="%Y-%m-%dT%H:%M:%SZ")


_PANDAS_TYPES = {"string": "str", "timestamp": "str", "boolean": "object"}
"""The pandas dtype of each contract type that numpy does not hold; booleans only with null values."""

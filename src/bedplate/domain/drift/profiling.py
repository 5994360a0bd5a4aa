"""Builds profiles of Arrow tables, record batches and Parquet files, one column at a time, with numpy.

Decoding dominates the cost of Parquet files, so each thread decodes its own share of the row groups through its own
file handle. Categories are read as dictionaries and counted by their indices.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.drift.profile import CategoryProfile, ColumnProfile, NumericProfile

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 65_536
Profiles = dict[str, ColumnProfile]


def build_reference(table: pa.Table, columns: Iterable[str]) -> Profiles:
    """Returns the reference profile of each column: text and booleans as categories, other types as numbers."""
    profiles: Profiles = {}
    for name in columns:
        values = table.column(name).combine_chunks()
        if is_categorical(values.type):
            profiles[name] = CategoryProfile.build_reference(*encode_categories(values))
        else:
            profiles[name] = NumericProfile.build_reference(to_floats(values))
    return profiles


def profile_batches(batches: Iterable[pa.RecordBatch], reference: Mapping[str, ColumnProfile]) -> Profiles:
    """Returns the profiles of all batches over the reference's edges; memory does not grow with the rows.

    Spark's `mapInArrow` can call it for each partition.
    """
    profiles: Profiles = {name: _empty_profile(profile) for name, profile in reference.items()}
    for batch in batches:
        for name, profile in reference.items():
            values = batch.column(name)
            if isinstance(profile, CategoryProfile):
                profiles[name] = merge_profiles(profiles[name], profile.count_values(*encode_categories(values)))
            else:
                profiles[name] = merge_profiles(profiles[name], profile.count_values(to_floats(values)))
    return profiles


def profile_files(
    paths: Sequence[Path], reference: Mapping[str, ColumnProfile], *, threads: int | None = None
) -> Profiles:
    """Returns the profiles of Parquet files over the reference's edges; memory does not grow with the rows.

    `threads` defaults to the machine's number of processors.
    """
    import pyarrow.parquet as pq

    groups = [(path, i) for path in paths for i in range(pq.read_metadata(path).num_row_groups)]
    workers = max(1, min(threads or os.cpu_count() or 1, len(groups) or 1))
    shares = [groups[i::workers] for i in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        return reduce(_merge_all, pool.map(lambda share: _profile_row_groups(share, reference), shares))


def merge_profiles(first: ColumnProfile, second: ColumnProfile) -> ColumnProfile:
    """Returns the profile of the values of both. Raises ValueError for different kinds, edges or categories."""
    if isinstance(first, CategoryProfile) and isinstance(second, CategoryProfile):
        return first.merge(second)
    if isinstance(first, NumericProfile) and isinstance(second, NumericProfile):
        return first.merge(second)
    raise ValueError("a profile of numbers and one of categories cannot be merged")


def is_categorical(data_type: pa.DataType) -> bool:
    """Returns whether values of this type are profiled as categories: text, booleans and dictionaries."""
    import pyarrow.types as kinds

    text = kinds.is_string(data_type) or kinds.is_large_string(data_type) or kinds.is_string_view(data_type)
    return bool(text or kinds.is_boolean(data_type) or kinds.is_dictionary(data_type))


def encode_categories(values: pa.Array) -> tuple[list[str], NDArray[Any]]:
    """Returns the names and the codes, (rows,) with -1 for null, of a column of text, dictionary or boolean type."""
    import pyarrow as pa

    array = values if pa.types.is_dictionary(values.type) else values.cast(pa.string()).dictionary_encode()
    codes = array.indices.fill_null(-1) if array.indices.null_count else array.indices
    return array.dictionary.cast(pa.string()).to_pylist(), np.asarray(np.from_dlpack(codes))


def to_floats(values: pa.Array) -> NDArray[np.float64]:
    """Returns numbers, (rows,) with NaN for null, without the conversion by pandas that `to_numpy` does."""
    import pyarrow as pa

    array = values if pa.types.is_float64(values.type) else values.cast(pa.float64())
    if array.null_count:
        array = array.fill_null(np.nan)
    return np.asarray(np.from_dlpack(array))


def _profile_row_groups(share: Sequence[tuple[Path, int]], reference: Mapping[str, ColumnProfile]) -> Profiles:
    import pyarrow.parquet as pq

    categories = [name for name, profile in reference.items() if isinstance(profile, CategoryProfile)]
    profiles: Profiles = {name: _empty_profile(profile) for name, profile in reference.items()}
    for path in dict.fromkeys(path for path, _ in share):
        row_groups = [i for p, i in share if p == path]
        with pq.ParquetFile(path, memory_map=False, pre_buffer=False, read_dictionary=categories) as file:
            batches = file.iter_batches(BATCH_ROWS, row_groups=row_groups, columns=list(reference), use_threads=False)
            profiles = _merge_all(profiles, profile_batches(batches, reference))
    return profiles


def _merge_all(first: Mapping[str, ColumnProfile], second: Mapping[str, ColumnProfile]) -> Profiles:
    return {name: merge_profiles(first[name], second[name]) for name in first}


def _empty_profile(profile: ColumnProfile) -> ColumnProfile:
    if isinstance(profile, CategoryProfile):
        return profile.count_values([], np.empty(0, dtype=np.int64))
    return profile.count_values(np.empty(0))

"""Profiles tables and Parquet files of any size: one numpy kernel over Arrow batches, threads over row groups.

Decoding dominates, so every thread decodes for itself: its own file handle and its share of the row groups. Categories
are read as dictionaries and counted by their indices.
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


def reference_of(table: pa.Table, columns: Iterable[str]) -> Profiles:
    """The reference of each column: text and booleans as categories, all else as numbers."""
    found: Profiles = {}
    for name in columns:
        values = table.column(name).combine_chunks()
        if is_category(values.type):
            found[name] = CategoryProfile.reference(*encoded(values))
        else:
            found[name] = NumericProfile.reference(floats(values))
    return found


def profile_batches(batches: Iterable[pa.RecordBatch], reference: Mapping[str, ColumnProfile]) -> Profiles:
    """Counts of the batches over the reference's edges: what Spark's `mapInArrow` calls for each partition."""
    found: Profiles = {name: _empty(profile) for name, profile in reference.items()}
    for batch in batches:
        for name, profile in reference.items():
            values = batch.column(name)
            if isinstance(profile, CategoryProfile):
                found[name] = merged(found[name], profile.count(*encoded(values)))
            else:
                found[name] = merged(found[name], profile.count(floats(values)))
    return found


def profile_files(
    paths: Sequence[Path], reference: Mapping[str, ColumnProfile], *, threads: int | None = None
) -> Profiles:
    """Counts of Parquet files over the reference's edges; memory does not grow with the rows.

    `threads` is the machine's number of processors where it is None.
    """
    import pyarrow.parquet as pq

    groups = [(path, i) for path in paths for i in range(pq.read_metadata(path).num_row_groups)]
    workers = max(1, min(threads or os.cpu_count() or 1, len(groups) or 1))
    shares = [groups[i::workers] for i in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        parts = list(pool.map(lambda share: _profile_groups(share, reference), shares))
    return reduce(merge_all, parts)


def merge_all(first: Mapping[str, ColumnProfile], second: Mapping[str, ColumnProfile]) -> Profiles:
    return {name: merged(first[name], second[name]) for name in first}


def merged(first: ColumnProfile, second: ColumnProfile) -> ColumnProfile:
    """Raises ValueError for profiles of different kinds, edges or categories."""
    if isinstance(first, CategoryProfile) and isinstance(second, CategoryProfile):
        return first.merge(second)
    if isinstance(first, NumericProfile) and isinstance(second, NumericProfile):
        return first.merge(second)
    raise ValueError("a profile of numbers and one of categories do not merge")


def is_category(kind: pa.DataType) -> bool:
    import pyarrow.types as kinds

    text = kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind)
    return bool(text or kinds.is_boolean(kind) or kinds.is_dictionary(kind))


def encoded(values: pa.Array) -> tuple[list[str], NDArray[Any]]:
    """Names and codes (-1 for null) of a column of text, of a dictionary, or of booleans."""
    import pyarrow as pa

    array = values if pa.types.is_dictionary(values.type) else values.cast(pa.string()).dictionary_encode()
    codes = array.indices.fill_null(-1) if array.indices.null_count else array.indices
    return array.dictionary.cast(pa.string()).to_pylist(), np.asarray(np.from_dlpack(codes))


def floats(values: pa.Array) -> NDArray[np.float64]:
    """Numbers with NaN for null, without the detour over pandas that `to_numpy` takes."""
    import pyarrow as pa

    array = values if pa.types.is_float64(values.type) else values.cast(pa.float64())
    if array.null_count:
        array = array.fill_null(np.nan)
    return np.asarray(np.from_dlpack(array))


def _profile_groups(share: Sequence[tuple[Path, int]], reference: Mapping[str, ColumnProfile]) -> Profiles:
    import pyarrow.parquet as pq

    categories = [name for name, profile in reference.items() if isinstance(profile, CategoryProfile)]
    found: Profiles = {name: _empty(profile) for name, profile in reference.items()}
    for path in dict.fromkeys(path for path, _ in share):
        with pq.ParquetFile(path, memory_map=False, pre_buffer=False, read_dictionary=categories) as file:
            batches = file.iter_batches(
                BATCH_ROWS, row_groups=[i for p, i in share if p == path], columns=list(reference), use_threads=False
            )
            found = merge_all(found, profile_batches(batches, reference))
    return found


def _empty(profile: ColumnProfile) -> ColumnProfile:
    if isinstance(profile, CategoryProfile):
        return profile.count([], np.empty(0, dtype=np.int64))
    return profile.count(np.empty(0))

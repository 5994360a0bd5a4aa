"""Compares two registered dataset versions, or one with a file that is not registered yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bedplate.domain.data.diff import DataDiff, diff_datasets
from bedplate.errors import NotFound
from bedplate.settings import ModelSpec
from bedplate.workflows.data.files import DataFile, is_profiled
from bedplate.workflows.data.versions import download_version, find_dataset_version
from bedplate.workflows.stack_context import StackContext


@dataclass(frozen=True, slots=True)
class DataComparison:
    """The difference of two datasets; `first` and `second` are their short hashes or file names."""

    first: str
    second: str
    diff: DataDiff


def compare_versions(stack: StackContext, model: str, first: str, second: str) -> DataComparison:
    """Compares two datasets; each is named by the beginning of a content hash, by `latest`, or by a file.

    Raises NotFound, UsageError, and GateFailed when a version does not match its signature.
    """
    from bedplate.domain.drift.profiling import build_reference

    spec = stack.model(model)
    first_name, first_file = _open_version(stack, spec, first)
    second_name, second_file = _open_version(stack, spec, second)
    table = first_file.table(spec.data)
    profiled = [name for name in table.column_names if is_profiled(spec.data.columns[name])]
    reference, rows = build_reference(table, profiled), second_file.table(spec.data)
    return DataComparison(first_name, second_name, diff_datasets(spec, reference, table.schema, table.num_rows, rows))


def _open_version(stack: StackContext, spec: ModelSpec, name: str) -> tuple[str, DataFile]:
    next_step = f"bedplate data list {spec.name}"
    path = Path(name)
    if path.suffix and path.is_file():
        return name, DataFile.open(path, next_step=next_step)
    if path.suffix:
        raise NotFound(f"{name} does not exist", next_step=next_step)
    version = find_dataset_version(stack, spec.name, name)
    return version.short_hash, DataFile.open(download_version(stack, version), next_step=next_step)

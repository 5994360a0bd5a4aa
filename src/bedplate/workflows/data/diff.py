"""Compares two registered versions of a model's data, or one with a file that is not registered yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bedplate.domain.data.diff import DataDiff, diff
from bedplate.errors import NotFound
from bedplate.settings import ModelSpec
from bedplate.workflows.data.files import DataFile
from bedplate.workflows.data.versions import fetch, find
from bedplate.workflows.stack_context import StackContext


@dataclass(frozen=True, slots=True)
class DataComparison:
    """`a` and `b` as people call them."""

    a: str
    b: str
    diff: DataDiff


def compare_versions(stack: StackContext, model: str, a: str, b: str) -> DataComparison:
    """Each is the beginning of a content hash, `latest`, or a file.

    Raises NotFound, UsageError, GateFailed when a version is not what was signed.
    """
    from bedplate.domain.drift.kernel import reference_of

    spec = stack.model(model)
    (name_a, first), (name_b, second) = (_opened(stack, spec, name) for name in (a, b))
    table = first.table(spec.data)
    profiled = [
        n for n in table.column_names if spec.data.columns[n].role not in ("key", "time") and _profiled(spec, n)
    ]
    found = diff(spec, reference_of(table, profiled), table.schema, table.num_rows, second.table(spec.data))
    return DataComparison(name_a, name_b, found)


def _opened(stack: StackContext, spec: ModelSpec, name: str) -> tuple[str, DataFile]:
    here = f"bedplate data list {spec.name}"
    path = Path(name)
    if path.suffix and path.is_file():
        return name, DataFile.open(path, next_step=here)
    if path.suffix:
        raise NotFound(f"There is no file {name}", next_step=here)
    version = find(stack, spec.name, name)
    return version.short, DataFile.open(fetch(stack, version), next_step=here)


def _profiled(spec: ModelSpec, name: str) -> bool:
    return spec.data.columns[name].type != "timestamp"

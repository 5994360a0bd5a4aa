"""Finds anomalies in data that indicate poisoning or a broken feed, within a table and against the last version.

Each check warns with the affected rows; a warning is no proof. Thresholds bound the size of an effect as well as its
p-value, because with a hundred thousand rows every small difference is significant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.data.contract import to_frame
from bedplate.domain.drift.divergence import benjamini_hochberg
from bedplate.domain.evidence.significance import binomial_tail, two_proportions_p_value, welch_p_value
from bedplate.domain.formatting import format_short
from bedplate.settings import DataContract

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Kind = Literal["label flips", "label rate", "duplicates", "near duplicates", "outlier burst"]
MAX_ROWS = 10
"""Rows that an anomaly lists."""
SIGNIFICANCE = 0.001
"""Adjusted p-value below which a difference is significant."""
RATE_JUMP = 0.1
"""Smallest reported change of a segment's rate of a binary label."""
MEAN_JUMP_SD = 0.5
"""Smallest reported change of a segment's mean of another label, in standard deviations."""
MIN_SEGMENT = 100
MAX_SEGMENTS = 200
DUPLICATE_SHARE = 0.01
NEAR_DUPLICATE_SHARE = 0.05
GROWTH = 2.0
"""Duplicates are reported above their share and above this multiple of the last version's share."""
NEAR_STEPS = 100
"""Two numbers are nearly equal when they are in the same hundredth of the range from the 5th to the 95th percentile."""
OUTLIER_Z = 8.0
"""Robust z, |x - median| / (1.4826 MAD): Iglewicz and Hoaglin call 3.5 an outlier; real data has long tails."""
BURST_ROWS = 20
BURST_RATIO = 10.0
SLICES = 200


@dataclass(frozen=True, slots=True)
class Anomaly:
    """An anomaly for a person to review: `rows` are the first of `count` rows, numbered from 0 as in the file."""

    kind: Kind
    subject: str
    message: str
    count: int
    rows: tuple[int, ...]
    p_value: float | None = None

    def __str__(self) -> str:
        rows = ", ".join(map(str, self.rows)) + (", ..." if self.count > len(self.rows) else "")
        return f"{self.kind}, {self.subject}: {self.message} (rows {rows})"


def find_anomalies(table: pa.Table, contract: DataContract, previous: pa.Table | None) -> tuple[Anomaly, ...]:
    """Returns the anomalies of a table that fits its contract, the most specific first.

    `previous` is the last accepted version, or None.
    """
    current = to_frame(table, contract.columns_in(table.column_names))
    reference = None if previous is None else to_frame(previous, contract.columns_in(previous.column_names))
    return (
        *(() if reference is None else _label_flips(current, reference, contract)),
        *(() if reference is None else _label_rates(current, reference, contract)),
        *_duplicates(current, reference, contract),
        *_outlier_bursts(current, reference, contract),
    )


def _label_flips(current: pd.DataFrame, reference: pd.DataFrame, contract: DataContract) -> Iterator[Anomaly]:
    """Finds rows that have another label than the row with the same keys and time in the last version."""
    import pandas as pd

    identity = [*contract.keys, *([contract.time] if contract.time else [])]
    if any(name not in reference.columns for name in (*identity, contract.label)):
        return
    index = pd.MultiIndex.from_frame(reference[identity])
    reference_labels = pd.Series(reference[contract.label].to_numpy(), index=index)
    reference_labels = reference_labels[~reference_labels.index.duplicated()]
    labels = reference_labels.reindex(pd.MultiIndex.from_frame(current[identity])).to_numpy()
    shared = ~pd.isna(labels)
    flipped = shared & (labels != current[contract.label].to_numpy())
    if count := int(flipped.sum()):
        n_shared = int(shared.sum())
        message = f"{count:,} of {n_shared:,} rows of the last version have another label ({count / n_shared:.1%})"
        yield Anomaly("label flips", contract.label, message, count, _first_rows(flipped))


def _label_rates(current: pd.DataFrame, reference: pd.DataFrame, contract: DataContract) -> Iterator[Anomaly]:
    """Finds segments whose label rate changed (whose mean label changed, for other labels than 0 and 1)."""
    if contract.label not in reference.columns or contract.columns[contract.label].type in ("string", "timestamp"):
        return
    current, reference = current[current[contract.label].notna()], reference[reference[contract.label].notna()]
    if not len(current) or not len(reference):
        return
    labels, reference_labels = (f[contract.label].to_numpy(dtype=np.float64) for f in (current, reference))
    is_binary = set(np.unique(labels)) | set(np.unique(reference_labels)) <= {0.0, 1.0}
    segments: list[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]] = [
        ("all rows", np.ones(len(current), bool), np.ones(len(reference), bool))
    ]
    for name in contract.segments:
        if name in reference.columns:
            values = current[name].value_counts()
            for value in values[values >= MIN_SEGMENT].index[:MAX_SEGMENTS]:
                in_reference = (reference[name] == value).to_numpy(dtype=bool)
                if in_reference.sum() >= MIN_SEGMENT:
                    segments.append((f"{name} {value}", (current[name] == value).to_numpy(dtype=bool), in_reference))
    pairs = [(labels[in_current], reference_labels[in_reference]) for _, in_current, in_reference in segments]
    p_values = benjamini_hochberg([_p_value(*pair, is_binary) for pair in pairs])
    min_change = RATE_JUMP if is_binary else MEAN_JUMP_SD * float(reference_labels.std())
    for (subject, rows, _), pair, p_value in zip(segments, pairs, p_values, strict=True):
        rate, reference_rate = (float(side.mean()) for side in pair)
        if p_value >= SIGNIFICANCE or abs(rate - reference_rate) < min_change:
            continue
        rates = f"mean {format_short(reference_rate)} before, {format_short(rate)} now"
        if is_binary:
            rates = f"{reference_rate:.1%} before, {rate:.1%} now"
            rows = rows & (labels == (1.0 if rate > reference_rate else 0.0))
        message = f"{rates}, adjusted p {_format_p_value(p_value)}"
        first_rows = tuple(int(row) for row in current.index[rows][:MAX_ROWS])
        yield Anomaly("label rate", subject, message, int(rows.sum()), first_rows, p_value)


def _p_value(current: NDArray[np.float64], reference: NDArray[np.float64], is_binary: bool) -> float:
    if is_binary:
        return two_proportions_p_value(int(current.sum()), len(current), int(reference.sum()), len(reference))
    sides = [
        (float(side.mean()), float(side.var(ddof=1)) if len(side) > 1 else 0.0, len(side))
        for side in (current, reference)
    ]
    return welch_p_value(*sides[0], *sides[1])


def _duplicates(current: pd.DataFrame, reference: pd.DataFrame | None, contract: DataContract) -> Iterator[Anomaly]:
    """Finds rows that repeat, exactly or nearly, a row with another key, as when one example is copied many times.

    Near duplicates are only compared with the last version, which shows how similar rows usually are.
    """
    steps = _near_steps(current if reference is None else reference, contract)
    kinds: tuple[tuple[Kind, float, bool], ...] = (
        ("duplicates", DUPLICATE_SHARE, False),
        ("near duplicates", NEAR_DUPLICATE_SHARE, True),
    )
    for kind, bound, is_near in kinds if reference is not None else kinds[:1]:
        is_repeated = _repeated_rows(current, contract, steps if is_near else None)
        share = float(is_repeated.mean()) if len(is_repeated) else 0.0
        reference_share = 0.0
        if reference is not None and len(reference):
            reference_share = float(_repeated_rows(reference, contract, steps if is_near else None).mean())
        if share > max(bound, GROWTH * reference_share):
            summary = f"{share:.1%} of the rows repeat an earlier row with another key"
            message = summary if reference is None else f"{summary}, {reference_share:.1%} in the last version"
            yield Anomaly(kind, "all features", message, int(is_repeated.sum()), _first_rows(is_repeated))
            return


def _repeated_rows(
    frame: pd.DataFrame, contract: DataContract, steps: dict[str, tuple[float, float]] | None
) -> NDArray[Any]:
    """Returns a mask of the rows whose features and label equal those of an earlier row.

    With `steps` (column -> start, width), numbers within one step count as equal, and the time is ignored, because
    copies may vary it.
    """
    time = [contract.time] if contract.time and steps is None else []
    names = [n for n in (*contract.features, contract.label, *time) if n in frame.columns]
    values = frame[names]
    if steps is not None:
        coarse = {n: ((frame[n] - low) / step).round() for n, (low, step) in steps.items() if n in names}
        values = values.assign(**coarse)
    repeated: NDArray[Any] = values.duplicated().to_numpy()
    return repeated


def _near_steps(frame: pd.DataFrame, contract: DataContract) -> dict[str, tuple[float, float]]:
    """Returns column -> (start, width of a step) for each numeric feature that varies."""
    steps = {}
    for name in contract.features:
        if name in frame.columns and contract.columns[name].type == "number" and frame[name].notna().any():
            low, high = frame[name].quantile(0.05), frame[name].quantile(0.95)
            if high > low:
                steps[name] = (float(low), float(high - low) / NEAR_STEPS)
    return steps


def _outlier_bursts(current: pd.DataFrame, reference: pd.DataFrame | None, contract: DataContract) -> Iterator[Anomaly]:
    """Finds slices of time in which far more values than elsewhere are outliers; without a time, slices of the file."""
    if len(current) < BURST_ROWS:
        return
    slices = _slices(current, contract)
    bursts: list[tuple[str, float, int, NDArray[np.bool_]]] = []
    for name in contract.features:
        if name not in current.columns or contract.columns[name].type not in ("number", "integer"):
            continue
        usual = current if reference is None or name not in reference.columns else reference
        is_outlier = _outliers(current[name], usual[name])
        total = int(is_outlier.sum())
        if total < BURST_ROWS:
            continue
        n_outliers, rows = np.bincount(slices[is_outlier], minlength=SLICES), np.bincount(slices, minlength=SLICES)
        for time_slice in np.flatnonzero(n_outliers >= BURST_ROWS):
            elsewhere = max(1, total - int(n_outliers[time_slice])) / max(1, len(current) - int(rows[time_slice]))
            if n_outliers[time_slice] / rows[time_slice] >= BURST_RATIO * elsewhere:
                p_value = binomial_tail(int(n_outliers[time_slice]), int(rows[time_slice]), elsewhere)
                bursts.append((name, p_value, int(rows[time_slice]), is_outlier & (slices == time_slice)))
    adjusted = benjamini_hochberg([p_value for _, p_value, _, _ in bursts])
    for (name, _, n_rows, in_burst), p_value in zip(bursts, adjusted, strict=True):
        if p_value >= SIGNIFICANCE:
            continue
        count, period = int(in_burst.sum()), _format_period(current, in_burst, contract)
        message = f"{count:,} of {n_rows:,} rows {period}are outliers, adjusted p {_format_p_value(p_value)}"
        yield Anomaly("outlier burst", name, message, count, _first_rows(in_burst), p_value)


def _outliers(values: pd.Series[Any], reference: pd.Series[Any]) -> NDArray[np.bool_]:
    """Returns a mask of the values whose robust z, by the reference, is above OUTLIER_Z.

    A column in which half of the values are equal has a spread of 0 and no outliers.
    """
    finite = reference.to_numpy(dtype=np.float64)
    finite = finite[~np.isnan(finite)]
    median = float(np.median(finite)) if len(finite) else 0.0
    spread = 1.4826 * float(np.median(np.abs(finite - median))) if len(finite) else 0.0
    if spread == 0:
        return np.zeros(len(values), bool)
    is_outlier: NDArray[np.bool_] = np.abs(values.to_numpy(dtype=np.float64) - median) / spread > OUTLIER_Z
    return is_outlier


def _slices(frame: pd.DataFrame, contract: DataContract) -> NDArray[Any]:
    """Returns the slice of each row, 0 to SLICES - 1: consecutive parts, in order of time, with equally many rows."""
    import pandas as pd

    order = np.arange(len(frame))
    if contract.time and contract.time in frame.columns:
        times = pd.to_datetime(frame[contract.time], utc=True, format="ISO8601").to_numpy()
        order = np.argsort(np.argsort(times, kind="stable"), kind="stable")
    return np.asarray(order * SLICES // len(frame))


def _format_p_value(p: float) -> str:
    """Formats a p-value with its relation.

    >>> _format_p_value(0.00012), _format_p_value(0.0)
    ('= 0.0001', '< 1e-300')
    """
    return f"= {p:.1g}" if p > 1e-300 else "< 1e-300"


def _format_period(frame: pd.DataFrame, rows: NDArray[np.bool_], contract: DataContract) -> str:
    if not contract.time or contract.time not in frame.columns:
        return ""
    times = frame[contract.time][rows]
    return f"between {str(times.min())[:16]} and {str(times.max())[:16]} "


def _first_rows(rows: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(row) for row in np.flatnonzero(rows)[:MAX_ROWS])

"""Looks for signs that somebody, or a broken feed, tampered with data: against the last accepted version, and within.

Each check warns with the rows; none of them proves anything. Bounds are on the size of an effect as well as on its
p-value: in a hundred thousand rows everything is significant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedplate.domain.data.contract import frame_of
from bedplate.domain.drift.divergence import benjamini_hochberg
from bedplate.domain.evidence.significance import at_least, two_proportions, welch
from bedplate.domain.formatting import short
from bedplate.settings import DataContract

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Kind = Literal["label flips", "label rate", "duplicates", "near duplicates", "outlier burst"]
MAX_ROWS = 10
"""Rows that are shown of each suspicion."""
SIGNIFICANCE = 0.001
"""Adjusted p-value below which chance is no explanation."""
RATE_JUMP = 0.1
"""Least change of a segment's rate of a label of 0 and 1 that is worth a person's time."""
MEAN_JUMP_SD = 0.5
"""The same for any other label: its mean's change, in standard deviations."""
MIN_SEGMENT = 100
MAX_SEGMENTS = 200
DUPLICATE_SHARE = 0.01
NEAR_DUPLICATE_SHARE = 0.05
GROWTH = 2.0
"""Duplicates are suspicious above their share and above so many times the last version's."""
NEAR_STEPS = 100
"""Two numbers are near when they fall into the same hundredth of the range between the 5th and the 95th percentile."""
OUTLIER_Z = 8.0
"""Robust z, |x - median| / (1.4826 MAD): Iglewicz and Hoaglin call 3.5 an outlier; real data has long tails."""
BURST_ROWS = 20
BURST_RATIO = 10.0
SLICES = 200


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One thing that a person should look at: `rows` are the first of `count`, numbered from 0 as in the file."""

    kind: Kind
    where: str
    message: str
    count: int
    rows: tuple[int, ...]
    p_value: float | None = None

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.rows)) + (", ..." if self.count > len(self.rows) else "")
        return f"{self.kind}, {self.where}: {self.message} (rows {shown})"


def suspicions(table: pa.Table, contract: DataContract, previous: pa.Table | None) -> tuple[Anomaly, ...]:
    """Everything suspicious of data that fits its contract, the most specific first. `previous` may be None."""
    now = frame_of(table, contract.columns_in(table.column_names))
    before = None if previous is None else frame_of(previous, contract.columns_in(previous.column_names))
    return (
        *(() if before is None else _flips(now, before, contract)),
        *(() if before is None else _label_rates(now, before, contract)),
        *_duplicates(now, before, contract),
        *_bursts(now, before, contract),
    )


def _flips(now: pd.DataFrame, before: pd.DataFrame, contract: DataContract) -> Iterator[Anomaly]:
    """Rows that the last version holds too, by keys and time, with another label."""
    import pandas as pd

    identity = [*contract.keys, *([contract.time] if contract.time else [])]
    if any(name not in before.columns for name in (*identity, contract.label)):
        return
    known = pd.Series(before[contract.label].to_numpy(), index=pd.MultiIndex.from_frame(before[identity]))
    known = known[~known.index.duplicated()]
    labels = known.reindex(pd.MultiIndex.from_frame(now[identity])).to_numpy()
    shared = ~pd.isna(labels)
    flipped = shared & (labels != now[contract.label].to_numpy())
    if count := int(flipped.sum()):
        share = count / int(shared.sum())
        message = f"{count:,} of {int(shared.sum()):,} rows that were there before have another label ({share:.1%})"
        yield Anomaly("label flips", contract.label, message, count, _first(flipped))


def _label_rates(now: pd.DataFrame, before: pd.DataFrame, contract: DataContract) -> Iterator[Anomaly]:
    """The label's rate (its mean, where it is not 0 and 1) in every segment, and over all."""
    if contract.label not in before.columns or contract.columns[contract.label].type in ("string", "timestamp"):
        return
    now, before = now[now[contract.label].notna()], before[before[contract.label].notna()]
    if not len(now) or not len(before):
        return
    labels, old = (f[contract.label].to_numpy(dtype=np.float64) for f in (now, before))
    binary = set(np.unique(labels)) | set(np.unique(old)) <= {0.0, 1.0}
    found: list[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]] = [
        ("all rows", np.ones(len(now), bool), np.ones(len(before), bool))
    ]
    for name in contract.segments:
        if name in before.columns:
            values = now[name].value_counts()
            for value in values[values >= MIN_SEGMENT].index[:MAX_SEGMENTS]:
                then = (before[name] == value).to_numpy(dtype=bool)
                if then.sum() >= MIN_SEGMENT:
                    found.append((f"{name} {value}", (now[name] == value).to_numpy(dtype=bool), then))
    p_values = [_p_value(labels[here], old[there], binary) for _, here, there in found]
    for (where, here, there), p in zip(found, benjamini_hochberg(p_values), strict=True):
        rate, was = float(labels[here].mean()), float(old[there].mean())
        if p >= SIGNIFICANCE or abs(rate - was) < (RATE_JUMP if binary else MEAN_JUMP_SD * float(old.std())):
            continue
        told = f"{was:.1%} then, {rate:.1%} now" if binary else f"mean {short(was)} then, {short(rate)} now"
        rows = here & (labels == (1.0 if rate > was else 0.0)) if binary else here
        message = f"{told}, adjusted p {_small(p)}"
        first = tuple(int(row) for row in now.index[rows][:MAX_ROWS])
        yield Anomaly("label rate", where, message, int(rows.sum()), first, p)


def _p_value(now: NDArray[np.float64], before: NDArray[np.float64], binary: bool) -> float:
    if binary:
        return two_proportions(int(now.sum()), len(now), int(before.sum()), len(before))
    variances = [float(side.var(ddof=1)) if len(side) > 1 else 0.0 for side in (now, before)]
    return welch(float(now.mean()), variances[0], len(now), float(before.mean()), variances[1], len(before))


def _duplicates(now: pd.DataFrame, before: pd.DataFrame | None, contract: DataContract) -> Iterator[Anomaly]:
    """Rows under other keys that say the same, and rows that say nearly the same: what a flood of one example is.

    How near rows usually are to each other only the last version knows.
    """
    steps = _steps(now if before is None else before, contract)
    kinds: tuple[tuple[Kind, float, bool], ...] = (
        ("duplicates", DUPLICATE_SHARE, False),
        ("near duplicates", NEAR_DUPLICATE_SHARE, True),
    )
    for kind, bound, near in kinds if before is not None else kinds[:1]:
        again = _again(now, contract, steps if near else None)
        share = float(again.mean()) if len(again) else 0.0
        then = 0.0
        if before is not None and len(before):
            then = float(_again(before, contract, steps if near else None).mean())
        if share > max(bound, GROWTH * then):
            told = f"{share:.1%} of the rows repeat an earlier one under another key"
            message = told if before is None else f"{told}, {then:.1%} in the last version"
            yield Anomaly(kind, "all features", message, int(again.sum()), _first(again))
            return


def _again(frame: pd.DataFrame, contract: DataContract, steps: dict[str, tuple[float, float]] | None) -> NDArray[Any]:
    """Rows whose features and label some earlier row has; with `steps` numbers count as equal within a step.

    Near duplicates leave the time out, which a flood of copies would vary.
    """
    time = [contract.time] if contract.time and steps is None else []
    names = [n for n in (*contract.features, contract.label, *time) if n in frame.columns]
    seen = frame[names]
    if steps is not None:
        coarse = {n: ((frame[n] - low) / step).round() for n, (low, step) in steps.items() if n in names}
        seen = seen.assign(**coarse)
    repeated: NDArray[Any] = seen.duplicated().to_numpy()
    return repeated


def _steps(frame: pd.DataFrame, contract: DataContract) -> dict[str, tuple[float, float]]:
    steps = {}
    for name in contract.features:
        if name in frame.columns and contract.columns[name].type == "number" and frame[name].notna().any():
            low, high = frame[name].quantile(0.05), frame[name].quantile(0.95)
            if high > low:
                steps[name] = (float(low), float(high - low) / NEAR_STEPS)
    return steps


def _bursts(now: pd.DataFrame, before: pd.DataFrame | None, contract: DataContract) -> Iterator[Anomaly]:
    """Slices of time (of the file's order, without one) in which far more values than elsewhere are far out."""
    if len(now) < BURST_ROWS:
        return
    slices = _slices(now, contract)
    found: list[tuple[str, int, float, int, NDArray[np.bool_]]] = []
    for name in contract.features:
        if name not in now.columns or contract.columns[name].type not in ("number", "integer"):
            continue
        out = _outliers(now[name], now[name] if before is None or name not in before.columns else before[name])
        total = int(out.sum())
        if total < BURST_ROWS:
            continue
        here, rows = np.bincount(slices[out], minlength=SLICES), np.bincount(slices, minlength=SLICES)
        for part in np.flatnonzero(here >= BURST_ROWS):
            elsewhere = max(1, total - int(here[part])) / max(1, len(now) - int(rows[part]))
            if here[part] / rows[part] >= BURST_RATIO * elsewhere:
                p = at_least(int(here[part]), int(rows[part]), elsewhere)
                found.append((name, int(part), p, int(rows[part]), out & (slices == part)))
    adjusted = benjamini_hochberg([p for _, _, p, _, _ in found])
    for (name, _, _, rows_in, where), p in zip(found, adjusted, strict=True):
        if p >= SIGNIFICANCE:
            continue
        count = int(where.sum())
        message = f"{count:,} of {rows_in:,} rows {_when(now, where, contract)}are far outside what is usual"
        yield Anomaly("outlier burst", name, f"{message}, adjusted p {_small(p)}", count, _first(where), p)


def _outliers(values: pd.Series[Any], usual: pd.Series[Any]) -> NDArray[np.bool_]:
    """By robust z. A column of which half the values are one has no spread to measure by: nothing is an outlier."""
    known = usual.to_numpy(dtype=np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return np.zeros(len(values), bool)
    median = float(np.median(known))
    spread = 1.4826 * float(np.median(np.abs(known - median)))
    if spread == 0:
        return np.zeros(len(values), bool)
    far: NDArray[np.bool_] = np.abs(values.to_numpy(dtype=np.float64) - median) / spread > OUTLIER_Z
    return far


def _slices(frame: pd.DataFrame, contract: DataContract) -> NDArray[Any]:
    """A number below `SLICES` for each row: consecutive parts, in order of time, of as many rows."""
    import pandas as pd

    order = np.arange(len(frame))
    if contract.time and contract.time in frame.columns:
        times = pd.to_datetime(frame[contract.time], utc=True, format="ISO8601").to_numpy()
        order = np.argsort(np.argsort(times, kind="stable"), kind="stable")
    return np.asarray(order * SLICES // len(frame))


def _small(p: float) -> str:
    """
    >>> _small(0.00012), _small(0.0)
    ('= 0.0001', '< 1e-300')
    """
    return f"= {p:.1g}" if p > 1e-300 else "< 1e-300"


def _when(frame: pd.DataFrame, rows: NDArray[np.bool_], contract: DataContract) -> str:
    if not contract.time or contract.time not in frame.columns:
        return ""
    times = frame[contract.time][rows]
    return f"between {str(times.min())[:16]} and {str(times.max())[:16]} "


def _first(rows: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(row) for row in np.flatnonzero(rows)[:MAX_ROWS])


def lines(found: Sequence[Anomaly]) -> tuple[str, ...]:
    return tuple(map(str, found))

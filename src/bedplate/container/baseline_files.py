"""Writes and reads a baseline as SageMaker's `statistics.json` and `constraints.json`.

What SageMaker's schemas have no place for is stored under the key `bedplate`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.domain.documents import FORMAT, check_format
from bedplate.domain.drift.analysis import DriftBaseline
from bedplate.domain.drift.column_drift import ColumnDrift
from bedplate.domain.drift.profile import CategoryProfile, ColumnProfile, NumericProfile, profile_from_json
from bedplate.domain.drift.report import DriftReport
from bedplate.errors import UnsupportedFormat
from bedplate.settings import ModelSpec

NAMESPACE = "aws/sagemaker/Endpoints/data-metrics"
_BUCKETS = 10
_INFERRED_TYPES = {"number": "Fractional", "integer": "Integral", "string": "String", "boolean": "String"}
_CHECKS = {"feature": "baseline_drift_check", "prediction": "baseline_drift_check", "performance": "performance_check"}


class BaselineFormatError(Exception):
    """The files exist, but are not a baseline that Bedplate wrote."""


@dataclass(frozen=True, slots=True)
class SavedBaseline:
    """The content of the two files: a version's baseline and its contract."""

    baseline: DriftBaseline
    spec: ModelSpec
    version: str | None


def statistics_json(spec: ModelSpec, features: Mapping[str, ColumnProfile], rows: int) -> dict[str, Any]:
    """Returns the statistics in SageMaker's schema, without the key `bedplate`."""
    types = {name: spec.data.columns[name].type for name in features}
    return {
        "version": 0.0,
        "dataset": {"item_count": rows},
        "features": [_feature_statistics(name, types[name], profile) for name, profile in features.items()],
    }


def write_baseline(folder: Path, spec: ModelSpec, baseline: DriftBaseline, *, rows: int, version: str | None) -> None:
    """Writes both files to `folder`. `rows` is the number of rows that the features' profiles describe."""
    folder.mkdir(parents=True, exist_ok=True)
    profiles = {
        "format": FORMAT,
        "features": {name: profile.to_json() for name, profile in baseline.features.items()},
        "prediction": baseline.prediction.to_json() if baseline.prediction else None,
    }
    statistics = {**statistics_json(spec, baseline.features, rows), "bedplate": profiles}
    constraints = {
        "version": 0.0,
        "features": [_feature_constraints(spec, name, profile) for name, profile in baseline.features.items()],
        "monitoring_config": {
            "evaluate_constraints": "Enabled",
            "emit_metrics": "Enabled",
            "datatype_check_threshold": 1.0,
            "domain_content_threshold": 1.0,
            "distribution_constraints": {
                "perform_comparison": "Enabled",
                "comparison_threshold": spec.monitors.psi_alert,
                "comparison_method": "PSI",
            },
        },
        "bedplate": {
            "format": FORMAT,
            "version": version,
            "metrics": dict(baseline.metrics),
            "spec": spec.model_dump(mode="json"),
        },
    }
    (folder / "statistics.json").write_text(json.dumps(statistics), encoding="utf-8")
    (folder / "constraints.json").write_text(json.dumps(constraints, indent=1), encoding="utf-8")


def read_baseline(statistics: Path, constraints: Path) -> SavedBaseline | None:
    """Returns None where either file is missing. Raises BaselineFormatError for files that Bedplate did not write."""
    if not (statistics.is_file() and constraints.is_file()):
        return None
    try:
        profiles = json.loads(statistics.read_text(encoding="utf-8"))["bedplate"]
        rules = json.loads(constraints.read_text(encoding="utf-8"))["bedplate"]
        check_format(profiles, statistics.name)
        check_format(rules, constraints.name)
        features = {name: profile_from_json(content) for name, content in profiles["features"].items()}
        prediction = profile_from_json(profiles["prediction"]) if profiles["prediction"] else None
        assert prediction is None or isinstance(prediction, NumericProfile)
        spec = ModelSpec.model_validate(rules["spec"])
    except UnsupportedFormat as exc:
        raise BaselineFormatError(str(exc)) from exc
    except (KeyError, TypeError, ValueError) as exc:
        names = f"{statistics.name} and {constraints.name}"
        raise BaselineFormatError(f"{names} are not a baseline that Bedplate wrote: {exc!r:.300}") from exc
    return SavedBaseline(DriftBaseline(features, prediction, dict(rules["metrics"])), spec, rules["version"])


def violations_json(report: DriftReport) -> dict[str, Any]:
    """Returns SageMaker's `constraint_violations.json` with one entry per alert and warning, in order of severity."""
    return {
        "violations": [
            {
                "feature_name": alert.subject,
                "constraint_check_type": _CHECKS.get(alert.kind, "data_quality_check"),
                "description": f"{alert.message} [{alert.severity}]",
            }
            for alert in report.alerts
        ]
    }


def metric_values(report: DriftReport) -> dict[str, float]:
    """Returns CloudWatch metrics under Model Monitor's names; a metric without data is missing, never 0."""
    drifts: list[tuple[str, ColumnDrift]] = [(f"feature_baseline_drift_{n}", d) for n, d in report.features.items()]
    if report.prediction is not None:
        drifts.append(("bedplate_prediction_psi", report.prediction))
    values = {name: drift.psi for name, drift in drifts if drift.verdict != "NO_DATA"}
    if math.isfinite(report.max_psi):
        values["bedplate_max_psi"] = report.max_psi
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _feature_statistics(name: str, column_type: str, profile: ColumnProfile) -> dict[str, Any]:
    common = {"num_present": profile.n_values, "num_missing": profile.nulls}
    if isinstance(profile, CategoryProfile):
        buckets = [
            {"value": value, "count": int(count)}
            for value, count in zip(profile.categories, profile.counts, strict=True)
            if count
        ] + [{"value": value, "count": count} for value, count in profile.unseen.items()]
        text = {"common": common, "distinct_count": len(buckets), "distribution": {"categorical": {"buckets": buckets}}}
        return {"name": name, "inferred_type": "String", "string_statistics": text}
    n = profile.n_values
    mean = profile.value_sum / n if n else None
    deviation = math.sqrt(max(0.0, profile.sum_of_squares / n - (profile.value_sum / n) ** 2)) if n else None
    numbers = {
        "common": common,
        "mean": mean,
        "sum": profile.value_sum,
        "std_dev": deviation,
        "min": profile.min_value if n else None,
        "max": profile.max_value if n else None,
        "distribution": {"kll": {"buckets": _buckets(profile)}},
    }
    return {"name": name, "inferred_type": _INFERRED_TYPES[column_type], "numerical_statistics": numbers}


def _buckets(profile: NumericProfile) -> list[dict[str, float]]:
    """Returns ten buckets of equal width. Counts come from the profile's bins, so each is exact to within one bin."""
    import numpy as np

    if not profile.n_values or profile.min_value == profile.max_value:
        return []
    bounds = np.linspace(profile.min_value, profile.max_value, _BUCKETS + 1)
    cumulative = np.concatenate([[0], np.cumsum(profile.counts)])
    counts_at = cumulative[np.searchsorted(profile.edges, bounds, side="right")]
    counts_at[0], counts_at[-1] = 0, profile.n_values
    return [
        {"lower_bound": float(low), "upper_bound": float(high), "count": float(count)}
        for low, high, count in zip(bounds, bounds[1:], np.diff(counts_at), strict=False)
    ]


def _feature_constraints(spec: ModelSpec, name: str, profile: ColumnProfile) -> dict[str, Any]:
    column = spec.data.columns[name]
    rows = profile.n_values + profile.nulls
    constraint: dict[str, Any] = {
        "name": name,
        "inferred_type": _INFERRED_TYPES[column.type],
        "completeness": profile.n_values / rows if rows else 0.0,
    }
    if isinstance(profile, CategoryProfile):
        return {**constraint, "string_constraints": {"domains": list(column.categories or profile.categories)}}
    lowest = column.min if column.min is not None else profile.min_value
    return {**constraint, "num_constraints": {"is_non_negative": lowest >= 0}}

"""The baseline as files: SageMaker's `statistics.json` and `constraints.json`, with ours under the key `bedplate`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.domain.drift.analysis import DriftBaseline
from bedplate.domain.drift.compare import ColumnDrift
from bedplate.domain.drift.profile import CategoryProfile, ColumnProfile, NumericProfile, profile_from_json
from bedplate.domain.drift.report import DriftReport
from bedplate.settings import ModelSpec

FORMAT = 1
_BUCKETS = 10
_INFERRED = {"number": "Fractional", "integer": "Integral", "string": "String", "boolean": "String"}
_CHECKS = {"feature": "baseline_drift_check", "prediction": "baseline_drift_check", "performance": "performance_check"}


class NoBaseline(Exception):
    """The baseline's files are there, but cannot be read."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What the two files hold: the baseline, and the contract of the version that it is of."""

    baseline: DriftBaseline
    spec: ModelSpec
    version: str | None


def statistics_json(spec: ModelSpec, features: Mapping[str, ColumnProfile], rows: int) -> dict[str, Any]:
    """SageMaker's schema of statistics, without ours."""
    return {
        "version": 0.0,
        "dataset": {"item_count": rows},
        "features": [_feature(name, spec.data.columns[name].type, profile) for name, profile in features.items()],
    }


def write_baseline(folder: Path, spec: ModelSpec, baseline: DriftBaseline, *, rows: int, version: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    profiles = {
        "format": FORMAT,
        "features": {name: profile.to_json() for name, profile in baseline.features.items()},
        "prediction": baseline.prediction.to_json() if baseline.prediction else None,
    }
    statistics = {**statistics_json(spec, baseline.features, rows), "bedplate": profiles}
    constraints = {
        "version": 0.0,
        "features": [_constraint(spec, name, profile) for name, profile in baseline.features.items()],
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


def read_baseline(statistics: Path, constraints: Path) -> Saved | None:
    """None where one of the two files is not there. Raises NoBaseline for files that are not a baseline of ours."""
    if not (statistics.is_file() and constraints.is_file()):
        return None
    try:
        profiles = json.loads(statistics.read_text(encoding="utf-8"))["bedplate"]
        rules = json.loads(constraints.read_text(encoding="utf-8"))["bedplate"]
        features = {name: profile_from_json(found) for name, found in profiles["features"].items()}
        prediction = profile_from_json(profiles["prediction"]) if profiles["prediction"] else None
        assert prediction is None or isinstance(prediction, NumericProfile)
        spec = ModelSpec.model_validate(rules["spec"])
    except (KeyError, TypeError, ValueError) as exc:
        raise NoBaseline(
            f"{statistics.name} and {constraints.name} are no baseline of bedplate's: {exc!r:.300}"
        ) from exc
    return Saved(DriftBaseline(features, prediction, dict(rules["metrics"])), spec, rules["version"])


def violations_json(report: DriftReport) -> dict[str, Any]:
    """SageMaker's `constraint_violations.json`: an entry for each alert and warning, in their rank."""
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


def metric_lines(report: DriftReport, *, schedule: str, at: str) -> list[dict[str, Any]]:
    """CloudWatch metrics in Model Monitor's names; a figure that could not be judged is left out, never 0."""
    judged: list[tuple[str, ColumnDrift]] = [(f"feature_baseline_drift_{n}", d) for n, d in report.features.items()]
    if report.prediction is not None:
        judged.append(("bedplate_prediction_psi", report.prediction))
    values = {name: drift.psi for name, drift in judged if drift.verdict != "NO_DATA"}
    if math.isfinite(report.max_psi):
        values["bedplate_max_psi"] = report.max_psi
    dimensions = [
        {"Name": "Endpoint", "Value": report.endpoint},
        {"Name": "MonitoringSchedule", "Value": schedule},
    ]
    return [
        {
            "Namespace": "aws/sagemaker/Endpoints/data-metrics",
            "MetricName": name,
            "Timestamp": at,
            "Dimensions": dimensions,
            "Value": value,
            "Unit": "None",
        }
        for name, value in values.items()
        if math.isfinite(value)
    ]


def _feature(name: str, kind: str, profile: ColumnProfile) -> dict[str, Any]:
    common = {"num_present": profile.n, "num_missing": profile.nulls}
    if isinstance(profile, CategoryProfile):
        buckets = [
            {"value": value, "count": int(count)}
            for value, count in zip(profile.categories, profile.counts, strict=True)
            if count
        ] + [{"value": value, "count": count} for value, count in profile.unseen.items()]
        text = {"common": common, "distinct_count": len(buckets), "distribution": {"categorical": {"buckets": buckets}}}
        return {"name": name, "inferred_type": "String", "string_statistics": text}
    n = profile.n
    mean = profile.total / n if n else None
    spread = math.sqrt(max(0.0, profile.squares / n - (profile.total / n) ** 2)) if n else None
    numbers = {
        "common": common,
        "mean": mean,
        "sum": profile.total,
        "std_dev": spread,
        "min": profile.low if n else None,
        "max": profile.high if n else None,
        "distribution": {"kll": {"buckets": _buckets(profile)}},
    }
    return {"name": name, "inferred_type": _INFERRED[kind], "numerical_statistics": numbers}


def _buckets(profile: NumericProfile) -> list[dict[str, float]]:
    """Ten buckets of equal width; counts are taken at the profile's edges, so each is right within one of its bins."""
    import numpy as np

    if not profile.n or profile.low == profile.high:
        return []
    bounds = np.linspace(profile.low, profile.high, _BUCKETS + 1)
    below = np.concatenate([[0], np.cumsum(profile.counts)])
    at = below[np.searchsorted(profile.edges, bounds, side="right")]
    at[0], at[-1] = 0, profile.n
    return [
        {"lower_bound": float(low), "upper_bound": float(high), "count": float(more)}
        for low, high, more in zip(bounds, bounds[1:], np.diff(at), strict=False)
    ]


def _constraint(spec: ModelSpec, name: str, profile: ColumnProfile) -> dict[str, Any]:
    column = spec.data.columns[name]
    whole = profile.n + profile.nulls
    found: dict[str, Any] = {
        "name": name,
        "inferred_type": _INFERRED[column.type],
        "completeness": profile.n / whole if whole else 0.0,
    }
    if isinstance(profile, CategoryProfile):
        return {**found, "string_constraints": {"domains": list(column.categories or profile.categories)}}
    lowest = column.min if column.min is not None else profile.low
    return {**found, "num_constraints": {"is_non_negative": lowest >= 0}}

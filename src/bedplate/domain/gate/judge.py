"""Judges all gates of model.yaml on the measurements of a candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from bedplate.domain.evidence.metrics import HIGHER_IS_BETTER, Estimate
from bedplate.domain.gate.analyses import (
    NOT_MEASURED,
    judge_explanation,
    judge_inference,
    judge_latency,
    judge_leakage,
    judge_vulnerabilities,
)
from bedplate.domain.gate.measurements import Measurements
from bedplate.domain.gate.segments import compare_if_enough_rows, format_too_few, judge_segments
from bedplate.domain.gate.verdict import (
    GateReport,
    GateSpec,
    Verdict,
    combine_outcomes,
    compare_to_bounds,
    exact_verdict,
    format_bound,
    no_data,
)
from bedplate.settings import CalibrationGate, ChampionGate, FairnessGate, Gates, ResidualGate, SegmentGate


def judge(gates: Gates, evidence: Measurements) -> GateReport:
    """Returns the verdict of every gate of model.yaml and the outcome of all of them.

    The outcome is FAIL when any gate fails, else NO_DATA when any gate has no data, else PASS. It is NO_DATA for a
    model without gates. The champion gate compares the paired difference on the same rows with minus the tolerance:
    a test of non-inferiority.
    """
    verdicts = []
    for i, threshold in enumerate(gates.thresholds):
        gate_spec = GateSpec("threshold", threshold.metric, f"gates.thresholds[{i}]", evidence.source)
        estimate = evidence.metrics.get(threshold.metric)
        verdicts.append(compare_to_bounds(gate_spec, estimate, threshold.min, threshold.max))
    for i, segment in enumerate(gates.segments):
        verdicts += _segments(segment, evidence, f"gates.segments[{i}]")
    if gates.champion:
        verdicts.append(_champion(gates.champion, evidence))
    for i, fairness in enumerate(gates.fairness):
        verdicts.append(_fairness(fairness, evidence, f"gates.fairness[{i}]"))
    if gates.calibration:
        verdicts += _calibration(gates.calibration, evidence)
    for i, residual in enumerate(gates.residuals):
        verdicts += _residuals(residual, evidence, f"gates.residuals[{i}]")
    if gates.explanation:
        verdicts += judge_explanation(gates.explanation, evidence)
    if gates.leakage:
        verdicts += judge_leakage(gates.leakage, evidence)
    if gates.inference:
        verdicts += judge_inference(evidence)
    if gates.latency:
        verdicts += judge_latency(gates.latency, evidence)
    if gates.vulnerabilities:
        verdicts.append(judge_vulnerabilities(gates.vulnerabilities, evidence))
    if gates.max_artifact_mb is not None:
        verdicts.append(_artifact_size(gates.max_artifact_mb, evidence))
    return GateReport(tuple(verdicts), combine_outcomes(v.outcome for v in verdicts if v.decides))


def _segments(gate: SegmentGate, evidence: Measurements, key: str) -> list[Verdict]:
    values: Mapping[str, Mapping[str, Estimate]] = evidence.segments.get(gate.column, {})
    gate_spec = GateSpec("segment", gate.metric, key, evidence.source)
    estimates = {value: metrics.get(gate.metric) for value, metrics in values.items()}
    return judge_segments(gate_spec, gate.column, estimates, gate.min, gate.max, gate.min_rows)


def _champion(gate: ChampionGate, evidence: Measurements) -> Verdict:
    gate_spec = GateSpec("champion", f"{gate.metric} against {evidence.champion}", "gates.champion", evidence.source)
    is_lower_better = gate.metric not in HIGHER_IS_BETTER
    low, high = (None, gate.tolerance) if is_lower_better else (-gate.tolerance, None)
    bound = format_bound(low, high)
    if evidence.is_champion:
        same = gate_spec.verdict("PASS", bound, "the candidate is the live release")
        return replace(same, value=0.0, ci_low=0.0, ci_high=0.0)
    if evidence.difference is None:
        return no_data(gate_spec, None, bound, "there is no champion to compare with")
    return compare_to_bounds(gate_spec, evidence.difference.get(gate.metric), low, high)


def _fairness(gate: FairnessGate, evidence: Measurements, key: str) -> Verdict:
    is_ratio = gate.min_ratio is not None
    name = f"{gate.metric}{' ratio' if is_ratio else ''} by {gate.column}"
    gate_spec = GateSpec("fairness", name, key, evidence.source)
    estimate = evidence.fairness.get((gate.column, gate.metric, gate.threshold, is_ratio))
    return compare_to_bounds(gate_spec, estimate, gate.min_ratio, gate.max_difference)


def _calibration(gate: CalibrationGate, evidence: Measurements) -> list[Verdict]:
    calibration, verdicts = evidence.calibration, []
    ece, slope, intercept = (
        (calibration.ece, calibration.slope, calibration.intercept) if calibration else (None, None, None)
    )
    min_intercept = None if gate.max_intercept is None else -gate.max_intercept
    slope_key = "max_slope" if gate.min_slope is None else "min_slope"
    bounds: tuple[tuple[str, str, Estimate | None, float | None, float | None], ...] = (
        (f"error, {gate.bins} bins", "max_ece", ece, None, gate.max_ece),
        ("slope", slope_key, slope, gate.min_slope, gate.max_slope),
        ("intercept", "max_intercept", intercept, min_intercept, gate.max_intercept),
    )
    for name, key, estimate, low, high in bounds:
        if low is not None or high is not None:
            gate_spec = GateSpec("calibration", name, f"gates.calibration.{key}", evidence.source)
            verdicts.append(compare_if_enough_rows(gate_spec, estimate, low, high, gate.min_rows))
    if gate.min_p is not None:
        gate_spec = GateSpec("calibration", "Spiegelhalter's p", "gates.calibration.min_p", evidence.source)
        bound, reason = format_bound(gate.min_p, None), "it could not be computed"
        p_value, n_rows = (calibration.spiegelhalter_p, calibration.ece.n_rows) if calibration else (math.nan, 0)
        if calibration and n_rows < gate.min_rows:
            p_value, reason = math.nan, format_too_few(n_rows, gate.min_rows)
        if calibration is None or math.isnan(p_value):
            verdicts.append(no_data(gate_spec, None, bound, reason))
        else:
            reason = f"z = {calibration.spiegelhalter_z:.3g}, p-value {p_value:.3g} of the scores being calibrated"
            is_met = p_value >= gate.min_p
            verdicts.append(exact_verdict(gate_spec, p_value, n_rows, bound, is_met=is_met, reason=reason))
    return verdicts


def _residuals(gate: ResidualGate, evidence: Measurements, key: str) -> list[Verdict]:
    residuals = evidence.residuals
    if gate.within is not None:
        gate_spec = GateSpec("residuals", f"share within {gate.within:g}", key, evidence.source)
        shares = {
            error_share.max_error: error_share.share for error_share in (residuals.error_shares if residuals else ())
        }
        return [compare_if_enough_rows(gate_spec, shares.get(gate.within), gate.min_share, None, gate.min_rows)]
    assert gate.max_bias is not None
    gate_spec = GateSpec("residuals", "mean residual", key, evidence.source)
    if gate.column is None:
        bias = residuals.bias if residuals else None
        return [compare_if_enough_rows(gate_spec, bias, -gate.max_bias, gate.max_bias, gate.min_rows)]
    values = residuals.per_segment.get(gate.column, {}) if residuals else {}
    return judge_segments(gate_spec, gate.column, dict(values), -gate.max_bias, gate.max_bias, gate.min_rows)


def _artifact_size(max_mb: float, evidence: Measurements) -> Verdict:
    gate_spec = GateSpec("artifact-size", "model.tar.gz", "gates.max_artifact_mb", evidence.source)
    bound, megabytes = f"<= {max_mb:g} MB", evidence.artifact_mb
    if megabytes is None:
        return no_data(gate_spec, None, bound, NOT_MEASURED)
    is_met = megabytes <= max_mb
    reason = f"{megabytes:.3g} MB is {'within' if is_met else 'above'} the bound"
    return exact_verdict(gate_spec, megabytes, None, bound, is_met=is_met, reason=reason)

"""Holds everything that was measured against every bound of model.yaml, gate by gate."""

from __future__ import annotations

from collections.abc import Mapping

from bedplate.domain.evidence.metrics import HIGHER_IS_BETTER, Estimate
from bedplate.domain.gate.measured import Measurements
from bedplate.domain.gate.slices import over_values
from bedplate.domain.gate.trials import explanation, inference, latency, leakage, vulnerabilities
from bedplate.domain.gate.verdict import (
    GateReport,
    GateSpec,
    Verdict,
    bound_text,
    compared,
    counted,
    overall,
    undecided,
)
from bedplate.settings import CalibrationGate, ChampionGate, FairnessGate, Gates, ResidualGate, SegmentGate


def judge(gates: Gates, evidence: Measurements) -> GateReport:
    """Every gate of model.yaml against what was measured.

    FAIL when any gate fails, else NO_DATA when any has no data, else PASS. A model without gates has nothing that
    could open: NO_DATA. Against the champion the figure is the paired difference on the same rows, and the bound is
    minus the tolerance: a test of non-inferiority.
    """
    verdicts = []
    for i, threshold in enumerate(gates.thresholds):
        asked = GateSpec("threshold", threshold.metric, f"gates.thresholds[{i}]", evidence.source)
        verdicts.append(compared(asked, evidence.metrics.get(threshold.metric), threshold.min, threshold.max))
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
        verdicts += explanation(gates.explanation, evidence)
    if gates.leakage:
        verdicts += leakage(gates.leakage, evidence)
    if gates.inference:
        verdicts += inference(evidence)
    if gates.latency:
        verdicts += latency(gates.latency, evidence)
    if gates.vulnerabilities:
        verdicts.append(vulnerabilities(gates.vulnerabilities, evidence))
    if gates.max_artifact_mb is not None:
        verdicts.append(_size(gates.max_artifact_mb, evidence))
    return GateReport(tuple(verdicts), overall(v.outcome for v in verdicts if v.decides))


def _segments(gate: SegmentGate, evidence: Measurements, key: str) -> list[Verdict]:
    values: Mapping[str, Mapping[str, Estimate]] = evidence.segments.get(gate.by, {})
    asked = GateSpec("segment", gate.metric, key, evidence.source)
    figures = {value: metrics.get(gate.metric) for value, metrics in values.items()}
    return over_values(asked, gate.by, figures, gate.min, gate.max, gate.min_rows)


def _champion(gate: ChampionGate, evidence: Measurements) -> Verdict:
    asked = GateSpec("champion", f"{gate.metric} against {evidence.champion}", "gates.champion", evidence.source)
    lower = gate.metric not in HIGHER_IS_BETTER
    low, high = (None, gate.tolerance) if lower else (-gate.tolerance, None)
    bound = bound_text(low, high)
    if evidence.is_champion:
        return itself(asked, bound)
    if evidence.difference is None:
        return undecided(asked, None, bound, "there is no champion to hold it against")
    return compared(asked, evidence.difference.get(gate.metric), low, high)


def itself(asked: GateSpec, bound: str) -> Verdict:
    """The live version evaluated again is no worse than itself."""
    reason = "it is the live release itself"
    return Verdict(asked.kind, asked.name, "PASS", 0.0, 0.0, 0.0, bound, None, asked.source, reason, key=asked.key)


def _fairness(gate: FairnessGate, evidence: Measurements, key: str) -> Verdict:
    ratio = gate.min_ratio is not None
    asked = GateSpec("fairness", f"{gate.metric}{' ratio' if ratio else ''} by {gate.by}", key, evidence.source)
    figure = evidence.fairness.get((gate.by, gate.metric, gate.threshold, ratio))
    return compared(asked, figure, gate.min_ratio, gate.max_difference)


def _calibration(gate: CalibrationGate, evidence: Measurements) -> list[Verdict]:
    found, verdicts = evidence.calibration, []
    small = found is not None and found.ece.n < gate.min_rows
    tilt = gate.max_intercept
    declared: tuple[tuple[str, str, Estimate | None, float | None, float | None], ...] = (
        (f"error, {gate.bins} bins", "max_ece", found.ece if found else None, None, gate.max_ece),
        ("slope", "slope", found.slope if found else None, gate.min_slope, gate.max_slope),
        ("intercept", "max_intercept", found.intercept if found else None, None if tilt is None else -tilt, tilt),
    )
    for name, key, figure, low, high in declared:
        if low is None and high is None:
            continue
        key = key if key != "slope" else "max_slope" if low is None else "min_slope"
        asked = GateSpec("calibration", name, f"gates.calibration.{key}", evidence.source)
        verdicts.append(
            undecided(asked, figure, bound_text(low, high), _too_few(figure, gate.min_rows))
            if small
            else compared(asked, figure, low, high)
        )
    if gate.min_p is not None:
        asked = GateSpec("calibration", "Spiegelhalter's p", "gates.calibration.min_p", evidence.source)
        bound = bound_text(gate.min_p, None)
        if found is None or small or found.p != found.p:
            reason = _too_few(found.ece, gate.min_rows) if found and small else "it could not be computed"
            verdicts.append(undecided(asked, None, bound, reason))
        else:
            reason = f"z = {found.z:.3g}: such a gap or a larger one has chance {found.p:.3g} when scores are right"
            verdicts.append(counted(asked, found.p, found.ece.n, bound, fits=found.p >= gate.min_p, reason=reason))
    return verdicts


def _too_few(figure: Estimate | None, min_rows: int) -> str:
    return f"{figure.n if figure else 0} rows, fewer than the {min_rows} that are needed to judge"


def _residuals(gate: ResidualGate, evidence: Measurements, key: str) -> list[Verdict]:
    found = evidence.residuals
    if gate.within is not None:
        asked = GateSpec("residuals", f"share within {gate.within:g}", key, evidence.source)
        share = next((w.share for w in found.within if w.width == gate.within), None) if found else None
        return [_if_enough(asked, share, gate.min_share, None, gate.min_rows)]
    assert gate.max_bias is not None
    asked = GateSpec("residuals", "mean residual", key, evidence.source)
    if gate.by is None:
        bias = found.bias if found else None
        return [_if_enough(asked, bias, -gate.max_bias, gate.max_bias, gate.min_rows)]
    values = found.by.get(gate.by, {}) if found else {}
    return over_values(asked, gate.by, dict(values), -gate.max_bias, gate.max_bias, gate.min_rows)


def _if_enough(
    asked: GateSpec, figure: Estimate | None, low: float | None, high: float | None, min_rows: int
) -> Verdict:
    if figure is not None and figure.n < min_rows:
        return undecided(asked, figure, bound_text(low, high), _too_few(figure, min_rows))
    return compared(asked, figure, low, high)


def _size(max_mb: float, evidence: Measurements) -> Verdict:
    asked = GateSpec("artifact-size", "model.tar.gz", "gates.max_artifact_mb", evidence.source)
    bound, megabytes = f"<= {max_mb:g} MB", evidence.artifact_mb
    if megabytes is None:
        return undecided(asked, None, bound, "not measured")
    fits = megabytes <= max_mb
    reason = f"{megabytes:.3g} MB {'is inside' if fits else 'is too much'}"
    return counted(asked, megabytes, None, bound, fits=fits, reason=reason)

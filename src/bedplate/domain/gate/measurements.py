"""The measurements of a candidate that the gates are judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bedplate.domain.evidence.calibration import Calibration
from bedplate.domain.evidence.explanation import Explanation
from bedplate.domain.evidence.inference_contract import CaseCheck
from bedplate.domain.evidence.latency import Latency
from bedplate.domain.evidence.leakage import Leakage
from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.evidence.residuals import Residuals
from bedplate.domain.versions.sbom import VulnerabilityScan


@dataclass(frozen=True, slots=True)
class Measurements:
    """Measurements on the holdout. `difference` is candidate minus champion, None without a champion's model.

    `segments` is column -> value -> metric -> estimate; `fairness` is (column, metric, threshold, whether it is a
    ratio) -> estimate. What was not measured is None. `champion` is the champion's name for people.
    """

    metrics: Mapping[str, Estimate]
    difference: Mapping[str, Estimate] | None
    champion: str
    segments: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
    fairness: Mapping[tuple[str, str, float, bool], Estimate]
    artifact_mb: float | None
    source: str
    is_champion: bool = False
    """True when the candidate is the live release."""
    champion_is_constant: bool = False
    """True when the live release is the fallback, which predicts a constant and has no importances."""
    calibration: Calibration | None = None
    residuals: Residuals | None = None
    latency: Latency | None = None
    inference: tuple[CaseCheck, ...] | None = None
    explanation: Explanation | None = None
    leakage: Leakage | None = None
    vulnerabilities: VulnerabilityScan | None = None

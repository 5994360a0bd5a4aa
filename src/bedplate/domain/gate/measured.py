"""What was measured of a candidate, as the gates take it."""

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
from bedplate.domain.versions.sbom import Scan


@dataclass(frozen=True, slots=True)
class Measurements:
    """What was measured on the holdout. `difference` is candidate minus champion, None without a champion's model.

    `segments` is column -> value -> metric -> figure; `fairness` is (column, metric, threshold, whether it is a ratio)
    -> figure. What was not tried out is None.
    """

    metrics: Mapping[str, Estimate]
    difference: Mapping[str, Estimate] | None
    champion: str
    segments: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
    fairness: Mapping[tuple[str, str, float, bool], Estimate]
    artifact_mb: float | None
    source: str
    is_champion: bool = False
    """The candidate is the live release: it cannot be worse than itself."""
    champion_is_constant: bool = False
    """The live release is the fallback: it answers a constant, and there is nothing in it to explain."""
    calibration: Calibration | None = None
    residuals: Residuals | None = None
    latency: Latency | None = None
    inference: tuple[CaseCheck, ...] | None = None
    explanation: Explanation | None = None
    leakage: Leakage | None = None
    vulnerabilities: Scan | None = None

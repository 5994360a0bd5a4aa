"""Builds the lines of a model's scorecard: each topic with its state, a detail and its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bedplate.settings import ModelSpec

ScorecardState = Literal["OK", "WARN", "ALARM", "NO_DATA"]
APPROVAL_KINDS = ("approved", "forced")


@dataclass(frozen=True, slots=True)
class ScorecardLine:
    """One line of the scorecard. `source` names the place where the detail can be checked."""

    topic: str
    detail: str
    state: ScorecardState
    source: str


def age_line(trained_at: datetime | None, now: datetime, spec: ModelSpec) -> ScorecardLine:
    """Compares the live version's age with `retraining.max_age_days`; NO_DATA for the fallback."""
    source = "model package: trained_at; model.yaml: retraining.max_age_days"
    if trained_at is None:
        return ScorecardLine("age", "no trained version is live", "NO_DATA", source)
    days, max_days = (now - trained_at).days, spec.retraining.max_age_days
    detail = f"{days} days" + (f" of {max_days} allowed" if max_days else ", no limit in model.yaml")
    return ScorecardLine("age", detail, "ALARM" if max_days and days >= max_days else "OK", source)


def drift_line(monitored: tuple[int, datetime, str, str] | None, now: datetime) -> ScorecardLine:
    """Reports the last monitoring record: (number, time, outcome, summary)."""
    if monitored is None:
        return ScorecardLine("drift", "never monitored", "NO_DATA", "ledger: monitored")
    seq, at, outcome, summary = monitored
    states: dict[str, ScorecardState] = {"OK": "OK", "WARN": "WARN", "DRIFT": "ALARM"}
    days = (now - at).days
    when = "today" if days == 0 else f"{days} days ago"
    detail = f"{outcome} {when}: {summary}"
    return ScorecardLine("drift", detail, states.get(outcome, "NO_DATA"), f"ledger: record {seq}")


def performance_line(
    current: Mapping[str, float | None],
    holdout: Mapping[str, float | None],
    rows: int,
    max_drop: Mapping[str, float],
    uri: str,
) -> ScorecardLine:
    """Compares metrics on late labels with those on the holdout; ALARM when one is worse by more than `max_drop`."""
    values = {name: value for name, value in current.items() if value is not None}
    if not values:
        return ScorecardLine("performance on labels", "no labels, or too few", "NO_DATA", uri or "monitoring report")
    names = [name for name in (max_drop or values) if name in values]
    parts: list[str] = []
    state: ScorecardState = "OK"
    for name in names or list(values):
        before = holdout.get(name)
        parts.append(f"{name} {values[name]:.3f}" + (f" (holdout {before:.3f})" if before is not None else ""))
        if before is not None and name in max_drop and _drop(name, values[name], before) > max_drop[name]:
            state = "ALARM"
    return ScorecardLine("performance on labels", f"{', '.join(parts)} on {rows:,} labelled rows", state, uri)


def slo_line(p99_ms: float | None, failed_pct: float | None, requests: float, spec: ModelSpec) -> ScorecardLine:
    """Compares latency and errors of the last hour with `serving.slo`."""
    slo = spec.serving.slo
    source = "CloudWatch: AWS/SageMaker, last hour; model.yaml: serving.slo"
    if not requests or failed_pct is None:
        return ScorecardLine("service", "no requests in the last hour", "NO_DATA", source)
    is_slow = p99_ms is not None and p99_ms > slo.latency_p99_ms
    is_failing = failed_pct > slo.max_error_pct
    latency = "latency unknown" if p99_ms is None else f"p99 {p99_ms:.0f} of {slo.latency_p99_ms:g} ms"
    detail = f"{latency}, errors {failed_pct:.2f} of {slo.max_error_pct:g} %, {requests:,.0f} requests"
    return ScorecardLine("service", detail, "ALARM" if is_slow or is_failing else "OK", source)


def spend_line(actual_usd: float | None, limit_usd: float | None, forecast_usd: float | None) -> ScorecardLine:
    """Compares this month's spend with the budget; WARN when the forecast exceeds it."""
    if actual_usd is None or not limit_usd:
        return ScorecardLine("spend this month", "no budget", "NO_DATA", "AWS Budgets")
    used_pct = 100 * actual_usd / limit_usd
    detail = f"${actual_usd:,.2f} of ${limit_usd:,.2f} ({used_pct:.0f} %)"
    detail += f", forecast ${forecast_usd:,.2f}" if forecast_usd is not None else ""
    is_over = forecast_usd is not None and forecast_usd > limit_usd
    state: ScorecardState = "ALARM" if used_pct >= 100 else "WARN" if is_over else "OK"
    return ScorecardLine("spend this month", detail, state, "AWS Budgets")


def alerts_line(alarms: Sequence[str], signals: Sequence[str]) -> ScorecardLine:
    """Lists alarms in ALARM and retraining signals without a retraining."""
    alerts, source = [*alarms, *signals], "CloudWatch alarms; ledger: monitored"
    return ScorecardLine("open alerts", "; ".join(alerts) or "none", "ALARM" if alerts else "OK", source)


def approval_line(people: str | None, at: datetime | None, seq: int | None, *, forced: str | None) -> ScorecardLine:
    """Names the approvers of the live version; WARN when failed gates were overridden."""
    if people is None or at is None:
        return ScorecardLine("approved by", "no approval: the fallback, or no record", "NO_DATA", "ledger: approved")
    detail = f"{people}, {at:%Y-%m-%d %H:%M} UTC" + (f"; gates forced: {forced}" if forced else "")
    return ScorecardLine("approved by", detail, "WARN" if forced else "OK", f"ledger: record {seq}")


def worst_state(lines: Sequence[ScorecardLine]) -> ScorecardState:
    """Returns the state of the whole scorecard.

    >>> worst_state([ScorecardLine("a", "", state, "") for state in ("OK", "NO_DATA", "WARN")])
    'WARN'
    """
    order: tuple[ScorecardState, ...] = ("OK", "NO_DATA", "WARN", "ALARM")
    return max((line.state for line in lines), key=order.index, default="NO_DATA")


def _drop(metric: str, current: float, holdout: float) -> float:
    from bedplate.domain.versions.runs import is_higher_better

    return holdout - current if is_higher_better(metric) else current - holdout

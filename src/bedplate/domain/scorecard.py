"""One page about a model for people who do not run it: each question with an answer, a state, and its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bedplate.settings import ModelSpec

State = Literal["OK", "WARN", "ALARM", "NO_DATA"]
DECIDED = ("approved", "forced")


@dataclass(frozen=True, slots=True)
class ScorecardLine:
    """One question. `source` says where the answer was read, for who wants to check it."""

    question: str
    answer: str
    state: State
    source: str


def age_line(trained_at: datetime | None, now: datetime, spec: ModelSpec) -> ScorecardLine:
    """How old the live version is, against `retraining.max_age_days`; the fallback has no age."""
    source = "model package: trained_at; model.yaml: retraining.max_age_days"
    if trained_at is None:
        return ScorecardLine("age", "no trained version is live", "NO_DATA", source)
    days, most = (now - trained_at).days, spec.retraining.max_age_days
    told = f"{days} days" + (f" of {most} allowed" if most else ", no limit in model.yaml")
    return ScorecardLine("age", told, "ALARM" if most and days >= most else "OK", source)


def drift_line(monitored: tuple[int, datetime, str, str] | None, now: datetime) -> ScorecardLine:
    """The last monitoring: (record, time, outcome, summary)."""
    if monitored is None:
        return ScorecardLine("drift", "never monitored", "NO_DATA", "ledger: monitored")
    seq, at, outcome, summary = monitored
    states: dict[str, State] = {"OK": "OK", "WARN": "WARN", "DRIFT": "ALARM"}
    days = (now - at).days
    when = "today" if days == 0 else f"{days} days ago"
    return ScorecardLine(
        "drift", f"{outcome} {when}: {summary}", states.get(outcome, "NO_DATA"), f"ledger: record {seq}"
    )


def performance_line(
    now: Mapping[str, float | None],
    before: Mapping[str, float | None],
    rows: int,
    max_drop: Mapping[str, float],
    uri: str,
) -> ScorecardLine:
    """Figures on late labels against the holdout's. ALARM when one fell by more than `monitors.max_drop` allows."""
    known = {name: value for name, value in now.items() if value is not None}
    if not known:
        return ScorecardLine("performance on labels", "no labels, or too few", "NO_DATA", uri or "monitoring report")
    shown = [name for name in (max_drop or known) if name in known]
    told, worst = [], "OK"
    for name in shown or list(known):
        was = before.get(name)
        told.append(f"{name} {known[name]:.3f}" + (f" (holdout {was:.3f})" if was is not None else ""))
        if was is not None and name in max_drop and _fell(name, known[name], was) > max_drop[name]:
            worst = "ALARM"
    answer = f"{', '.join(told)} on {rows:,} labelled rows"
    return ScorecardLine("performance on labels", answer, "ALARM" if worst == "ALARM" else "OK", uri)


def slo_line(p99_ms: float | None, failed_pct: float | None, requests: float, spec: ModelSpec) -> ScorecardLine:
    """Latency and errors of the last hour against `serving.slo`."""
    slo = spec.serving.slo
    source = "CloudWatch: AWS/SageMaker, last hour; model.yaml: serving.slo"
    if not requests or failed_pct is None:
        return ScorecardLine("service", "no requests in the last hour", "NO_DATA", source)
    late = p99_ms is not None and p99_ms > slo.latency_p99_ms
    broken = failed_pct > slo.max_error_pct
    latency = "latency unknown" if p99_ms is None else f"p99 {p99_ms:.0f} of {slo.latency_p99_ms:g} ms"
    answer = f"{latency}, errors {failed_pct:.2f} of {slo.max_error_pct:g} %, {requests:,.0f} requests"
    return ScorecardLine("service", answer, "ALARM" if late or broken else "OK", source)


def spend_line(actual_usd: float | None, limit_usd: float | None, forecast_usd: float | None) -> ScorecardLine:
    """What is gone of the month's budget."""
    if actual_usd is None or not limit_usd:
        return ScorecardLine("spend this month", "no budget to be seen", "NO_DATA", "AWS Budgets")
    share = 100 * actual_usd / limit_usd
    told = f"${actual_usd:,.2f} of ${limit_usd:,.2f} ({share:.0f} %)"
    over = forecast_usd is not None and forecast_usd > limit_usd
    told += f", forecast ${forecast_usd:,.2f}" if forecast_usd is not None else ""
    return ScorecardLine("spend this month", told, "ALARM" if share >= 100 else "WARN" if over else "OK", "AWS Budgets")


def alerts_line(alarms: Sequence[str], asks: Sequence[str]) -> ScorecardLine:
    """Alarms that ring, and signals that nobody answered."""
    told = [*alarms, *asks]
    return ScorecardLine(
        "open alerts", "; ".join(told) or "none", "ALARM" if told else "OK", "CloudWatch alarms; ledger: monitored"
    )


def approval_line(people: str | None, at: datetime | None, seq: int | None, *, forced: str | None) -> ScorecardLine:
    """Who let the live version go live, and when; a gate that was forced is a warning."""
    if people is None or at is None:
        return ScorecardLine("approved by", "nobody: the fallback, or no record", "NO_DATA", "ledger: approved")
    told = f"{people}, {at:%Y-%m-%d %H:%M} UTC" + (f"; gates forced: {forced}" if forced else "")
    return ScorecardLine("approved by", told, "WARN" if forced else "OK", f"ledger: record {seq}")


def worst(lines: Sequence[ScorecardLine]) -> State:
    """The state of the whole page.

    >>> worst([ScorecardLine("a", "", state, "") for state in ("OK", "NO_DATA", "WARN")])
    'WARN'
    """
    order: tuple[State, ...] = ("OK", "NO_DATA", "WARN", "ALARM")
    return max((line.state for line in lines), key=order.index, default="NO_DATA")


def _fell(metric: str, now: float, was: float) -> float:
    from bedplate.domain.versions.runs import more_is_better

    return was - now if more_is_better(metric) else now - was

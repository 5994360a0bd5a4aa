"""Formats everything that is recorded about a version as a model card: Markdown, and SageMaker's schema.

SageMaker's model card schema limits the lengths of texts; `user_provided_*` holds values that no SageMaker job
reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.ledger import format_iso_ms

LINEAGE = (
    *("training_job", "trained_by", "trained_at", "dataset_sha256", "data_sha256", "data_uri", "holdout_uri"),
    *("data_rows", "data_from", "data_to", "code_commit", "code_dirty", "code_sha256", "code_uri", "lock_sha256"),
    *("seed", "instance_type", "promoted_from"),
)
"""Metadata keys of a model package that describe its origin."""
_RISK = {"low": "Low", "medium": "Medium", "high": "High"}
_SHORT, _LONG, _NAME, _GROUP = 1024, 2048, 255, 63
MAX_BARS = 60
_CHANGING_FIELDS = frozenset({
    "status", "created_at", "deployments", "live_periods", "rollback_candidate", "is_live", "retire_on", "approved_by",
    "approval_reason", "forced_by", "arn", "stack", "notes",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class LivePeriod:
    """A period during which a version was live; `until` is None while it still is."""

    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class VersionRole:
    """A current use of a version: `role` is live, pending, challenger, or rollback candidate."""

    endpoint: str
    role: str
    release: str


@dataclass(frozen=True, slots=True)
class VersionCard:
    """A version with its contract, as of its training if its code archive still exists."""

    model: str
    version: int
    arn: str
    status: str
    stack: str
    created_at: datetime
    description: str
    owner: str
    on_call: str
    intended_use: str
    excluded_use: str
    risk: str
    limits: tuple[str, ...]
    task: str
    algorithm: str | None
    fallback: float
    notes: str | None
    artifact_uri: str
    image_uri: str
    lineage: Mapping[str, str]
    hyperparameters: Mapping[str, str]
    features: tuple[str, ...]
    verdict: str | None
    evaluation_uri: str | None
    rows: int | None
    metrics: Mapping[str, Estimate]
    difference: Mapping[str, Estimate]
    champion: str | None
    segments: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
    gates: tuple[Mapping[str, Any], ...]
    approved_by: str | None
    approval_reason: str | None
    forced_by: str | None
    deployments: tuple[VersionRole, ...]
    live_periods: tuple[LivePeriod, ...]
    rollback_candidate: str | None
    """The release that a rollback returns to while this version is live."""
    retire_on: str | None
    sbom_uri: str | None

    @property
    def ref(self) -> str:
        return f"{self.model}:{self.version}"

    @property
    def is_live(self) -> bool:
        return any(d.role == "live" for d in self.deployments)

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values; values that are not finite are null."""
        plain: dict[str, Any] = _plain(asdict(self))
        return {**plain, "is_live": self.is_live}

    def details(self) -> dict[str, Any]:
        """Returns the fields that do not change after the evaluation; they are stored beside it."""
        return {key: value for key, value in self.to_json().items() if key not in _CHANGING_FIELDS}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return format_iso_ms(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- SageMaker's form -----------------------------------------------------------------------------------------------


def sagemaker_status(approval: str, *, retired: bool) -> str:
    """Returns the SageMaker model card status of an approval status.

    >>> sagemaker_status("Approved", retired=False), sagemaker_status("Approved", retired=True)
    ('Approved', 'Archived')
    """
    if retired:
        return "Archived"
    return {"Approved": "Approved", "PendingManualApproval": "PendingReview"}.get(approval, "Draft")


def to_sagemaker(card: VersionCard) -> dict[str, Any]:
    """Returns the content of a SageMaker model card (schema 1.0)."""
    details: dict[str, Any] = {
        "training_datasets": [card.lineage["data_uri"]] if card.lineage.get("data_uri") else [],
        "training_environment": {"container_image": [card.image_uri]},
        "user_provided_hyper_parameters": [
            {"name": name[:_NAME], "value": value[:_NAME]} for name, value in card.hyperparameters.items()
        ],
    }
    return {
        "model_overview": {
            "model_description": card.description[:_SHORT],
            "model_creator": card.lineage.get("trained_by", "unknown")[:_SHORT],
            "model_owner": card.owner[:_SHORT],
            "model_artifact": [card.artifact_uri],
            "problem_type": "Binary classification" if card.task == "binary" else "Regression",
            **({"algorithm_type": card.algorithm[:_SHORT]} if card.algorithm else {}),
        },
        "intended_uses": {
            "purpose_of_model": card.description[:_LONG],
            "intended_uses": f"{card.intended_use}\nNot for: {card.excluded_use}"[:_LONG],
            "factors_affecting_model_efficiency": "\n".join(card.limits)[:_LONG],
            "risk_rating": _RISK.get(card.risk, "Unknown"),
            "explanations_for_risk_rating": f"risk: {card.risk} in the model's contract"[:_LONG],
        },
        "business_details": {"business_stakeholders": f"owner {card.owner}, on call {card.on_call}"[:_LONG]},
        "training_details": {
            "training_observations": (card.notes or "")[:_SHORT],
            "training_job_details": details,
        },
        "evaluation_details": [_evaluation_details(card)] if card.metrics else [],
        "additional_information": {
            "caveats_and_recommendations": "\n".join((*card.limits, f"Not for: {card.excluded_use}"))[:_LONG],
            "custom_details": {key: value[:_NAME] for key, value in _custom_details(card)},
        },
    }


def _custom_details(card: VersionCard) -> Iterator[tuple[str, str]]:
    yield "version", card.ref
    yield "model_package", card.arn
    yield "status", card.status
    details = {
        "verdict": card.verdict,
        "approved_by": card.approved_by,
        "approval_reason": card.approval_reason,
        "forced_by": card.forced_by,
        "rollback_candidate": card.rollback_candidate,
        "retire_on": card.retire_on,
        "sbom": card.sbom_uri,
        "deployed": ", ".join(f"{d.role} on {d.endpoint}" for d in card.deployments),
    }
    yield from ((key, value) for key, value in details.items() if value)
    yield from ((key, card.lineage[key]) for key in LINEAGE if card.lineage.get(key))


def _evaluation_details(card: VersionCard) -> dict[str, Any]:
    groups = [{"name": "held-out rows", "metric_data": [_number_metric(name, e) for name, e in _finite(card.metrics)]}]
    if card.difference:
        differences = [_number_metric(name, e) for name, e in _finite(card.difference)]
        groups.append({"name": f"difference to {card.champion}"[:_GROUP], "metric_data": differences})
    for column, values in card.segments.items():
        bars = [bar for name in card.metrics if (bar := _bar_chart(column, name, values))]
        if bars:
            groups.append({"name": f"by {column}"[:_GROUP], "metric_data": bars})
    return {
        "name": f"{card.ref} on its holdout"[:_GROUP],
        "evaluation_observation": f"The gates' verdict is {card.verdict} on {card.rows} held-out rows."[:_LONG],
        "datasets": [card.lineage["holdout_uri"]] if card.lineage.get("holdout_uri") else [],
        "metadata": {"evaluation": (card.evaluation_uri or "")[:_NAME]},
        "metric_groups": [g for g in groups if g["metric_data"]],
    }


def _finite(metrics: Mapping[str, Estimate]) -> list[tuple[str, Estimate]]:
    return [(name, estimate) for name, estimate in metrics.items() if math.isfinite(estimate.value)]


def _number_metric(name: str, e: Estimate) -> dict[str, Any]:
    notes = f"95 % interval {format_interval(e)}, {e.n_rows} rows"
    return {"name": name, "type": "number", "value": e.value, "notes": notes}


def _bar_chart(column: str, metric: str, values: Mapping[str, Mapping[str, Estimate]]) -> dict[str, Any] | None:
    values_by_name = [(v, m[metric].value) for v, m in values.items() if metric in m and math.isfinite(m[metric].value)]
    if not values_by_name:
        return None
    bars = values_by_name[:MAX_BARS]
    return {
        "name": f"{metric} by {column}"[:_NAME],
        "type": "bar_chart",
        "value": [value for _, value in bars],
        "x_axis_name": [name[:_NAME] for name, _ in bars],
        "y_axis_name": metric,
    }


def format_interval(e: Estimate) -> str:
    """Returns a 95 % interval as text, "unknown" if an end is not finite.

    >>> format_interval(Estimate(0.7, 0.69123, 0.71, 10))
    '0.6912 to 0.71'
    """
    return f"{e.ci_low:.4g} to {e.ci_high:.4g}" if math.isfinite(e.ci_low) and math.isfinite(e.ci_high) else "unknown"


# --- Markdown -------------------------------------------------------------------------------------------------------


def to_markdown(card: VersionCard) -> str:
    """Returns one page: intended use, limits, metrics, gates, approval, deployments and lineage."""
    parts = [
        f"# {card.ref}",
        card.description.strip(),
        _table(("", ""), _overview(card)),
        "## Use",
        f"**Intended.** {card.intended_use.strip()}\n\n**Not for.** {card.excluded_use.strip()}",
    ]
    if card.limits:
        parts += ["**Known limits.**", "\n".join(f"- {limit}" for limit in card.limits)]
    if card.notes:
        parts += ["## Release notes", card.notes.strip()]
    parts += ["## Metrics", *_metrics_section(card)]
    if card.gates:
        rows = [
            (str(gate.get("outcome")), str(gate.get("name")), _format_number(gate.get("value")), str(gate.get("bound")))
            for gate in card.gates
        ]
        parts += ["## Gates", f"Verdict: **{card.verdict}**.", _table(("verdict", "gate", "value", "bound"), rows)]
    parts += ["## Approval", _approval_section(card), "## Where it runs", *_deployments_section(card)]
    parts += ["## Lineage", _table(("", ""), [(k, f"`{v}`") for k, v in card.lineage.items()])]
    if card.hyperparameters:
        parts.append(_table(("hyperparameter", "value"), list(card.hyperparameters.items())))
    parts.append(f"Features ({len(card.features)}): {', '.join(card.features)}." if card.features else "")
    parts.append(
        f"*Generated from the registry and the ledger of stack {card.stack} at {format_iso_ms(card.created_at)}.*"
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _overview(card: VersionCard) -> list[tuple[str, str]]:
    rows = [
        ("status", card.status),
        ("owner", card.owner),
        ("on call", card.on_call),
        ("risk", card.risk),
        ("task", card.task),
        ("fallback", f"{card.fallback:g}"),
        ("image", f"`{card.image_uri}`"),
        ("artifact", f"`{card.artifact_uri}`"),
    ]
    rows += [("retires on", card.retire_on)] if card.retire_on else []
    rows += [("packages (SBOM)", f"`{card.sbom_uri}`")] if card.sbom_uri else []
    return rows


def _metrics_section(card: VersionCard) -> Iterator[str]:
    if not card.metrics:
        yield "It was never evaluated."
        return
    yield f"On {card.rows:,} held-out rows." if card.rows else ""
    rows = []
    for name, estimate in card.metrics.items():
        difference = card.difference.get(name)
        difference_text = f"{_format_number(difference.value)} ({format_interval(difference)})" if difference else ""
        rows.append((name, _format_number(estimate.value), format_interval(estimate), difference_text))
    yield _table(("metric", "value", "95 % interval", f"difference to {card.champion or 'no champion'}"), rows)
    names = list(card.metrics)
    for column, values in card.segments.items():
        yield f"By {column}:"
        cells = []
        for value, metrics in values.items():
            n_rows = max((estimate.n_rows for estimate in metrics.values()), default=0)
            numbers = (_format_number(metrics[name].value) if name in metrics else "" for name in names)
            cells.append((value, f"{n_rows:,}", *numbers))
        yield _table((column, "rows", *names), cells)


def _approval_section(card: VersionCard) -> str:
    if card.approved_by is None:
        return f"Not approved: {card.status}."
    forced = f" Forced by {card.forced_by}." if card.forced_by else ""
    return f"{card.approved_by}: {card.approval_reason or 'no reason given'}.{forced}"


def _deployments_section(card: VersionCard) -> Iterator[str]:
    if not card.deployments:
        yield "Not deployed."
    else:
        yield "\n".join(f"- {role.role} on `{role.endpoint}` as `{role.release}`" for role in card.deployments)
    if card.rollback_candidate:
        yield f"A rollback returns to `{card.rollback_candidate}`."
    if card.live_periods:
        rows = [
            (format_iso_ms(period.since), format_iso_ms(period.until) if period.until else "now")
            for period in card.live_periods
        ]
        yield _table(("live from", "until"), rows)


def _format_number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) and math.isfinite(value) else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """Escapes a text for a cell of a Markdown table.

    >>> _cell("a | b")
    'a \\\\| b'
    """
    return " ".join(str(text).split()).replace("|", "\\|")

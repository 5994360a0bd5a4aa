"""All that is known of one version, for the people who rely on it, in two forms: Markdown and SageMaker's.

SageMaker's form follows its model card schema: bounded texts, `user_provided_*` for what no SageMaker job vouches for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.ledger import iso_ms

LINEAGE = (
    "training_job",
    "trained_by",
    "trained_at",
    "dataset_sha256",
    "data_sha256",
    "data_uri",
    "holdout_uri",
    "data_rows",
    "data_from",
    "data_to",
    "code_commit",
    "code_dirty",
    "code_sha256",
    "code_uri",
    "lock_sha256",
    "seed",
    "instance_type",
    "promoted_from",
)
_RISK = {"low": "Low", "medium": "Medium", "high": "High"}
_SHORT, _LONG, _NAME, _GROUP = 1024, 2048, 255, 63
MAX_BARS = 60
_PASSING = frozenset({
    "status", "made_at", "deployments", "stays", "rollback_candidate", "live", "retire_on", "approved_by",
    "approval_reason", "forced_by", "arn", "stack", "notes",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class LivePeriod:
    """A time during which a version answered; `until` None: it still does."""

    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class VersionRole:
    """Where a version is now: `role` is live, pending, challenger, or rollback candidate."""

    endpoint: str
    role: str
    release: str


@dataclass(frozen=True, slots=True)
class VersionCard:
    """A version. The contract's part is that of its training where its code archive is still there."""

    model: str
    version: int
    arn: str
    status: str
    stack: str
    made_at: datetime
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
    stays: tuple[LivePeriod, ...]
    rollback_candidate: str | None
    """The release that a rollback would go back to while this version is live."""
    retire_on: str | None
    sbom_uri: str | None

    @property
    def ref(self) -> str:
        return f"{self.model}:{self.version}"

    @property
    def live(self) -> bool:
        return any(d.role == "live" for d in self.deployments)

    def to_json(self) -> dict[str, Any]:
        """Plain values; figures that could not be computed are null."""
        plain: dict[str, Any] = _plain(asdict(self))
        return {**plain, "live": self.live}

    def lasting(self) -> dict[str, Any]:
        """What does not change once a version was judged: the part that is kept beside its evaluation."""
        return {key: value for key, value in self.to_json().items() if key not in _PASSING}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    if isinstance(value, datetime):
        return iso_ms(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- SageMaker's form -----------------------------------------------------------------------------------------------


def card_status(approval: str, *, retired: bool) -> str:
    """
    >>> card_status("Approved", retired=False), card_status("Approved", retired=True)
    ('Approved', 'Archived')
    """
    if retired:
        return "Archived"
    return {"Approved": "Approved", "PendingManualApproval": "PendingReview"}.get(approval, "Draft")


def to_sagemaker(card: VersionCard) -> dict[str, Any]:
    """Content of a SageMaker model card (schema 1.0)."""
    known = [c for c in (card.lineage.get("data_uri"),) if c]
    details: dict[str, Any] = {
        "training_datasets": known,
        "training_environment": {"container_image": [card.image_uri]},
        "user_provided_hyper_parameters": [
            {"name": name[:_NAME], "value": value[:_NAME]} for name, value in card.hyperparameters.items()
        ],
    }
    content: dict[str, Any] = {
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
        "evaluation_details": [_evaluation(card)] if card.metrics else [],
        "additional_information": {
            "caveats_and_recommendations": "\n".join((*card.limits, f"Not for: {card.excluded_use}"))[:_LONG],
            "custom_details": {key: value[:_NAME] for key, value in _custom(card)},
        },
    }
    return content


def _custom(card: VersionCard) -> Iterator[tuple[str, str]]:
    yield "version", card.ref
    yield "model_package", card.arn
    yield "status", card.status
    told = {
        "verdict": card.verdict,
        "approved_by": card.approved_by,
        "approval_reason": card.approval_reason,
        "forced_by": card.forced_by,
        "rollback_candidate": card.rollback_candidate,
        "retire_on": card.retire_on,
        "sbom": card.sbom_uri,
        "deployed": ", ".join(f"{d.role} on {d.endpoint}" for d in card.deployments),
    }
    yield from ((key, value) for key, value in told.items() if value)
    yield from ((key, card.lineage[key]) for key in LINEAGE if card.lineage.get(key))


def _evaluation(card: VersionCard) -> dict[str, Any]:
    groups = [{"name": "held-out rows", "metric_data": [_simple(name, e) for name, e in _finite(card.metrics)]}]
    if card.difference:
        held = [_simple(name, e) for name, e in _finite(card.difference)]
        groups.append({"name": f"difference to {card.champion}"[:_GROUP], "metric_data": held})
    for column, values in card.segments.items():
        bars = [bar for name in card.metrics if (bar := _bar(column, name, values))]
        if bars:
            groups.append({"name": f"by {column}"[:_GROUP], "metric_data": bars})
    return {
        "name": f"{card.ref} on its holdout"[:_GROUP],
        "evaluation_observation": f"Gates said {card.verdict} on {card.rows} held-out rows."[:_LONG],
        "datasets": [card.lineage["holdout_uri"]] if card.lineage.get("holdout_uri") else [],
        "metadata": {"evaluation": (card.evaluation_uri or "")[:_NAME]},
        "metric_groups": [g for g in groups if g["metric_data"]],
    }


def _finite(metrics: Mapping[str, Estimate]) -> list[tuple[str, Estimate]]:
    return [(name, e) for name, e in metrics.items() if math.isfinite(e.value)]


def _simple(name: str, e: Estimate) -> dict[str, Any]:
    return {"name": name, "type": "number", "value": e.value, "notes": f"95 % interval {interval(e)}, {e.n} rows"}


def _bar(column: str, metric: str, values: Mapping[str, Mapping[str, Estimate]]) -> dict[str, Any] | None:
    told = [(v, m[metric].value) for v, m in values.items() if metric in m and math.isfinite(m[metric].value)]
    if not told:
        return None
    shown = told[:MAX_BARS]
    return {
        "name": f"{metric} by {column}"[:_NAME],
        "type": "bar_chart",
        "value": [value for _, value in shown],
        "x_axis_name": [name[:_NAME] for name, _ in shown],
        "y_axis_name": metric,
    }


def interval(e: Estimate) -> str:
    """
    >>> interval(Estimate(0.7, 0.69123, 0.71, 10)), interval(Estimate(0.7, float("nan"), float("nan"), 10))
    ('0.6912 to 0.71', 'unknown')
    """
    return f"{e.low:.4g} to {e.high:.4g}" if math.isfinite(e.low) and math.isfinite(e.high) else "unknown"


# --- Markdown -------------------------------------------------------------------------------------------------------


def to_markdown(card: VersionCard) -> str:
    """One page for people: what it is for, what it is not for, how good it is, where it comes from, who said yes."""
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
    parts += ["## Figures", *_figures(card)]
    if card.gates:
        rows = [
            (str(g.get("outcome")), str(g.get("name")), _number(g.get("value")), str(g.get("bound")))
            for g in card.gates
        ]
        parts += ["## Gates", f"Together: **{card.verdict}**.", _table(("verdict", "gate", "figure", "bound"), rows)]
    parts += ["## Approval", _approval(card), "## Where it runs", *_running(card)]
    parts += ["## Lineage", _table(("", ""), [(k, f"`{v}`") for k, v in card.lineage.items()])]
    if card.hyperparameters:
        parts.append(_table(("hyper-parameter", "value"), list(card.hyperparameters.items())))
    parts.append(f"Features ({len(card.features)}): {', '.join(card.features)}." if card.features else "")
    parts.append(f"*Made from registry and ledger of stack {card.stack} at {iso_ms(card.made_at)}.*")
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


def _figures(card: VersionCard) -> Iterator[str]:
    if not card.metrics:
        yield "It was never evaluated."
        return
    yield f"On {card.rows:,} rows that training never saw." if card.rows else ""
    rows = []
    for name, e in card.metrics.items():
        apart = card.difference.get(name)
        told = f"{_number(apart.value)} ({interval(apart)})" if apart else ""
        rows.append((name, _number(e.value), interval(e), told))
    yield _table(("metric", "figure", "95 % interval", f"difference to {card.champion or 'nobody'}"), rows)
    names = list(card.metrics)
    for column, values in card.segments.items():
        yield f"By {column}:"
        cells = [
            (
                v,
                f"{max((e.n for e in m.values()), default=0):,}",
                *(_number(m[n].value) if n in m else "" for n in names),
            )
            for v, m in values.items()
        ]
        yield _table((column, "rows", *names), cells)


def _approval(card: VersionCard) -> str:
    if card.approved_by is None:
        return f"Nobody approved it: {card.status}."
    forced = f" Forced by {card.forced_by}." if card.forced_by else ""
    return f"{card.approved_by}: {card.approval_reason or 'no reason given'}.{forced}"


def _running(card: VersionCard) -> Iterator[str]:
    if not card.deployments:
        yield "Nowhere at the moment."
    else:
        yield "\n".join(f"- {d.role} on `{d.endpoint}` as `{d.release}`" for d in card.deployments)
    if card.rollback_candidate:
        yield f"A rollback goes to `{card.rollback_candidate}`."
    if card.stays:
        rows = [(iso_ms(s.since), iso_ms(s.until) if s.until else "now") for s in card.stays]
        yield _table(("it answered from", "until"), rows)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) and math.isfinite(value) else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """
    >>> _cell("a | b")
    'a \\\\| b'
    """
    return " ".join(str(text).split()).replace("|", "\\|")

"""The content of a model card, in SageMaker's schema and as Markdown."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bedplate.domain.evidence.metrics import Estimate
from bedplate.domain.versions.card import (
    LivePeriod,
    VersionCard,
    VersionRole,
    sagemaker_status,
    to_markdown,
    to_sagemaker,
)
from fakes import EPOCH

AUC, BRIER = Estimate(0.73, 0.72, 0.74, 1000), Estimate(0.17, 0.16, 0.18, 1000)
UNKNOWN = Estimate(float("nan"), float("nan"), float("nan"), 3)


def a_card(**changes: Any) -> VersionCard:
    values: dict[str, Any] = {
        "model": "churn",
        "version": 3,
        "arn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/bedplate-local-churn/3",
        "status": "Approved",
        "stack": "local",
        "created_at": EPOCH,
        "description": "Will the customer leave?",
        "owner": "ada@example.com",
        "on_call": "oncall@example.com",
        "intended_use": "offers",
        "excluded_use": "prices",
        "risk": "high",
        "limits": ("never tried on | new plans",),
        "task": "binary",
        "algorithm": None,
        "fallback": 0.2,
        "notes": "Learns from calls, too.",
        "artifact_uri": "s3://artifacts/model.tar.gz",
        "image_uri": "image:1",
        "lineage": {"trained_by": "bob", "data_uri": "s3://data/train", "holdout_uri": "s3://data/holdout"},
        "hyperparameters": {"depth": "3"},
        "features": ("age", "calls"),
        "verdict": "PASS",
        "evaluation_uri": "s3://artifacts/e/evaluation.json",
        "rows": 1000,
        "metrics": {"auc": AUC, "brier": BRIER, "ece": UNKNOWN},
        "difference": {"auc": Estimate(0.02, 0.01, 0.03, 1000)},
        "champion": "v2",
        "segments": {"plan": {"basic": {"auc": AUC}, "pro": {"auc": BRIER}, "rare": {"auc": UNKNOWN}}},
        "gates": ({"outcome": "PASS", "name": "auc", "value": 0.73, "bound": ">= 0.7"},),
        "approved_by": "grace, ada",
        "approval_reason": "looked at it",
        "forced_by": None,
        "deployments": (VersionRole("bedplate-local-churn", "live", "bedplate-local-churn-v3-0a1b2c3d"),),
        "live_periods": (LivePeriod(EPOCH, None),),
        "rollback_candidate": "bedplate-local-churn-v2-0a1b2c3d",
        "retire_on": None,
        "sbom_uri": None,
    }
    return VersionCard(**{**values, **changes})


@pytest.mark.filterwarnings("ignore")
def test_sagemakers_card_schema_accepts_the_content() -> None:
    from sagemaker.core.shapes.model_card_shapes import ModelCardContent

    content = to_sagemaker(a_card(description="d" * 5000, limits=("l" * 5000,), notes="n" * 5000))
    parsed = ModelCardContent.model_validate(content).model_dump(exclude_none=True, mode="json")
    assert parsed == json.loads(json.dumps(content))  # its schema has every field
    assert parsed["intended_uses"]["risk_rating"] == "High"


def test_metrics_have_intervals_and_nan_metrics_are_left_out() -> None:
    (evaluation,) = to_sagemaker(a_card())["evaluation_details"]
    overall, difference, by_plan = evaluation["metric_groups"]
    assert {m["name"]: m["value"] for m in overall["metric_data"]} == {"auc": 0.73, "brier": 0.17}
    assert "0.72 to 0.74" in overall["metric_data"][0]["notes"]
    assert difference["name"] == "difference to v2"
    (bar,) = by_plan["metric_data"]
    assert (bar["x_axis_name"], bar["value"]) == (["basic", "pro"], [0.73, 0.17])


def test_the_card_of_an_unevaluated_version_says_so() -> None:
    card = a_card(metrics={}, difference={}, segments={}, gates=(), verdict=None, approved_by=None, deployments=())
    assert to_sagemaker(card)["evaluation_details"] == []
    page = to_markdown(card)
    assert "never evaluated" in page
    assert "Not approved" in page
    assert "Not deployed" in page


def test_the_page_shows_use_metrics_and_approvers() -> None:
    page = to_markdown(a_card())
    for text in (
        "**Not for.** prices",
        "| auc | 0.73 | 0.72 to 0.74 | 0.02 (0.01 to 0.03) |",
        "grace, ada: looked at it",
    ):
        assert text in page
    assert "A rollback returns to `bedplate-local-churn-v2-0a1b2c3d`" in page
    assert "Learns from calls" in page


def test_tables_escape_bars_and_line_breaks() -> None:
    page = to_markdown(a_card(owner="a | b\nc"))
    assert "| owner | a \\| b c |" in page


def test_details_leave_out_fields_that_change_later() -> None:
    card = a_card()
    later = replace(
        card, status="Rejected", deployments=(), approved_by=None, live_periods=(), notes="new", retire_on="2030-01-01"
    )
    assert card.details() == later.details()
    assert card.details() != replace(card, metrics={"auc": BRIER}).details()
    assert json.loads(json.dumps(card.to_json()))["metrics"]["ece"]["value"] is None


def test_card_status_follows_the_approval() -> None:
    statuses = [sagemaker_status(s, retired=False) for s in ("Approved", "PendingManualApproval", "Rejected")]
    assert statuses == ["Approved", "PendingReview", "Draft"]

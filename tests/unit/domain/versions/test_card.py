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
NOTHING = Estimate(float("nan"), float("nan"), float("nan"), 3)


def a_card(**changes: Any) -> VersionCard:
    values: dict[str, Any] = {
        "model": "churn",
        "version": 3,
        "arn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/bedplate-local-churn/3",
        "status": "Approved",
        "stack": "local",
        "made_at": EPOCH,
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
        "metrics": {"auc": AUC, "brier": BRIER, "ece": NOTHING},
        "difference": {"auc": Estimate(0.02, 0.01, 0.03, 1000)},
        "champion": "v2",
        "segments": {"plan": {"basic": {"auc": AUC}, "pro": {"auc": BRIER}, "rare": {"auc": NOTHING}}},
        "gates": ({"outcome": "PASS", "name": "auc", "value": 0.73, "bound": ">= 0.7"},),
        "approved_by": "grace, ada",
        "approval_reason": "looked at it",
        "forced_by": None,
        "deployments": (VersionRole("bedplate-local-churn", "live", "bedplate-local-churn-v3-0a1b2c3d"),),
        "stays": (LivePeriod(EPOCH, None),),
        "rollback_candidate": "bedplate-local-churn-v2-0a1b2c3d",
        "retire_on": None,
        "sbom_uri": None,
    }
    return VersionCard(**{**values, **changes})


@pytest.mark.filterwarnings("ignore")
def test_sagemakers_own_model_of_a_card_takes_it() -> None:
    from sagemaker.core.shapes.model_card_shapes import ModelCardContent

    content = to_sagemaker(a_card(description="d" * 5000, limits=("l" * 5000,), notes="n" * 5000))
    read = ModelCardContent.model_validate(content).model_dump(exclude_none=True, mode="json")
    assert read == json.loads(json.dumps(content))  # nothing that its schema does not know
    assert read["intended_uses"]["risk_rating"] == "High"


def test_figures_carry_their_intervals_and_what_could_not_be_computed_is_left_out() -> None:
    (evaluation,) = to_sagemaker(a_card())["evaluation_details"]
    whole, apart, plan = evaluation["metric_groups"]
    assert {m["name"]: m["value"] for m in whole["metric_data"]} == {"auc": 0.73, "brier": 0.17}
    assert "0.72 to 0.74" in whole["metric_data"][0]["notes"]
    assert apart["name"] == "difference to v2"
    (bar,) = plan["metric_data"]
    assert (bar["x_axis_name"], bar["value"]) == (["basic", "pro"], [0.73, 0.17])


def test_a_version_that_was_never_evaluated_says_so() -> None:
    card = a_card(metrics={}, difference={}, segments={}, gates=(), verdict=None, approved_by=None, deployments=())
    assert to_sagemaker(card)["evaluation_details"] == []
    page = to_markdown(card)
    assert "never evaluated" in page
    assert "Nobody approved it" in page
    assert "Nowhere at the moment" in page


def test_the_page_says_what_it_is_for_how_good_it_is_and_who_said_yes() -> None:
    page = to_markdown(a_card())
    for told in (
        "**Not for.** prices",
        "| auc | 0.73 | 0.72 to 0.74 | 0.02 (0.01 to 0.03) |",
        "grace, ada: looked at it",
    ):
        assert told in page
    assert "A rollback goes to `bedplate-local-churn-v2-0a1b2c3d`" in page
    assert "Learns from calls" in page


def test_tables_survive_bars_and_line_breaks() -> None:
    page = to_markdown(a_card(owner="a | b\nc"))
    assert "| owner | a \\| b c |" in page


def test_the_part_that_lasts_leaves_out_what_changes_later() -> None:
    card = a_card()
    later = replace(
        card, status="Rejected", deployments=(), approved_by=None, stays=(), notes="new", retire_on="2030-01-01"
    )
    assert card.details() == later.details()
    assert card.details() != replace(card, metrics={"auc": BRIER}).details()
    assert json.loads(json.dumps(card.to_json()))["metrics"]["ece"]["value"] is None


def test_status_of_a_card() -> None:
    told = [sagemaker_status(s, retired=False) for s in ("Approved", "PendingManualApproval", "Rejected")]
    assert told == ["Approved", "PendingReview", "Draft"]

"""The registry adapter on a local SageMaker: versions, approvals, metadata and model cards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bedplate.aws.sagemaker.model_cards import SageMakerCards
from bedplate.aws.sagemaker.registry import SageMakerRegistry
from bedplate.aws.session import Session
from bedplate.errors import NotFound, PlatformError
from bedplate.ports import PackageDraft

DRAFT = PackageDraft("churn", "image", "s3://b/model.tar.gz", "text", {"A": "1"}, {"model": "churn"}, {})


@pytest.fixture
def registry(session: Session) -> SageMakerRegistry:
    session.client("sagemaker").create_model_package_group(ModelPackageGroupName="churn")
    return SageMakerRegistry(session)


def test_a_registered_version_is_pending_approval_and_has_the_drafts_content(registry: SageMakerRegistry) -> None:
    package = registry.register(DRAFT)
    assert (package.version, package.approval, package.metadata) == (1, "PendingManualApproval", {"model": "churn"})
    assert (package.image_uri, package.artifact_uri, package.environment) == (
        "image",
        "s3://b/model.tar.gz",
        {"A": "1"},
    )
    assert registry.get("churn", 1) == package


def test_versions_are_listed_newest_first(registry: SageMakerRegistry) -> None:
    for number in range(12):
        registry.register(replace(DRAFT, metadata={"training_job": f"job-{number}"}))
    assert [p.version for p in registry.list_versions("churn")] == list(range(12, 0, -1))


def test_an_approval_is_stored_with_its_note(registry: SageMakerRegistry) -> None:
    package = registry.set_approval(registry.register(DRAFT), "Approved", "ada: fine")
    assert (package.approval, package.approval_note) == ("Approved", "ada: fine")


def test_the_error_names_a_version_that_does_not_exist(registry: SageMakerRegistry) -> None:
    with pytest.raises(NotFound, match="no version 7 of churn"):
        registry.get("churn", 7)


@pytest.mark.parametrize("metadata", [{"reason": "x" * 257}, {f"k{i}": "" for i in range(51)}])
def test_metadata_beyond_sagemakers_limits_is_rejected_before_the_call(
    registry: SageMakerRegistry, metadata: dict[str, str]
) -> None:
    with pytest.raises(PlatformError, match="at most 50 keys of 256"):
        registry.register(replace(DRAFT, metadata=metadata))
    assert len(registry.list_versions("churn")) == 0


def test_a_card_gets_a_new_version_only_when_its_content_changes(registry: SageMakerRegistry) -> None:
    cards = SageMakerCards(registry._session)
    first = cards.put("bedplate-local-churn-v1", {"a": "1"}, "PendingReview")
    assert first[1] == 1
    assert cards.put("bedplate-local-churn-v1", {"a": "1"}, "PendingReview") == first
    assert cards.put("bedplate-local-churn-v1", {"a": "2"}, "Approved")[1] == 2
    with pytest.raises(PlatformError, match="100,000"):
        cards.put("bedplate-local-churn-v1", {"a": "x" * 100_000}, "Approved")

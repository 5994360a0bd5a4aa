"""Promotion copies the same bytes, records on both sides, and inherits the approval where the rules allow it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bedplate.domain.ledger import Kind, Record
from bedplate.domain.names import BucketPurpose, ModelNames
from bedplate.errors import ApprovalNeeded, Conflict, NotFound, UsageError
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.versions.approve import ApproveRequest, approve
from bedplate.workflows.versions.promote import PromoteRequest, PromotionResult, promote
from builders import a_package, a_stack_context, outputs, settings
from fakes import FakeClock, FakeObjects, FakeRegistry, FakeStackContext

ARTIFACT = b"the model's own bytes"
DIGEST = hashlib.sha256(ARTIFACT).hexdigest()
URIS = {
    "artifact": "s3://src-artifacts/training/churn/job-1/output/model.tar.gz",
    "evaluation_uri": "s3://src-artifacts/evaluations/churn/v1/e1/evaluation.json",
    "code_uri": "s3://src-artifacts/training/churn/code/c/sourcedir.tar.gz",
    "holdout_uri": "s3://src-data/datasets/churn/d/holdout.parquet",
}


@dataclass
class FakeOrigin:
    stack: str = "staging"
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    objects: FakeObjects = field(default_factory=FakeObjects)
    buckets: Mapping[BucketPurpose, str] = field(
        default_factory=lambda: {"artifacts": "src-artifacts", "data": "src-data", "ledger": "src-ledger"}
    )
    is_read_only: bool = False
    digest: str | None = "sha256:abc"

    @property
    def ledger(self) -> Ledger | None:
        return None if self.is_read_only else Ledger(self.objects, "src-ledger", FakeClock())

    def names(self, model: str) -> ModelNames:
        return ModelNames("bedplate", self.stack, model)

    def pin_image(self, image_uri: str) -> str | None:
        return f"{image_uri.partition(':')[0]}@{self.digest}" if self.digest else None


@pytest.fixture
def origin() -> FakeOrigin:
    fake_origin = FakeOrigin()
    for uri in URIS.values():
        fake_origin.objects.contents[uri] = ARTIFACT if "model.tar.gz" in uri else uri.encode()
    fake_origin.objects.contents["s3://src-artifacts/evaluations/churn/v1/e1/predictions.parquet"] = b"rows"
    metadata = {
        **{key: uri for key, uri in URIS.items() if key != "artifact"},
        "verdict": "PASS",
        "metric.auc": "0.81",
        "training_job": "bedplate-staging-churn-1",
        "approved_by": "grace@example.com",
        "approval_reason": "gates passed",
    }
    package = a_package(
        1, artifact_uri=URIS["artifact"], metadata=metadata, approval="Approved", group="bedplate-staging-churn"
    )
    fake_origin.registry.packages["bedplate-staging-churn"] = [package]
    record(fake_origin, "evaluated", verdict="PASS", evaluation_uri=URIS["evaluation_uri"])
    record(fake_origin, "approved", final=True, people=["grace@example.com"])
    return fake_origin


def record(origin: FakeOrigin, kind: Kind, **data: Any) -> None:
    """Writes a record about version 1 to the origin's ledger."""
    assert origin.ledger is not None
    origin.ledger.record(kind, kind, actor="grace@example.com", model="churn", version=1, data=data)


def a_target(tmp_path: Path, **promotion: Any) -> FakeStackContext:
    target = a_stack_context(tmp_path, settings=settings(promotion=promotion), outputs=outputs(stack="prod"))
    target.name = "prod"
    return target


def run(origin: FakeOrigin, target: FakeStackContext, **changes: Any) -> PromotionResult:
    return promote(origin, target, PromoteRequest("churn", **{"version": 1, **changes}), lambda *_: None)


def records(ledger: Ledger | None) -> list[Record]:
    assert ledger is not None
    return [r for r in ledger.records() if r.kind == "promoted"]


def test_bytes_evidence_and_lineage_are_copied_without_a_build(origin: FakeOrigin, tmp_path: Path) -> None:
    target = a_target(tmp_path)
    result = run(origin, target)
    assert result.artifact_sha256 == DIGEST
    assert target.objects.contents["s3://artifacts/training/churn/job-1/output/model.tar.gz"] == ARTIFACT
    assert target.objects.contents["s3://artifacts/evaluations/churn/v1/e1/predictions.parquet"] == b"rows"
    assert result.package.artifact_uri == "s3://artifacts/training/churn/job-1/output/model.tar.gz"
    metadata = result.package.metadata
    assert metadata["holdout_uri"] == "s3://data/datasets/churn/d/holdout.parquet"
    assert (metadata["verdict"], metadata["metric.auc"], metadata["artifact_sha256"]) == ("PASS", "0.81", DIGEST)
    assert metadata["promoted_from"] == result.origin.arn
    assert target.jobs.trainings == {} == target.jobs.processings


def test_copied_evidence_is_recorded_and_refused_after_a_change(origin: FakeOrigin, tmp_path: Path) -> None:
    target = a_target(tmp_path)
    package = run(origin, target).package
    (entry,) = records(Ledger.of(target))
    assert (entry.data["verdict"], entry.data["evaluation_uri"]) == ("PASS", package.metadata["evaluation_uri"])
    assert entry.data["evaluation_sha256"] == hashlib.sha256(URIS["evaluation_uri"].encode()).hexdigest()
    target.objects.put(package.metadata["evaluation_uri"], b"better figures")
    with pytest.raises(ApprovalNeeded, match="not valid evidence"):
        approve(target, ApproveRequest("churn", package.version))
    target.objects.put(package.metadata["evaluation_uri"], URIS["evaluation_uri"].encode())
    assert approve(target, ApproveRequest("churn", package.version)).outcome == "approved"


def test_changes_by_hand_in_the_origins_registry_are_refused(origin: FakeOrigin, tmp_path: Path) -> None:
    record(origin, "evaluated", verdict="FAIL", evaluation_uri=URIS["evaluation_uri"])
    with pytest.raises(ApprovalNeeded, match="not valid evidence") as error:
        run(origin, a_target(tmp_path))
    assert error.value.next_step == "bedplate evaluate churn:1 --stack staging"
    record(origin, "rejected", reason="broken")
    with pytest.raises(ApprovalNeeded, match="by hand") as error:
        run(origin, a_target(tmp_path))
    assert error.value.next_step == "bedplate approve churn:1 --stack staging"


def test_the_image_is_pinned_by_digest(origin: FakeOrigin, tmp_path: Path) -> None:
    result = run(origin, a_target(tmp_path))
    assert result.package.image_uri.endswith("@sha256:abc")
    assert result.package.metadata["image_uri"] == result.package.image_uri
    origin.digest = None
    assert run(origin, a_target(tmp_path)).package.image_uri == result.origin.image_uri


def test_a_new_approval_is_needed_in_the_target(origin: FakeOrigin, tmp_path: Path) -> None:
    target = a_target(tmp_path)
    result = run(origin, target)
    assert (result.package.approval, result.is_approved) == ("PendingManualApproval", False)
    assert "approved_by" not in result.package.metadata
    assert result.package.metadata["origin_approved_by"] == "grace@example.com"
    assert approve(target, ApproveRequest("churn", 1)).package.approval == "Approved"  # with the copied evidence


def test_an_inherited_approval_counts_in_the_target(origin: FakeOrigin, tmp_path: Path) -> None:
    target = a_target(tmp_path, approval="inherited")
    result = run(origin, target)
    assert result.is_approved
    assert result.package.approval_note == "approved in staging by grace@example.com"
    assert approve(target, ApproveRequest("churn", 1)).outcome == "unchanged"


def test_both_ledgers_record_a_promotion_once(origin: FakeOrigin, tmp_path: Path) -> None:
    target = a_target(tmp_path)
    first, again = run(origin, target), run(origin, target)
    assert (first.outcome, again.outcome) == ("promoted", "unchanged")
    assert again.package.version == first.package.version == len(target.registry.list_versions("bedplate-prod-churn"))
    (target_record,), (origin_record,) = records(Ledger.of(target)), records(origin.ledger)
    assert (target_record.version, origin_record.version) == (1, 1)
    assert target_record.data["artifact_sha256"] == origin_record.data["artifact_sha256"] == DIGEST
    assert "came from staging version 1" in target_record.summary
    assert "went to prod as version 1" in origin_record.summary


def test_a_run_killed_before_its_records_is_completed(origin: FakeOrigin, tmp_path: Path) -> None:
    target = a_target(tmp_path)
    run(origin, target)
    for objects in (target.objects, origin.objects):
        for uri in [u for u, body in objects.contents.items() if "/ledger/" in u and b'"promoted"' in body]:
            del objects.contents[uri]
    assert run(origin, target).outcome == "unchanged"
    assert len(records(Ledger.of(target))) == len(records(origin.ledger)) == 1


def test_a_read_only_origin_gets_no_record(origin: FakeOrigin, tmp_path: Path) -> None:
    origin.is_read_only = True
    result = run(origin, a_target(tmp_path))
    assert not result.is_recorded_at_origin


def test_only_approved_versions_are_promoted(origin: FakeOrigin, tmp_path: Path) -> None:
    origin.registry.set_approval(origin.registry.get("bedplate-staging-churn", 1), "Rejected", "no")
    with pytest.raises(ApprovalNeeded, match="is Rejected in staging"):
        run(origin, a_target(tmp_path))
    with pytest.raises(NotFound, match="No version of churn is approved in staging"):
        run(origin, a_target(tmp_path), version=None)


def test_a_target_accepts_versions_only_from_its_sources(origin: FakeOrigin, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="accepts versions only from qa"):
        run(origin, a_target(tmp_path, sources=["qa"]))


def test_other_bytes_under_the_same_name_stop_before_registration(origin: FakeOrigin, tmp_path: Path) -> None:
    target = a_target(tmp_path)
    target.objects.contents["s3://artifacts/training/churn/job-1/output/model.tar.gz"] = b"something else"
    with pytest.raises(Conflict, match="differs"):
        run(origin, target)
    assert target.registry.packages == {}


def test_an_artifact_that_changed_since_its_own_promotion_is_refused(origin: FakeOrigin, tmp_path: Path) -> None:
    package = origin.registry.get("bedplate-staging-churn", 1)
    origin.registry.update_metadata(package, {"artifact_sha256": "0" * 64})
    with pytest.raises(Conflict, match="its promotion recorded 000000000000"):
        run(origin, a_target(tmp_path))


def test_unreadable_data_is_not_copied_and_named(origin: FakeOrigin, tmp_path: Path) -> None:
    del origin.objects.contents[URIS["holdout_uri"]]
    result = run(origin, a_target(tmp_path))
    assert result.not_copied[0].startswith(URIS["holdout_uri"])
    assert result.package.metadata["holdout_uri"] == URIS["holdout_uri"]
    assert run(origin, a_target(tmp_path), with_data=False).not_copied == ()


def test_unreadable_evidence_stops_the_promotion(origin: FakeOrigin, tmp_path: Path) -> None:
    del origin.objects.contents[URIS["evaluation_uri"]]
    with pytest.raises(NotFound):
        run(origin, a_target(tmp_path))

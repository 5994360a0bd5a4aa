"""Promotion: the same bytes under another environment's names, recorded on both sides, approved where rules say so."""

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
PLACES = {
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
    made = FakeOrigin()
    for uri in PLACES.values():
        made.objects.contents[uri] = ARTIFACT if "model.tar.gz" in uri else uri.encode()
    made.objects.contents["s3://src-artifacts/evaluations/churn/v1/e1/predictions.parquet"] = b"rows"
    metadata = {
        **{key: uri for key, uri in PLACES.items() if key != "artifact"},
        "verdict": "PASS",
        "metric.auc": "0.81",
        "training_job": "bedplate-staging-churn-1",
        "approved_by": "grace@example.com",
        "approval_reason": "gates passed",
    }
    package = a_package(
        1, artifact_uri=PLACES["artifact"], metadata=metadata, approval="Approved", group="bedplate-staging-churn"
    )
    made.registry.packages["bedplate-staging-churn"] = [package]
    vouch(made, "evaluated", verdict="PASS", evaluation_uri=PLACES["evaluation_uri"])
    vouch(made, "approved", final=True, people=["grace@example.com"])
    return made


def vouch(origin: FakeOrigin, kind: Kind, **data: Any) -> None:
    """The origin's ledger knows that something was done about its version 1."""
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


def test_bytes_evidence_and_lineage_go_along_and_nothing_is_built(origin: FakeOrigin, tmp_path: Path) -> None:
    target = a_target(tmp_path)
    done = run(origin, target)
    assert done.artifact_sha256 == DIGEST
    assert target.objects.contents["s3://artifacts/training/churn/job-1/output/model.tar.gz"] == ARTIFACT
    assert target.objects.contents["s3://artifacts/evaluations/churn/v1/e1/predictions.parquet"] == b"rows"
    assert done.package.artifact_uri == "s3://artifacts/training/churn/job-1/output/model.tar.gz"
    told = done.package.metadata
    assert told["holdout_uri"] == "s3://data/datasets/churn/d/holdout.parquet"
    assert (told["verdict"], told["metric.auc"], told["artifact_sha256"]) == ("PASS", "0.81", DIGEST)
    assert told["promoted_from"] == done.origin.arn
    assert target.jobs.trainings == {} == target.jobs.processings


def test_the_evidence_that_came_along_is_on_record_and_what_a_hand_makes_of_it_is_refused(
    origin: FakeOrigin, tmp_path: Path
) -> None:
    target = a_target(tmp_path)
    made = run(origin, target).package
    (record,) = records(Ledger.of(target))
    assert (record.data["verdict"], record.data["evaluation_uri"]) == ("PASS", made.metadata["evaluation_uri"])
    assert record.data["evaluation_sha256"] == hashlib.sha256(PLACES["evaluation_uri"].encode()).hexdigest()
    target.objects.put(made.metadata["evaluation_uri"], b"better figures")
    with pytest.raises(ApprovalNeeded, match="no evidence"):
        approve(target, ApproveRequest("churn", made.version))
    target.objects.put(made.metadata["evaluation_uri"], PLACES["evaluation_uri"].encode())
    assert approve(target, ApproveRequest("churn", made.version)).outcome == "approved"


def test_what_a_hand_approved_or_judged_in_the_origins_registry_goes_nowhere(
    origin: FakeOrigin, tmp_path: Path
) -> None:
    vouch(origin, "evaluated", verdict="FAIL", evaluation_uri=PLACES["evaluation_uri"])
    with pytest.raises(ApprovalNeeded, match="no evidence") as refused:
        run(origin, a_target(tmp_path))
    assert refused.value.next_step == "bedplate evaluate churn:1 --stack staging"
    vouch(origin, "rejected", reason="broken")
    with pytest.raises(ApprovalNeeded, match="by hand") as refused:
        run(origin, a_target(tmp_path))
    assert refused.value.next_step == "bedplate approve churn:1 --stack staging"


def test_the_image_is_named_by_its_digest(origin: FakeOrigin, tmp_path: Path) -> None:
    done = run(origin, a_target(tmp_path))
    assert done.package.image_uri.endswith("@sha256:abc")
    assert done.package.metadata["image_uri"] == done.package.image_uri
    origin.digest = None
    assert run(origin, a_target(tmp_path)).package.image_uri == done.origin.image_uri


def test_the_origins_approval_is_kept_and_a_new_one_is_needed(origin: FakeOrigin, tmp_path: Path) -> None:
    target = a_target(tmp_path)
    done = run(origin, target)
    assert (done.package.approval, done.is_approved) == ("PendingManualApproval", False)
    assert "approved_by" not in done.package.metadata
    assert done.package.metadata["origin_approved_by"] == "grace@example.com"
    assert approve(target, ApproveRequest("churn", 1)).package.approval == "Approved"  # on the evidence that came along


def test_where_rules_say_so_the_origins_approval_counts(origin: FakeOrigin, tmp_path: Path) -> None:
    target = a_target(tmp_path, approval="inherited")
    done = run(origin, target)
    assert done.is_approved
    assert done.package.approval_note == "approved in staging by grace@example.com"
    assert approve(target, ApproveRequest("churn", 1)).outcome == "unchanged"


def test_both_ledgers_record_it_once_however_often_it_is_asked(origin: FakeOrigin, tmp_path: Path) -> None:
    target = a_target(tmp_path)
    first, again = run(origin, target), run(origin, target)
    assert (first.outcome, again.outcome) == ("promoted", "unchanged")
    assert again.package.version == first.package.version == len(target.registry.list_versions("bedplate-prod-churn"))
    (here,), (there,) = records(Ledger.of(target)), records(origin.ledger)
    assert (here.version, there.version) == (1, 1)
    assert here.data["artifact_sha256"] == there.data["artifact_sha256"] == DIGEST
    assert "came from staging version 1" in here.summary
    assert "went to prod as version 1" in there.summary


def test_a_run_that_was_killed_before_it_recorded_is_completed(origin: FakeOrigin, tmp_path: Path) -> None:
    target = a_target(tmp_path)
    run(origin, target)
    for objects in (target.objects, origin.objects):
        for uri in [u for u, body in objects.contents.items() if "/ledger/" in u and b'"promoted"' in body]:
            del objects.contents[uri]
    assert run(origin, target).outcome == "unchanged"
    assert len(records(Ledger.of(target))) == len(records(origin.ledger)) == 1


def test_an_origin_that_can_only_be_read_is_said_to_have_no_record(origin: FakeOrigin, tmp_path: Path) -> None:
    origin.is_read_only = True
    done = run(origin, a_target(tmp_path))
    assert not done.is_recorded_at_origin


def test_only_what_the_origin_approved_is_promoted(origin: FakeOrigin, tmp_path: Path) -> None:
    origin.registry.set_approval(origin.registry.get("bedplate-staging-churn", 1), "Rejected", "no")
    with pytest.raises(ApprovalNeeded, match="is Rejected in staging"):
        run(origin, a_target(tmp_path))
    with pytest.raises(NotFound, match="No version of churn is approved in staging"):
        run(origin, a_target(tmp_path), version=None)


def test_a_target_takes_versions_only_from_where_it_says(origin: FakeOrigin, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes versions from qa only"):
        run(origin, a_target(tmp_path, sources=["qa"]))


def test_other_bytes_under_the_same_name_stop_it_before_anything_is_registered(
    origin: FakeOrigin, tmp_path: Path
) -> None:
    target = a_target(tmp_path)
    target.objects.contents["s3://artifacts/training/churn/job-1/output/model.tar.gz"] = b"something else"
    with pytest.raises(Conflict, match="holds other bytes"):
        run(origin, target)
    assert target.registry.packages == {}


def test_an_artifact_that_changed_since_its_own_promotion_is_refused(origin: FakeOrigin, tmp_path: Path) -> None:
    package = origin.registry.get("bedplate-staging-churn", 1)
    origin.registry.update_metadata(package, {"artifact_sha256": "0" * 64})
    with pytest.raises(Conflict, match="its promotion recorded 000000000000"):
        run(origin, a_target(tmp_path))


def test_data_that_cannot_be_read_stays_behind_and_is_named(origin: FakeOrigin, tmp_path: Path) -> None:
    del origin.objects.contents[PLACES["holdout_uri"]]
    done = run(origin, a_target(tmp_path))
    assert done.not_copied[0].startswith(PLACES["holdout_uri"])
    assert done.package.metadata["holdout_uri"] == PLACES["holdout_uri"]
    assert run(origin, a_target(tmp_path), with_data=False).not_copied == ()


def test_evidence_that_cannot_be_read_stops_it(origin: FakeOrigin, tmp_path: Path) -> None:
    del origin.objects.contents[PLACES["evaluation_uri"]]
    with pytest.raises(NotFound):
        run(origin, a_target(tmp_path))

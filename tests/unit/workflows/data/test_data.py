"""Data versions are registered once, signed, compared with their predecessor, and verified before training."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedplate.domain.data.version import Manifest
from bedplate.errors import ApprovalNeeded, GateFailed, NotEnoughData, NotFound, UsageError
from bedplate.settings import DataContract
from bedplate.workflows.data.check import check_file
from bedplate.workflows.data.diff import compare_versions
from bedplate.workflows.data.files import DataFile, file_sha256
from bedplate.workflows.data.register import plan, register, require_accepted
from bedplate.workflows.data.versions import (
    DataVersion,
    download_version,
    find_dataset_version,
    list_versions,
    read_datasheet,
    require_signature,
)
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.training.train import train
from bedplate.workflows.training.training_plan import TrainRequest
from bedplate.workflows.training.training_plan import plan as plan_training
from builders import a_spec, outputs
from fakes import FakeSigner, FakeStackContext
from training_stack import build_training_stack, write_training_data


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    return build_training_stack(tmp_path)


def register_file(
    stack: FakeStackContext, name: str = "data.parquet", accept: str | None = None, **options: Any
) -> DataVersion:
    stack.clock.at += timedelta(minutes=1)
    pending = plan(stack, stack.model("churn"), stack.project_dir / name, null_reporter, **options)
    require_accepted(pending, accept)
    return register(stack, pending, null_reporter, accept=accept)


def registration_summaries(stack: FakeStackContext) -> list[str]:
    return [r.summary for r in Ledger(stack.objects, "ledger", stack.clock).records() if r.kind == "data-registered"]


def write_poisoned_data(stack: FakeStackContext) -> None:
    labels = [i % 2 for i in range(500)]
    labels[3] ^= 1
    write_training_data(stack.project_dir / "poisoned.parquet", left=labels)


def test_a_version_has_the_hash_of_its_file_a_signature_and_a_record(stack: FakeStackContext) -> None:
    version = register_file(stack)
    assert version.manifest.sha256 == file_sha256(stack.project_dir / "data.parquet")
    assert stack.objects.get(version.data_uri) == (stack.project_dir / "data.parquet").read_bytes()
    require_signature(stack, version)
    assert registration_summaries(stack) == [f"data {version.short_hash} of churn registered: 500 rows, no warning"]


def test_registering_the_same_file_again_returns_the_same_version(stack: FakeStackContext) -> None:
    first, puts = register_file(stack), len(stack.objects.puts)
    assert register_file(stack) == first
    assert len(stack.objects.puts) == puts


def test_planning_changes_nothing(stack: FakeStackContext) -> None:
    plan(stack, stack.model("churn"), stack.project_dir / "data.parquet", null_reporter)
    assert stack.objects.puts == []


def test_an_interrupted_registration_is_not_listed_and_can_be_completed(stack: FakeStackContext) -> None:
    version = register_file(stack)
    del stack.objects.contents[f"{version.prefix}signature.json"]
    assert list_versions(stack, "churn") == ()
    assert register_file(stack).manifest.sha256 == version.manifest.sha256
    assert len(list_versions(stack, "churn")) == 1


def test_data_that_violates_the_contract_is_not_registered(stack: FakeStackContext) -> None:
    write_training_data(stack.project_dir / "data.parquet", plan=["gold"] * 500)
    with pytest.raises(GateFailed, match=r"plan: categories.*in 500 rows"):
        register_file(stack)
    assert stack.objects.puts == []


def test_a_file_without_rows_is_not_registered(stack: FakeStackContext) -> None:
    write_training_data(stack.project_dir / "data.parquet", 0)
    with pytest.raises(NotEnoughData, match="has no rows"):
        register_file(stack)


def test_suspicious_data_needs_a_reason_which_is_stored(stack: FakeStackContext) -> None:
    first = register_file(stack)
    write_poisoned_data(stack)
    with pytest.raises(ApprovalNeeded, match=r"label flips, left: 1 of 500.*\(rows 3\)"):
        register_file(stack, "poisoned.parquet")
    version = register_file(stack, "poisoned.parquet", accept="corrected by hand")
    assert version.manifest.accept_reason == "corrected by hand"
    assert version.manifest.parent == first.manifest.sha256
    assert find_dataset_version(stack, "churn", "latest") == version


def test_a_version_with_unaccepted_warnings_is_not_the_latest(stack: FakeStackContext) -> None:
    first = register_file(stack)
    write_poisoned_data(stack)
    pending = plan(stack, stack.model("churn"), stack.project_dir / "poisoned.parquet", null_reporter)
    warned = register(stack, pending, null_reporter)
    assert (warned.manifest.status, find_dataset_version(stack, "churn", "latest")) == ("with warnings", first)
    with pytest.raises(ApprovalNeeded):
        register_file(stack, "poisoned.parquet")
    accepted = register_file(stack, "poisoned.parquet", accept="looked at it")
    require_signature(stack, accepted)
    assert find_dataset_version(stack, "churn", "latest").manifest.accept_reason == "looked at it"


def test_changed_data_is_rejected_before_training(stack: FakeStackContext) -> None:
    version = register_file(stack)
    stack.objects.contents[version.data_uri] = stack.objects.contents[version.data_uri][:-1] + b"X"
    with pytest.raises(GateFailed, match="was changed after its registration"):
        plan_training(stack, TrainRequest("churn", "latest", {}), null_reporter)


@pytest.mark.parametrize("part", ["manifest.json", "signature.json"])
def test_a_changed_manifest_or_signature_is_rejected(stack: FakeStackContext, part: str) -> None:
    version = register_file(stack)
    uri = f"{version.prefix}{part}"
    if part == "manifest.json":
        stack.objects.contents[uri] = replace(version.manifest, rows=501).encode()
    else:
        document = json.loads(stack.objects.contents[uri])
        stack.objects.contents[uri] = json.dumps({**document, "signature": "AAAA"}).encode()
    with pytest.raises(GateFailed, match="signed"):
        download_version(stack, find_dataset_version(stack, "churn", "latest"))


def test_a_version_copied_to_the_place_of_another_is_rejected(stack: FakeStackContext) -> None:
    version = register_file(stack)
    other = "0" * 64
    for uri in [u for u in stack.objects.contents if u.startswith(version.prefix)]:
        stack.objects.contents[uri.replace(version.manifest.sha256, other)] = stack.objects.contents[uri]
    moved = next(v for v in list_versions(stack, "churn") if other in v.prefix)
    with pytest.raises(GateFailed, match="is stored under the hash of version 000000000000"):
        require_signature(stack, moved)


def test_a_signature_by_another_key_is_rejected(stack: FakeStackContext) -> None:
    version = register_file(stack)
    stack.signer = FakeSigner(b"another")
    with pytest.raises(GateFailed, match="another key"):
        require_signature(stack, version)


def test_a_changed_datasheet_is_rejected(stack: FakeStackContext) -> None:
    version = register_file(stack)
    assert read_datasheet(stack, version)["privacy_class"] == "internal"
    stack.objects.contents[f"{version.prefix}datasheet.json"] = b"{}"
    with pytest.raises(GateFailed, match=r"datasheet\.json was changed"):
        read_datasheet(stack, version)


def test_registering_again_restores_changed_data(stack: FakeStackContext) -> None:
    version = register_file(stack)
    stack.objects.contents[version.data_uri] = b"tampered"
    register_file(stack, again=True)
    assert (
        download_version(stack, find_dataset_version(stack, "churn", "latest")).read_bytes()
        == (stack.project_dir / "data.parquet").read_bytes()
    )


def test_training_on_a_version_and_on_its_file_is_the_same_training(stack: FakeStackContext) -> None:
    first = train(
        stack,
        plan_training(stack, TrainRequest("churn", stack.project_dir / "data.parquet", {}), null_reporter),
        null_reporter,
    )
    again = plan_training(stack, TrainRequest("churn", "latest", {}), null_reporter)
    assert again.package == first.package
    assert first.package is not None
    assert first.package.metadata["dataset_sha256"] == find_dataset_version(stack, "churn", "latest").manifest.sha256


def test_changed_uploads_of_an_earlier_training_are_rejected(stack: FakeStackContext) -> None:
    request = TrainRequest("churn", stack.project_dir / "data.parquet", {})
    result = train(stack, plan_training(stack, request, null_reporter), null_reporter)
    assert result.package is not None
    stack.objects.contents[result.package.metadata["data_uri"]] = b"tampered"
    with pytest.raises(GateFailed, match=r"train\.parquet was changed after it was uploaded"):
        train(stack, plan_training(stack, replace(request, seed=5), null_reporter), null_reporter)


def add_note_column(stack: FakeStackContext, excluded: str) -> None:
    data = stack.specs["churn"].data.model_dump()
    note = {"type": "string", "role": "context", "purposes": ["debugging"]}
    changed = {**data, "columns": {**data["columns"], "note": note}, "excluded_from_requests": excluded}
    stack.specs["churn"] = stack.specs["churn"].model_copy(update={"data": DataContract.model_validate(changed)})
    write_training_data(stack.project_dir / "data.parquet", note=["secret"] * 500)


def test_columns_without_the_purpose_training_are_rejected_by_name(stack: FakeStackContext) -> None:
    add_note_column(stack, "reject")
    register_file(stack)  # registering is not training
    for source in (stack.project_dir / "data.parquet", "latest"):
        with pytest.raises(GateFailed, match=r"note: purpose, expected no use for training"):
            plan_training(stack, TrainRequest("churn", source, {}), null_reporter)


def test_columns_without_the_purpose_training_are_dropped_if_the_contract_says_so(stack: FakeStackContext) -> None:
    add_note_column(stack, "drop")
    result = train(
        stack,
        plan_training(stack, TrainRequest("churn", stack.project_dir / "data.parquet", {}), null_reporter),
        null_reporter,
    )
    assert result.package is not None
    for part in ("data_uri", "holdout_uri"):
        rows = pq.read_table(pa.BufferReader(stack.objects.get(result.package.metadata[part])))
        assert "note" not in rows.column_names


def test_versions_are_found_by_the_beginning_of_their_hash(stack: FakeStackContext) -> None:
    version = register_file(stack)
    assert find_dataset_version(stack, "churn", version.short_hash) == version
    with pytest.raises(UsageError, match="6 digits"):
        find_dataset_version(stack, "churn", "ab")
    with pytest.raises(NotFound, match="starts with '000000'"):
        find_dataset_version(stack, "churn", "000000")


def test_latest_without_a_version_names_the_next_command(stack: FakeStackContext) -> None:
    with pytest.raises(NotFound, match="no accepted dataset version") as missing:
        find_dataset_version(stack, "churn", "latest")
    assert "bedplate data register churn" in str(missing.value.next_step)


def test_a_stack_without_a_signing_key_names_the_next_command(stack: FakeStackContext) -> None:
    stack.outputs = outputs(signing_key_arn="")
    with pytest.raises(NotFound, match="no key") as missing:
        register_file(stack)
    assert missing.value.next_step == "bedplate up --stack local"


def test_a_manifest_is_read_back_as_it_was_written(stack: FakeStackContext) -> None:
    version = register_file(stack)
    assert Manifest.decode(version.manifest_bytes) == version.manifest
    with pytest.raises(ValueError, match="has no format number"):
        Manifest.decode(b"{}")


def test_csv_is_checked_field_by_field_and_read_in_the_contracts_types(stack: FakeStackContext) -> None:
    spec, path = a_spec(), stack.project_dir / "data.csv"
    path.write_text(
        "id,at,left,age,calls,plan,extra\na,2013-01-01T00:00:00,1,,3,basic,7\nb,2013-01-02,0,40.5,4,pro,x\n"
    )
    report = check_file(stack, spec, path)
    assert (report.violations, report.undeclared) == ((), ("extra",))
    table = DataFile.open(path, next_step="").table(spec.data)
    kinds = {name: str(kind) for name, kind in zip(table.schema.names, table.schema.types, strict=True)}
    assert kinds == {
        "id": "string",
        "at": "timestamp[us]",
        "left": "int64",
        "age": "double",
        "calls": "int64",
        "plan": "string",
    }
    path.write_text("id,at,left,age,calls,plan\na,2013-01-01,1,old,3.5,basic\nb,then,0,40.5,4,\n")
    messages = [str(fault) for fault in check_file(stack, spec, path).violations]
    assert messages == [
        "at: type, expected a time, or one in ISO 8601 in 1 row (row 1: 'then')",
        "age: type, expected a finite number in 1 row (row 0: 'old')",
        "calls: type, expected a whole number in 1 row (row 0: 3.5)",
        "plan: nulls, expected none in 1 row (row 1: null)",
    ]


def test_two_versions_are_compared_column_by_column(stack: FakeStackContext) -> None:
    first = register_file(stack)
    plans = ["pro" if i % 10 else "basic" for i in range(500)]
    write_training_data(
        stack.project_dir / "b.parquet", id=[f"d{i}" for i in range(500)], plan=plans, calls=[None] * 5 + [3] * 495
    )
    diff = compare_versions(stack, "churn", first.short_hash, str(stack.project_dir / "b.parquet")).diff
    columns = {c.name: c for c in diff.columns}
    assert columns["plan"].shifts[0] == pytest.approx(("basic", 167 / 500, 50 / 500))
    assert columns["calls"].null_share_b == 0.01
    assert columns["age"].drift.psi == pytest.approx(0)
    assert (diff.label_rate_a, diff.label_rate_b, diff.label_p_value) == (0.5, 0.5, 1.0)
    assert [c.name for c in diff.columns][:2] == ["calls", "plan"]

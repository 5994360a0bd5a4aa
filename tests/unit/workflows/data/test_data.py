"""Data is registered once, signed, compared with its predecessor, and trained on only as it was signed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
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
from bedplate.workflows.data.register import must_be_unsuspicious, plan, register
from bedplate.workflows.data.versions import DataVersion, datasheet, fetch, find, must_be_signed, versions
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.training.train import train
from bedplate.workflows.training.training_plan import TrainRequest
from bedplate.workflows.training.training_plan import plan as plan_training
from builders import a_platform, a_spec, outputs
from fakes import FakeSigner, FakeStackContext


def write(path: Path, rows: int, **changes: Any) -> None:
    columns: dict[str, Any] = {
        "id": [f"c{i}" for i in range(rows)],
        "at": [datetime(2013, 1, 1) + timedelta(hours=i) for i in range(rows)],
        "left": [i % 2 for i in range(rows)],
        "age": [float(i) for i in range(rows)],
        "calls": [i % 7 for i in range(rows)],
        "plan": ["pro" if i % 3 else "basic" for i in range(rows)],
    }
    pq.write_table(pa.table({**columns, **changes}), path)


@pytest.fixture
def at(tmp_path: Path) -> FakeStackContext:
    folder = tmp_path / "models" / "churn"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text("pass")
    (folder / "model.yaml").write_text("name: churn")
    write(tmp_path / "data.parquet", 500)
    return a_platform(tmp_path)


def registered(
    at: FakeStackContext, name: str = "data.parquet", accept: str | None = None, **options: Any
) -> DataVersion:
    at.clock.at += timedelta(minutes=1)
    found = plan(at, at.model("churn"), at.project_dir / name, null_reporter, **options)
    must_be_unsuspicious(found, accept)
    return register(at, found, null_reporter, accept=accept)


def records(at: FakeStackContext) -> list[str]:
    return [r.summary for r in Ledger(at.objects, "ledger", at.clock).records() if r.kind == "registered-data"]


def poisoned(at: FakeStackContext) -> None:
    labels = [i % 2 for i in range(500)]
    labels[3] ^= 1
    write(at.project_dir / "poisoned.parquet", 500, left=labels)


def test_a_version_is_named_by_its_bytes_signed_and_recorded(at: FakeStackContext) -> None:
    version = registered(at)
    assert version.manifest.sha256 == file_sha256(at.project_dir / "data.parquet")
    assert at.objects.get(version.data_uri) == (at.project_dir / "data.parquet").read_bytes()
    must_be_signed(at, version)
    assert records(at) == [f"data {version.short} of churn registered: 500 rows, no warning"]


def test_the_same_bytes_again_are_the_same_version(at: FakeStackContext) -> None:
    first, puts = registered(at), len(at.objects.puts)
    assert registered(at) == first
    assert len(at.objects.puts) == puts


def test_planning_changes_nothing(at: FakeStackContext) -> None:
    plan(at, at.model("churn"), at.project_dir / "data.parquet", null_reporter)
    assert at.objects.puts == []


def test_a_registration_that_was_cut_short_is_none_and_is_completed(at: FakeStackContext) -> None:
    version = registered(at)
    del at.objects.held[f"{version.prefix}signature.json"]
    assert versions(at, "churn") == ()
    assert registered(at).manifest.sha256 == version.manifest.sha256
    assert len(versions(at, "churn")) == 1


def test_data_that_breaks_the_contract_is_not_registered(at: FakeStackContext) -> None:
    write(at.project_dir / "data.parquet", 500, plan=["gold"] * 500)
    with pytest.raises(GateFailed, match=r"plan: categories.*in 500 rows"):
        registered(at)
    assert at.objects.puts == []


def test_a_file_without_rows_is_no_pass(at: FakeStackContext) -> None:
    write(at.project_dir / "data.parquet", 0)
    with pytest.raises(NotEnoughData, match="holds no row"):
        registered(at)


def test_suspicious_data_needs_a_reason_which_is_kept(at: FakeStackContext) -> None:
    first = registered(at)
    poisoned(at)
    with pytest.raises(ApprovalNeeded, match=r"label flips, left: 1 of 500.*\(rows 3\)"):
        registered(at, "poisoned.parquet")
    version = registered(at, "poisoned.parquet", accept="corrected by hand")
    assert version.manifest.accepted == "corrected by hand"
    assert version.manifest.parent == first.manifest.sha256
    assert find(at, "churn", "latest") == version


def test_data_with_warnings_that_nobody_accepted_is_nobodys_standard(at: FakeStackContext) -> None:
    first = registered(at)
    poisoned(at)
    found = plan(at, at.model("churn"), at.project_dir / "poisoned.parquet", null_reporter)
    warned = register(at, found, null_reporter)
    assert (warned.manifest.status, find(at, "churn", "latest")) == ("with warnings", first)
    with pytest.raises(ApprovalNeeded):
        registered(at, "poisoned.parquet")
    accepted = registered(at, "poisoned.parquet", accept="looked at it")
    must_be_signed(at, accepted)
    assert find(at, "churn", "latest").manifest.accepted == "looked at it"


def test_changed_data_is_refused_before_training(at: FakeStackContext) -> None:
    version = registered(at)
    at.objects.held[version.data_uri] = at.objects.held[version.data_uri][:-1] + b"X"
    with pytest.raises(GateFailed, match="is not the data that was registered"):
        plan_training(at, TrainRequest("churn", "latest", {}), null_reporter)


@pytest.mark.parametrize("part", ["manifest.json", "signature.json"])
def test_a_changed_manifest_or_signature_is_refused(at: FakeStackContext, part: str) -> None:
    version = registered(at)
    uri = f"{version.prefix}{part}"
    if part == "manifest.json":
        at.objects.held[uri] = replace(version.manifest, rows=501).encode()
    else:
        told = json.loads(at.objects.held[uri])
        at.objects.held[uri] = json.dumps({**told, "signature": "AAAA"}).encode()
    with pytest.raises(GateFailed, match="signed"):
        fetch(at, find(at, "churn", "latest"))


def test_a_version_that_was_copied_over_another_is_refused(at: FakeStackContext) -> None:
    version = registered(at)
    other = "0" * 64
    for uri in [u for u in at.objects.held if u.startswith(version.prefix)]:
        at.objects.held[uri.replace(version.manifest.sha256, other)] = at.objects.held[uri]
    moved = next(v for v in versions(at, "churn") if other in v.prefix)
    with pytest.raises(GateFailed, match="lies where version 000000000000 belongs"):
        must_be_signed(at, moved)


def test_a_signature_by_another_key_does_not_count(at: FakeStackContext) -> None:
    version = registered(at)
    at.signer = FakeSigner(b"another")
    with pytest.raises(GateFailed, match="another key"):
        must_be_signed(at, version)


def test_a_changed_datasheet_is_refused(at: FakeStackContext) -> None:
    version = registered(at)
    assert datasheet(at, version)["privacy_class"] == "internal"
    at.objects.held[f"{version.prefix}datasheet.json"] = b"{}"
    with pytest.raises(GateFailed, match=r"datasheet\.json was changed"):
        datasheet(at, version)


def test_registering_again_heals_what_was_changed(at: FakeStackContext) -> None:
    version = registered(at)
    at.objects.held[version.data_uri] = b"tampered"
    registered(at, again=True)
    assert fetch(at, find(at, "churn", "latest")).read_bytes() == (at.project_dir / "data.parquet").read_bytes()


def test_training_on_a_version_and_on_its_file_is_the_same_training(at: FakeStackContext) -> None:
    first = train(
        at, plan_training(at, TrainRequest("churn", at.project_dir / "data.parquet", {}), null_reporter), null_reporter
    )
    again = plan_training(at, TrainRequest("churn", "latest", {}), null_reporter)
    assert again.package == first.package
    assert first.package is not None
    assert first.package.metadata["dataset_sha256"] == find(at, "churn", "latest").manifest.sha256


def test_changed_parts_of_an_earlier_training_are_refused(at: FakeStackContext) -> None:
    request = TrainRequest("churn", at.project_dir / "data.parquet", {})
    done = train(at, plan_training(at, request, null_reporter), null_reporter)
    assert done.package is not None
    at.objects.held[done.package.metadata["data_uri"]] = b"tampered"
    with pytest.raises(GateFailed, match=r"train\.parquet is not what was uploaded"):
        train(at, plan_training(at, replace(request, seed=5), null_reporter), null_reporter)


def with_a_note(at: FakeStackContext, forbidden: str) -> None:
    data = at.specs["churn"].data.model_dump()
    note = {"type": "string", "role": "context", "purposes": ["debugging"]}
    changed = {**data, "columns": {**data["columns"], "note": note}, "forbidden": forbidden}
    at.specs["churn"] = at.specs["churn"].model_copy(update={"data": DataContract.model_validate(changed)})
    write(at.project_dir / "data.parquet", 500, note=["secret"] * 500)


def test_columns_that_must_not_be_trained_on_are_refused_by_name(at: FakeStackContext) -> None:
    with_a_note(at, "refuse")
    registered(at)  # other purposes may be allowed it
    for source in (at.project_dir / "data.parquet", "latest"):
        with pytest.raises(GateFailed, match=r"note: purpose, expected not to be used for training"):
            plan_training(at, TrainRequest("churn", source, {}), null_reporter)


def test_columns_that_must_not_be_trained_on_are_dropped_when_the_contract_says_so(at: FakeStackContext) -> None:
    with_a_note(at, "drop")
    done = train(
        at, plan_training(at, TrainRequest("churn", at.project_dir / "data.parquet", {}), null_reporter), null_reporter
    )
    assert done.package is not None
    for part in ("data_uri", "holdout_uri"):
        rows = pq.read_table(pa.BufferReader(at.objects.get(done.package.metadata[part])))
        assert "note" not in rows.column_names


def test_versions_are_found_by_the_beginning_of_their_hash(at: FakeStackContext) -> None:
    version = registered(at)
    assert find(at, "churn", version.short) == version
    with pytest.raises(UsageError, match="6 digits"):
        find(at, "churn", "ab")
    with pytest.raises(NotFound, match="begins with 000000"):
        find(at, "churn", "000000")


def test_without_a_version_latest_names_the_way_to_one(at: FakeStackContext) -> None:
    with pytest.raises(NotFound, match="no accepted version") as missing:
        find(at, "churn", "latest")
    assert "bedplate data register churn" in str(missing.value.next_step)


def test_a_stack_without_a_signing_key_is_told_to_come_up(at: FakeStackContext) -> None:
    at.outputs = outputs(signing_key_arn="")
    with pytest.raises(NotFound, match="no key") as missing:
        registered(at)
    assert missing.value.next_step == "bedplate up --stack local"


def test_a_manifest_is_read_back_as_it_was_written(at: FakeStackContext) -> None:
    version = registered(at)
    assert Manifest.decode(version.raw) == version.manifest
    with pytest.raises(ValueError, match="no manifest"):
        Manifest.decode(b"{}")


def test_csv_is_checked_field_by_field_and_read_in_the_contracts_types(at: FakeStackContext) -> None:
    spec, path = a_spec(), at.project_dir / "data.csv"
    path.write_text(
        "id,at,left,age,calls,plan,extra\na,2013-01-01T00:00:00,1,,3,basic,7\nb,2013-01-02,0,40.5,4,pro,x\n"
    )
    report = check_file(at, spec, path)
    assert (report.faults, report.undeclared) == ((), ("extra",))
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
    told = [str(fault) for fault in check_file(at, spec, path).faults]
    assert told == [
        "at: type, expected a time, or one in ISO 8601 in 1 row (row 1: 'then')",
        "age: type, expected a finite number in 1 row (row 0: 'old')",
        "calls: type, expected a whole number in 1 row (row 0: 3.5)",
        "plan: nulls, expected none in 1 row (row 1: null)",
    ]


def test_two_versions_are_compared_column_by_column(at: FakeStackContext) -> None:
    first = registered(at)
    plans = ["pro" if i % 10 else "basic" for i in range(500)]
    write(at.project_dir / "b.parquet", 500, id=[f"d{i}" for i in range(500)], plan=plans, calls=[None] * 5 + [3] * 495)
    found = compare_versions(at, "churn", first.short, str(at.project_dir / "b.parquet")).diff
    columns = {c.name: c for c in found.columns}
    assert columns["plan"].shifts[0] == pytest.approx(("basic", 167 / 500, 50 / 500))
    assert columns["calls"].null_share_b == 0.01
    assert columns["age"].drift.psi == pytest.approx(0)
    assert (found.label_rate_a, found.label_rate_b, found.label_p_value) == (0.5, 0.5, 1.0)
    assert [c.name for c in found.columns][:2] == ["calls", "plan"]

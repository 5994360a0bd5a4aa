"""Trains, evaluates, approves, compares, promotes and retires versions with the CLI on a running local platform."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bedplate.aws.clock import SystemClock
from bedplate.aws.storage.objects import S3Objects
from bedplate.domain.ledger import object_key
from bedplate.domain.names import bucket
from bedplate.workflows.record.ledger import Ledger
from local_stage import ACCOUNT, PROJECT, STACK, Stage, add_environment, start_stage
from polling import wait_until

LEDGER = bucket(PROJECT, STACK, "ledger", ACCOUNT)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with start_stage(tmp_path_factory.mktemp("project")) as stage:
        stage.write_data()
        (stage.project / "requirements.lock").write_text("numpy==2.4.0\npandas==3.1.0\n")
        yield stage


def train_version(stage: Stage, *args: str) -> int:
    result = stage.run("train", "churn", "--data", "data.parquet", "--json", *args)
    assert result.code == 0, result.stderr + result.stdout
    return int(result.json["version"])


def records(stage: Stage) -> list[dict[str, object]]:
    result = stage.run("ledger", "show", "-n", "1000", "--json")
    assert result.code == 0, result.stderr
    return list(result.json)


def test_a_version_is_trained_evaluated_and_approved_and_the_ledger_verifies(stage: Stage) -> None:
    version = train_version(stage)
    assert train_version(stage) == version, "the same training again is the same version"

    evaluated = stage.run("evaluate", f"churn:{version}", "--json")
    assert evaluated.code == 0, evaluated.stderr + evaluated.stdout
    assert evaluated.json["verdict"] == "PASS"
    assert {gate["outcome"] for gate in evaluated.json["gates"]} == {"PASS"}

    approved = stage.run("approve", f"churn:{version}", "--json")
    assert approved.code == 0, approved.stderr
    assert approved.json["status"] == "Approved"
    assert approved.json["people"] == ["ada@example.com"]

    (model,) = stage.run("models", "list", "--json").json
    row = next(v for v in model["versions"] if v["version"] == version)
    assert (row["approval"], row["verdict"], row["metric"]) == ("Approved", "PASS", "auc")
    assert row["value"] > 0.7

    kinds = [r["kind"] for r in records(stage) if r["version"] == version]
    assert kinds == ["trained", "evaluated", "approved"]
    assert stage.run("ledger", "verify").code == 0


def test_a_bad_model_fails_its_gates_and_is_approved_only_with_force(stage: Stage) -> None:
    version = train_version(stage, "--set", "noise=2")
    result = stage.run("evaluate", f"churn:{version}")
    assert result.code == 3
    assert "FAIL" in result.stdout
    assert "auc" in result.stderr
    error = stage.run("approve", f"churn:{version}")
    assert error.code == 4
    assert "verdict is FAIL" in error.stderr
    forced = stage.run("approve", f"churn:{version}", "--force", "--reason", "a drill", "--json")
    assert forced.code == 0
    assert forced.json["waived"]
    assert [r["kind"] for r in records(stage) if r["version"] == version][-1] == "forced"


EVERY_GATE = {
    "thresholds": [{"metric": "auc", "min": 0.7}],
    "fairness": [{"column": "plan", "metric": "equalized_odds", "max_difference": 0.9, "min_rows": 50}],
    "calibration": {"max_ece": 0.5, "min_rows": 100},
    "explanation": {"max_importance_shift": 0.5},
    "leakage": {"max_single_feature": 0.9},
    "inference": {},
    "latency": {"single_p50_ms": 5000, "requests": 20, "batches": 20},
}


def test_every_kind_of_gate_is_measured_and_the_page_is_stored_with_the_evaluation(stage: Stage) -> None:
    version = train_version(stage)
    stage.write_model_yaml(gates=EVERY_GATE)
    try:
        first = stage.run("evaluate", f"churn:{version}", "--html", "gates.html")
        assert first.code == 0, first.stderr + first.stdout
        result = stage.run("evaluate", f"churn:{version}", "--json").json
        stage.write_model_yaml(gates={**EVERY_GATE, "leakage": {"max_single_feature": 0.6}})
        stricter = stage.run("evaluate", f"churn:{version}", "--json")
    finally:
        stage.write_model_yaml()
    kinds = {"threshold", "fairness", "calibration", "explanation", "leakage", "inference", "latency"}
    assert {g["kind"] for g in result["gates"]} == kinds
    explanations = [g for g in result["gates"] if g["kind"] == "explanation"]
    assert [(g["outcome"], g["decides"]) for g in explanations] == [("NO_DATA", False)], "release 0 is a constant"
    stored = S3Objects(stage.session).get(result["page_uri"]).decode()
    page = (stage.project / "gates.html").read_text()
    for html in (stored, page):
        assert f"churn:{version}: <span" in html
        assert html.count("<svg") >= 5
    assert stricter.code == 3, "age alone predicts better than the bound allows"
    assert stricter.json["evaluation_uri"] == result["evaluation_uri"], "another bound needs no new evaluation"


def test_the_error_of_a_failed_script_has_its_exception_and_the_command_that_shows_its_log(stage: Stage) -> None:
    result = stage.run("train", "churn", "--data", "data.parquet", "--set", "noise=10")
    assert result.code == 1
    assert "ValueError: too much noise" in result.stderr.rpartition("\nError: ")[2]
    command = result.stderr.split("Next:")[-1].split()
    assert command[:3] == ["bedplate", "models", "log"]
    log = stage.run(*command[1:])
    assert log.code == 0
    assert "ValueError: too much noise" in log.stdout


def test_a_training_above_its_cost_limit_is_rejected(stage: Stage) -> None:
    stage.write_model_yaml(training={"instance_type": "ml.m5.24xlarge", "max_runtime_s": 3600, "max_usd": 1})
    try:
        result = stage.run("train", "churn", "--data", "data.parquet")
    finally:
        stage.write_model_yaml()
    assert result.code == 8
    assert "training.max_usd" in result.stderr


def test_a_training_killed_while_its_job_runs_is_completed_by_the_same_command(stage: Stage) -> None:
    def jobs() -> list[Any]:
        return list(stage.session.client("sagemaker").list_training_jobs()["TrainingJobSummaries"])

    before = len(jobs())
    with stage.start("train", "churn", "--data", "data.parquet", "--seed", "77"):
        wait_until(lambda: len(jobs()) > before, timeout_s=120)
    version = train_version(stage, "--seed", "77")
    assert len(jobs()) == before + 1
    assert [r["kind"] for r in records(stage) if r["version"] == version] == ["trained"]
    assert stage.run("ledger", "verify").code == 0


def test_verification_names_an_altered_and_a_missing_record(stage: Stage) -> None:
    train_version(stage)
    train_version(stage, "--seed", "77")
    objects, uri = S3Objects(stage.session), f"s3://{LEDGER}/{object_key(1)}"
    original = objects.get(uri)
    forged = json.loads(original)
    forged["actor"] = "eve@example.com"
    try:
        objects.put(uri, json.dumps(forged, sort_keys=True, separators=(",", ":")).encode())
        altered = stage.run("ledger", "verify")
        assert altered.code == 1
        assert "record 1" in altered.stderr
        assert "altered" in altered.stderr
        stage.session.client("s3").delete_object(Bucket=LEDGER, Key=object_key(1))
        missing = stage.run("ledger", "verify", "--json")
        assert missing.code == 1
        assert (missing.json["first_break"]["seq"], missing.json["first_break"]["fault"]) == (1, "missing")
    finally:
        objects.put(uri, original)
    assert stage.run("ledger", "verify").code == 0


def test_concurrent_writers_lose_no_record(stage: Stage) -> None:
    def write(writer: int) -> None:
        ledger = Ledger(S3Objects(stage.session), LEDGER, SystemClock())
        for number in range(5):
            ledger.record("alert", f"{writer}.{number}", actor="test", model="race")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    summaries = [r["summary"] for r in records(stage) if r["model"] == "race"]
    assert sorted(map(str, summaries)) == sorted(f"{writer}.{number}" for writer in range(6) for number in range(5))
    assert stage.run("ledger", "verify").code == 0


def test_the_fallback_is_live_before_the_first_deployment(stage: Stage) -> None:
    result = stage.run("who-was-live", "churn", "--at", "yesterday", "--json")
    assert result.code == 0
    assert (result.json["version"], result.json["release"]) == (0, "bedplate-local-churn-v0")


def test_the_ledger_is_exported_as_it_is_stored(stage: Stage, tmp_path: Path) -> None:
    train_version(stage)
    assert stage.run("ledger", "export", "--out", str(tmp_path / "l.jsonl")).code == 0
    lines = (tmp_path / "l.jsonl").read_bytes().splitlines()
    assert lines[0] == S3Objects(stage.session).get(f"s3://{LEDGER}/{object_key(1)}")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("train", "nope", "--data", "data.parquet"), 2, "There is no model 'nope'"),
        (("train", "churn", "--data", "nope.parquet"), 2, "nope.parquet does not exist"),
        (("train", "churn", "--data", "data.parquet", "--set", "depth=3"), 2, "declares no 'depth'"),
        (("train", "churn", "--data", "data.parquet", "--set", "depth"), 2, "KEY=VALUE"),
        (("models", "show", "churn:99"), 2, "no version 99"),
        (("models", "list", "--stack", "nope"), 2, "no stack 'nope'"),
        (("approve", "churn:x"), 2, "MODEL:VERSION"),
        (("evaluate", "churn:99"), 2, "no version 99"),
        (("who-was-live", "churn", "--at", "soon"), 2, "is not a time"),
        (("ledger", "verify", "--head", "x"), 2, "SEQ:SHA256"),
        (("models", "log", "nope"), 2, "nope"),
    ],
)
def test_bad_input_is_an_error_with_one_message_and_its_exit_code(
    stage: Stage, args: tuple[str, ...], code: int, message: str
) -> None:
    result = stage.run(*args)
    assert result.code == code, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_dry_run_changes_nothing(stage: Stage) -> None:
    before = stage.session.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    result = stage.run("train", "churn", "--data", "data.parquet", "--seed", "123", "--dry-run", "--json")
    assert result.code == 0
    assert result.json["steps"]
    assert stage.session.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == before


def test_an_invalid_model_yaml_is_an_error_with_file_line_and_key(stage: Stage) -> None:
    stage.write_model_yaml(risk="none", clour="red")
    try:
        checked = stage.run("models", "check", "--json")
        train = stage.run("train", "churn", "--data", "data.parquet")
    finally:
        stage.write_model_yaml()
    assert checked.code == train.code == 2
    (model,) = checked.json
    fault = re.compile(r"models/churn/model\.yaml:\d+:\d+: clour: unknown key")
    assert any(fault.match(message) for message in model["faults"])
    assert fault.search(train.stderr)


# --- promotion, comparison, card, SBOM and retirement of versions ----------------------------------------------------


def approve_version(stage: Stage, *args: str) -> int:
    """Trains, evaluates and approves a version, unless an earlier test has. Returns its number."""
    version = train_version(stage, *args)
    for verb in ("evaluate", "approve"):
        result = stage.run(verb, f"churn:{version}", "--json")
        assert result.code == 0, result.stderr
    return version


def test_a_promoted_version_keeps_its_evidence_and_ignores_manual_changes_in_the_registry(stage: Stage) -> None:
    version = approve_version(stage)
    target = add_environment(stage, "prod", promotion={"sources": ["local"]})
    ecr = stage.session.client("ecr")
    ecr.create_repository(repositoryName="bedplate-local")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": []}
    response = ecr.put_image(repositoryName="bedplate-local", imageManifest=json.dumps(manifest), imageTag="latest")
    digest = response["image"]["imageId"]["imageDigest"]
    promoted = stage.run("models", "promote", f"churn:{version}", "--from", "local", "--to", "prod", "--json")
    assert promoted.code == 0, promoted.stderr
    repeated = stage.run("models", "promote", f"churn:{version}", "--from", "local", "--to", "prod", "--json")
    assert (promoted.json["outcome"], repeated.json["outcome"]) == ("promoted", "unchanged")

    sagemaker = target.session.client("sagemaker")
    (summary,) = sagemaker.list_model_packages(ModelPackageGroupName=target.names.package_group)[
        "ModelPackageSummaryList"
    ]
    arn = summary["ModelPackageArn"]
    package = sagemaker.describe_model_package(ModelPackageName=arn)
    (container,) = package["InferenceSpecification"]["Containers"]
    artifact, image = container["ModelDataUrl"], container["Image"]
    body = S3Objects(stage.session).get(artifact)
    assert image.endswith(f"/bedplate-local@{digest}")
    assert artifact.startswith(f"s3://{bucket(PROJECT, 'prod', 'artifacts', ACCOUNT)}/")
    assert hashlib.sha256(body).hexdigest() == package["CustomerMetadataProperties"]["artifact_sha256"]

    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"verdict": "FAIL"})
    error = stage.run("approve", "churn:1", "--stack", "prod")
    assert error.code == 4
    assert "record 1 of the ledger" in error.stderr
    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"verdict": "PASS"})
    assert stage.run("approve", "churn:1", "--stack", "prod", "--json").json["status"] == "Approved"
    kinds = [record["kind"] for record in stage.run("ledger", "show", "--stack", "prod", "--json").json]
    assert kinds == ["promoted", "approved"]
    assert "promoted" in [r["kind"] for r in stage.run("ledger", "show", "-n", "1000", "--json").json]


def test_two_versions_are_compared_row_by_row(stage: Stage, tmp_path: Path) -> None:
    first, second = approve_version(stage), approve_version(stage, "--set", "noise=0.05")
    page = tmp_path / "compare.html"
    result = stage.run("models", "compare", f"churn:{first}", str(second), "--html", str(page), "--json")
    assert result.code == 0, result.stderr
    auc = next(f for f in result.json["metrics"] if f["metric"] == "auc")
    assert auc["difference"]["value"] == pytest.approx(auc["second"]["value"] - auc["first"]["value"])
    assert auc["difference"]["ci_low"] <= auc["difference"]["value"] <= auc["difference"]["ci_high"]
    assert "<svg" in page.read_text()


def test_a_model_card_is_written_as_markdown_and_into_sagemaker(stage: Stage, tmp_path: Path) -> None:
    version, page = approve_version(stage), tmp_path / "CARD.md"
    result = stage.run("models", "card", f"churn:{version}", "--markdown", str(page), "--sagemaker", "--json")
    assert result.code == 0, result.stderr
    assert "Will the customer leave?" in page.read_text()
    card = stage.session.client("sagemaker").describe_model_card(ModelCardName=f"{stage.names.base}-v{version}")
    assert card["ModelCardStatus"] == "Approved"
    assert json.loads(card["Content"])["intended_uses"]["intended_uses"].startswith("offers")


def test_the_packages_of_a_versions_image_are_listed(stage: Stage) -> None:
    result = stage.run("models", "sbom", f"churn:{approve_version(stage)}", "--json")
    assert result.code == 0, result.stderr
    assert {(c["name"], c["version"]) for c in result.json["components"]} >= {("numpy", "2.4.0"), ("pandas", "3.1.0")}


def test_a_retired_version_is_not_deployed_until_its_retirement_is_cancelled(stage: Stage) -> None:
    version = f"churn:{approve_version(stage, '--set', 'noise=0.05')}"
    assert stage.run("models", "retire", version, "--reason", "a better version exists", "--json").json["changed"]
    error = stage.run("deploy", version, "--dry-run")
    assert (error.code, "retired" in error.stderr) == (2, True)
    assert stage.run("models", "retire", version, "--cancel", "--reason", "too early", "--json").code == 0
    assert stage.run("deploy", version, "--dry-run", "--json").code == 0

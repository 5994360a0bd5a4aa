"""The first half of a release's life, typed as a person types it, against a real local platform."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bedplate.aws.clock import SystemClock
from bedplate.aws.storage.objects import S3Objects
from bedplate.domain.ledger import key
from bedplate.domain.names import bucket
from bedplate.local import lifecycle
from bedplate.workflows.record.ledger import Ledger
from local_stage import ACCOUNT, PROJECT, STACK, Stage, build, neighbour
from typed import Ran, typed

LEDGER = bucket(PROJECT, STACK, "ledger", ACCOUNT)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    project = tmp_path_factory.mktemp("project")
    try:
        made = build(project)
        made.data()
        (made.project / "requirements.lock").write_text("numpy==2.4.0\npandas==3.1.0\n")
        yield made
    finally:
        lifecycle.stop(project)


def trained(stage: Stage, *args: str) -> int:
    ran = stage.run("train", "churn", "--data", "data.parquet", "--json", *args)
    assert ran.code == 0, ran.err + ran.out
    return int(ran.json["version"])


def records(stage: Stage) -> list[dict[str, object]]:
    ran = stage.run("ledger", "show", "-n", "1000", "--json")
    assert ran.code == 0, ran.err
    return list(ran.json)


def test_a_version_goes_from_training_to_approval_and_the_ledger_holds(stage: Stage) -> None:
    version = trained(stage)
    assert trained(stage) == version, "the same training again is the same version"

    evaluated = stage.run("evaluate", f"churn:{version}", "--json")
    assert evaluated.code == 0, evaluated.err + evaluated.out
    assert evaluated.json["verdict"] == "PASS"
    assert {gate["outcome"] for gate in evaluated.json["gates"]} == {"PASS"}

    approved = stage.run("approve", f"churn:{version}", "--json")
    assert approved.code == 0, approved.err
    assert approved.json["status"] == "Approved"
    assert approved.json["people"] == ["ada@example.com"]

    (model,) = stage.run("models", "list", "--json").json
    row = next(v for v in model["versions"] if v["version"] == version)
    assert (row["approval"], row["verdict"], row["metric"]) == ("Approved", "PASS", "auc")
    assert row["value"] > 0.7

    mine = [r["kind"] for r in records(stage) if r["version"] == version]
    assert mine == ["trained", "evaluated", "approved"]
    assert stage.run("ledger", "verify").code == 0


def test_a_model_that_learned_nonsense_is_stopped_with_exit_code_3(stage: Stage) -> None:
    version = trained(stage, "--set", "noise=2")
    ran = stage.run("evaluate", f"churn:{version}")
    assert ran.code == 3
    assert "FAIL" in ran.out
    assert "auc" in ran.err
    refused = stage.run("approve", f"churn:{version}")
    assert refused.code == 4
    assert "only PASS opens" in refused.err
    forced = stage.run("approve", f"churn:{version}", "--force", "--reason", "a drill", "--json")
    assert forced.code == 0
    assert forced.json["waived"]
    assert [r["kind"] for r in records(stage) if r["version"] == version][-1] == "forced"


EVERY_GATE = {
    "thresholds": [{"metric": "auc", "min": 0.7}],
    "fairness": [{"by": "plan", "metric": "equalized_odds", "max_difference": 0.9, "min_rows": 50}],
    "calibration": {"max_ece": 0.5, "min_rows": 100},
    "explanation": {"max_moved": 0.5},
    "leakage": {"max_single_feature": 0.9},
    "inference": {},
    "latency": {"single_p50_ms": 5000, "requests": 20, "batches": 20},
}


def test_every_kind_of_gate_is_measured_and_the_page_is_kept_beside_the_evaluation(stage: Stage) -> None:
    version = trained(stage)
    stage.spec(gates=EVERY_GATE)
    try:
        ran = stage.run("evaluate", f"churn:{version}", "--html", "gates.html")
        assert ran.code == 0, ran.err + ran.out
        told = stage.run("evaluate", f"churn:{version}", "--json").json
        stage.spec(gates={**EVERY_GATE, "leakage": {"max_single_feature": 0.6}})
        stricter = stage.run("evaluate", f"churn:{version}", "--json")
    finally:
        stage.spec()
    kinds = {"threshold", "fairness", "calibration", "explanation", "leakage", "inference", "latency"}
    assert {g["kind"] for g in told["gates"]} == kinds
    reasons = [g for g in told["gates"] if g["kind"] == "explanation"]
    assert [(g["outcome"], g["decides"]) for g in reasons] == [("NO_DATA", False)], "release 0 is a constant"
    kept = S3Objects(stage.session).get(told["page_uri"]).decode()
    page = (stage.project / "gates.html").read_text()
    for html in (kept, page):
        assert f"churn:{version}: <span" in html
        assert html.count("<svg") >= 5
    assert stricter.code == 3, "age alone tells more than that"
    assert stricter.json["evaluation_uri"] == told["evaluation_uri"], "another bound measures nothing anew"


def test_a_script_that_raises_is_told_with_its_exception_and_where_its_log_is(stage: Stage) -> None:
    ran = stage.run("train", "churn", "--data", "data.parquet", "--set", "noise=10")
    assert ran.code == 1
    assert "ValueError: too much noise" in ran.err.rpartition("\nError: ")[2]
    command = ran.err.split("Next:")[-1].split()
    assert command[:3] == ["bedplate", "models", "log"]
    log = stage.run(*command[1:])
    assert log.code == 0
    assert "ValueError: too much noise" in log.out


def test_a_training_that_may_cost_too_much_does_not_start(stage: Stage) -> None:
    stage.spec(training={"instance_type": "ml.m5.24xlarge", "max_runtime_s": 3600, "max_usd": 1})
    try:
        ran = stage.run("train", "churn", "--data", "data.parquet")
    finally:
        stage.spec()
    assert ran.code == 8
    assert "training.max_usd" in ran.err


def test_train_killed_while_the_job_runs_is_completed_by_the_same_command(stage: Stage) -> None:
    def jobs() -> list[Any]:
        return list(stage.session.client("sagemaker").list_training_jobs()["TrainingJobSummaries"])

    before = len(jobs())
    with stage.running("train", "churn", "--data", "data.parquet", "--seed", "77") as child:
        deadline = time.monotonic() + 120
        while len(jobs()) == before:
            assert time.monotonic() < deadline
            assert child.poll() is None
        os.kill(child.pid, signal.SIGKILL)
    version = trained(stage, "--seed", "77")
    assert len(jobs()) == before + 1
    assert [r["kind"] for r in records(stage) if r["version"] == version] == ["trained"]
    assert stage.run("ledger", "verify").code == 0


def test_an_altered_and_a_missing_record_are_named(stage: Stage) -> None:
    trained(stage)
    trained(stage, "--seed", "77")
    objects, uri = S3Objects(stage.session), f"s3://{LEDGER}/{key(1)}"
    honest = objects.get(uri)
    forged = json.loads(honest)
    forged["actor"] = "eve@example.com"
    try:
        objects.put(uri, json.dumps(forged, sort_keys=True, separators=(",", ":")).encode())
        altered = stage.run("ledger", "verify")
        assert altered.code == 1
        assert "record 1" in altered.err
        assert "altered" in altered.err
        stage.session.client("s3").delete_object(Bucket=LEDGER, Key=key(1))
        missing = stage.run("ledger", "verify", "--json")
        assert missing.code == 1
        assert (missing.json["broken"]["seq"], missing.json["broken"]["fault"]) == (1, "missing")
    finally:
        objects.put(uri, honest)
    assert stage.run("ledger", "verify").code == 0


def test_writers_that_do_not_know_of_each_other_lose_nothing(stage: Stage) -> None:
    def write(writer: int) -> None:
        ledger = Ledger(S3Objects(stage.session), LEDGER, SystemClock())
        for number in range(5):
            ledger.record("alert", f"{writer}.{number}", actor="test", model="race")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    written = [r["summary"] for r in records(stage) if r["model"] == "race"]
    assert sorted(map(str, written)) == sorted(f"{writer}.{number}" for writer in range(6) for number in range(5))
    assert stage.run("ledger", "verify").code == 0


def test_before_the_first_deployment_the_fallback_was_live(stage: Stage) -> None:
    ran = stage.run("who-was-live", "churn", "--at", "yesterday", "--json")
    assert ran.code == 0
    assert (ran.json["version"], ran.json["release"]) == (0, "bedplate-local-churn-v0")


def test_the_ledger_is_exported_as_it_is_stored(stage: Stage, tmp_path: Path) -> None:
    trained(stage)
    assert stage.run("ledger", "export", "--out", str(tmp_path / "l.jsonl")).code == 0
    lines = (tmp_path / "l.jsonl").read_bytes().splitlines()
    assert lines[0] == S3Objects(stage.session).get(f"s3://{LEDGER}/{key(1)}")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("train", "nope", "--data", "data.parquet"), 2, "There is no model 'nope'"),
        (("train", "churn", "--data", "nope.parquet"), 2, "There is no file"),
        (("train", "churn", "--data", "data.parquet", "--set", "depth=3"), 2, "declares no 'depth'"),
        (("train", "churn", "--data", "data.parquet", "--set", "depth"), 2, "KEY=VALUE"),
        (("models", "show", "churn:99"), 2, "no version 99"),
        (("models", "list", "--stack", "nope"), 2, "no stack 'nope'"),
        (("approve", "churn:x"), 2, "MODEL:VERSION"),
        (("evaluate", "churn:99"), 2, "no version 99"),
        (("who-was-live", "churn", "--at", "soon"), 2, "is no time"),
        (("ledger", "verify", "--head", "x"), 2, "SEQ:SHA256"),
        (("models", "log", "nope"), 2, "nope"),
    ],
)
def test_bad_input_gets_one_clear_message_and_its_exit_code(
    stage: Stage, args: tuple[str, ...], code: int, said: str
) -> None:
    ran = stage.run(*args)
    assert ran.code == code, ran.err
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_a_dry_run_changes_nothing(stage: Stage) -> None:
    before = stage.session.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    ran = stage.run("train", "churn", "--data", "data.parquet", "--seed", "123", "--dry-run", "--json")
    assert ran.code == 0
    assert ran.json["steps"]
    assert stage.session.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == before


def test_a_broken_model_yaml_is_explained_by_file_and_key(stage: Stage) -> None:
    stage.spec(risk="none", clour="red")
    try:
        checked = stage.run("models", "check", "--json")
        train = stage.run("train", "churn", "--data", "data.parquet")
    finally:
        stage.spec()
    assert checked.code == train.code == 2
    (model,) = checked.json
    fault = re.compile(r"models/churn/model\.yaml:\d+:\d+: clour: unknown key")
    assert any(fault.match(told) for told in model["faults"])
    assert fault.search(train.err)


# --- the registry: versions compared, told, listed, carried on, retired ---------------------------------------------


@pytest.fixture
def here(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Commands in this process, which takes a fifth of the time."""
    monkeypatch.chdir(stage.project)
    for name, value in stage.environment.items():
        monkeypatch.setenv(name, value)
    return typed


def passed(here: Callable[..., Ran], *args: str) -> int:
    """A version that was trained, evaluated and approved; whoever was before us may have done it."""
    version = int(here("train", "churn", "--data", "data.parquet", "--json", *args).json["version"])
    for verb in ("evaluate", "approve"):
        ran = here(verb, f"churn:{version}", "--json")
        assert ran.code == 0, ran.err
    return version


def test_a_version_goes_on_into_another_environment_where_a_hand_changes_nothing(
    stage: Stage, here: Callable[..., Ran]
) -> None:
    version = passed(here)
    target = neighbour(stage, "prod", promotion={"sources": ["local"]})
    ecr = stage.session.client("ecr")
    ecr.create_repository(repositoryName="bedplate-local")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": []}
    made = ecr.put_image(repositoryName="bedplate-local", imageManifest=json.dumps(manifest), imageTag="latest")
    digest = made["image"]["imageId"]["imageDigest"]
    carried = here("models", "promote", f"churn:{version}", "--from", "local", "--to", "prod", "--json")
    assert carried.code == 0, carried.err
    again = here("models", "promote", f"churn:{version}", "--from", "local", "--to", "prod", "--json")
    assert (carried.json["outcome"], again.json["outcome"]) == ("promoted", "unchanged")

    sagemaker = target.session.client("sagemaker")
    (summary,) = sagemaker.list_model_packages(ModelPackageGroupName=target.names.package_group)[
        "ModelPackageSummaryList"
    ]
    arn = summary["ModelPackageArn"]
    found = sagemaker.describe_model_package(ModelPackageName=arn)
    artifact = found["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    body = S3Objects(stage.session).get(artifact)
    image = found["InferenceSpecification"]["Containers"][0]["Image"]
    assert image.endswith(f"/bedplate-local@{digest}")
    assert artifact.startswith(f"s3://{bucket(PROJECT, 'prod', 'artifacts', ACCOUNT)}/")
    assert hashlib.sha256(body).hexdigest() == found["CustomerMetadataProperties"]["artifact_sha256"]

    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"verdict": "FAIL"})
    refused = here("approve", "churn:1", "--stack", "prod")
    assert refused.code == 4
    assert "record 1 of the ledger PASS" in refused.err
    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"verdict": "PASS"})
    assert here("approve", "churn:1", "--stack", "prod", "--json").json["status"] == "Approved"
    kinds = [record["kind"] for record in here("ledger", "show", "--stack", "prod", "--json").json]
    assert kinds == ["promoted", "approved"]
    assert "promoted" in [r["kind"] for r in here("ledger", "show", "-n", "1000", "--json").json]


def test_two_versions_are_compared_row_by_row(stage: Stage, here: Callable[..., Ran], tmp_path: Path) -> None:
    first, second = passed(here), passed(here, "--set", "noise=0.05")
    page = tmp_path / "compare.html"
    ran = here("models", "compare", f"churn:{first}", str(second), "--html", str(page), "--json")
    assert ran.code == 0, ran.err
    auc = next(f for f in ran.json["figures"] if f["metric"] == "auc")
    assert auc["difference"]["value"] == pytest.approx(auc["second"]["value"] - auc["first"]["value"])
    assert auc["difference"]["low"] <= auc["difference"]["value"] <= auc["difference"]["high"]
    assert "<svg" in page.read_text()


def test_a_versions_card_is_markdown_and_a_card_of_sagemakers(
    stage: Stage, here: Callable[..., Ran], tmp_path: Path
) -> None:
    version = passed(here)
    ran = here("models", "card", f"churn:{version}", "--markdown", str(tmp_path / "CARD.md"), "--sagemaker", "--json")
    assert ran.code == 0, ran.err
    assert "Will the customer leave?" in (tmp_path / "CARD.md").read_text()
    card = stage.session.client("sagemaker").describe_model_card(ModelCardName=f"{stage.names.base}-v{version}")
    assert card["ModelCardStatus"] == "Approved"
    assert json.loads(card["Content"])["intended_uses"]["intended_uses"].startswith("offers")


def test_the_packages_of_a_versions_image_are_listed(here: Callable[..., Ran]) -> None:
    ran = here("models", "sbom", f"churn:{passed(here)}", "--json")
    assert ran.code == 0, ran.err
    assert {(c["name"], c["version"]) for c in ran.json["components"]} >= {("numpy", "2.4.0"), ("pandas", "3.1.0")}


def test_a_retired_version_is_not_deployed_until_that_is_taken_back(here: Callable[..., Ran]) -> None:
    version = f"churn:{passed(here, '--set', 'noise=0.05')}"
    assert here("models", "retire", version, "--reason", "a better one is there", "--json").json["changed"]
    refused = here("deploy", version, "--dry-run")
    assert (refused.code, "retired" in refused.err) == (2, True)
    assert here("models", "retire", version, "--cancel", "--reason", "too early", "--json").code == 0
    assert here("deploy", version, "--dry-run", "--json").code == 0

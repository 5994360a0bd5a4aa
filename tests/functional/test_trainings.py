"""Trainings on a running local platform: MLflow runs, tuning, reproduction, retraining and spot interruption."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_stage import Stage, start_stage

IN_BLOCKS = """
import os, time
from pathlib import Path
checkpoint = Path(os.environ["SM_CHECKPOINT_DIR"], "blocks")
print("begins with", checkpoint.read_text() if checkpoint.exists() else "nothing", flush=True)
if not checkpoint.exists():
    checkpoint.write_text("block 1")
    time.sleep(600)  # until the instance is interrupted
time.sleep(1.2)  # billing counts whole seconds, and a discount on a single second is zero
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with start_stage(tmp_path_factory.mktemp("trainings"), faults=True) as stage:
        stage.write_data()
        yield stage


def test_parallel_trainings_are_logged_to_mlflow_and_compared(stage: Stage) -> None:
    tracking = f"sqlite:///{stage.project / 'mlflow.db'}"
    train = ("train", "churn", "--data", "data.parquet", "--set", "noise=0.1,0.2", "--json")
    result = stage.run_in_subprocess(*train, BEDPLATE_TRACKING=tracking)
    assert result.code == 0, result.stderr
    assert [result["hyperparameters"]["noise"] for result in result.json] == ["0.1", "0.2"]
    versions = [str(result["version"]) for result in result.json]
    options = ("--metric", "train_auc", "--html", "runs.html", "--json")
    compared = stage.run_in_subprocess("runs", "compare", "churn", *versions, *options, BEDPLATE_TRACKING=tracking)
    assert compared.code == 0, compared.stderr
    assert {row["name"]: row["values"] for row in compared.json["params"]}["noise"] == ["0.1", "0.2"]
    assert compared.json["metrics"] == [{"name": "train_auc", "values": [0.9, 0.9], "differs": False}]
    assert "<svg" in (stage.project / "runs.html").read_text()


def test_tuning_trains_its_trials_and_registers_the_best(stage: Stage) -> None:
    arguments = ("--data", "data.parquet", "--range", "noise=0.0:0.5", "--objective", "train_auc", "--trials", "3")
    result = stage.run("tune", "churn", *arguments, "--strategy", "Random", "--json")
    assert result.code == 0, result.stderr + result.stdout
    assert [trial["status"] for trial in result.json["results"]] == ["Completed"] * 3
    assert len({trial["params"]["noise"] for trial in result.json["results"]}) == 3
    shown = stage.run("models", "show", f"churn:{result.json['version']}", "--json")
    assert shown.code == 0
    assert result.json["best"]["job"] in shown.stdout
    second = stage.run("tune", "churn", *arguments, "--strategy", "Random")
    assert second.code == 0
    assert f"churn:{result.json['version']}" in second.stdout
    assert second.stdout.count("best") == 2, "in the table, and in the sentence"


def test_reproduced_version_is_identical(stage: Stage) -> None:
    trained = stage.run("train", "churn", "--data", "data.parquet", "--set", "noise=0.3", "--json")
    assert trained.code == 0, trained.stderr
    second = stage.run("reproduce", f"churn:{trained.json['version']}", "--json")
    assert second.code == 0, second.stderr + second.stdout
    assert second.json["identical"]
    assert second.json["predictions"]["rows"] == 400
    assert (second.json["predictions"]["differing"], second.json["predictions"]["max_difference"]) == (0, 0.0)


def test_captured_prediction_is_traced_to_its_release(stage: Stage) -> None:
    row = b'{"id": "a", "at": "2013-07-01T12:00:00", "age": 40.0, "plan": "pro"}\n'
    stage.session.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=stage.names.endpoint, ContentType="application/jsonlines", Body=row, InferenceId="claim-17"
    )
    result = stage.run("explain-decision", "claim-17", "--model", "churn", "--json")
    assert result.code == 0, result.stderr
    assert (result.json["prediction"], result.json["version"]) == (0.5, 0), "release 0 predicts the fallback"
    unknown = stage.run("explain-decision", "claim-18", "--model", "churn")
    assert unknown.code == 2
    assert "claim-18" in unknown.stderr


def test_retraining_registers_a_version_that_waits_for_approval(stage: Stage) -> None:
    assert stage.run("retrain", "churn").code == 6, "no signal is due"
    retrained = stage.run("retrain", "churn", "--reason", "a rehearsal", "--json")
    assert retrained.code == 0, retrained.stderr + retrained.stdout
    assert retrained.json["verdict"] == "PASS"
    card = stage.run("scorecard", "churn", "--json", "--html", "card.html")
    assert card.code == 0, card.stderr
    lines = {line["topic"]: (line["detail"], line["state"]) for line in card.json["lines"]}
    assert lines["retraining"] == (f"version {retrained.json['version']} is pending approval", "WARN")
    assert lines["approved by"][1] == "NO_DATA", "release 0 is live"
    assert "is pending approval" in (stage.project / "card.html").read_text()


def test_interrupted_spot_training_continues_from_its_checkpoint(stage: Stage) -> None:
    script = stage.project / "models" / "churn" / "train.py"
    before = script.read_text()
    script.write_text(IN_BLOCKS + before)
    try:
        assert stage.run("local", "fault", "add", "sagemaker:SpotTraining", "--kind", "interrupt").code == 0
        result = stage.run("train", "churn", "--data", "data.parquet", "--seed", "5", "--spot", "--json")
    finally:
        script.write_text(before)
    assert result.code == 0, result.stderr + result.stdout
    log = stage.run("models", "log", result.json["training_job"]).stdout
    assert "begins with nothing" in log
    assert "begins with block 1" in log
    assert result.json["spot_savings_pct"] > 0
    job = stage.session.client("sagemaker").describe_training_job(TrainingJobName=result.json["training_job"])
    assert [step["Status"] for step in job["SecondaryStatusTransitions"]].count("Interrupted") == 1

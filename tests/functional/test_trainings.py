"""What surrounds a training, on a real local platform: runs, several at once, tuning, reproduction, retraining."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bedplate.local import lifecycle
from local_stage import Stage, build

IN_BLOCKS = """
import os, time
from pathlib import Path
kept = Path(os.environ["SM_CHECKPOINT_DIR"], "blocks")
print("begins with", kept.read_text() if kept.exists() else "nothing", flush=True)
if not kept.exists():
    kept.write_text("block 1")
    time.sleep(600)  # until the instance is taken away
time.sleep(1.2)  # seconds are counted whole, and of a single one nothing can be saved
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    project = tmp_path_factory.mktemp("trainings")
    lifecycle.start(project, port=0, faults=True)
    try:
        made = build(project)
        made.data()
        yield made
    finally:
        lifecycle.stop(project)


def test_two_trainings_at_once_are_kept_in_mlflow_and_compared(stage: Stage) -> None:
    tracking = f"sqlite:///{stage.project / 'mlflow.db'}"
    train = ("train", "churn", "--data", "data.parquet", "--set", "noise=0.1,0.2", "--json")
    ran = stage.run_apart(*train, BEDPLATE_TRACKING=tracking)
    assert ran.code == 0, ran.err
    assert [one["hyperparameters"]["noise"] for one in ran.json] == ["0.1", "0.2"]
    versions = [str(one["version"]) for one in ran.json]
    wanted = ("--metric", "train_auc", "--html", "runs.html", "--json")
    compared = stage.run_apart("runs", "compare", "churn", *versions, *wanted, BEDPLATE_TRACKING=tracking)
    assert compared.code == 0, compared.err
    assert {row["name"]: row["values"] for row in compared.json["params"]}["noise"] == ["0.1", "0.2"]
    assert compared.json["metrics"] == [{"name": "train_auc", "values": [0.9, 0.9], "differs": False}]
    assert "<svg" in (stage.project / "runs.html").read_text()


def test_a_tuning_trains_its_trials_and_registers_the_best(stage: Stage) -> None:
    arguments = ("--data", "data.parquet", "--range", "noise=0.0:0.5", "--objective", "train_auc", "--trials", "3")
    ran = stage.run("tune", "churn", *arguments, "--strategy", "Random", "--json")
    assert ran.code == 0, ran.err + ran.out
    assert [trial["status"] for trial in ran.json["results"]] == ["Completed"] * 3
    assert len({trial["params"]["noise"] for trial in ran.json["results"]}) == 3
    shown = stage.run("models", "show", f"churn:{ran.json['version']}", "--json")
    assert shown.code == 0
    assert ran.json["best"]["job"] in shown.out
    again = stage.run("tune", "churn", *arguments, "--strategy", "Random")
    assert again.code == 0
    assert f"churn:{ran.json['version']}" in again.out
    assert again.out.count("best") == 2, "in the table, and in the sentence"


def test_a_version_trained_again_from_its_record_is_the_same_model(stage: Stage) -> None:
    trained = stage.run("train", "churn", "--data", "data.parquet", "--set", "noise=0.3", "--json")
    assert trained.code == 0, trained.err
    again = stage.run("reproduce", f"churn:{trained.json['version']}", "--json")
    assert again.code == 0, again.err + again.out
    assert again.json["identical"]
    assert again.json["predictions"]["rows"] == 400
    assert (again.json["predictions"]["differing"], again.json["predictions"]["max_difference"]) == (0, 0.0)


def test_a_captured_answer_is_followed_back_to_what_gave_it(stage: Stage) -> None:
    row = b'{"id": "a", "at": "2013-07-01T12:00:00", "age": 40.0, "plan": "pro"}\n'
    stage.session.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=stage.names.endpoint, ContentType="application/jsonlines", Body=row, InferenceId="claim-17"
    )
    told = stage.run("explain-decision", "claim-17", "--model", "churn", "--json")
    assert told.code == 0, told.err
    assert (told.json["answer"], told.json["version"]) == (0.5, 0), "release 0 answered, the constant of model.yaml"
    unknown = stage.run("explain-decision", "claim-18", "--model", "churn")
    assert unknown.code == 2
    assert "claim-18" in unknown.err


def test_a_retraining_ends_in_a_version_that_waits_and_the_scorecard_says_so(stage: Stage) -> None:
    assert stage.run("retrain", "churn").code == 6, "nothing asks for it"
    done = stage.run("retrain", "churn", "--reason", "a rehearsal", "--json")
    assert done.code == 0, done.err + done.out
    assert done.json["verdict"] == "PASS"
    card = stage.run("scorecard", "churn", "--json", "--html", "card.html")
    assert card.code == 0, card.err
    told = {line["question"]: (line["answer"], line["state"]) for line in card.json["lines"]}
    assert told["retraining"] == (f"version {done.json['version']} waits for a person", "WARN")
    assert told["approved by"][1] == "NO_DATA", "release 0 answers"
    assert "a person" in (stage.project / "card.html").read_text()


def test_a_spot_training_that_loses_its_instance_goes_on_from_its_checkpoint(stage: Stage) -> None:
    script = stage.project / "models" / "churn" / "train.py"
    before = script.read_text()
    script.write_text(IN_BLOCKS + before)
    try:
        assert stage.run("local", "fault", "add", "sagemaker:SpotTraining", "--kind", "interrupt").code == 0
        ran = stage.run("train", "churn", "--data", "data.parquet", "--seed", "5", "--spot", "--json")
    finally:
        script.write_text(before)
    assert ran.code == 0, ran.err + ran.out
    log = stage.run("models", "log", ran.json["training_job"]).out
    assert "begins with nothing" in log
    assert "begins with block 1" in log
    assert ran.json["saved_pct"] > 0
    told = stage.session.client("sagemaker").describe_training_job(TrainingJobName=ran.json["training_job"])
    assert [each["Status"] for each in told["SecondaryStatusTransitions"]].count("Interrupted") == 1

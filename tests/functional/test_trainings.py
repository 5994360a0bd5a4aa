"""What surrounds a training, on a real local platform: runs in MLflow's own store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bedplate.local import lifecycle
from local_stage import Stage, build


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    project = tmp_path_factory.mktemp("trainings")
    try:
        made = build(project)
        made.data()
        yield made
    finally:
        lifecycle.stop(project)


def test_two_trainings_at_once_are_kept_in_mlflow_and_compared(stage: Stage) -> None:
    tracking = f"sqlite:///{stage.project / 'mlflow.db'}"
    ran = stage.run(
        "train", "churn", "--data", "data.parquet", "--set", "noise=0.1,0.2", "--json", BEDPLATE_TRACKING=tracking
    )
    assert ran.code == 0, ran.err
    assert [one["hyperparameters"]["noise"] for one in ran.json] == ["0.1", "0.2"]
    versions = [str(one["version"]) for one in ran.json]
    wanted = ("--metric", "train_auc", "--html", "runs.html", "--json")
    compared = stage.run("runs", "compare", "churn", *versions, *wanted, BEDPLATE_TRACKING=tracking)
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

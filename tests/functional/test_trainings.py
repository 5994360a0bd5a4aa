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


def test_trainings_are_kept_in_mlflow_and_compared(stage: Stage) -> None:
    tracking = f"sqlite:///{stage.project / 'mlflow.db'}"
    for noise in ("0.1", "0.2"):
        ran = stage.run(
            "train", "churn", "--data", "data.parquet", "--set", f"noise={noise}", BEDPLATE_TRACKING=tracking
        )
        assert ran.code == 0, ran.err
        assert "Warning: Cannot keep" not in ran.err
    compared = stage.run("runs", "compare", "churn", "--json", "--html", "runs.html", BEDPLATE_TRACKING=tracking)
    assert compared.code == 0, compared.err
    told = {row["name"]: row["values"] for row in compared.json["params"]}
    assert told["noise"] == ["0.1", "0.2"]
    assert {row["name"]: row["values"] for row in compared.json["metrics"]}["train_auc"] == [0.9, 0.9]
    assert "<svg" in (stage.project / "runs.html").read_text()
    listed = stage.run("runs", "list", "churn", BEDPLATE_TRACKING=tracking)
    assert listed.out.count("FINISHED") == 2
    assert stage.run("runs", "show", "churn", "9", BEDPLATE_TRACKING=tracking).code == 2

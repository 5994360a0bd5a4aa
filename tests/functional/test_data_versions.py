"""Checks, registers, changes, poisons and compares data versions with the CLI on a running local platform."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bedplate.aws.storage.objects import split_uri
from local_stage import Stage, start_stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with start_stage(tmp_path_factory.mktemp("project")) as stage:
        stage.write_data()
        yield stage


def test_changed_data_of_a_registered_version_is_rejected(stage: Stage) -> None:
    result = stage.run("data", "register", "churn", "--data", "data.parquet", "--json")
    assert result.code == 0, result.stderr
    version = result.json
    assert not version["unchanged"]
    trained = stage.run("train", "churn", "--dataset", "latest", "--json")
    assert trained.code == 0, trained.stderr
    assert trained.json["dataset_sha256"] == version["sha256"]

    s3, (bucket, key) = stage.session.client("s3"), split_uri(version["uri"])
    rows = pq.read_table(stage.project / "data.parquet")
    flipped = rows.set_column(2, "left", pc.subtract(1, rows["left"]))
    sink = pa.BufferOutputStream()
    pq.write_table(flipped, sink)
    s3.put_object(Bucket=bucket, Key=key, Body=sink.getvalue().to_pybytes())
    error = stage.run("train", "churn", "--dataset", "latest", "--seed", "5")
    assert error.code == 3
    assert "was changed after its registration" in error.stderr
    assert "ada@example.com signed" in error.stderr


def test_a_poisoned_version_needs_acceptance_and_can_be_compared_with_its_predecessor(stage: Stage) -> None:
    rows = pq.read_table(stage.project / "data.parquet")
    restored = stage.run("data", "register", "churn", "--data", "data.parquet", "--again")
    assert restored.code == 0, restored.stderr
    labels = rows["left"].to_pylist()
    for row in (11, 500, 1999):
        labels[row] = 1 - labels[row]
    pq.write_table(rows.set_column(2, "left", pa.array(labels)), stage.project / "poisoned.parquet")
    error = stage.run("data", "register", "churn", "--data", "poisoned.parquet")
    assert error.code == 4
    assert "3 of 2,000 rows of the last version have another label (0.1%) (rows 11, 500, 1999)" in error.stderr
    assert "--accept" in error.stderr
    accepted = stage.run("data", "register", "churn", "--data", "poisoned.parquet", "--accept", "a drill", "--json")
    assert accepted.code == 0, accepted.stderr
    assert accepted.json["accept_reason"] == "a drill"

    versions = stage.run("data", "list", "churn", "--json").json
    assert [v["status"] for v in versions] == ["accepted in spite of warnings", "accepted"]
    diff = stage.run("data", "diff", "churn", versions[1]["sha256"][:8], "latest", "--json")
    assert diff.code == 0, diff.stderr
    assert (diff.json["rows_a"], diff.json["rows_b"]) == (2000, 2000)
    assert diff.json["label_p_value"] > 0.5


def test_data_that_violates_the_contract_is_an_error_with_its_rows_and_exit_code_3(stage: Stage) -> None:
    rows = pq.read_table(stage.project / "data.parquet")
    plans = rows["plan"].to_pylist()
    plans[7] = "gold"
    pq.write_table(rows.set_column(4, "plan", pa.array(plans)), stage.project / "broken.parquet")
    for command in (("data", "check"), ("train",)):
        result = stage.run(*command, "churn", "--data", "broken.parquet")
        assert result.code == 3, result.stderr
        assert "row 7: 'gold'" in result.stdout + result.stderr

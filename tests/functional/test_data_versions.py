"""Data typed as a person types it: checked, registered, tampered with, poisoned, compared, on a real local platform."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bedplate.aws.storage.objects import split
from bedplate.local import lifecycle
from local_stage import Stage, build


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    project = tmp_path_factory.mktemp("project")
    try:
        made = build(project)
        made.data()
        yield made
    finally:
        lifecycle.stop(project)


def test_data_is_registered_tampered_with_and_refused(stage: Stage) -> None:
    done = stage.run("data", "register", "churn", "--data", "data.parquet", "--json")
    assert done.code == 0, done.err
    version = done.json
    assert not version["unchanged"]
    trained = stage.run("train", "churn", "--dataset", "latest", "--json")
    assert trained.code == 0, trained.err
    assert trained.json["dataset_sha256"] == version["sha256"]

    s3, (bucket, key) = stage.session.client("s3"), split(version["uri"])
    rows = pq.read_table(stage.project / "data.parquet")
    flipped = rows.set_column(2, "left", pc.subtract(1, rows["left"]))
    sink = pa.BufferOutputStream()
    pq.write_table(flipped, sink)
    s3.put_object(Bucket=bucket, Key=key, Body=sink.getvalue().to_pybytes())
    refused = stage.run("train", "churn", "--dataset", "latest", "--seed", "5")
    assert refused.code == 3
    assert "is not the data that was registered" in refused.err
    assert "signed by ada@example.com" in refused.err


def test_a_poisoned_version_warns_with_the_rows_and_two_versions_differ(stage: Stage) -> None:
    rows = pq.read_table(stage.project / "data.parquet")
    healed = stage.run("data", "register", "churn", "--data", "data.parquet", "--again")
    assert healed.code == 0, healed.err
    labels = rows["left"].to_pylist()
    for row in (11, 500, 1999):
        labels[row] = 1 - labels[row]
    pq.write_table(rows.set_column(2, "left", pa.array(labels)), stage.project / "poisoned.parquet")
    refused = stage.run("data", "register", "churn", "--data", "poisoned.parquet")
    assert refused.code == 4
    assert "3 of 2,000 rows that were there before have another label (0.1%) (rows 11, 500, 1999)" in refused.err
    assert "--accept" in refused.err
    accepted = stage.run("data", "register", "churn", "--data", "poisoned.parquet", "--accept", "a drill", "--json")
    assert accepted.code == 0, accepted.err
    assert accepted.json["accepted"] == "a drill"

    listed = stage.run("data", "list", "churn", "--json").json
    assert [v["status"] for v in listed] == ["accepted in spite of warnings", "accepted"]
    diff = stage.run("data", "diff", "churn", listed[1]["sha256"][:8], "latest", "--json")
    assert diff.code == 0, diff.err
    assert (diff.json["rows_a"], diff.json["rows_b"]) == (2000, 2000)
    assert diff.json["label_p_value"] > 0.5


def test_broken_data_is_told_with_its_rows_and_exit_code_3(stage: Stage) -> None:
    rows = pq.read_table(stage.project / "data.parquet")
    plans = rows["plan"].to_pylist()
    plans[7] = "gold"
    pq.write_table(rows.set_column(4, "plan", pa.array(plans)), stage.project / "broken.parquet")
    for command in (("data", "check"), ("train",)):
        ran = stage.run(*command, "churn", "--data", "broken.parquet")
        assert ran.code == 3, ran.err
        assert "row 7: 'gold'" in ran.out + ran.err

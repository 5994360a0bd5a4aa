"""Training jobs' names, metadata and code archives are derived from what determines the result."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from typing import Any

import pytest

from bedplate.domain.versions.package import (
    CodeSource,
    Lineage,
    build_archive,
    build_metadata,
    code_sha256,
    job_name,
    resolve_hyperparameters,
    training_digest,
)
from bedplate.errors import UsageError

LINEAGE = Lineage(
    model="churn",
    data_sha256="d" * 64,
    data_uri="s3://data/train.parquet",
    holdout_uri="s3://data/holdout.parquet",
    data_rows=400,
    data_from="2013-01-01",
    data_to="2013-06-30",
    source=CodeSource("c" * 64, "l" * 64, "abc", "false"),
    hyperparameters={"max_iter": "100", "seed": "0"},
    seed=0,
    instance_type="ml.m5.xlarge",
    instance_count=1,
    image_uri="image:1",
    spec_sha256="s" * 64,
)


@pytest.mark.parametrize(
    "change",
    [
        {"data_sha256": "e" * 64},
        {"hyperparameters": {"max_iter": "101", "seed": "0"}},
        {"seed": 1},
        {"instance_type": "ml.m5.large"},
        {"instance_count": 2},
        {"image_uri": "image:2"},
        {"spec_sha256": "t" * 64},
        {"source": replace(LINEAGE.source, code_sha256="x" * 64)},
        {"source": replace(LINEAGE.source, lock_sha256="x" * 64)},
    ],
)
def test_whatever_determines_the_result_changes_the_digest(change: dict[str, object]) -> None:
    assert training_digest(replace(LINEAGE, **change)) != training_digest(LINEAGE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [{"source": replace(LINEAGE.source, commit="def", dirty="true")}, {"data_uri": "s3://other/train.parquet"}],
)
def test_commit_and_storage_location_do_not_change_the_digest(change: dict[str, object]) -> None:
    assert training_digest(replace(LINEAGE, **change)) == training_digest(LINEAGE)  # type: ignore[arg-type]


CODE = "s3://artifacts/training/churn/code/0a1b/sourcedir.tar.gz"


def test_attempts_of_a_long_model_name_have_different_job_names() -> None:
    names = {job_name("bedplate-staging-" + "m" * 60, training_digest(LINEAGE), attempt) for attempt in range(1, 13)}
    assert len(names) == 12
    assert max(map(len, names)) <= 63


def test_metadata_fits_the_registry() -> None:
    lineage = replace(LINEAGE, hyperparameters={f"parameter_{i}": "x" * 20 for i in range(40)})
    values = build_metadata(
        lineage, training_job="j", trained_by="ada@example.com", trained_at="2013-07-01T00:00:00Z", code_uri=CODE
    )
    assert max(map(len, values.values())) <= 256
    assert len(values) + 4 + 9 <= 50
    assert set(json.loads(values["hyperparameters"])) == {"sha256"}


def test_metadata_keeps_short_hyperparameters_readable() -> None:
    values = build_metadata(
        LINEAGE, training_job="j", trained_by="ada@example.com", trained_at="2013-07-01T00:00:00Z", code_uri=CODE
    )
    assert json.loads(values["hyperparameters"]) == {"max_iter": "100", "seed": "0"}


def test_an_undeclared_hyperparameter_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="max_itr"):
        resolve_hyperparameters({"max_iter": 100}, {"max_itr": "5"}, 0)


def test_the_seed_can_be_set_like_a_hyperparameter() -> None:
    assert resolve_hyperparameters({}, {"seed": "9"}, 1) == {"seed": "9"}
    assert resolve_hyperparameters({}, {}, 1) == {"seed": "1"}


def test_a_moved_or_changed_file_changes_the_hash() -> None:
    hashes = {code_sha256(f) for f in ({"a": b"1"}, {"b": b"1"}, {"a": b"2"}, {"a": b"1", "b": b""}, {})}
    assert len(hashes) == 5


def test_an_archive_of_the_same_files_has_the_same_bytes() -> None:
    files = {"train.py": b"print(1)", "sub/x.py": b""}
    content = build_archive(files)
    assert content == build_archive(dict(reversed(files.items())))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        stored = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]
    assert stored == files


@pytest.mark.parametrize(
    ("declared", "text", "is_valid"),
    [
        (100, "1e-3", True),
        (0.1, "3", True),
        (0.1, "abc", False),
        (True, "false", True),
        (True, "0", False),
        ("a", "3", True),
    ],
)
def test_a_hyperparameter_must_have_the_declared_type(declared: Any, text: str, is_valid: bool) -> None:
    if is_valid:
        assert resolve_hyperparameters({"it": declared}, {"it": text}, 0)["it"] == text
        return
    with pytest.raises(UsageError, match=rf"--set it={text}: expected .*, as in training.hyperparameters"):
        resolve_hyperparameters({"it": declared}, {"it": text}, 0)


def test_a_seed_must_be_a_number() -> None:
    with pytest.raises(UsageError, match="seed=x: expected a number"):
        resolve_hyperparameters({}, {"seed": "x"}, 0)

"""The files that `bedplate init` writes, and the arguments that it rejects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bedplate.errors import UsageError
from bedplate.scaffold import ScaffoldRequest, write_repository
from bedplate.scaffold.repository import program_dir, render_files

REQUEST = ScaffoldRequest("acme-ml", "churn", "platform@acme.example", "eu-west-1")


def test_the_program_is_the_one_of_this_repository() -> None:
    files = render_files(REQUEST)
    expected = {p.name: p.read_text() for p in program_dir().glob("*.py")}
    assert {
        path.removeprefix("infra/"): text for path, text in files.items() if path.count("/") == 1 and "infra/" in path
    } == expected


def test_the_names_of_the_request_are_in_the_files() -> None:
    files = render_files(REQUEST)
    assert yaml.safe_load(files["Pulumi.yaml"])["name"] == "acme-ml"
    assert yaml.safe_load(files["models/churn/model.yaml"])["name"] == "churn"
    local = yaml.safe_load(files["stacks/Pulumi.local.yaml"])["config"]
    assert (local["aws:region"], local["bedplate:models"]) == ("eu-west-1", ["churn"])
    assert "~~" not in "".join(files.values())


@pytest.mark.parametrize(
    ("region", "training", "serving"),
    [
        ("eu-west-1", "ml.m5.large", "ml.t2.medium"),
        ("eu-north-1", "ml.m5.large", "ml.m5.large"),
        ("ap-southeast-5", "ml.m6i.large", "ml.m6i.large"),
    ],
)
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_sample_uses_instance_types_of_the_region(region: str, training: str, serving: str, task: str) -> None:
    files = render_files(replace(REQUEST, region=region, task=task))  # type: ignore[arg-type]
    spec = yaml.safe_load(files["models/churn/model.yaml"])
    assert (spec["training"]["instance_type"], spec["serving"]["instance_type"]) == (training, serving)


def test_the_workflow_keeps_github_expressions() -> None:
    assert "${{ matrix.stack }}" in render_files(REQUEST)[".github/workflows/platform.yml"]


def test_the_sample_model_has_the_requested_task() -> None:
    tasks = {
        t: yaml.safe_load(render_files(replace(REQUEST, task=t))["models/churn/model.yaml"])
        for t in ("binary", "regression")
    }
    assert {t: spec["task"] for t, spec in tasks.items()} == {"binary": "binary", "regression": "regression"}


def test_the_requirement_for_bedplate_is_in_requirements() -> None:
    files = render_files(replace(REQUEST, requirement="bedplate @ file:///wheels/bedplate.whl"))
    assert files["requirements.in"].startswith("bedplate @ file:///wheels/bedplate.whl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Acme"}, "--name 'Acme'"),
        ({"model": "x"}, "--model 'x'"),
        ({"region": "europe"}, "--region 'europe'"),
        ({"owner": "me"}, "--owner 'me'"),
    ],
)
def test_names_that_aws_would_reject_are_rejected_before_anything_is_written(
    change: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        write_repository(tmp_path / "new", replace(REQUEST, **change))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_empty_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        write_repository(tmp_path, REQUEST)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_directory_is_filled_without_temporary_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    result = write_repository(tmp_path / "new", REQUEST, git=False)
    assert [p.name for p in tmp_path.iterdir()] == ["new"]
    assert not result.committed
    assert (tmp_path / "new" / "Makefile").exists()

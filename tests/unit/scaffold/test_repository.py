"""What `bedplate init` writes, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bedplate.errors import UsageError
from bedplate.scaffold import Wanted, write
from bedplate.scaffold.repository import contents, program

WANTED = Wanted("acme-ml", "churn", "platform@acme.example", "eu-west-1")


def test_the_program_is_the_one_of_this_repository() -> None:
    held = contents(WANTED)
    ours = {p.name: p.read_text() for p in program().glob("*.py")}
    assert {
        path.removeprefix("infra/"): text for path, text in held.items() if path.count("/") == 1 and "infra/" in path
    } == ours


def test_names_go_where_they_are_asked_for() -> None:
    held = contents(WANTED)
    assert yaml.safe_load(held["Pulumi.yaml"])["name"] == "acme-ml"
    assert yaml.safe_load(held["models/churn/model.yaml"])["name"] == "churn"
    local = yaml.safe_load(held["stacks/Pulumi.local.yaml"])["config"]
    assert (local["aws:region"], local["bedplate:models"]) == ("eu-west-1", ["churn"])
    assert "~~" not in "".join(held.values())


@pytest.mark.parametrize(
    ("region", "training", "serving"),
    [
        ("eu-west-1", "ml.m5.large", "ml.t2.medium"),
        ("eu-north-1", "ml.m5.large", "ml.m5.large"),
        ("ap-southeast-5", "ml.m6i.large", "ml.m6i.large"),
    ],
)
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_sample_asks_for_instances_that_the_region_has(region: str, training: str, serving: str, task: str) -> None:
    held = contents(replace(WANTED, region=region, task=task))  # type: ignore[arg-type]
    spec = yaml.safe_load(held["models/churn/model.yaml"])
    assert (spec["training"]["instance_type"], spec["serving"]["instance_type"]) == (training, serving)


def test_the_workflow_keeps_githubs_own_expressions() -> None:
    assert "${{ matrix.stack }}" in contents(WANTED)[".github/workflows/platform.yml"]


def test_the_sample_is_of_the_task_that_was_asked_for() -> None:
    tasks = {
        t: yaml.safe_load(contents(replace(WANTED, task=t))["models/churn/model.yaml"])
        for t in ("binary", "regression")
    }
    assert {t: spec["task"] for t, spec in tasks.items()} == {"binary": "binary", "regression": "regression"}


def test_bedplate_is_required_as_asked() -> None:
    held = contents(replace(WANTED, requirement="bedplate @ file:///wheels/bedplate.whl"))
    assert held["requirements.in"].startswith("bedplate @ file:///wheels/bedplate.whl")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "Acme"}, "--name 'Acme'"),
        ({"model": "x"}, "--model 'x'"),
        ({"region": "europe"}, "--region 'europe'"),
        ({"owner": "me"}, "--owner 'me'"),
    ],
)
def test_names_that_aws_would_refuse_are_refused_before_anything_is_written(
    change: dict[str, str], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=told):
        write(tmp_path / "new", replace(WANTED, **change))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        write(tmp_path, WANTED)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_directory_is_taken_and_nothing_else_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    made = write(tmp_path / "new", WANTED, git=False)
    assert [p.name for p in tmp_path.iterdir()] == ["new"]
    assert not made.committed
    assert (tmp_path / "new" / "Makefile").exists()

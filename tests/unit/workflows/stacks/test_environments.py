"""Environments are listed, created and compared, also when one of them does not respond."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.domain.stacks.environments import find_name_conflict
from bedplate.errors import NotFound, PlatformError, SettingsError, UsageError
from bedplate.settings import load_stack
from bedplate.workflows.stacks.environments import (
    DeployedState,
    LiveModel,
    StateSummary,
    compare_environments,
    list_environments,
    read_deployed_state,
    read_state,
)
from bedplate.workflows.stacks.new_stack import create_stack_file
from builders import a_spec

WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
BUCKET = {"type": "aws:s3/bucket:Bucket", "custom": True}


@dataclass
class FakeUpdate:
    verb: str = "up"
    result: str = "succeeded"
    started_at: datetime = WHEN
    ended_at: datetime | None = WHEN


@dataclass
class FakeState:
    resources: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None

    def history(self, limit: int = 20) -> list[FakeUpdate]:
        if self.error:
            raise self.error
        return [FakeUpdate("refresh"), FakeUpdate()]

    def export(self) -> Mapping[str, Any]:
        return {"deployment": {"resources": self.resources}}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "stacks").mkdir()
    folder = tmp_path / "models" / "churn"
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(yaml.safe_dump(a_spec().model_dump(mode="json", exclude_none=True)))
    write(tmp_path, "dev")
    return tmp_path


def write(project: Path, stack: str, **changes: Any) -> None:
    values = {
        "target": "aws",
        "account_id": "123456789012",
        "owner": "a@b.example",
        "cost_center": "ml",
        "models": ["churn"],
        "budget": {"monthly_usd": 5},
        "alerts": {"emails": ["f@b.example"]},
        **changes,
    }
    config = {"aws:region": "us-east-1", **{f"bedplate:{key}": value for key, value in values.items()}}
    text = yaml.safe_dump({"config": config}, sort_keys=False)
    (project / "stacks" / f"Pulumi.{stack}.yaml").write_text(f"# {stack}: ours\n{text}")


def test_a_row_counts_resources_without_components_and_providers(project: Path) -> None:
    resources = [
        BUCKET,
        BUCKET,
        {"type": "bedplate:platform:Storage"},
        {"type": "pulumi:providers:aws", "custom": True},
    ]
    (row,) = list_environments(project, ["dev"], lambda _: FakeState(resources))
    assert row.state == StateSummary(WHEN, "succeeded", {"aws:s3/bucket:Bucket": 2})
    assert (row.state.resource_count, row.account_id, row.models) == (2, "123456789012", ("churn",))


def test_an_invalid_file_and_a_failing_backend_are_rows_with_errors(project: Path) -> None:
    write(project, "qa", target="moon")
    rows = list_environments(project, ["dev", "qa"], lambda _: FakeState(error=PlatformError("no backend\nat all")))
    assert rows[0].state == StateSummary(error="no backend")
    assert rows[1].error is not None
    assert "target" in rows[1].error


def test_a_stack_that_was_never_brought_up_has_no_state() -> None:
    assert read_state(FakeState(error=NotFound("never"))) is None


def test_a_new_stack_copies_values_and_comments_but_not_the_account(project: Path) -> None:
    path = project / "stacks" / "Pulumi.dev.yaml"
    path.write_text(path.read_text().replace("aws:region: us-east-1", "aws:region: us-east-1  # near"))
    text = create_stack_file(project, "qa", source="dev", region="eu-west-1").read_text()
    assert text.startswith("# qa: drafted from dev")
    assert "aws:region: eu-west-1 # near" in text.replace("  #", " #")
    settings = load_stack(project, "qa")
    assert (settings.region, settings.account_id, settings.owner) == ("eu-west-1", None, "a@b.example")
    create_stack_file(project, "prod", source="dev", account_id="999999999999")
    assert load_stack(project, "prod").account_id == "999999999999"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dev", {}, "already exists"),
        ("dev-eu", {}, "would share the prefix"),
        ("QA", {}, "is not a valid stack name"),
        ("qa", {"target": "local", "account_id": "123456789012"}, "--account is for stacks on AWS"),
    ],
)
def test_an_invalid_new_stack_is_refused_and_not_written(
    project: Path, name: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        create_stack_file(project, name, source="dev", **options)
    assert [p.name for p in (project / "stacks").iterdir()] == ["Pulumi.dev.yaml"]


def test_a_new_stack_with_invalid_settings_is_not_written(project: Path) -> None:
    with pytest.raises(SettingsError, match="moon"):
        create_stack_file(project, "qa", source="dev", region="moon")
    assert not (project / "stacks" / "Pulumi.qa.yaml").exists()


def test_names_with_a_common_prefix_conflict() -> None:
    assert find_name_conflict("dev", ["prod", "dev-eu"]) == "dev-eu"
    assert find_name_conflict("dev2", ["dev"]) is None


def test_a_comparison_lists_settings_overrides_and_deployments(project: Path) -> None:
    write(project, "prod", budget={"monthly_usd": 50}, overrides={"churn": {"rollout": {"bake_s": 5}}})
    dev = DeployedState({"churn": LiveModel("r-v1-x", 1, 2)}, StateSummary(resources={"a": 1, "b": 2}))
    prod = DeployedState({"churn": LiveModel("r-v3-x", 3, 2)}, StateSummary(resources={"a": 1, "b": 3}))
    comparison = compare_environments(project, "dev", "prod", (dev, prod))
    assert [(difference.key, difference.a, difference.b) for difference in comparison.settings] == [
        ("budget.monthly_usd", 5, 50)
    ]
    assert [(difference.key, difference.a, difference.b) for difference in comparison.models["churn"]] == [
        ("rollout.bake_s", 600, 5)
    ]
    assert [(difference.key, difference.a, difference.b) for difference in comparison.deployed] == [
        ("live.churn", "version 1", "version 3"),
        ("resources.b", 2, 3),
    ]


def test_an_unreachable_environment_has_no_deployment_differences(project: Path) -> None:
    write(project, "prod")
    dev = DeployedState({"churn": LiveModel("r-v1-x", 1, 2)}, StateSummary(resources={"a": 1}))
    prod = DeployedState({}, StateSummary(error="no pulumi"), error="no credentials")
    assert compare_environments(project, "dev", "prod", (dev, prod)).deployed == ()


def test_an_unreachable_endpoint_is_reported_and_not_raised(project: Path) -> None:
    class Unreachable:
        settings = load_stack(project, "dev")

        def names(self, model: str) -> Any:
            raise PlatformError("there are no AWS credentials\nat all")

    assert read_deployed_state(Unreachable(), None).error == "there are no AWS credentials"  # type: ignore[arg-type]

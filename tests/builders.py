"""Values with sensible defaults, so that a test shows only what matters to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bedplate import ports
from bedplate.settings import ModelSpec, PlatformOutputs, StackSettings
from bedplate.workflows.record.ledger import Ledger
from fakes import EPOCH, FakeStackContext

ACCOUNT = "123456789012"
IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/bedplate-local:latest"


def a_spec(name: str = "churn", **changes: Any) -> ModelSpec:
    """A small binary model: key, time, label, two numbers and a segment. `changes` replace top-level keys."""
    values: dict[str, Any] = {
        "name": name,
        "owner": "ada@example.com",
        "on_call": "oncall@example.com",
        "description": "Will the customer leave?",
        "intended_use": "offers",
        "excluded_use": "prices",
        "risk": "low",
        "fallback": 0.2,
        "data": {
            "columns": {
                "id": {"type": "string", "role": "key"},
                "at": {"type": "timestamp", "role": "time"},
                "left": {"type": "integer", "role": "label", "min": 0, "max": 1},
                "age": {"type": "number", "nullable": True},
                "calls": {"type": "integer", "min": 0},
                "plan": {"type": "string", "role": "segment", "categories": ["basic", "pro"]},
            }
        },
        "budget": {"monthly_usd": 100},
    }
    return ModelSpec.model_validate({**values, **changes})


def outputs(**changes: Any) -> PlatformOutputs:
    values: dict[str, Any] = {
        "project": "bedplate",
        "stack": "local",
        "account_id": ACCOUNT,
        "region": "us-east-1",
        "models": ("churn",),
        "artifacts_bucket": "artifacts",
        "data_bucket": "data",
        "capture_bucket": "capture",
        "ledger_bucket": "ledger",
        "kms_key_arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1",
        "signing_key_arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/2",
        "image_uri": IMAGE,
        "execution_role_arn": f"arn:aws:iam::{ACCOUNT}:role/bedplate-local-execution",
        "persona_role_arns": {},
        "alerts_topic_arn": f"arn:aws:sns:us-east-1:{ACCOUNT}:bedplate-local-alerts",
        "platform_budget": "bedplate-local",
        "fallback_releases": {"churn": "bedplate-local-churn-fallback"},
    }
    return PlatformOutputs.model_validate({**values, **changes})


def settings(**changes: Any) -> StackSettings:
    values: dict[str, Any] = {
        "target": "local",
        "region": "us-east-1",
        "owner": "ml@example.com",
        "cost_center": "ml",
        "models": ("churn",),
        "budget": {"monthly_usd": 1000},
        "alerts": {"emails": ["ml@example.com"]},
    }
    return StackSettings.model_validate({**values, **changes})


def a_platform(project_dir: Path, *specs: ModelSpec, **changes: Any) -> FakeStackContext:
    """A stack in memory with these models (one called `churn` without any), each live on its fallback."""
    held = {spec.name: spec for spec in specs or (a_spec(),)}
    names = tuple(held)
    made = FakeStackContext(
        project_dir=project_dir,
        settings=changes.pop("settings", settings(models=names)),
        outputs=changes.pop(
            "outputs", outputs(models=names, fallback_releases={n: f"bedplate-local-{n}-fallback" for n in names})
        ),
        specs=held,
        **changes,
    )
    made.endpoints.live |= {made.names(n).endpoint: f"bedplate-local-{n}-fallback" for n in names}
    return made


def a_package(version: int = 1, *, model: str = "churn", **changes: Any) -> ports.Package:
    group = f"bedplate-local-{model}"
    metadata = {"model": model, "trained_by": "ada@example.com", "code_dirty": "false", **changes.pop("metadata", {})}
    values: dict[str, Any] = {
        "group": group,
        "version": version,
        "arn": f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model-package/{group}/{version}",
        "approval": "PendingManualApproval",
        "approval_note": None,
        "image_uri": IMAGE,
        "artifact_uri": f"s3://artifacts/training/{model}/job-{version}/output/model.tar.gz",
        "environment": {},
        "metadata": metadata,
        "created_at": EPOCH,
    }
    return ports.Package(**{**values, **changes})


def approved(platform: FakeStackContext, *versions: int, model: str = "churn") -> None:
    """Put on record that these versions were approved, as `bedplate approve` does."""
    ledger = Ledger(platform.objects, platform.outputs.ledger_bucket, platform.clock)
    for version in versions:
        data = {"final": True, "people": ["ada@example.com"]}
        ledger.record("approved", "ada approved it", actor="ada@example.com", model=model, version=version, data=data)

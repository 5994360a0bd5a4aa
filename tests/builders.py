"""Builders with default values, so that a test names only the values that matter to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from bedplate import ports
from bedplate.domain.data.contract import RuleResult, TableCheck
from bedplate.domain.experiment.arm import Arm
from bedplate.domain.release import version_of
from bedplate.settings import DataContract, ModelSpec, PlatformOutputs, StackSettings
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


def a_shop_spec(**changes: Any) -> ModelSpec:
    """A small binary model: key, time, segment `shop`, number `x` and label `y`. `changes` replace top-level keys."""
    columns = {
        "id": {"type": "string", "role": "key"},
        "at": {"type": "timestamp", "role": "time"},
        "shop": {"type": "string", "role": "segment"},
        "x": {"type": "number"},
        "y": {"type": "integer", "role": "label"},
    }
    return a_spec("churn", data={"columns": columns}, **changes)


def outputs(**changes: Any) -> PlatformOutputs:
    """The outputs of a local stack with the model `churn`. `changes` replace fields."""
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
        "execution_role_prefix": f"arn:aws:iam::{ACCOUNT}:role/bedplate-local.",
        "persona_role_arns": {},
        "alerts_topic_arn": f"arn:aws:sns:us-east-1:{ACCOUNT}:bedplate-local-alerts",
        "platform_budget": "bedplate-local",
        "fallback_releases": {"churn": "bedplate-local-churn-fallback"},
    }
    return PlatformOutputs.model_validate({**values, **changes})


def settings(**changes: Any) -> StackSettings:
    """The settings of a local stack with the model `churn`. `changes` replace top-level keys."""
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


def a_stack_context(project_dir: Path, *specs: ModelSpec, **changes: Any) -> FakeStackContext:
    """A stack in memory with these models (by default only `churn`), whose fallbacks are live. `changes` set fields."""
    spec_by_name = {spec.name: spec for spec in specs or (a_spec(),)}
    names = tuple(spec_by_name)
    context = FakeStackContext(
        project_dir=project_dir,
        settings=changes.pop("settings", settings(models=names)),
        outputs=changes.pop(
            "outputs", outputs(models=names, fallback_releases={n: f"bedplate-local-{n}-fallback" for n in names})
        ),
        specs=spec_by_name,
        **changes,
    )
    context.endpoints.live |= {context.names(n).endpoint: f"bedplate-local-{n}-fallback" for n in names}
    return context


def a_package(version: int = 1, *, model: str = "churn", **changes: Any) -> ports.Package:
    """A registered version that is pending approval. `changes` replace fields; `metadata` is merged."""
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


def record_approvals(stack: FakeStackContext, *versions: int, model: str = "churn") -> None:
    """Records in the ledger that these versions were approved, as `bedplate approve` does."""
    ledger = Ledger.of(stack)
    for version in versions:
        data = {"final": True, "people": ["ada@example.com"]}
        ledger.record("approved", "ada approved it", actor="ada@example.com", model=model, version=version, data=data)


def capture_record(
    rows: Sequence[Mapping[str, Any]],
    predictions: Sequence[float],
    *,
    release: str = "bedplate-local-churn-v1-0a1b2c3d",
    time: datetime | str = EPOCH,
    content_type: str = "application/jsonlines",
    **metadata: str,
) -> dict[str, Any]:
    """A record of SageMaker's data capture: one request with these rows, answered by `release` with these predictions.

    `metadata` adds keys to `eventMetadata`, for example `eventId` and `inferenceId`.
    """

    def format_side(mode: str, lines: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        data = "\n".join(json.dumps(line) for line in lines)
        return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": "JSON"}

    return {
        "captureData": {
            "endpointInput": format_side("INPUT", rows),
            "endpointOutput": format_side("OUTPUT", [{"prediction": prediction} for prediction in predictions]),
        },
        "eventMetadata": {
            "customAttributes": [f"release={release};version={version_of(release)};model=churn"],
            "inferenceTime": time if isinstance(time, str) else time.isoformat(),
            **metadata,
        },
        "eventVersion": "0",
    }


def binary_arm(successes: int, n: int) -> Arm:
    """The arm of an experiment with `n` rewards: `successes` ones, and otherwise zeros."""
    return Arm.from_rewards([1] * successes + [0] * (n - successes))


def check_table(
    table: pa.Table, contract: DataContract, *, now: datetime | None = None, **options: Any
) -> tuple[RuleResult, ...]:
    """The result of every rule of the contract for a table. `options` are those of `TableCheck`."""
    check = TableCheck(contract, table.column_names, **options)
    for batch in table.to_batches():
        check.add(batch)
    return check.results(now)

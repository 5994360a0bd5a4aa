"""A project in a temporary folder with its own local platform, which has the resources that `up` creates.

The resources are created with boto3, so that tests of releases do not depend on the engine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedplate.aws.session import Session
from bedplate.domain.names import (
    BUCKET_PURPOSES,
    VARIANT,
    ModelNames,
    bucket,
    execution_role_prefix,
    outputs_parameter,
)
from bedplate.local import lifecycle
from bedplate.settings import PlatformOutputs
from command_line import CommandResult, run_bedplate

ACCOUNT, REGION, PROJECT, STACK = "123456789012", "us-east-1", "bedplate", "local"
NO_TRACKING = {"BEDPLATE_TRACKING": "off"}
"""Disables MLflow, which takes seconds to start; tests of tracking enable it."""

TRAIN = """
import argparse, json, os
from pathlib import Path
import pandas as pd

parser = argparse.ArgumentParser()
parser.add_argument("--noise", type=float, default=0.0)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
rows = pd.read_parquet(Path(os.environ["SM_CHANNEL_TRAINING"]) / "train.parquet")
if args.noise > 9:
    raise ValueError("too much noise")
split = rows["age"].mean() * (1 - args.noise)
model = {"split": split, "sign": 1 if args.noise < 1 else -1}
Path(os.environ["SM_MODEL_DIR"], "model.json").write_text(json.dumps(model))
print(f"trained on {len(rows)} rows", flush=True)
print("metric: train_auc=0.9", flush=True)
"""
INFERENCE = """
import json
from pathlib import Path
import numpy as np

def model_fn(model_dir):
    return json.loads(Path(model_dir, "model.json").read_text())

def predict_fn(rows, model):
    return 1 / (1 + np.exp(-model["sign"] * (rows["age"].fillna(0).to_numpy(float) - model["split"]) / 5))
"""
SPEC: dict[str, Any] = {
    "name": "churn",
    "owner": "ada@example.com",
    "on_call": "oncall@example.com",
    "description": "Will the customer leave?",
    "intended_use": "offers",
    "excluded_use": "prices",
    "risk": "low",
    "fallback": 0.5,
    "data": {
        "columns": {
            "id": {"type": "string", "role": "key"},
            "at": {"type": "timestamp", "role": "time"},
            "left": {"type": "integer", "role": "label", "min": 0, "max": 1},
            "age": {"type": "number", "nullable": True},
            "plan": {"type": "string", "role": "segment", "categories": ["basic", "pro"]},
        }
    },
    "training": {"instance_type": "ml.m5.large", "hyperparameters": {"noise": 0.0}, "max_runtime_s": 300, "max_usd": 1},
    "gates": {
        "thresholds": [{"metric": "auc", "min": 0.7}],
        "segments": [{"column": "plan", "metric": "auc", "min": 0.6, "min_rows": 50}],
        "champion": {"metric": "auc", "tolerance": 0.01},
        "max_artifact_mb": 5,
    },
    "serving": {"instance_type": "ml.m5.large"},
    "budget": {"monthly_usd": 100},
}


@dataclass(frozen=True)
class Stage:
    """A project with the model `churn`, and its running local platform.

    In its data, customers who are older than the average mostly leave.
    """

    project: Path
    url: str
    stack: str = STACK

    @property
    def session(self) -> Session:
        return _session(REGION, self.url)

    @property
    def names(self) -> ModelNames:
        return ModelNames(PROJECT, self.stack, "churn")

    @property
    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("BEDPLATE_", "AWS_"))}
        own = {"BEDPLATE_PROJECT": str(self.project), "BEDPLATE_ACTOR": "ada@example.com", "NO_COLOR": "1"}
        return {**inherited, **own, **NO_TRACKING}

    def run(self, *args: str) -> CommandResult:
        """Runs `bedplate ...` in the project's folder. It runs in this process, to import and create clients once."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("BEDPLATE_", "AWS_"))]:
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.chdir(self.project)
            patch.setattr(Session, "local", _session)
            return run_bedplate(*args)

    def run_in_subprocess(self, *args: str, timeout_s: float = 300, **environment: str) -> CommandResult:
        """Runs `bedplate ...` in a process of its own, with `environment` added to its environment."""
        result = subprocess.run(
            [sys.executable, "-m", "bedplate", *args],
            cwd=self.project,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return CommandResult(result.returncode, result.stdout, result.stderr)

    @contextmanager
    def start(self, *args: str) -> Iterator[subprocess.Popen[str]]:
        """Runs `bedplate ...` in a process of its own during the `with` block, and kills it at the end of the block."""
        with subprocess.Popen(
            [sys.executable, "-m", "bedplate", *args],
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def write_data(self, name: str = "data.parquet", *, rows: int = 2000, seed: int = 0) -> Path:
        """Writes a Parquet file of labelled rows into the project. Returns its path."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        random = np.random.default_rng(seed)
        age = random.normal(40, 10, rows)
        left = (age + random.normal(0, 10, rows) > 40).astype(int)
        start = datetime(2013, 1, 1)
        table = {
            "id": [f"{seed}-{i}" for i in range(rows)],
            "at": [start + timedelta(minutes=10 * i) for i in range(rows)],
            "left": left,
            "age": age,
            "plan": np.where(random.random(rows) < 0.5, "basic", "pro"),
        }
        pq.write_table(pa.table(table), self.project / name)
        return self.project / name

    def write_model_yaml(self, **changes: Any) -> None:
        """Writes model.yaml with these top-level keys changed."""
        (self.project / "models" / "churn" / "model.yaml").write_text(yaml.safe_dump({**SPEC, **changes}))


@cache
def _session(region: str, url: str, *, actor: str = "") -> Session:
    """One session per platform and actor, because creating clients takes most of a command's time."""
    return _new_session(region, url, actor=actor)


_new_session = Session.local  # the original, also while `Stage.run` has replaced it


@contextmanager
def start_stage(project: Path, *, faults: bool = False) -> Iterator[Stage]:
    """Writes the project, starts its platform and creates its resources. Stops the platform at the end of the block.

    With `faults`, the platform accepts injected faults.
    """
    try:
        yield _build_stage(project, faults=faults)
    finally:
        lifecycle.stop(project)


def _build_stage(project: Path, *, faults: bool) -> Stage:
    folder = project / "models" / "churn"
    folder.mkdir(parents=True)
    (project / "stacks").mkdir()
    (project / "Pulumi.yaml").write_text("name: bedplate\nruntime: python\nmain: infra\nstackConfigDir: stacks\n")
    _write_stack(project, STACK)
    (folder / "train.py").write_text(TRAIN)
    (folder / "inference.py").write_text(INFERENCE)
    stage = Stage(project, str(lifecycle.start(project, port=0, faults=faults).url))
    stage.write_model_yaml()
    _create_resources(stage)
    return stage


def add_environment(stage: Stage, stack: str, **config: Any) -> Stage:
    """Adds an environment to promote versions to, on the same platform and without an endpoint."""
    _write_stack(stage.project, stack, **config)
    environment = replace(stage, stack=stack)
    _create_resources(environment)
    return environment


def _write_stack(project: Path, stack: str, **changes: Any) -> None:
    config = {
        "target": "local",
        "owner": "ml@example.com",
        "cost_center": "ml",
        "models": ["churn"],
        "budget": {"monthly_usd": 1000},
        "alerts": {"emails": ["ml@example.com"]},
        **changes,
    }
    values = {"aws:region": REGION, **{f"bedplate:{key}": value for key, value in config.items()}}
    (project / "stacks" / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": values}))


def _create_resources(stage: Stage) -> None:
    client, base = stage.session.client, f"{PROJECT}-{stage.stack}"
    buckets = {purpose: bucket(PROJECT, stage.stack, purpose, ACCOUNT) for purpose in BUCKET_PURPOSES}
    for name in buckets.values():
        client("s3").create_bucket(Bucket=name)
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    client("iam").create_role(RoleName=f"{base}.churn", AssumeRolePolicyDocument=trust)
    client("sagemaker").create_model_package_group(ModelPackageGroupName=stage.names.package_group)
    signing = client("kms").create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["Arn"]
    outputs = PlatformOutputs(
        project=PROJECT,
        stack=stage.stack,
        account_id=ACCOUNT,
        region=REGION,
        signing_key_arn=signing,
        models=("churn",),
        **{f"{purpose}_bucket": name for purpose, name in buckets.items()},
        kms_key_arn=client("kms").create_key()["KeyMetadata"]["Arn"],
        image_uri=f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{base}:latest",
        execution_role_prefix=execution_role_prefix(PROJECT, stage.stack, ACCOUNT),
        persona_role_arns={},
        alerts_topic_arn=client("sns").create_topic(Name=f"{base}-alerts")["TopicArn"],
        platform_budget=base,
        fallback_releases={"churn": f"{base}-churn-fallback"},
    )
    if stage.stack == STACK:
        _create_fallback_endpoint(stage, outputs)
    client("ssm").put_parameter(
        Name=outputs_parameter(PROJECT, stage.stack), Type="String", Value=outputs.model_dump_json(), Overwrite=True
    )


def _create_fallback_endpoint(stage: Stage, outputs: PlatformOutputs) -> None:
    """Creates the endpoint with release 0, which predicts the fallback's constant."""
    sagemaker, name = stage.session.client("sagemaker"), outputs.fallback_releases["churn"]
    environment = {
        "BEDPLATE_RELEASE": f"{stage.names.endpoint}-v0",
        "BEDPLATE_VERSION": "0",
        "BEDPLATE_MODEL": "churn",
        "BEDPLATE_ENDPOINT": stage.names.endpoint,
        "BEDPLATE_FALLBACK": "0.5",
    }
    container = {"Image": outputs.image_uri, "Environment": environment}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=outputs.execution_role("churn"))
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {"VariantName": VARIANT, "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
        ],
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{outputs.capture_bucket}/{stage.names.capture_prefix}".rstrip("/"),
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json", "application/jsonlines"]},
        },
    )
    sagemaker.create_endpoint(EndpointName=stage.names.endpoint, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=stage.names.endpoint, WaiterConfig={"Delay": 0.2, "MaxAttempts": 150}
    )

"""Drives the local runtime as the platform's control plane does, with in-memory services and a fake container."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bedplate.domain.versions.package import build_archive
from bedplate.local.hooks import PENDING_UPDATE, Hooks, InvocationResponse, Record
from bedplate.local.runtime import attach
from in_memory_services import ACCOUNT, InMemoryServices

ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}"
FAKE_CONTAINER = [sys.executable, str(Path(__file__).with_name("fake_container.py"))]


class RuntimeDriver:
    """One runtime with in-memory services, and methods that start jobs and endpoints on it."""

    def __init__(self, services: InMemoryServices, *, serverless_idle_s: float = 60.0) -> None:
        self.services = services
        self.hooks = Hooks()
        self.runtime = attach(
            self.hooks,
            services,
            container_command=FAKE_CONTAINER,
            background=False,
            serverless_idle_s=serverless_idle_s,
            tracking_command=[*FAKE_CONTAINER, "track"],
        )

    def close(self) -> None:
        self.hooks.shutdown()

    def restart(self) -> RuntimeDriver:
        """Returns a new runtime over the same services, as after a restart of the platform."""
        return RuntimeDriver(self.services)

    # --- jobs ------------------------------------------------------------------------------------------------------

    def train(self, name: str = "job", **changes: Any) -> Record:
        self.services.put_object("data", "train/rows.csv", b"12345")
        record = {
            "TrainingJobName": name,
            "TrainingJobArn": f"{ARN}:training-job/{name}",
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Starting",
            "HyperParameters": {},
            "AlgorithmSpecification": {
                "TrainingImage": "image",
                "MetricDefinitions": [{"Name": "auc", "Regex": "metric: auc=([-+0-9.eE]+)"}],
            },
            "InputDataConfig": [
                {
                    "ChannelName": "training",
                    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/train/"}},
                }
            ],
            "ModelArtifacts": {"S3ModelArtifacts": f"s3://artifacts/out/{name}/output/model.tar.gz"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            **changes,
        }
        self.services.put_record("training-job", name, record)
        self.hooks.training_started(record)
        return record

    def process(self, name: str = "analysis", **changes: Any) -> Record:
        record = {
            "ProcessingJobName": name,
            "ProcessingJobArn": f"{ARN}:processing-job/{name}",
            "ProcessingJobStatus": "InProgress",
            "AppSpecification": {"ImageUri": "image"},
            "Environment": {
                "dataset_source": "/opt/ml/processing/input/endpoint",
                "output_path": "/opt/ml/processing/output",
            },
            "ProcessingInputs": [],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": "report",
                        "S3Output": {"S3Uri": "s3://artifacts/report", "LocalPath": "/opt/ml/processing/output"},
                    }
                ]
            },
            "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1}},
            **changes,
        }
        self.services.put_record("processing-job", name, record)
        self.hooks.processing_started(record)
        return record

    # --- endpoints -------------------------------------------------------------------------------------------------

    def add_release(self, name: str, *, weights: str = "1", config: Record | None = None, **environment: str) -> str:
        """Adds a model with an artifact, and an endpoint configuration of the same name with one variant, `live`."""
        self.services.put_object("artifacts", f"{name}.tar.gz", build_archive({"weights.txt": weights.encode()}))
        self.services.put_record(
            "model",
            name,
            {
                "ModelName": name,
                "PrimaryContainer": {
                    "Image": "image:1",
                    "ModelDataUrl": f"s3://artifacts/{name}.tar.gz",
                    "Environment": {"BEDPLATE_RELEASE": name, **environment},
                },
            },
        )
        variants = [
            {"VariantName": "live", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        ]
        capture = {
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": "s3://capture/base",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        }
        self.services.put_record(
            "endpoint-config",
            name,
            {
                "EndpointConfigName": name,
                "ProductionVariants": variants,
                "DataCaptureConfig": capture,
                **(config or {}),
            },
        )
        return name

    def create(self, config: str, name: str = "shop") -> Record:
        record = {
            "EndpointName": name,
            "EndpointArn": f"{ARN}:endpoint/{name}",
            "EndpointConfigName": config,
            "EndpointStatus": "Creating",
        }
        self.services.put_record("endpoint", name, record)
        self.hooks.endpoint_created(record)
        return record

    def update(self, config: str, deployment: Record | None = None, name: str = "shop", **fields: Any) -> None:
        request = {"EndpointName": name, "EndpointConfigName": config, **fields}
        if deployment:
            request["DeploymentConfig"] = deployment
        changes = {"EndpointStatus": "Updating", "FailureReason": None, PENDING_UPDATE: request}
        record = self.services.update("endpoint", name, **changes)
        assert record is not None
        self.hooks.endpoint_updated(record, request)

    def create_endpoint(self, config: str, name: str = "shop") -> Record:
        self.create(config, name)
        return self.services.wait_for_status("endpoint", name, "InService", "Failed")

    def invoke(self, body: bytes = b"x", name: str = "shop", **headers: str) -> InvocationResponse:
        named = {f"x-amzn-sagemaker-{key.replace('_', '-')}": value for key, value in headers.items()}
        return self.hooks.invoke(name, body, {"content-type": "application/jsonlines", **named})


def canary(percent: int = 50, wait_s: float = 0, alarms: Sequence[str] = (), kind: str = "CANARY") -> Record:
    """A `DeploymentConfig` that shifts traffic in steps of `percent`."""
    size = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}[kind]
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": kind,
                "WaitIntervalInSeconds": wait_s,
                size: {"Type": "CAPACITY_PERCENT", "Value": percent},
            }
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]},
    }

"""What a test needs to drive the runtime as the platform's control plane does."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from typing import Any

from bedplate.local.hooks import UNDER_WAY, Hooks, InvocationResponse, Record
from bedplate.local.runtime import attach
from unit.local.runtime.world import ACCOUNT, World

ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}"


class Rig:
    """One runtime; `again` is the same platform after it was killed and started again."""

    def __init__(self, world: World, container: Sequence[str], slots: int = 2, serverless_idle_s: float = 60.0) -> None:
        self.world = world
        self.hooks = Hooks()
        self._container = container
        self.runtime = attach(
            self.hooks,
            world,
            container=container,
            slots=slots,
            background=False,
            serverless_idle_s=serverless_idle_s,
            tracking=[*container, "track"],
        )

    def close(self) -> None:
        self.hooks.shutdown()

    def again(self) -> Rig:
        return Rig(self.world, self._container)

    # --- jobs ------------------------------------------------------------------------------------------------------

    def train(self, name: str = "job", **changes: Any) -> Record:
        self.world.put_object("data", "train/rows.csv", b"12345")
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
        self.world.put("training-job", name, record)
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
        self.world.put("processing-job", name, record)
        self.hooks.processing_started(record)
        return record

    # --- endpoints -------------------------------------------------------------------------------------------------

    def release(self, name: str, *, weights: str = "1", config: Record | None = None, **environment: str) -> str:
        """A model with an artifact, and an endpoint configuration of the same name with one variant, `live`."""
        self.world.put_object("artifacts", f"{name}.tar.gz", archive({"weights.txt": weights.encode()}))
        self.world.put(
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
        self.world.put(
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
        self.world.put("endpoint", name, record)
        self.hooks.endpoint_created(record)
        return record

    def update(self, config: str, deployment: Record | None = None, name: str = "shop", **more: Any) -> None:
        request = {"EndpointName": name, "EndpointConfigName": config, **more}
        if deployment:
            request["DeploymentConfig"] = deployment
        changes = {"EndpointStatus": "Updating", "FailureReason": None, UNDER_WAY: request}
        record = self.world.update("endpoint", name, **changes)
        assert record is not None
        self.hooks.endpoint_updated(record, request)

    def up(self, config: str, name: str = "shop") -> Record:
        self.create(config, name)
        return self.world.status("endpoint", name, "InService", "Failed")

    def ask(self, body: bytes = b"x", name: str = "shop", **headers: str) -> InvocationResponse:
        extra = {f"x-amzn-sagemaker-{key.replace('_', '-')}": value for key, value in headers.items()}
        return self.hooks.invoke(name, body, {"content-type": "application/jsonlines", **extra})


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def canary(percent: int = 50, wait_s: float = 0, alarms: Sequence[str] = (), kind: str = "CANARY") -> Record:
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

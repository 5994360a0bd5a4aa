"""Creates a training job with the SageMaker SDK's ModelTrainer.

Every argument is passed explicitly. The SDK would otherwise read the user's configuration files, ask IAM about the
role, build endpoint URLs of its own, and send telemetry to AWS.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args
from urllib.parse import urlsplit

from bedplate.aws.session import Session
from bedplate.ports import TrainingRequest
from bedplate.settings import Metric

TELEMETRY_OFF = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
_SDK_LOCK = threading.Lock()
"""Silencing the SDK, and importing it, changes the state of the whole process."""
METRIC_NAMES = tuple(f"{part}{metric}" for part in ("", "train_", "validation_") for metric in get_args(Metric))
"""A line `metric: <name>=<float>` becomes a metric of the job. SageMaker accepts at most 40 metric definitions."""


def create_training_job(session: Session, request: TrainingRequest) -> None:
    """Creates the training job under exactly `request.name`. Raises SageMaker's error as botocore's ClientError."""
    with _SDK_LOCK, _quiet_sdk():
        from sagemaker.core.helper.session_helper import Session as SdkSession
        from sagemaker.core.shapes import CheckpointConfig, OutputDataConfig, Tag
        from sagemaker.train import ModelTrainer
        from sagemaker.train.configs import Compute, InputData, MetricDefinition, Networking, StoppingCondition

        class NamedTrainer(ModelTrainer):  # type: ignore[misc]
            """Uses the request's name, by which a second `train` finds the job; ModelTrainer would append the time."""

            def _create_training_job_args(self, *args: Any, **kwargs: Any) -> Any:
                return {**super()._create_training_job_args(*args, **kwargs), "training_job_name": request.name}

        volume_key = {"volume_kms_key_id": request.kms_key_arn} if request.kms_key_arn else {}
        output_key = {"kms_key_id": request.kms_key_arn} if request.kms_key_arn else {}
        spot_wait = {"max_wait_time_in_seconds": request.spot_max_wait_s} if request.spot_max_wait_s else {}
        trainer = NamedTrainer(
            sagemaker_session=SdkSession(
                boto_session=session.boto3_session(),
                sagemaker_client=session.client("sagemaker"),
                default_bucket=urlsplit(request.output_uri).netloc,
                sagemaker_config=TELEMETRY_OFF,
            ),
            role=request.role_arn,
            base_job_name=request.name,
            training_image=request.image_uri,
            compute=Compute(
                instance_type=request.instance_type,
                instance_count=request.instance_count,
                volume_size_in_gb=request.volume_gb,
                **({"enable_managed_spot_training": True} if spot_wait else {}),
                **volume_key,
            ),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=request.max_runtime_s, **spot_wait),
            checkpoint_config=CheckpointConfig(s3_uri=request.checkpoint_uri) if request.checkpoint_uri else None,
            output_data_config=OutputDataConfig(
                s3_output_path=request.output_uri, compression_type="GZIP", **output_key
            ),
            input_data_config=[InputData(channel_name=n, data_source=uri) for n, uri in request.channels.items()],
            networking=Networking(
                subnets=list(request.network.subnet_ids), security_group_ids=list(request.network.security_group_ids)
            )
            if request.network
            else None,
            environment=dict(request.environment),
            hyperparameters={"sagemaker_program": request.entry_point, **request.hyperparameters},
            tags=[Tag(key=key, value=value) for key, value in request.tags.items()],
        ).with_metric_definitions([MetricDefinition(name=n, regex=metric_regex(n)) for n in METRIC_NAMES])
        trainer.train(wait=False, logs=False)


def metric_regex(name: str) -> str:
    """Returns the regular expression that finds a metric's value in a log line.

    >>> import re
    >>> re.findall(metric_regex("auc"), "metric: auc=0.712")
    ['0.712']
    """
    return f"metric: {name}=([-+0-9.eE]+)"


@contextmanager
def _quiet_sdk() -> Iterator[None]:
    """Suppresses the SDK's log lines, import warnings and role validation, which needs permissions of its own."""
    previous_value = os.environ.get("SAGEMAKER_VALIDATE_ROLE")
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
    previous_level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous_level)
        if previous_value is None:
            del os.environ["SAGEMAKER_VALIDATE_ROLE"]
        else:
            os.environ["SAGEMAKER_VALIDATE_ROLE"] = previous_value

"""Submits the processing jobs of `baseline` and `monitor run`, with their inputs, outputs and settings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bedplate.domain.names import VARIANT
from bedplate.ports import Job, ProcessingRequest, Reporter
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.capture import capture_uri
from bedplate.workflows.stack_context import StackContext, model_tags
from bedplate.workflows.training.job_following import follow_job, require_completed

PROCESSING = "/opt/ml/processing"
DATASET, OUTPUT = f"{PROCESSING}/input/endpoint", f"{PROCESSING}/output"
SPEC_DIR, LABELS_DIR = f"{PROCESSING}/input/contract", f"{PROCESSING}/input/labels"
BASELINE_DIR = f"{PROCESSING}/baseline"
INSTANCE_TYPE = "ml.m5.large"
"""The same instance type as the schedule's in infra/monitoring.py."""
MAX_RUNTIME_S = 3600
MAX_CAPTURE_INPUTS = 5
"""SageMaker accepts ten inputs per job; labels, model.yaml and the two baseline files are four of them."""


def submit_job(
    stack: StackContext,
    spec: ModelSpec,
    *,
    name: str,
    version: int | None,
    mode: str,
    inputs: Mapping[str, tuple[str, str]],
    output_uri: str,
    environment: Mapping[str, str],
) -> Job:
    """Starts the image's default entry point; uploads model.yaml as resolved in this environment."""
    names = stack.names(spec.name)
    contract = f"s3://{stack.outputs.artifacts_bucket}/{names.baseline_prefix}contract/contract.json"
    stack.objects.put(contract, spec.model_dump_json().encode(), content_type="application/json")
    return stack.jobs.submit_processing(
        ProcessingRequest(
            name=name,
            image_uri=stack.outputs.image_uri,
            role_arn=stack.outputs.execution_role(spec.name),
            command=None,
            inputs={"contract": (contract, SPEC_DIR), **inputs},
            outputs={"output": (OUTPUT, output_uri.rstrip("/"))},
            environment={
                "BEDPLATE_MODE": mode,
                "BEDPLATE_MODEL": spec.name,
                "BEDPLATE_SPEC": f"{SPEC_DIR}/contract.json",
                "dataset_source": DATASET,
                "output_path": OUTPUT,
                "publish_cloudwatch_metrics": "Enabled",
                "sagemaker_endpoint_name": names.endpoint,
                "sagemaker_monitoring_schedule_name": names.monitoring_schedule,
                **environment,
            },
            instance_type=INSTANCE_TYPE,
            max_runtime_s=MAX_RUNTIME_S,
            tags=model_tags(stack, spec, version),
            kms_key_arn=stack.outputs.kms_key_arn,
            network=stack.outputs.network,
        )
    )


def follow_to_completion(stack: StackContext, job: Job, reporter: Reporter, *, label: str) -> Job:
    """Follows the job until it has completed. Raises JobFailed with the end of its log."""
    job, lines = follow_job(stack, job, kind="processing", reporter=reporter)
    require_completed(job, lines, label=label, kind="processing")
    return job


def capture_inputs(stack: StackContext, model: str, start: datetime, end: datetime) -> dict[str, tuple[str, str]]:
    """Returns S3 prefixes of the requests captured in a time range: by hour, or by day, month, year or all together
    where that would exceed MAX_CAPTURE_INPUTS (the job filters by each request's time). Empty when nothing was
    captured.
    """
    hours = _list_hours(stack, model, start, end)
    base = f"{capture_uri(stack, model)}/"
    for depth in (4, 3, 2, 1, 0):  # hour, day, month, year, everything
        folders = sorted({_cut_prefix(hour, base, depth) for hour in hours})
        if len(folders) <= MAX_CAPTURE_INPUTS or depth == 0:
            return {
                f"endpoint-{n}": (folder, f"{DATASET}/{folder.removeprefix(base).rstrip('/')}")
                for n, folder in enumerate(folders, 1)
            }
    return {}


def _list_hours(stack: StackContext, model: str, start: datetime, end: datetime) -> list[str]:
    """Lists the hourly prefixes that contain objects, skipping from one to the next."""
    prefix = f"{capture_uri(stack, model)}/{stack.names(model).endpoint}/{VARIANT}/"
    last = f"{prefix}{end:%Y/%m/%d/%H/~}"
    hours: list[str] = []
    after = f"{prefix}{start:%Y/%m/%d/%H/}"
    while True:
        info = next(iter(stack.objects.list(prefix, start_after=after)), None)
        if info is None or info.uri > last:
            return hours
        hour = info.uri.rpartition("/")[0] + "/"
        hours.append(hour)
        after = f"{hour}~"


def _cut_prefix(hour: str, base: str, depth: int) -> str:
    """Cuts an hourly prefix to `depth` levels of time below endpoint and variant."""
    parts = hour.removeprefix(base).rstrip("/").split("/")
    return base + "/".join(parts[: 2 + depth]) + "/"

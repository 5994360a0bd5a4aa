"""The processing jobs behind `baseline` and `monitor run`: what goes in, what comes out, under which settings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bedplate.domain import tags
from bedplate.domain.names import VARIANT
from bedplate.ports import Job, ProcessingRequest, Reporter
from bedplate.settings import ModelSpec
from bedplate.workflows.endpoint.capture import capture_uri
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.training.job_following import follow, must_have_completed

PROCESSING = "/opt/ml/processing"
DATASET, OUTPUT = f"{PROCESSING}/input/endpoint", f"{PROCESSING}/output"
SPEC_DIR, LABELS_DIR = f"{PROCESSING}/input/contract", f"{PROCESSING}/input/labels"
BASELINE_DIR = f"{PROCESSING}/baseline"
INSTANCE_TYPE = "ml.m5.large"
"""The same as the schedule's, in infra/monitoring.py."""
MAX_RUNTIME_S = 3600
MAX_CAPTURE_INPUTS = 5
"""SageMaker takes ten inputs a job; labels, contract and the two files of the baseline are four of them."""


def submit(
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
    """Start the image's default entry point. The contract goes with it, as it is in this environment."""
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
            tags=tags.for_model(
                project=stack.project,
                stack=stack.name,
                model=spec.name,
                version=version,
                owner=spec.owner,
                cost_center=stack.settings.cost_center,
            ),
            kms_key_arn=stack.outputs.kms_key_arn,
            network=stack.outputs.network,
        )
    )


def completed(stack: StackContext, job: Job, reporter: Reporter, *, what: str) -> Job:
    """Follow the job to its end. Raises JobFailed with the end of its log."""
    job, lines = follow(stack, job, kind="processing", reporter=reporter)
    must_have_completed(job, lines, what=what, kind="processing")
    return job


def capture_inputs(stack: StackContext, model: str, start: datetime, end: datetime) -> dict[str, tuple[str, str]]:
    """Prefixes of the captured requests of a time, by the hour; where that makes too many inputs by the day, the month
    or altogether (the job itself looks at the time of each request). Empty when nothing was captured.
    """
    hours = _hours(stack, model, start, end)
    base = f"{capture_uri(stack, model)}/"
    for depth in (4, 3, 2, 1, 0):  # hour, day, month, year, everything
        folders = sorted({_cut(hour, base, depth) for hour in hours})
        if len(folders) <= MAX_CAPTURE_INPUTS or depth == 0:
            return {
                f"endpoint-{n}": (folder, f"{DATASET}/{folder.removeprefix(base).rstrip('/')}")
                for n, folder in enumerate(folders, 1)
            }
    return {}


def _hours(stack: StackContext, model: str, start: datetime, end: datetime) -> list[str]:
    """Folders that hold something, found by leaping from one to the next."""
    prefix = f"{capture_uri(stack, model)}/{stack.names(model).endpoint}/{VARIANT}/"
    last = f"{prefix}{end:%Y/%m/%d/%H/~}"
    found: list[str] = []
    at = f"{prefix}{start:%Y/%m/%d/%H/}"
    while True:
        info = next(iter(stack.objects.list(prefix, after=at)), None)
        if info is None or info.uri > last:
            return found
        hour = info.uri.rpartition("/")[0] + "/"
        found.append(hour)
        at = f"{hour}~"


def _cut(hour: str, base: str, depth: int) -> str:
    """An hour's folder cut to `depth` levels of time below endpoint and variant."""
    parts = hour.removeprefix(base).rstrip("/").split("/")
    return base + "/".join(parts[: 2 + depth]) + "/"

"""The processing job that one run of a monitoring schedule is, with the captured requests of its window as input."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bedplate.local.hooks import Kind, Record, Services
from bedplate.local.runtime.transfer import split_uri

_DEFINITIONS: dict[str, Kind] = {
    "DataQuality": "data-quality-job-definition",
    "ModelQuality": "model-quality-job-definition",
    "ModelBias": "model-bias-job-definition",
    "ModelExplainability": "model-explainability-job-definition",
}
_CAPTURE_NAME = re.compile(r"/(\d{4})/(\d\d)/(\d\d)/(\d\d)/(\d\d)-(\d\d)-(\d{3})-[^/]+\.jsonl$")
_INPUT = "/opt/ml/processing/input/endpoint"
_LABELS = "/opt/ml/processing/input/labels"
_BASELINE = "/opt/ml/processing/baseline"


class CannotMonitor(Exception):
    """Why a run could not start, as its FailureReason says."""


@dataclass(frozen=True, slots=True)
class Window:
    """The requests of `start` up to `end`, epoch seconds."""

    start: float
    end: float

    def holds(self, key: str) -> bool:
        """Whether a capture file was begun in the window, by its name.

        >>> Window(0, 3600).holds("p/e/v/1970/01/01/00/59-59-999-x.jsonl")
        True
        >>> Window(0, 3600).holds("p/e/v/1970/01/01/01/00-00-000-x.jsonl")
        False
        """
        found = _CAPTURE_NAME.search(key)
        if not found:
            return False
        year, month, day, hour, minute, second, ms = (int(group) for group in found.groups())
        moment = datetime(year, month, day, hour, minute, second, ms * 1000, tzinfo=UTC).timestamp()
        return self.start <= moment < self.end


def definition_of(services: Services, schedule: Record) -> Record:
    """The job definition of a schedule. Raises CannotMonitor when it is gone."""
    kind = schedule.get("MonitoringType") or "DataQuality"
    name = schedule.get("MonitoringJobDefinitionName") or ""
    found = services.record(_DEFINITIONS[kind], name)
    if found is None:
        inline = (schedule.get("MonitoringScheduleConfig") or {}).get("MonitoringJobDefinition")
        if inline:
            return _from_inline(inline)
        raise CannotMonitor(f"Job definition {name!r} of schedule {schedule['MonitoringScheduleName']} does not exist.")
    return {
        "App": found[f"{kind}AppSpecification"],
        "Baseline": found.get(f"{kind}BaselineConfig") or {},
        "Input": found[f"{kind}JobInput"],
        "Output": found[f"{kind}JobOutputConfig"],
        "Resources": found["JobResources"],
        "Stopping": found.get("StoppingCondition"),
        "RoleArn": found["RoleArn"],
    }


def processing_job(
    services: Services, schedule: Record, definition: Record, window: Window, name: str, arn: str
) -> Record:
    """The record of the run's job. Raises CannotMonitor when the endpoint, its capture or any request is missing."""
    watched = (definition["Input"] or {}).get("EndpointInput")
    if not watched:
        raise CannotMonitor("The local platform monitors endpoints, not batch transform jobs.")
    folder = watched.get("LocalPath") or _INPUT
    outputs = [entry["S3Output"] for entry in definition["Output"]["MonitoringOutputs"]]
    app, baseline = definition["App"], definition["Baseline"]
    environment = {
        "dataset_format": '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}',
        "dataset_source": folder,
        "output_path": outputs[0]["LocalPath"],
        "publish_cloudwatch_metrics": "Enabled",
        "sagemaker_endpoint_name": watched["EndpointName"],
        "sagemaker_monitoring_schedule_name": schedule["MonitoringScheduleName"],
        "start_time": _iso(window.start),
        "end_time": _iso(window.end),
        **_baseline_environment(baseline),
        **(app.get("Environment") or {}),
    }
    return {
        "ProcessingJobName": name,
        "ProcessingJobArn": arn,
        "ProcessingJobStatus": "InProgress",
        "MonitoringScheduleArn": schedule["MonitoringScheduleArn"],
        "RoleArn": definition["RoleArn"],
        "AppSpecification": {
            key: app[key] for key in ("ImageUri", "ContainerEntrypoint", "ContainerArguments") if app.get(key)
        },
        "Environment": environment,
        "ProcessingInputs": [
            *_capture_inputs(services, watched["EndpointName"], folder, window),
            *_baseline_inputs(baseline),
            *_label_inputs(definition["Input"]),
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {"OutputName": f"output-{n}", "S3Output": {**output, "S3Uri": _run_uri(output["S3Uri"], name)}}
                for n, output in enumerate(outputs, 1)
            ]
        },
        "ProcessingResources": definition["Resources"],
        **({"StoppingCondition": definition["Stopping"]} if definition["Stopping"] else {}),
        "Tags": [{"Key": k, "Value": v} for k, v in services.tags(schedule["MonitoringScheduleArn"]).items()],
    }


def _capture_inputs(services: Services, endpoint: str, folder: str, window: Window) -> list[dict[str, Any]]:
    """One input for each hour and variant with requests of the window, below the same folders as in the bucket. As on
    SageMaker a whole hour is given; the container reads the window from `start_time` and `end_time`."""
    record = services.record("endpoint", endpoint)
    if record is None:
        raise CannotMonitor(f'Could not find endpoint "{endpoint}".')
    capture = record.get("DataCaptureConfig") or {}
    if not capture.get("DestinationS3Uri"):
        raise CannotMonitor(f"Endpoint {endpoint} does not capture data.")
    bucket, prefix = split_uri(capture["DestinationS3Uri"])
    base = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
    try:
        keys = [k for k in services.list_objects(bucket, f"{base}{endpoint}/") if window.holds(k)]
    except KeyError as exc:
        raise CannotMonitor(f"The captured requests cannot be read: {exc.args[0]}") from exc
    if not keys:
        raise CannotMonitor(
            f"No data: endpoint {endpoint} captured no request from {_iso(window.start)} to {_iso(window.end)}."
        )
    hours = sorted({key.rsplit("/", 1)[0] for key in keys})
    return [
        {
            "InputName": f"endpoint-{n}",
            "S3Input": {
                "S3Uri": f"s3://{bucket}/{hour}/",
                "LocalPath": f"{folder}/{hour.removeprefix(base)}",
                "S3DataType": "S3Prefix",
                "S3InputMode": "File",
            },
        }
        for n, hour in enumerate(hours, 1)
    ]


def _label_inputs(watched: Record) -> list[dict[str, Any]]:
    """The ground truth of a ModelQuality or ModelBias definition, where the image looks for late labels.

    SageMaker merges labels and requests by event id in a job of its own before the image runs; here the image gets both
    and joins them by the contract's keys.
    """
    truth = str((watched.get("GroundTruthS3Input") or {}).get("S3Uri") or "")
    if not truth:
        return []
    source = {"S3Uri": truth, "LocalPath": _LABELS, "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return [{"InputName": "labels", "Optional": True, "S3Input": source}]


def _baseline_environment(baseline: Record) -> dict[str, str]:
    return {
        variable: f"{_BASELINE}/{folder}/{_address(baseline, key).rsplit('/', 1)[-1]}"
        for variable, folder, key in (
            ("baseline_constraints", "constraints", "ConstraintsResource"),
            ("baseline_statistics", "stats", "StatisticsResource"),
        )
        if _address(baseline, key)
    }


def _baseline_inputs(baseline: Record) -> list[dict[str, Any]]:
    return [
        {
            "InputName": name,
            "S3Input": {
                "S3Uri": _address(baseline, key),
                "LocalPath": f"{_BASELINE}/{folder}",
                "S3DataType": "S3Prefix",
                "S3InputMode": "File",
            },
        }
        for name, folder, key in (
            ("constraints", "constraints", "ConstraintsResource"),
            ("baseline", "stats", "StatisticsResource"),
        )
        if _address(baseline, key)
    ]


def _address(baseline: Record, key: str) -> str:
    return str((baseline.get(key) or {}).get("S3Uri") or "")


def _run_uri(uri: str, job_name: str) -> str:
    """Each run writes below a folder of its own."""
    return f"{uri.rstrip('/')}/{job_name}"


def _from_inline(inline: Record) -> Record:
    return {
        "App": {**inline["MonitoringAppSpecification"], "Environment": inline.get("Environment") or {}},
        "Baseline": inline.get("BaselineConfig") or {},
        "Input": inline["MonitoringInputs"][0],
        "Output": inline["MonitoringOutputConfig"],
        "Resources": inline["MonitoringResources"],
        "Stopping": inline.get("StoppingCondition"),
        "RoleArn": inline["RoleArn"],
    }


def _iso(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"

"""Builds the processing job of one run of a monitoring schedule, with the captured requests of its window."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bedplate.local.hooks import KindName, Record, Services
from bedplate.local.runtime.jobs.ground_truth import merge_ground_truth, read_ground_truth
from bedplate.local.runtime.transfer import DataSourceError, split_uri

_DEFINITIONS: dict[str, KindName] = {
    "DataQuality": "data-quality-job-definition",
    "ModelQuality": "model-quality-job-definition",
    "ModelBias": "model-bias-job-definition",
    "ModelExplainability": "model-explainability-job-definition",
}
_CAPTURE_NAME = re.compile(r"/(\d{4})/(\d\d)/(\d\d)/(\d\d)/(\d\d)-(\d\d)-(\d{3})-[^/]+\.jsonl$")
_ENDPOINT_DIR = "/opt/ml/processing/input/endpoint"
_MODEL_DIR = "/opt/ml/processing/input/model"
_CONFIG_DIR = "/opt/ml/processing/input/config"
_DURATION = re.compile(r"^-?P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$")
_BASELINE_DIR = "/opt/ml/processing/baseline"


class MonitoringStartError(Exception):
    """A run could not start; the message becomes its FailureReason."""


@dataclass(frozen=True, slots=True)
class CaptureWindow:
    """The time window [start, end) of a run, in epoch seconds."""

    start: float
    end: float

    def __str__(self) -> str:
        return f"from {_format_time(self.start)} to {_format_time(self.end)}"

    def contains(self, key: str) -> bool:
        """Returns whether the name of a capture file says that it was started in the window.

        >>> CaptureWindow(0, 3600).contains("p/e/v/1970/01/01/00/59-59-999-x.jsonl")
        True
        >>> CaptureWindow(0, 3600).contains("p/e/v/1970/01/01/01/00-00-000-x.jsonl")
        False
        """
        match = _CAPTURE_NAME.search(key)
        if not match:
            return False
        year, month, day, hour, minute, second, ms = (int(group) for group in match.groups())
        timestamp = datetime(year, month, day, hour, minute, second, ms * 1000, tzinfo=UTC).timestamp()
        return self.start <= timestamp < self.end

    def shifted_by(self, endpoint_input: Record) -> CaptureWindow:
        """Returns the window moved back by the StartTimeOffset and EndTimeOffset of an EndpointInput.

        >>> CaptureWindow(7200, 10800).shifted_by({"StartTimeOffset": "-PT2H", "EndTimeOffset": "-PT1H"})
        CaptureWindow(start=0.0, end=7200.0)
        """
        start_s, end_s = (duration_s(endpoint_input.get(f"{bound}TimeOffset") or "PT0H") for bound in ("Start", "End"))
        return CaptureWindow(self.start - start_s, self.end - end_s)


def duration_s(duration: str) -> float:
    """Returns the absolute value of an ISO 8601 duration in seconds, 0 for any other text.

    >>> duration_s("-PT1H"), duration_s("-P1DT30M")
    (3600.0, 88200.0)
    """
    match = _DURATION.match(duration)
    if not match:
        return 0.0
    days, hours, minutes, seconds = (float(group or 0) for group in match.groups())
    return days * 86_400 + hours * 3600 + minutes * 60 + seconds


def find_definition(services: Services, schedule: Record) -> Record:
    """Returns the job definition of a schedule. Raises MonitoringStartError when it does not exist."""
    kind = schedule.get("MonitoringType") or "DataQuality"
    name = schedule.get("MonitoringJobDefinitionName") or ""
    definition = services.record(_DEFINITIONS[kind], name)
    if definition is None:
        inline = (schedule.get("MonitoringScheduleConfig") or {}).get("MonitoringJobDefinition")
        if inline:
            return _read_inline_definition(inline)
        schedule_name = schedule["MonitoringScheduleName"]
        raise MonitoringStartError(f"Job definition {name!r} of schedule {schedule_name} does not exist.")
    return {
        "App": definition[f"{kind}AppSpecification"],
        "Baseline": definition.get(f"{kind}BaselineConfig") or {},
        "Input": definition[f"{kind}JobInput"],
        "Output": definition[f"{kind}JobOutputConfig"],
        "Resources": definition["JobResources"],
        "Stopping": definition.get("StoppingCondition"),
        "RoleArn": definition["RoleArn"],
    }


def build_processing_job(
    services: Services, schedule: Record, definition: Record, window: CaptureWindow, name: str, arn: str
) -> Record:
    """Returns the record of a run's processing job.

    Raises MonitoringStartError when the endpoint, its capture or captured requests are missing.
    """
    endpoint_input = (definition["Input"] or {}).get("EndpointInput")
    if not endpoint_input:
        raise MonitoringStartError("The local platform monitors endpoints, not batch transform jobs.")
    window = window.shifted_by(endpoint_input)
    folder = endpoint_input.get("LocalPath") or _ENDPOINT_DIR
    outputs = [entry["S3Output"] for entry in definition["Output"]["MonitoringOutputs"]]
    app, baseline_files = definition["App"], _baseline_files(definition["Baseline"])
    app_keys = ("ImageUri", "ContainerEntrypoint", "ContainerArguments")
    environment = {
        "dataset_format": '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}',
        "dataset_source": folder,
        "output_path": outputs[0]["LocalPath"],
        "publish_cloudwatch_metrics": "Enabled",
        "sagemaker_endpoint_name": endpoint_input["EndpointName"],
        "sagemaker_monitoring_schedule_name": schedule["MonitoringScheduleName"],
        "start_time": _format_time(window.start),
        "end_time": _format_time(window.end),
        **{variable: f"{path}/{uri.rsplit('/', 1)[-1]}" for variable, _, path, uri in baseline_files},
        **(app.get("Environment") or {}),
    }
    return {
        "ProcessingJobName": name,
        "ProcessingJobArn": arn,
        "ProcessingJobStatus": "InProgress",
        "MonitoringScheduleArn": schedule["MonitoringScheduleArn"],
        "RoleArn": definition["RoleArn"],
        "AppSpecification": {key: app[key] for key in app_keys if app.get(key)},
        "Environment": environment,
        "ProcessingInputs": [
            *_request_inputs(services, definition, folder, window, f"{_run_uri(outputs[0]['S3Uri'], name)}/merge"),
            *(_input(input_name, uri, path) for _, input_name, path, uri in baseline_files),
            *_model_inputs(services, app),
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


def _request_inputs(
    services: Services, definition: Record, folder: str, window: CaptureWindow, merge_uri: str
) -> list[dict[str, Any]]:
    """Returns the captured requests of the window; with ground truth only the labelled ones, with their labels.

    SageMaker merges the ground truth in a separate job; here it is merged at once and stored at `merge_uri`.
    """
    endpoint = definition["Input"]["EndpointInput"]["EndpointName"]
    bucket, base, keys = _find_captures(services, endpoint, window)
    source = str((definition["Input"].get("GroundTruthS3Input") or {}).get("S3Uri") or "")
    if not source:
        return _hourly_inputs(f"s3://{bucket}/", base, keys, folder)
    merge_bucket, prefix = split_uri(merge_uri)
    try:
        ground_truths = read_ground_truth(services, source, since=window.start)
        merged_keys = []
        for key, body in merge_ground_truth(services, bucket, keys, ground_truths):
            services.put_object(merge_bucket, f"{prefix}/{key.removeprefix(base)}", body, "application/jsonlines")
            merged_keys.append(key)
    except (KeyError, DataSourceError) as exc:
        raise MonitoringStartError(f"The ground truth cannot be merged: {exc.args[0]}") from exc
    if not merged_keys:
        message = f"no request that {endpoint} captured {window} has ground truth at {source}."
        raise MonitoringStartError(f"NO_DATA: {message}")
    return _hourly_inputs(f"{merge_uri}/", "", [key.removeprefix(base) for key in merged_keys], folder)


def _find_captures(services: Services, endpoint: str, window: CaptureWindow) -> tuple[str, str, list[str]]:
    """Returns the bucket, the prefix before the endpoint's name and the keys of the window's capture files."""
    record = services.record("endpoint", endpoint)
    if record is None:
        raise MonitoringStartError(f'Could not find endpoint "{endpoint}".')
    capture = record.get("DataCaptureConfig") or {}
    if not capture.get("DestinationS3Uri"):
        raise MonitoringStartError(f"Endpoint {endpoint} does not capture data.")
    bucket, prefix = split_uri(capture["DestinationS3Uri"])
    base = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
    try:
        keys = [k for k in services.list_objects(bucket, f"{base}{endpoint}/") if window.contains(k)]
    except KeyError as exc:
        raise MonitoringStartError(f"The captured requests cannot be read: {exc.args[0]}") from exc
    if not keys:
        raise MonitoringStartError(f"No data: endpoint {endpoint} captured no request {window}.")
    return bucket, base, keys


def _hourly_inputs(root: str, base: str, keys: list[str], folder: str) -> list[dict[str, Any]]:
    """Returns one input per hour and variant with captured requests, in the same folders as in the bucket.

    As on SageMaker an input is a whole hour; the container selects the window by `start_time` and `end_time`.
    """
    hours = sorted({key.rsplit("/", 1)[0] for key in keys})
    return [
        _input(f"endpoint-{n}", f"{root}{hour}/", f"{folder}/{hour.removeprefix(base)}")
        for n, hour in enumerate(hours, 1)
    ]


def _model_inputs(services: Services, app: Record) -> list[dict[str, Any]]:
    """Returns the configuration of a bias or explainability run and the artifact of the model that it names.

    SageMaker's own image invokes a shadow endpoint that exists for the run; here the image gets the model itself.
    """
    uri = str(app.get("ConfigUri") or "")
    if not uri:
        return []
    try:
        bucket, key = split_uri(uri)
        model_name = (json.loads(services.get_object(bucket, key)).get("predictor") or {}).get("model_name")
    except (KeyError, DataSourceError, ValueError) as exc:
        raise MonitoringStartError(f"The configuration {uri} cannot be read: {exc.args[0]}") from exc
    inputs = [_input("config", uri, _CONFIG_DIR)]
    if model_name:
        model = services.record("model", model_name)
        if model is None:
            raise MonitoringStartError(f'Could not find model "{model_name}", which {uri} names as its predictor.')
        artifact = (model.get("PrimaryContainer") or {}).get("ModelDataUrl")
        if artifact:
            inputs.append(_input("model", artifact, _MODEL_DIR))
    return inputs


def _input(name: str, uri: str, path: str) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File"},
    }


def _baseline_files(baseline: Record) -> list[tuple[str, str, str, str]]:
    """Returns environment variable, input name, folder and S3 URI of each file of the baseline."""
    files = (
        ("baseline_constraints", "constraints", "constraints", "ConstraintsResource"),
        ("baseline_statistics", "baseline", "stats", "StatisticsResource"),
    )
    uris = {key: str((baseline.get(key) or {}).get("S3Uri") or "") for *_, key in files}
    return [
        (variable, name, f"{_BASELINE_DIR}/{folder}", uris[key]) for variable, name, folder, key in files if uris[key]
    ]


def _run_uri(uri: str, job_name: str) -> str:
    """Returns the run's own folder in an output location."""
    return f"{uri.rstrip('/')}/{job_name}"


def _read_inline_definition(inline: Record) -> Record:
    return {
        "App": {**inline["MonitoringAppSpecification"], "Environment": inline.get("Environment") or {}},
        "Baseline": inline.get("BaselineConfig") or {},
        "Input": inline["MonitoringInputs"][0],
        "Output": inline["MonitoringOutputConfig"],
        "Resources": inline["MonitoringResources"],
        "Stopping": inline.get("StoppingCondition"),
        "RoleArn": inline["RoleArn"],
    }


def _format_time(timestamp: float) -> str:
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%dT%H:%M:%SZ}"

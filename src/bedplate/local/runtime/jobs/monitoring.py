"""The processing job that one run of a monitoring schedule is, with the captured requests of its window as input."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bedplate.local.hooks import Kind, Record, Services
from bedplate.local.runtime.jobs import ground_truth
from bedplate.local.runtime.transfer import MissingData, split_uri

_DEFINITIONS: dict[str, Kind] = {
    "DataQuality": "data-quality-job-definition",
    "ModelQuality": "model-quality-job-definition",
    "ModelBias": "model-bias-job-definition",
    "ModelExplainability": "model-explainability-job-definition",
}
_CAPTURE_NAME = re.compile(r"/(\d{4})/(\d\d)/(\d\d)/(\d\d)/(\d\d)-(\d\d)-(\d{3})-[^/]+\.jsonl$")
_INPUT = "/opt/ml/processing/input/endpoint"
_MODEL = "/opt/ml/processing/input/model"
_CONFIG = "/opt/ml/processing/input/config"
_PERIOD = re.compile(r"^-?P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$")
_BASELINE = "/opt/ml/processing/baseline"


class MonitoringStartError(Exception):
    """Why a run could not start, as its FailureReason says."""


@dataclass(frozen=True, slots=True)
class CaptureWindow:
    """The requests of `start` up to `end`, epoch seconds."""

    start: float
    end: float

    def holds(self, key: str) -> bool:
        """Whether a capture file was begun in the window, by its name.

        >>> CaptureWindow(0, 3600).holds("p/e/v/1970/01/01/00/59-59-999-x.jsonl")
        True
        >>> CaptureWindow(0, 3600).holds("p/e/v/1970/01/01/01/00-00-000-x.jsonl")
        False
        """
        found = _CAPTURE_NAME.search(key)
        if not found:
            return False
        year, month, day, hour, minute, second, ms = (int(group) for group in found.groups())
        moment = datetime(year, month, day, hour, minute, second, ms * 1000, tzinfo=UTC).timestamp()
        return self.start <= moment < self.end

    def moved(self, watched: Record) -> CaptureWindow:
        """As far back as an endpoint input says: its offsets are taken from both ends.

        >>> CaptureWindow(7200, 10800).moved({"StartTimeOffset": "-PT2H", "EndTimeOffset": "-PT1H"})
        CaptureWindow(start=0.0, end=7200.0)
        """
        first, last = (period_s(watched.get(f"{side}TimeOffset") or "PT0H") for side in ("Start", "End"))
        return CaptureWindow(self.start - first, self.end - last)


def period_s(period: str) -> float:
    """Seconds of an ISO 8601 duration, whatever its sign; 0 of anything else.

    >>> period_s("-PT1H"), period_s("-P1DT30M")
    (3600.0, 88200.0)
    """
    found = _PERIOD.match(period)
    if not found:
        return 0.0
    days, hours, minutes, seconds = (float(group or 0) for group in found.groups())
    return days * 86_400 + hours * 3600 + minutes * 60 + seconds


def definition_of(services: Services, schedule: Record) -> Record:
    """The job definition of a schedule. Raises CannotMonitor when it is gone."""
    kind = schedule.get("MonitoringType") or "DataQuality"
    name = schedule.get("MonitoringJobDefinitionName") or ""
    found = services.record(_DEFINITIONS[kind], name)
    if found is None:
        inline = (schedule.get("MonitoringScheduleConfig") or {}).get("MonitoringJobDefinition")
        if inline:
            return _from_inline(inline)
        raise MonitoringStartError(
            f"Job definition {name!r} of schedule {schedule['MonitoringScheduleName']} does not exist."
        )
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
    services: Services, schedule: Record, definition: Record, window: CaptureWindow, name: str, arn: str
) -> Record:
    """The record of the run's job. Raises CannotMonitor when the endpoint, its capture or any request is missing."""
    watched = (definition["Input"] or {}).get("EndpointInput")
    if not watched:
        raise MonitoringStartError("The local platform monitors endpoints, not batch transform jobs.")
    window = window.moved(watched)
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
            *_requests(services, definition, folder, window, f"{_run_uri(outputs[0]['S3Uri'], name)}/merge"),
            *_baseline_inputs(baseline),
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


def _requests(
    services: Services, definition: Record, folder: str, window: CaptureWindow, merged: str
) -> list[dict[str, Any]]:
    """The captured requests of the window; with a ground truth only those whose outcome is known, and with it.

    On SageMaker a job of its own merges them first; here it happens at once, and its result lies at `merged`.
    """
    endpoint = definition["Input"]["EndpointInput"]["EndpointName"]
    bucket, base, keys = _captured(services, endpoint, window)
    source = str((definition["Input"].get("GroundTruthS3Input") or {}).get("S3Uri") or "")
    if not source:
        return _by_hour(f"s3://{bucket}/", base, keys, folder)
    target, prefix = split_uri(merged)
    try:
        truth = ground_truth.known(services, source, since=window.start)
        found = []
        for key, body in ground_truth.merge(services, bucket, keys, truth):
            services.put_object(target, f"{prefix}/{key.removeprefix(base)}", body, "application/jsonlines")
            found.append(key)
    except (KeyError, MissingData) as exc:
        raise MonitoringStartError(f"The ground truth cannot be merged: {exc.args[0]}") from exc
    if not found:
        raise MonitoringStartError(
            f"NO_DATA: no request that {endpoint} captured from {_iso(window.start)} to {_iso(window.end)} has "
            f"a ground truth below {source}."
        )
    return _by_hour(f"{merged}/", "", [key.removeprefix(base) for key in found], folder)


def _captured(services: Services, endpoint: str, window: CaptureWindow) -> tuple[str, str, list[str]]:
    """(Bucket, prefix before the endpoint's name, keys) of what was captured in the window."""
    record = services.record("endpoint", endpoint)
    if record is None:
        raise MonitoringStartError(f'Could not find endpoint "{endpoint}".')
    capture = record.get("DataCaptureConfig") or {}
    if not capture.get("DestinationS3Uri"):
        raise MonitoringStartError(f"Endpoint {endpoint} does not capture data.")
    bucket, prefix = split_uri(capture["DestinationS3Uri"])
    base = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
    try:
        keys = [k for k in services.list_objects(bucket, f"{base}{endpoint}/") if window.holds(k)]
    except KeyError as exc:
        raise MonitoringStartError(f"The captured requests cannot be read: {exc.args[0]}") from exc
    if not keys:
        raise MonitoringStartError(
            f"No data: endpoint {endpoint} captured no request from {_iso(window.start)} to {_iso(window.end)}."
        )
    return bucket, base, keys


def _by_hour(root: str, base: str, keys: list[str], folder: str) -> list[dict[str, Any]]:
    """One input for each hour and variant with requests of the window, below the same folders as in the bucket. As on
    SageMaker a whole hour is given; the container reads the window from `start_time` and `end_time`."""
    hours = sorted({key.rsplit("/", 1)[0] for key in keys})
    return [
        _input(f"endpoint-{n}", f"{root}{hour}/", f"{folder}/{hour.removeprefix(base)}")
        for n, hour in enumerate(hours, 1)
    ]


def _model_inputs(services: Services, app: Record) -> list[dict[str, Any]]:
    """The configuration of a bias or explainability run, and the artifact of the model that it names to be asked.

    SageMaker's own image asks a shadow endpoint that comes up for the run; here the image gets the model itself.
    """
    uri = str(app.get("ConfigUri") or "")
    if not uri:
        return []
    try:
        bucket, key = split_uri(uri)
        named = (json.loads(services.get_object(bucket, key)).get("predictor") or {}).get("model_name")
    except (KeyError, MissingData, ValueError) as exc:
        raise MonitoringStartError(f"The configuration {uri} cannot be read: {exc.args[0]}") from exc
    found = [_input("config", uri, _CONFIG)]
    if named:
        model = services.record("model", named)
        if model is None:
            raise MonitoringStartError(f'Could not find model "{named}", which {uri} names as its predictor.')
        artifact = (model.get("PrimaryContainer") or {}).get("ModelDataUrl")
        if artifact:
            found.append(_input("model", artifact, _MODEL))
    return found


def _input(name: str, uri: str, path: str) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File"},
    }


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
        _input(name, _address(baseline, key), f"{_BASELINE}/{folder}")
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

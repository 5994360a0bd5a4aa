"""Training jobs, endpoints and monitoring schedules on a running local platform, called with boto3."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bedplate.domain.versions.package import build_archive
from bedplate.local import lifecycle
from builders import a_spec
from polling import wait_until

ROLE = "arn:aws:iam::123456789012:role/execution"
TRAIN = """
import json, os, pathlib, sys
print("metric: auc=0.75", flush=True)
if "--broken" in sys.argv:
    raise RuntimeError("the feed has no column calls")
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.json").write_text(json.dumps({"answer": 0.5}))
"""
INFERENCE = """
import json, pathlib
import numpy as np
def model_fn(model_dir):
    return json.loads(pathlib.Path(model_dir, "model.json").read_text())["answer"]
def predict_fn(rows, model):
    return np.full(len(rows), model)
"""
ROW = b'{"id": "1", "at": "2026-01-01T00:00:00Z", "age": 30, "calls": 2, "plan": "pro"}'


@dataclass(frozen=True)
class PlatformClients:
    """boto3 clients of one running local platform."""

    project: Path
    clients: dict[str, Any]

    def __getattr__(self, service: str) -> Any:
        import boto3

        url = lifecycle.status(self.project).url
        key = f"{service}@{url}"
        if key not in self.clients:
            self.clients[key] = boto3.client(
                service.replace("_", "-"),
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id="local",
                aws_secret_access_key="local",
            )
        return self.clients[key]

    def create_release(self, name: str, artifact: str | None = None, **environment: str) -> str:
        container = {"Image": "image:1", "Environment": {"BEDPLATE_RELEASE": name, **environment}}
        if artifact:
            container["ModelDataUrl"] = artifact
        self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {
                    "VariantName": "live",
                    "ModelName": name,
                    "InitialInstanceCount": 1,
                    "InstanceType": "ml.m5.large",
                    "InitialVariantWeight": 1,
                }
            ],
            DataCaptureConfig={
                "EnableCapture": True,
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": "s3://capture/all",
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            },
        )
        return name

    def wait_for_endpoint(self, name: str, *statuses: str) -> Any:
        """Waits until the endpoint's status is one of `statuses`. Returns its description."""
        return wait_until(
            lambda: self.sagemaker.describe_endpoint(EndpointName=name), lambda e: e["EndpointStatus"] in statuses
        )

    def invoke(self, name: str, body: bytes = ROW) -> tuple[str, bytes]:
        """Returns the release that responds, and its response."""
        response = self.sagemaker_runtime.invoke_endpoint(
            EndpointName=name, Body=body, ContentType="application/jsonlines", Accept="application/jsonlines"
        )
        return response["CustomAttributes"].split(";")[0].removeprefix("release="), response["Body"].read()

    def train(self, name: str, **parameters: str) -> Any:
        files = {"train.py": TRAIN, "inference.py": INFERENCE, "model.yaml": a_spec().model_dump_json()}
        archive = build_archive({name: text.encode() for name, text in files.items()})
        self.s3.put_object(Bucket="data", Key=f"{name}/code/sourcedir.tar.gz", Body=archive)
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://data/{name}/code/"}
        self.sagemaker.create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={
                "TrainingImage": "image:1",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "auc", "Regex": "metric: auc=([-+0-9.eE]+)"}],
            },
            RoleArn=ROLE,
            InputDataConfig=[{"ChannelName": "code", "DataSource": {"S3DataSource": source}}],
            OutputDataConfig={"S3OutputPath": "s3://artifacts/training"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
            HyperParameters={"sagemaker_program": "train.py", **parameters},
        )
        return wait_until(
            lambda: self.sagemaker.describe_training_job(TrainingJobName=name),
            lambda job: job["TrainingJobStatus"] != "InProgress",
        )


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformClients]:
    project = tmp_path_factory.mktemp("project")
    lifecycle.start(project, port=0)
    cloud = PlatformClients(project, {})
    for bucket in ("data", "artifacts", "capture"):
        cloud.s3.create_bucket(Bucket=bucket)
    yield cloud
    for client in cloud.clients.values():
        client.close()
    lifecycle.stop(project)


def test_trained_model_serves_at_its_endpoint_and_is_captured(cloud: PlatformClients) -> None:
    job = cloud.train("first")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert {m["MetricName"]: round(m["Value"], 3) for m in job["FinalMetricDataList"]} == {"auc": 0.75}
    cloud.create_release("m1", job["ModelArtifacts"]["S3ModelArtifacts"])
    cloud.sagemaker.create_endpoint(EndpointName="trained", EndpointConfigName="m1")
    assert cloud.wait_for_endpoint("trained", "InService", "Failed")["EndpointStatus"] == "InService"
    release, prediction = cloud.invoke("trained")
    assert (release, json.loads(prediction)) == ("m1", {"prediction": 0.5})
    [captured] = cloud.s3.list_objects_v2(Bucket="capture", Prefix="all/trained/")["Contents"]
    record = json.loads(cloud.s3.get_object(Bucket="capture", Key=captured["Key"])["Body"].read())
    assert record["captureData"]["endpointInput"]["data"] == ROW.decode()


def test_failing_script_fails_the_job_with_its_message_and_logs_to_cloudwatch(cloud: PlatformClients) -> None:
    job = cloud.train("second", broken="yes")
    assert job["TrainingJobStatus"] == "Failed"
    assert "the feed has no column calls" in job["FailureReason"]
    group = "/aws/sagemaker/TrainingJobs"
    [stream] = cloud.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="second/")["logStreams"]
    events = cloud.logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    assert any("the feed has no column calls" in e["message"] for e in events)


def test_model_error_and_unknown_endpoint_raise_botocore_errors(cloud: PlatformClients) -> None:
    cloud.create_release("e0", BEDPLATE_FALLBACK="0.1")
    cloud.sagemaker.create_endpoint(EndpointName="errors", EndpointConfigName="e0")
    cloud.wait_for_endpoint("errors", "InService")
    runtime = cloud.sagemaker_runtime
    with pytest.raises(runtime.exceptions.ModelError) as raised:
        cloud.invoke("errors", b"no json")
    assert raised.value.response["OriginalStatusCode"] == 400
    with pytest.raises(runtime.exceptions.ClientError, match="nowhere of account 123456789012 not found"):
        cloud.invoke("nowhere")


def test_cloudwatch_alarm_rolls_back_a_canary(cloud: PlatformClients) -> None:
    cloud.create_release("c1", BEDPLATE_FALLBACK="0.1")
    cloud.create_release("c2", BEDPLATE_FALLBACK="0.2")
    cloud.sagemaker.create_endpoint(EndpointName="canary", EndpointConfigName="c1")
    cloud.wait_for_endpoint("canary", "InService")
    cloud.cloudwatch.put_metric_alarm(
        AlarmName="watch", Namespace="N", MetricName="M", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    cloud.sagemaker.update_endpoint(
        EndpointName="canary",
        EndpointConfigName="c2",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {
                    "Type": "CANARY",
                    "WaitIntervalInSeconds": 60,
                    "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
                }
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "watch"}]},
        },
    )
    wait_until(lambda: {cloud.invoke("canary")[0] for _ in range(10)}, lambda releases: releases == {"c1", "c2"})
    cloud.cloudwatch.put_metric_data(Namespace="N", MetricData=[{"MetricName": "M", "Value": 5.0}])
    endpoint = cloud.wait_for_endpoint("canary", "InService")
    assert endpoint["EndpointConfigName"] == "c1"
    assert "watch" in endpoint["FailureReason"]
    assert {cloud.invoke("canary")[0] for _ in range(10)} == {"c1"}


def test_manually_raised_alarm_rolls_back_a_deployment_even_after_it_returned_to_ok(cloud: PlatformClients) -> None:
    for name, prediction in (("h1", "0.1"), ("h2", "0.2")):
        cloud.create_release(name, BEDPLATE_FALLBACK=prediction)
    cloud.sagemaker.create_endpoint(EndpointName="hand", EndpointConfigName="h1")
    cloud.wait_for_endpoint("hand", "InService")
    cloud.cloudwatch.put_composite_alarm(AlarmName="by-hand", AlarmRule="FALSE")
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 60}
    cloud.sagemaker.update_endpoint(
        EndpointName="hand",
        EndpointConfigName="h2",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "by-hand"}]},
        },
    )
    wait_until(lambda: cloud.invoke("hand")[0], lambda release: release == "h2")
    for state in ("ALARM", "OK"):
        cloud.cloudwatch.set_alarm_state(AlarmName="by-hand", StateValue=state, StateReason="a drill")
    assert cloud.wait_for_endpoint("hand", "InService")["EndpointConfigName"] == "h1"


def test_endpoint_serves_again_after_a_stop_and_after_a_kill(cloud: PlatformClients) -> None:
    cloud.create_release("s1", BEDPLATE_FALLBACK="0.3")
    cloud.sagemaker.create_endpoint(EndpointName="steady", EndpointConfigName="s1")
    cloud.wait_for_endpoint("steady", "InService")
    lifecycle.stop(cloud.project)
    lifecycle.start(cloud.project)
    assert cloud.invoke("steady")[0] == "s1"
    pid = lifecycle.status(cloud.project).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: lifecycle.status(cloud.project).running, lambda running: not running)
    lifecycle.start(cloud.project)
    assert cloud.invoke("steady")[0] == "s1"
    assert cloud.wait_for_endpoint("steady", "InService")["EndpointConfigName"] == "s1"


COUNT = """
import json, os, pathlib
source, output = pathlib.Path(os.environ["dataset_source"]), pathlib.Path(os.environ["output_path"])
rows = sum(len(p.read_text().splitlines()) for p in source.rglob("*.jsonl"))
(output / "drift.json").write_text(json.dumps({"rows": rows}))
message = pathlib.Path(os.environ["BEDPLATE_CONTAINER_ROOT"], "output", "message")
message.write_text("CompletedWithViolations: 1 feature drifted")
"""


def test_monitoring_schedule_analyzes_captured_requests_and_reports_violations(cloud: PlatformClients) -> None:
    cloud.create_release("w1", BEDPLATE_FALLBACK="0.3")
    cloud.sagemaker.create_endpoint(EndpointName="watched", EndpointConfigName="w1")
    cloud.wait_for_endpoint("watched", "InService")
    for _ in range(3):
        cloud.invoke("watched")
    output = {
        "S3Uri": "s3://artifacts/monitoring",
        "LocalPath": "/opt/ml/processing/output",
        "S3UploadMode": "EndOfJob",
    }
    cloud.sagemaker.create_data_quality_job_definition(
        JobDefinitionName="quality",
        DataQualityAppSpecification={"ImageUri": "image:1", "ContainerEntrypoint": ["python", "-c", COUNT]},
        DataQualityJobInput={
            "EndpointInput": {"EndpointName": "watched", "LocalPath": "/opt/ml/processing/input/endpoint"}
        },
        DataQualityJobOutputConfig={"MonitoringOutputs": [{"S3Output": output}]},
        JobResources={"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}},
        RoleArn=ROLE,
    )
    cloud.sagemaker.create_monitoring_schedule(
        MonitoringScheduleName="now",
        MonitoringScheduleConfig={
            "MonitoringJobDefinitionName": "quality",
            "MonitoringType": "DataQuality",
            "ScheduleConfig": {
                "ScheduleExpression": "NOW",
                "DataAnalysisStartTime": "-PT1H",
                "DataAnalysisEndTime": "-PT0H",
            },
        },
    )
    [run] = wait_until(
        lambda: cloud.sagemaker.list_monitoring_executions(MonitoringScheduleName="now")[
            "MonitoringExecutionSummaries"
        ],
        lambda runs: bool(runs) and runs[0]["MonitoringExecutionStatus"] != "InProgress",
    )
    assert run["MonitoringExecutionStatus"] == "CompletedWithViolations", run.get("FailureReason")
    job = run["ProcessingJobArn"].rsplit("/", 1)[-1]
    report = cloud.s3.get_object(Bucket="artifacts", Key=f"monitoring/{job}/drift.json")["Body"].read()
    assert json.loads(report) == {"rows": 3}
    schedule = cloud.sagemaker.describe_monitoring_schedule(MonitoringScheduleName="now")
    assert schedule["LastMonitoringExecutionSummary"]["ProcessingJobArn"] == run["ProcessingJobArn"]
    assert cloud.sagemaker.describe_processing_job(ProcessingJobName=job)["ExitMessage"].startswith("Completed")

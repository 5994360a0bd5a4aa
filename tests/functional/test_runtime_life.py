"""Jobs and endpoints on a running local platform, driven by plain boto3, with the image's own entry points."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bedplate.local import lifecycle
from builders import a_spec

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
class Cloud:
    """Clients of one running platform."""

    project: Path
    made: dict[str, Any]

    def __getattr__(self, service: str) -> Any:
        import boto3

        url = lifecycle.status(self.project).url
        key = f"{service}@{url}"
        if key not in self.made:
            self.made[key] = boto3.client(
                service.replace("_", "-"),
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id="local",
                aws_secret_access_key="local",
            )
        return self.made[key]

    def release(self, name: str, artifact: str | None = None, **environment: str) -> str:
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

    def endpoint(self, name: str, *wanted: str) -> Any:
        """The endpoint once its status is one of `wanted`."""
        return until(
            lambda: self.sagemaker.describe_endpoint(EndpointName=name), lambda e: e["EndpointStatus"] in wanted
        )

    def ask(self, name: str, body: bytes = ROW) -> tuple[str, bytes]:
        """Who answers, and what."""
        told = self.sagemaker_runtime.invoke_endpoint(
            EndpointName=name, Body=body, ContentType="application/jsonlines", Accept="application/jsonlines"
        )
        return told["CustomAttributes"].split(";")[0].removeprefix("release="), told["Body"].read()

    def train(self, name: str, **parameters: str) -> Any:
        folder = {"train.py": TRAIN, "inference.py": INFERENCE, "model.yaml": a_spec().model_dump_json()}
        self.s3.put_object(Bucket="data", Key=f"{name}/code/sourcedir.tar.gz", Body=archive(folder))
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
        return until(
            lambda: self.sagemaker.describe_training_job(TrainingJobName=name),
            lambda job: job["TrainingJobStatus"] != "InProgress",
        )


def until(look: Callable[[], Any], right: Callable[[Any], bool], timeout_s: float = 40) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        seen = look()
        if right(seen):
            return seen
        threading.Event().wait(0.05)
    raise AssertionError(f"not in time: {seen}")


def archive(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content.encode())
            tar.addfile(info, io.BytesIO(content.encode()))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    project = tmp_path_factory.mktemp("project")
    lifecycle.start(project, port=0)
    cloud = Cloud(project, {})
    for bucket in ("data", "artifacts", "capture"):
        cloud.s3.create_bucket(Bucket=bucket)
    yield cloud
    for client in cloud.made.values():
        client.close()
    lifecycle.stop(project)


def test_trained_model_answers_at_its_endpoint_and_is_captured(cloud: Cloud) -> None:
    job = cloud.train("first")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert {m["MetricName"]: round(m["Value"], 3) for m in job["FinalMetricDataList"]} == {"auc": 0.75}
    cloud.release("m1", job["ModelArtifacts"]["S3ModelArtifacts"])
    cloud.sagemaker.create_endpoint(EndpointName="trained", EndpointConfigName="m1")
    assert cloud.endpoint("trained", "InService", "Failed")["EndpointStatus"] == "InService"
    who, answer = cloud.ask("trained")
    assert (who, json.loads(answer)) == ("m1", {"prediction": 0.5})
    [captured] = cloud.s3.list_objects_v2(Bucket="capture", Prefix="all/trained/")["Contents"]
    record = json.loads(cloud.s3.get_object(Bucket="capture", Key=captured["Key"])["Body"].read())
    assert record["captureData"]["endpointInput"]["data"] == ROW.decode()


def test_failing_script_fails_the_job_in_its_own_words_and_its_log_is_in_cloudwatch(cloud: Cloud) -> None:
    job = cloud.train("second", broken="yes")
    assert job["TrainingJobStatus"] == "Failed"
    assert "the feed has no column calls" in job["FailureReason"]
    group = "/aws/sagemaker/TrainingJobs"
    [stream] = cloud.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="second/")["logStreams"]
    events = cloud.logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    assert any("the feed has no column calls" in e["message"] for e in events)


def test_model_error_and_unknown_endpoint_are_botocores_own_errors(cloud: Cloud) -> None:
    cloud.release("e0", BEDPLATE_FALLBACK="0.1")
    cloud.sagemaker.create_endpoint(EndpointName="errors", EndpointConfigName="e0")
    cloud.endpoint("errors", "InService")
    runtime = cloud.sagemaker_runtime
    with pytest.raises(runtime.exceptions.ModelError) as refused:
        cloud.ask("errors", b"no json")
    assert refused.value.response["OriginalStatusCode"] == 400
    with pytest.raises(runtime.exceptions.ClientError, match="nowhere of account 123456789012 not found"):
        cloud.ask("nowhere")


def test_alarm_in_cloudwatch_takes_a_canary_back(cloud: Cloud) -> None:
    cloud.release("c1", BEDPLATE_FALLBACK="0.1")
    cloud.release("c2", BEDPLATE_FALLBACK="0.2")
    cloud.sagemaker.create_endpoint(EndpointName="canary", EndpointConfigName="c1")
    cloud.endpoint("canary", "InService")
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
    until(lambda: {cloud.ask("canary")[0] for _ in range(10)}, lambda seen: seen == {"c1", "c2"})
    cloud.cloudwatch.put_metric_data(Namespace="N", MetricData=[{"MetricName": "M", "Value": 5.0}])
    back = cloud.endpoint("canary", "InService")
    assert back["EndpointConfigName"] == "c1"
    assert "watch" in back["FailureReason"]
    assert {cloud.ask("canary")[0] for _ in range(10)} == {"c1"}


def test_an_alarm_raised_by_hand_undoes_a_deployment_also_when_it_has_settled_since(cloud: Cloud) -> None:
    for name, answer in (("h1", "0.1"), ("h2", "0.2")):
        cloud.release(name, BEDPLATE_FALLBACK=answer)
    cloud.sagemaker.create_endpoint(EndpointName="hand", EndpointConfigName="h1")
    cloud.endpoint("hand", "InService")
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
    until(lambda: cloud.ask("hand")[0], lambda who: who == "h2")
    for state in ("ALARM", "OK"):
        cloud.cloudwatch.set_alarm_state(AlarmName="by-hand", StateValue=state, StateReason="a drill")
    assert cloud.endpoint("hand", "InService")["EndpointConfigName"] == "h1"


def test_endpoint_answers_again_after_stop_and_start_and_after_a_kill(cloud: Cloud) -> None:
    cloud.release("s1", BEDPLATE_FALLBACK="0.3")
    cloud.sagemaker.create_endpoint(EndpointName="steady", EndpointConfigName="s1")
    cloud.endpoint("steady", "InService")
    lifecycle.stop(cloud.project)
    lifecycle.start(cloud.project)
    assert cloud.ask("steady")[0] == "s1"
    pid = lifecycle.status(cloud.project).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: lifecycle.status(cloud.project).running, lambda running: not running)
    lifecycle.start(cloud.project)
    assert cloud.ask("steady")[0] == "s1"
    assert cloud.endpoint("steady", "InService")["EndpointConfigName"] == "s1"


COUNT = """
import json, os, pathlib
source, output = pathlib.Path(os.environ["dataset_source"]), pathlib.Path(os.environ["output_path"])
rows = sum(len(p.read_text().splitlines()) for p in source.rglob("*.jsonl"))
(output / "drift.json").write_text(json.dumps({"rows": rows}))
message = pathlib.Path(os.environ["BEDPLATE_CONTAINER_ROOT"], "output", "message")
message.write_text("CompletedWithViolations: 1 feature drifted")
"""


def test_monitoring_schedule_runs_over_what_was_captured_and_reports_violations(cloud: Cloud) -> None:
    cloud.release("w1", BEDPLATE_FALLBACK="0.3")
    cloud.sagemaker.create_endpoint(EndpointName="watched", EndpointConfigName="w1")
    cloud.endpoint("watched", "InService")
    for _ in range(3):
        cloud.ask("watched")
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
    [run] = until(
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

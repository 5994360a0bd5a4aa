"""Starting, stopping and killing the local platform, and what survives."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bedplate.errors import PlatformError
from bedplate.local import lifecycle
from bedplate.local.billing.charges import Charges
from bedplate.local.hooks import Usage
from bedplate.local.lifecycle import local_state_dir
from platform_client import client_of

ACCOUNT = "123456789012"
Responses = dict[str, Any]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    lifecycle.stop(tmp_path)


def clients(project: Path) -> Callable[[str], Any]:
    url = lifecycle.start(project, port=0).url
    return lambda service: client_of(str(url), service)


def kill(project: Path) -> None:
    pid = lifecycle.status(project).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def wait_for_snapshot(project: Path) -> None:
    """Waits for the snapshot that follows a change within about a second."""
    state = local_state_dir(project) / "state.db-wal"
    deadline, previous = time.monotonic() + 10, (0, 0)
    while time.monotonic() < deadline:
        current = (state.stat().st_mtime_ns, state.stat().st_size) if state.exists() else (0, 0)
        if current == previous and time.time_ns() - current[0] > 900_000_000:
            return
        previous = current
        threading.Event().wait(0.3)


def create_resources(client: Callable[[str], Any]) -> None:
    """Creates resources in every service that the platform program uses."""
    s3, kms, ssm = client("s3"), client("kms"), client("ssm")
    s3.create_bucket(Bucket="kept-bucket", ObjectOwnership="BucketOwnerEnforced")
    s3.put_bucket_versioning(Bucket="kept-bucket", VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_tagging(Bucket="kept-bucket", Tagging={"TagSet": [{"Key": "Project", "Value": "p"}]})
    for text in (b"one", b"two"):
        s3.put_object(Bucket="kept-bucket", Key="k", Body=text, Metadata={"m": "1"})
    s3.delete_object(Bucket="kept-bucket", Key="k")
    s3.put_object(Bucket="kept-bucket", Key="k", Body=b"three")
    key = kms.create_key(Tags=[{"TagKey": "Project", "TagValue": "p"}])["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/kept", TargetKeyId=key)
    kms.enable_key_rotation(KeyId=key)
    cipher = kms.encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
    s3.put_object(Bucket="kept-bucket", Key="cipher", Body=cipher)
    ssm.put_parameter(Name="/kept/outputs", Value="{}", Type="String")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    client("iam").create_role(RoleName="kept", AssumeRolePolicyDocument=trust)
    client("iam").attach_role_policy(RoleName="kept", PolicyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess")
    client("ecr").create_repository(repositoryName="kept")
    topic = client("sns").create_topic(Name="kept")["TopicArn"]
    queue = client("sqs").create_queue(QueueName="kept")["QueueUrl"]
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:kept")
    client("sqs").send_message(QueueUrl=queue, MessageBody="waiting")
    client("events").put_rule(Name="kept", EventPattern='{"source":["x"]}')
    client("events").put_targets(Rule="kept", Targets=[{"Id": "1", "Arn": topic}])
    client("logs").create_log_group(logGroupName="/kept")
    client("logs").create_log_stream(logGroupName="/kept", logStreamName="s")
    line = {"timestamp": int(time.time() * 1000), "message": "a line"}
    client("logs").put_log_events(logGroupName="/kept", logStreamName="s", logEvents=[line])
    client("cloudwatch").put_metric_alarm(
        AlarmName="kept", Namespace="N", MetricName="M", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore", AlarmActions=[topic],
    )  # fmt: skip
    client("cloudwatch").set_alarm_state(AlarmName="kept", StateValue="ALARM", StateReason="by hand")
    client("cloudwatch").put_metric_data(Namespace="Kept", MetricData=[{"MetricName": "X", "Value": 1.0}])
    client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker", ResourceId="endpoint/e/variant/v", MinCapacity=1, MaxCapacity=2,
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
    )  # fmt: skip
    client("budgets").create_budget(
        AccountId=ACCOUNT,
        Budget={
            "BudgetName": "kept", "BudgetType": "COST", "TimeUnit": "MONTHLY",
            "BudgetLimit": {"Amount": "1", "Unit": "USD"},
        },
    )  # fmt: skip
    sagemaker = client("sagemaker")
    sagemaker.create_model(
        ModelName="kept", ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/kept", PrimaryContainer={"Image": "i"}
    )
    sagemaker.create_model_package_group(ModelPackageGroupName="kept", Tags=[{"Key": "Model", "Value": "m"}])
    spec = {"Containers": [{"Image": "i", "ModelDataUrl": "s3://b/m"}], "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"]}  # fmt: skip
    sagemaker.create_model_package(ModelPackageGroupName="kept", InferenceSpecification=spec)
    client("cloudtrail").create_trail(Name="kept", S3BucketName="kept-bucket")


def describe_resources(client: Callable[[str], Any]) -> Responses:
    """Returns each service's description of what `create_resources` created."""
    s3, sagemaker = client("s3"), client("sagemaker")
    cipher = s3.get_object(Bucket="kept-bucket", Key="cipher")["Body"].read()
    key = client("kms").describe_key(KeyId="alias/kept")["KeyMetadata"]
    package = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model-package/kept/1"
    responses = {
        "versions": s3.list_object_versions(Bucket="kept-bucket", Prefix="k"),
        "object": s3.get_object(Bucket="kept-bucket", Key="k")["Body"].read(),
        "head": {k: v for k, v in s3.head_object(Bucket="kept-bucket", Key="k").items() if k != "ResponseMetadata"},
        "bucket tags": s3.get_bucket_tagging(Bucket="kept-bucket")["TagSet"],
        "ownership": s3.get_bucket_ownership_controls(Bucket="kept-bucket")["OwnershipControls"],
        "key": key,
        "secret": client("kms").decrypt(CiphertextBlob=cipher)["Plaintext"],
        "rotation": client("kms").get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"],
        "parameter": client("ssm").get_parameter(Name="/kept/outputs")["Parameter"],
        "role": client("iam").get_role(RoleName="kept")["Role"],
        "attached": client("iam").list_attached_role_policies(RoleName="kept")["AttachedPolicies"],
        "repository": client("ecr").describe_repositories()["repositories"],
        "subscriptions": client("sns").list_subscriptions()["Subscriptions"],
        "rules": client("events").list_rules()["Rules"],
        "targets": client("events").list_targets_by_rule(Rule="kept")["Targets"],
        "log": client("logs").get_log_events(logGroupName="/kept", logStreamName="s")["events"],
        "alarm": client("cloudwatch").describe_alarms(AlarmNames=["kept"])["MetricAlarms"],
        "metrics": client("cloudwatch").list_metrics(Namespace="Kept")["Metrics"],
        "targets to scale": client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")[
            "ScalableTargets"
        ],
        "budget": client("budgets").describe_budget(AccountId=ACCOUNT, BudgetName="kept")["Budget"],
        "model": sagemaker.describe_model(ModelName="kept"),
        "group": sagemaker.describe_model_package_group(ModelPackageGroupName="kept"),
        "package": sagemaker.describe_model_package(ModelPackageName=package),
        "trails": client("cloudtrail").describe_trails()["trailList"],
    }
    for value in responses.values():
        if isinstance(value, dict):
            value.pop("ResponseMetadata", None)
    return responses


def test_everything_survives_stop_and_start(project: Path) -> None:
    client = clients(project)
    create_resources(client)
    before = describe_resources(client)
    assert lifecycle.stop(project)
    client = clients(project)
    after = describe_resources(client)
    assert {k: after[k] for k in before if after[k] != before[k]} == {}
    queue = client("sqs").get_queue_url(QueueName="kept")["QueueUrl"]
    read = client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert "waiting" in [m["Body"] for m in read]


def test_everything_survives_a_kill(project: Path) -> None:
    client = clients(project)
    create_resources(client)
    before = describe_resources(client)
    wait_for_snapshot(project)
    kill(project)
    assert not lifecycle.status(project).running
    after = describe_resources(clients(project))
    assert {k: after[k] for k in before if after[k] != before[k]} == {}


def test_changes_since_the_last_snapshot_are_saved_object_by_object(project: Path) -> None:
    s3 = clients(project)("s3")
    for bucket in ("changing", "made-again"):
        s3.create_bucket(Bucket=bucket)
        for key in ("a", "b", "c"):
            s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    wait_for_snapshot(project)
    tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
    s3.put_object_tagging(Bucket="changing", Key="a", Tagging=tags)
    s3.put_object(Bucket="changing", Key="b", Body=b"again")
    s3.delete_object(Bucket="changing", Key="c")
    s3.delete_objects(Bucket="made-again", Delete={"Objects": [{"Key": k} for k in ("a", "b", "c")]})
    s3.delete_bucket(Bucket="made-again")
    s3.create_bucket(Bucket="made-again")
    s3.put_object(Bucket="made-again", Key="d", Body=b"d")
    wait_for_snapshot(project)
    kill(project)
    s3 = clients(project)("s3")
    assert [o["Key"] for o in s3.list_objects_v2(Bucket="changing")["Contents"]] == ["a", "b"]
    assert s3.get_object(Bucket="changing", Key="b")["Body"].read() == b"again"
    assert s3.get_object_tagging(Bucket="changing", Key="a")["TagSet"] == tags["TagSet"]
    assert [o["Key"] for o in s3.list_objects_v2(Bucket="made-again")["Contents"]] == ["d"]


def test_files_of_deleted_objects_and_orphans_of_a_kill_are_removed(project: Path) -> None:
    s3 = clients(project)("s3")
    s3.create_bucket(Bucket="swept")
    for i in range(3):
        s3.put_object(Bucket="swept", Key="k", Body=str(i).encode() * 100)
    wait_for_snapshot(project)
    files = list((local_state_dir(project) / "objects").glob("??/*"))
    assert len(files) == 1
    (files[0].parent / "orphan").write_bytes(b"of a put that a kill cut off")
    kill(project)
    clients(project)
    assert list((local_state_dir(project) / "objects").glob("??/*")) == files


def test_two_projects_share_no_state(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    try:
        first_client, second_client = clients(first), clients(second)
        first_client("s3").create_bucket(Bucket="mine")
        assert second_client("s3").list_buckets()["Buckets"] == []
        assert lifecycle.status(first).port != lifecycle.status(second).port
    finally:
        lifecycle.stop(first)
        lifecycle.stop(second)


def test_concurrent_starts_start_one_server(project: Path) -> None:
    code = "import sys; from bedplate.local import lifecycle; print(lifecycle.start(sys.argv[1], port=0).pid)"
    command = [sys.executable, "-c", code, str(project)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    pids = {process.communicate(timeout=60)[0].strip() for process in started}
    assert pids == {str(lifecycle.status(project).pid)}


def test_files_of_a_dead_server_do_not_prevent_a_start(project: Path) -> None:
    state = local_state_dir(project)
    state.mkdir(parents=True)
    (state / "server.json").write_text(json.dumps({"port": 1, "pid": os.getpid()}))
    (state / "server.lock").write_text(str(os.getpid()))
    assert not lifecycle.status(project).running
    assert not lifecycle.stop(project)
    assert lifecycle.start(project, port=0).running


def test_a_port_in_use_is_an_error_with_the_next_command(project: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(PlatformError, match=f"Port {port}") as error:
            lifecycle.start(project, port=port)
    assert error.value.next_step == "bedplate local start --port 0"


def test_a_running_platform_is_not_moved_to_another_port(project: Path) -> None:
    lifecycle.start(project, port=0)
    with pytest.raises(PlatformError, match="already runs"):
        lifecycle.start(project, port=1)


def test_reset_deletes_everything_and_restarts(project: Path) -> None:
    clients(project)("s3").create_bucket(Bucket="deleted")
    status = lifecycle.reset(project)
    assert status.running
    assert client_of(str(status.url), "s3").list_buckets()["Buckets"] == []


def test_the_server_of_a_deleted_project_stops(tmp_path: Path) -> None:
    import shutil

    status = lifecycle.start(tmp_path / "p", port=0)
    shutil.rmtree(tmp_path / "p")
    assert status.pid is not None
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and os.waitpid(status.pid, os.WNOHANG)[0] == 0:
        threading.Event().wait(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(status.pid, 0)


def test_the_log_names_every_request(project: Path) -> None:
    clients(project)("sns").create_topic(Name="logged")
    assert any("sns CreateTopic" in line for line in lifecycle.logs(project, 20))


def test_a_crossed_threshold_is_reported_once_by_topic_and_mail_and_costs_are_in_cost_explorer(project: Path) -> None:
    state = local_state_dir(project)
    state.mkdir(parents=True)
    charges = Charges(state / "charges.db")
    now = time.time()
    arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job/t"
    charges.add(Usage(arn, "training", now, "ml.m5.large", seconds=3600, tags={"Model": "churn"}), now)
    charges.add(Usage(arn, "training", now, "ml.m5.large", seconds=3600, tags={"Model": "other"}), now)
    charges.close()
    client = clients(project)
    topic = client("sns").create_topic(Name="money")["TopicArn"]
    queue = client("sqs").create_queue(QueueName="money")["QueueUrl"]
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:money")
    client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="team@bedplate.example")
    alerts = [
        {
            "Notification": {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": pct},
            "Subscribers": [
                {"SubscriptionType": "SNS", "Address": topic},
                {"SubscriptionType": "EMAIL", "Address": "finance@bedplate.example"},
            ],
        }
        for pct in (80.0, 200.0)
    ]
    budget = {
        "BudgetName": "churn", "BudgetType": "COST", "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": "0.1", "Unit": "USD"}, "CostFilters": {"TagKeyValue": ["user:Model$churn"]},
    }  # fmt: skip
    client("budgets").create_budget(AccountId=ACCOUNT, Budget=budget, NotificationsWithSubscribers=alerts)
    read = client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
    notification = json.loads(read[0]["Body"])
    assert notification["Subject"] == "AWS Budgets: churn has exceeded your alert threshold"
    assert "ACTUAL Amount: $0.115" in notification["Message"]
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and len(list((state / "outbox").glob("*.eml"))) < 2:
        threading.Event().wait(0.05)
    mails = sorted(path.read_text() for path in (state / "outbox").glob("*.eml"))
    assert {line for mail in mails for line in mail.splitlines() if line.startswith("To: ")} == {
        "To: finance@bedplate.example",
        "To: team@bedplate.example",
    }
    key = {"AccountId": ACCOUNT, "BudgetName": "churn"}
    states = client("budgets").describe_notifications_for_budget(**key)["Notifications"]
    assert {n["Threshold"]: n["NotificationState"] for n in states} == {80.0: "ALARM", 200.0: "OK"}
    assert client("budgets").describe_budget(**key)["Budget"]["CalculatedSpend"]["ActualSpend"]["Amount"] == "0.115"
    day = time.strftime("%Y-%m-%d", time.gmtime(now))
    after = time.strftime("%Y-%m-%d", time.gmtime(now + 86400))
    costs = client("ce").get_cost_and_usage(
        TimePeriod={"Start": day, "End": after}, Granularity="DAILY", Metrics=["UnblendedCost", "UsageQuantity"],
        GroupBy=[{"Type": "TAG", "Key": "Model"}, {"Type": "DIMENSION", "Key": "USAGE_TYPE"}],
    )["ResultsByTime"]  # fmt: skip
    groups = {tuple(g["Keys"]): float(g["Metrics"]["UnblendedCost"]["Amount"]) for g in costs[0]["Groups"]}
    assert groups == {
        ("Model$churn", "USE1-Train:ml.m5.large"): 0.115,
        ("Model$other", "USE1-Train:ml.m5.large"): 0.115,
    }
    lifecycle.stop(project)
    client = clients(project)
    queue = client("sqs").get_queue_url(QueueName="money")["QueueUrl"]
    client("sqs").purge_queue(QueueUrl=queue)
    response = client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=3)
    assert "Messages" not in response, "a threshold reported before the restart is not reported again"

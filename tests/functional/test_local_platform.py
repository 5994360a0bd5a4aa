"""The local platform as plain boto3 sees it: what moto lacks or gets wrong, and what the platform does by itself."""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from bedplate.aws.objects import S3Objects
from bedplate.aws.session import Session
from bedplate.errors import NotFound, PlatformError
from bedplate.local import faults

Client = Callable[[str], Any]
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"


def refused(call: Callable[..., Any], **arguments: Any) -> str:
    """The error code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


@pytest.fixture
def inbox(client: Client, request: pytest.FixtureRequest) -> Inbox:
    return Inbox(client, request.node.name.split("[")[0][-60:])


class Inbox:
    """A topic with a queue behind it."""

    def __init__(self, client: Client, name: str) -> None:
        self._sqs = client("sqs")
        self.topic = client("sns").create_topic(Name=name)["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        found = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        client("sns").subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=found["Attributes"]["QueueArn"])

    def read(self, count: int = 1, within_s: float = 8) -> list[tuple[str | None, str]]:
        """Subject and message of the next `count` notifications, or of those that came in time."""
        found: list[tuple[str | None, str]] = []
        deadline = time.monotonic() + within_s
        while len(found) < count and time.monotonic() < deadline:
            answer = self._sqs.receive_message(QueueUrl=self._queue, WaitTimeSeconds=1, MaxNumberOfMessages=10)
            for message in answer.get("Messages", ()):
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
                body = json.loads(message["Body"])
                found.append((body.get("Subject"), body["Message"]))
        return found


# --- the wire --------------------------------------------------------------------------------------------------------


def test_an_operation_nobody_has_is_refused_by_name(client: Client) -> None:
    with pytest.raises(ClientError, match="sagemaker:ListWorkforces") as caught:
        client("sagemaker").list_workforces()
    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [("GET", "/", {"Origin": "https://elsewhere.example"}), ("POST", "/moto-api/reset", {})],
)
def test_web_pages_and_motos_own_api_are_turned_away(
    platform: str, method: str, path: str, headers: dict[str, str]
) -> None:
    from http.client import HTTPConnection

    link = HTTPConnection(platform.removeprefix("http://"), timeout=10)
    link.request(method, path, headers=headers)
    answer = link.getresponse()
    assert answer.status == 403
    assert answer.getheader("access-control-allow-origin") is None
    link.close()


def test_eight_threads_at_once_see_no_error(client: Client) -> None:
    from concurrent.futures import ThreadPoolExecutor

    sagemaker = client("sagemaker")

    def work(i: int) -> int:
        sagemaker.create_model_package_group(ModelPackageGroupName=f"threads-{i}")
        return len(sagemaker.list_model_package_groups(MaxResults=100)["ModelPackageGroupSummaryList"])

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(work, range(40))) >= 40
    assert len(sagemaker.list_model_package_groups(NameContains="threads-")["ModelPackageGroupSummaryList"]) == 40


def test_waiting_for_a_message_holds_up_nobody(client: Client) -> None:
    import threading

    queue = client("sqs").create_queue(QueueName="patience")["QueueUrl"]
    got: list[Any] = []
    waiting = threading.Thread(
        target=lambda: got.append(client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=10))
    )
    waiting.start()
    began = time.monotonic()
    client("sqs").send_message(QueueUrl=queue, MessageBody="here")
    assert time.monotonic() - began < 2
    waiting.join(10)
    assert got[0]["Messages"][0]["Body"] == "here"


# --- S3 --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(client: Client, request: pytest.FixtureRequest) -> str:
    name = "b-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    client("s3").create_bucket(Bucket=name)
    client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def test_the_tls_only_policy_lets_objects_in(client: Client, bucket: str) -> None:
    s3 = client("s3")
    tls_only = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [tls_only]}))
    s3.put_object(Bucket=bucket, Key="k", Body=b"in")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"in"


def test_a_policy_that_denies_is_obeyed(client: Client, bucket: str) -> None:
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="kept/1", Body=b"x")
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{bucket}/kept/*",
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert refused(s3.delete_object, Bucket=bucket, Key="kept/1") == "AccessDenied"


def test_only_the_first_conditional_put_wins(client: Client, bucket: str) -> None:
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="once", Body=b"first", IfNoneMatch="*")
    assert refused(s3.put_object, Bucket=bucket, Key="once", Body=b"second", IfNoneMatch="*") == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="once")["Body"].read() == b"first"


def test_large_objects_come_back_whole_in_parts_and_as_copies(client: Client, bucket: str) -> None:
    s3 = client("s3")
    data = os.urandom(1 << 16) * (18 << 4)  # 18 MiB
    s3.put_object(Bucket=bucket, Key="whole", Body=data)
    s3.upload_fileobj(io.BytesIO(data), bucket, "parts")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/whole")
    for key in ("whole", "parts", "copy"):
        out = io.BytesIO()
        s3.download_fileobj(bucket, key, out)
        assert out.getvalue() == data, key
    assert (
        s3.get_object(Bucket=bucket, Key="parts", Range="bytes=1000000-1000009")["Body"].read() == data[1000000:1000010]
    )
    assert s3.head_object(Bucket=bucket, Key="copy")["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    assert s3.head_object(Bucket=bucket, Key="parts")["ETag"].endswith('-3"')


def test_a_plain_read_says_what_every_other_read_says(client: Client, bucket: str) -> None:
    """A plain GET is answered without moto; one with a range that holds the whole object is moto's."""
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="as it is", Body=b"x" * 10)
    s3.put_object(
        Bucket=bucket, Key="told", Body=b"y" * 100_000, ContentType="text/csv", Metadata={"data_sha256": "ab"},
        ServerSideEncryption="aws:kms", SSEKMSKeyId="k", ChecksumAlgorithm="SHA256", Tagging="a=b",
        StorageClass="STANDARD_IA",
    )  # fmt: skip
    s3.put_object(Bucket=bucket, Key="told/é +&", Body=b"")
    for key in ("as it is", "told", "told/é +&"):
        plain = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        by_version = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", VersionId=head["VersionId"])
        assert plain.pop("Body").read() == by_version.pop("Body").read()
        plain.pop("ResponseMetadata")
        by_version.pop("ResponseMetadata")
        assert plain == by_version, key
    s3.put_object(Bucket=bucket, Key="told", Body=b"new")
    assert s3.get_object(Bucket=bucket, Key="told")["Body"].read() == b"new"
    s3.delete_object(Bucket=bucket, Key="told")
    assert refused(s3.get_object, Bucket=bucket, Key="told") == "NoSuchKey"
    assert refused(s3.get_object, Bucket=bucket, Key="never") == "NoSuchKey"
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert refused(s3.get_object, Bucket=bucket, Key="as it is") == "AccessDenied"


def test_many_objects_are_read_at_once_in_order_and_a_missing_one_is_not_found(platform: str, bucket: str) -> None:
    objects = S3Objects(Session.local("us-east-1", platform, actor="ada"))
    uris = [f"s3://{bucket}/many/{number:03d} é+&~" for number in range(70)]
    for uri in uris:
        objects.put(uri, uri.encode())
    assert list(objects.get_many(uris)) == [uri.encode() for uri in uris]
    assert list(objects.get_many([])) == []
    with pytest.raises(NotFound, match="none"):
        list(objects.get_many([*uris, f"s3://{bucket}/none"]))


def test_metadata_keeps_its_underscores(client: Client, bucket: str) -> None:
    client("s3").put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"data_sha256": "ab"})
    assert client("s3").head_object(Bucket=bucket, Key="k")["Metadata"] == {"data_sha256": "ab"}


def test_versions_and_delete_markers_can_all_be_deleted(client: Client, bucket: str) -> None:
    s3 = client("s3")
    for i in range(3):
        s3.put_object(Bucket=bucket, Key="k", Body=str(i).encode())
    s3.delete_object(Bucket=bucket, Key="k")
    listed = s3.list_object_versions(Bucket=bucket)
    rows = [*listed["Versions"], *listed["DeleteMarkers"]]
    assert len(rows) == 4
    doomed = [{"Key": r["Key"], "VersionId": r["VersionId"]} for r in rows]
    assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed})
    s3.delete_bucket(Bucket=bucket)


def test_listing_pages_by_prefix_and_folder_in_order(client: Client, bucket: str) -> None:
    s3 = client("s3")
    for key in ("a", "d/1", "d/2", "d/e/3", "d/é +&", "z", "gone"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.delete_object(Bucket=bucket, Key="gone")
    pages = s3.get_paginator("list_objects_v2")

    def listed(**asked: Any) -> list[str]:
        found = []
        for page in pages.paginate(Bucket=bucket, PaginationConfig={"PageSize": 2}, **asked):
            rows = [r["Key"] for r in page.get("Contents", ())] + [r["Prefix"] for r in page.get("CommonPrefixes", ())]
            assert len(rows) == page["KeyCount"] <= 2
            found += rows
        return found

    assert listed() == ["a", "d/1", "d/2", "d/e/3", "d/é +&", "z"]
    assert listed(Delimiter="/") == ["a", "d/", "z"]
    assert listed(Prefix="d/", Delimiter="/") == ["d/1", "d/2", "d/é +&", "d/e/"]
    assert listed(Prefix="d/", StartAfter="d/2") == ["d/e/3", "d/é +&"]
    assert listed(Prefix="nothing") == []
    one = s3.list_objects_v2(Bucket=bucket, Prefix="a")["Contents"][0]
    assert (one["Size"], one["ETag"]) == (1, f'"{hashlib.md5(b"x").hexdigest()}"')
    assert refused(s3.list_objects_v2, Bucket=bucket, ContinuationToken="?") == "InvalidArgument"


def test_event_bridge_notification_is_echoed(client: Client, bucket: str) -> None:
    s3 = client("s3")
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    assert s3.get_bucket_notification_configuration(Bucket=bucket)["EventBridgeConfiguration"] == {}


# --- SageMaker's records ---------------------------------------------------------------------------------------------


def test_a_model_reads_back_as_it_was_made(client: Client) -> None:
    sm = client("sagemaker")
    asked = {"PrimaryContainer": {"Image": "img", "Environment": {"A": "1"}}, "EnableNetworkIsolation": True}
    sm.create_model(ModelName="reads-back", ExecutionRoleArn=ROLE, Tags=[{"Key": "Model", "Value": "m"}], **asked)
    found = sm.describe_model(ModelName="reads-back")
    assert {k: found[k] for k in asked} == {
        **asked,
        "PrimaryContainer": {"Image": "img", "Environment": {"A": "1"}, "Mode": "SingleModel"},
    }
    assert "VpcConfig" not in found
    assert sm.list_tags(ResourceArn=found["ModelArn"])["Tags"] == [{"Key": "Model", "Value": "m"}]
    assert refused(sm.create_model, ModelName="reads-back", ExecutionRoleArn=ROLE, **asked) == "ValidationException"


def test_an_endpoint_configuration_keeps_everything_and_takes_any_instance_type(client: Client) -> None:
    sm = client("sagemaker")
    sm.create_model(ModelName="cfg-m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "img"})
    variant = {"VariantName": "v", "ModelName": "cfg-m", "InstanceType": "ml.g5.xlarge", "InitialInstanceCount": 1}
    shadow = {**variant, "VariantName": "shadow"}
    capture = {
        "EnableCapture": True, "InitialSamplingPercentage": 100, "DestinationS3Uri": "s3://b/p",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    }  # fmt: skip
    sm.create_endpoint_config(
        EndpointConfigName="cfg",
        ProductionVariants=[variant],
        ShadowProductionVariants=[shadow],
        DataCaptureConfig=capture,
    )
    found = sm.describe_endpoint_config(EndpointConfigName="cfg")
    assert found["DataCaptureConfig"] == capture
    assert found["ShadowProductionVariants"][0]["VariantName"] == "shadow"
    plain = {"EndpointConfigName": "cfg-plain", "ProductionVariants": [variant]}
    sm.create_endpoint_config(**plain)
    assert "DataCaptureConfig" not in sm.describe_endpoint_config(EndpointConfigName="cfg-plain")
    missing = [{**variant, "ModelName": "nobody"}]
    assert (
        refused(sm.create_endpoint_config, EndpointConfigName="x", ProductionVariants=missing) == "ValidationException"
    )


def test_the_registry_numbers_versions_and_never_twice(client: Client) -> None:
    sm = client("sagemaker")
    sm.create_model_package_group(ModelPackageGroupName="numbers")
    spec = {
        "Containers": [{"Image": "i", "ModelDataUrl": "s3://b/m"}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }

    def register(**more: Any) -> str:
        made = sm.create_model_package(ModelPackageGroupName="numbers", InferenceSpecification=spec, **more)
        return str(made["ModelPackageArn"])

    first = register(CustomerMetadataProperties={"a": "1"})
    second = register()
    sm.delete_model_package(ModelPackageName=second)
    assert register().endswith("/numbers/3")
    sm.update_model_package(
        ModelPackageArn=first, ModelApprovalStatus="Approved", CustomerMetadataProperties={"b": "2"}
    )
    sm.update_model_package(ModelPackageArn=first, CustomerMetadataProperties={"c": "3"})
    found = sm.describe_model_package(ModelPackageName=first)
    assert found["ModelApprovalStatus"] == "Approved"
    assert found["CustomerMetadataProperties"] == {"a": "1", "b": "2", "c": "3"}
    approved = sm.list_model_packages(ModelPackageGroupName="numbers", ModelApprovalStatus="Approved")
    assert [p["ModelPackageVersion"] for p in approved["ModelPackageSummaryList"]] == [1]
    assert refused(sm.delete_model_package_group, ModelPackageGroupName="numbers") == "ConflictException"


def test_a_group_has_a_policy_and_can_be_deleted_when_empty(client: Client) -> None:
    sm = client("sagemaker")
    name = {"ModelPackageGroupName": "policed"}
    sm.create_model_package_group(**name)
    assert refused(sm.get_model_package_group_policy, **name) == "ValidationException"
    sm.put_model_package_group_policy(**name, ResourcePolicy='{"Version":"2012-10-17"}')
    assert sm.get_model_package_group_policy(**name)["ResourcePolicy"] == '{"Version":"2012-10-17"}'
    sm.delete_model_package_group_policy(**name)
    sm.delete_model_package_group(**name)
    assert refused(sm.describe_model_package_group, **name) == "ValidationException"


def test_a_job_definition_and_its_schedule_live_and_die(client: Client) -> None:
    sm = client("sagemaker")
    sm.create_data_quality_job_definition(
        JobDefinitionName="dq",
        DataQualityAppSpecification={"ImageUri": "img"},
        DataQualityJobInput={"EndpointInput": {"EndpointName": "watched", "LocalPath": "/opt/ml/processing/in"}},
        DataQualityJobOutputConfig={
            "MonitoringOutputs": [{"S3Output": {"S3Uri": "s3://b/o", "LocalPath": "/opt/ml/processing/out"}}]
        },
        JobResources={"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 20}},
        RoleArn=ROLE,
    )
    assert "NetworkConfig" not in sm.describe_data_quality_job_definition(JobDefinitionName="dq")
    daily = {"ScheduleConfig": {"ScheduleExpression": "cron(0 0 ? * * *)"}, "MonitoringType": "DataQuality"}
    sm.create_monitoring_schedule(
        MonitoringScheduleName="watch", MonitoringScheduleConfig={**daily, "MonitoringJobDefinitionName": "dq"}
    )
    found = sm.describe_monitoring_schedule(MonitoringScheduleName="watch")
    assert (found["MonitoringScheduleStatus"], found["EndpointName"]) == ("Scheduled", "watched")
    sm.stop_monitoring_schedule(MonitoringScheduleName="watch")
    assert (
        sm.list_monitoring_schedules(EndpointName="watched")["MonitoringScheduleSummaries"][0][
            "MonitoringScheduleStatus"
        ]
        == "Stopped"
    )
    assert sm.list_monitoring_executions(MonitoringScheduleName="watch")["MonitoringExecutionSummaries"] == []
    sm.delete_monitoring_schedule(MonitoringScheduleName="watch")
    sm.delete_data_quality_job_definition(JobDefinitionName="dq")
    assert refused(sm.describe_monitoring_schedule, MonitoringScheduleName="watch") == "ResourceNotFound"


def test_an_endpoint_that_is_not_there_is_not_answered_for(client: Client) -> None:
    runtime = client("sagemaker-runtime")
    assert refused(runtime.invoke_endpoint, EndpointName="nobody", Body=b"1") == "ValidationError"


# --- CloudWatch ------------------------------------------------------------------------------------------------------


def test_an_alarm_goes_off_within_seconds_and_tells_its_topic_and_the_bus(client: Client, inbox: Inbox) -> None:
    cw, events = client("cloudwatch"), client("events")
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": ["quick"], "state": {"value": ["ALARM"]}}}
    events.put_rule(Name="quick", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="quick", Targets=[{"Id": "1", "Arn": inbox.topic}])
    cw.put_metric_alarm(
        AlarmName="quick", Namespace="Test", MetricName="Errors", Statistic="Maximum", Period=10, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold", TreatMissingData="notBreaching",
        AlarmActions=[inbox.topic], Tags=[{"Key": "Project", "Value": "p"}],
    )  # fmt: skip
    cw.put_composite_alarm(AlarmName="quick-too", AlarmRule='ALARM("quick")')
    began = time.monotonic()
    cw.put_metric_data(Namespace="Test", MetricData=[{"MetricName": "Errors", "Value": 5.0, "StorageResolution": 1}])
    told = inbox.read(2)
    assert time.monotonic() - began < 4
    assert sorted(subject or "" for subject, _ in told) == ["", 'ALARM: "quick" in US East (N. Virginia)']
    message = next(json.loads(m) for subject, m in told if subject)
    assert (message["NewStateValue"], message["Trigger"]["Threshold"]) == ("ALARM", 1.0)
    composite = cw.describe_alarms(AlarmTypes=["CompositeAlarm"], AlarmNames=["quick-too"])["CompositeAlarms"]
    assert composite[0]["StateValue"] == "ALARM"
    history = cw.describe_alarm_history(AlarmName="quick", HistoryItemType="Action")["AlarmHistoryItems"]
    assert "Successfully executed action" in history[0]["HistorySummary"]
    cw.delete_alarms(AlarmNames=["quick-too", "quick"])


def test_setting_a_state_by_hand_notifies(client: Client, inbox: Inbox) -> None:
    cw = client("cloudwatch")
    cw.put_metric_alarm(
        AlarmName="by-hand", Namespace="Test", MetricName="Nothing", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore", AlarmActions=[inbox.topic],
    )  # fmt: skip
    cw.set_alarm_state(AlarmName="by-hand", StateValue="ALARM", StateReason="rehearsal")
    assert json.loads(inbox.read()[0][1])["NewStateReason"] == "rehearsal"
    cw.delete_alarms(AlarmNames=["by-hand"])


def test_statistics_have_percentiles_and_metric_math(client: Client) -> None:
    cw = client("cloudwatch")
    cw.put_metric_data(Namespace="Stats", MetricData=[{"MetricName": "L", "Values": [float(i) for i in range(1, 101)]}])
    now = datetime.now(UTC)
    between = {"StartTime": now - timedelta(minutes=2), "EndTime": now + timedelta(minutes=2)}
    rows = cw.get_metric_statistics(
        Namespace="Stats", MetricName="L", Period=300, Statistics=["Average"], ExtendedStatistics=["p99"], **between
    )["Datapoints"]
    assert (rows[0]["Average"], rows[0]["ExtendedStatistics"]) == (50.5, {"p99": 99.0})
    stat = {"Metric": {"Namespace": "Stats", "MetricName": "L"}, "Period": 300, "Stat": "p90"}
    queries = [{"Id": "m1", "MetricStat": stat, "ReturnData": False}, {"Id": "e1", "Expression": "m1 * 2"}]
    results = cw.get_metric_data(MetricDataQueries=queries, **between)["MetricDataResults"]
    assert [(r["Id"], r["Values"]) for r in results] == [("e1", [180.0])]


# --- budgets and costs -----------------------------------------------------------------------------------------------


def test_a_budget_can_be_read_changed_and_tagged(client: Client) -> None:
    budgets = client("budgets")
    named = {"AccountId": ACCOUNT, "BudgetName": "plain"}
    budget = {
        "BudgetName": "plain", "BudgetType": "COST", "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": "10", "Unit": "USD"}, "CostFilters": {"TagKeyValue": ["user:Model$nobody"]},
    }  # fmt: skip
    alert = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}
    mail = {"SubscriptionType": "EMAIL", "Address": "finance@bedplate.example"}
    budgets.create_budget(
        AccountId=ACCOUNT,
        Budget=budget,
        NotificationsWithSubscribers=[{"Notification": alert, "Subscribers": [mail]}],
        ResourceTags=[{"Key": "Project", "Value": "p"}],
    )
    found = budgets.describe_budget(**named)["Budget"]
    assert found["CalculatedSpend"]["ActualSpend"]["Amount"] == "0"
    assert budgets.describe_subscribers_for_notification(**named, Notification=alert)["Subscribers"] == [mail]
    state = budgets.describe_notifications_for_budget(**named)["Notifications"][0]["NotificationState"]
    assert state == "OK"
    arn = f"arn:aws:budgets::{ACCOUNT}:budget/plain"
    assert budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"] == [{"Key": "Project", "Value": "p"}]
    budgets.update_budget(AccountId=ACCOUNT, NewBudget={**budget, "BudgetLimit": {"Amount": "20", "Unit": "USD"}})
    assert budgets.describe_budget(**named)["Budget"]["BudgetLimit"]["Amount"] == "20"
    budgets.delete_budget(**named)
    assert refused(budgets.describe_budget, **named) == "NotFoundException"


def test_cost_explorer_answers_for_any_period(client: Client) -> None:
    today = datetime.now(UTC).date()
    period = {"Start": (today - timedelta(days=2)).isoformat(), "End": (today + timedelta(days=1)).isoformat()}
    told = client("ce").get_cost_and_usage(
        TimePeriod=period, Granularity="DAILY", Metrics=["UnblendedCost"], GroupBy=[{"Type": "TAG", "Key": "Model"}]
    )
    assert len(told["ResultsByTime"]) == 3


def test_anomaly_monitors_and_subscriptions_can_be_made_and_deleted(client: Client) -> None:
    ce = client("ce")
    monitor = {"MonitorName": "m", "MonitorType": "DIMENSIONAL", "MonitorDimension": "SERVICE"}
    arn = ce.create_anomaly_monitor(AnomalyMonitor=monitor)["MonitorArn"]
    subscription = {
        "SubscriptionName": "s", "MonitorArnList": [arn], "Frequency": "DAILY",
        "Subscribers": [{"Type": "EMAIL", "Address": "a@bedplate.example"}],
        "ThresholdExpression": {"Dimensions": {"Key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE", "Values": ["1"]}},
    }  # fmt: skip
    made = ce.create_anomaly_subscription(AnomalySubscription=subscription)["SubscriptionArn"]
    assert ce.get_anomaly_subscriptions(MonitorArn=arn)["AnomalySubscriptions"][0]["SubscriptionArn"] == made
    ce.delete_anomaly_subscription(SubscriptionArn=made)
    ce.delete_anomaly_monitor(MonitorArn=arn)
    assert refused(ce.get_anomaly_monitors, MonitorArnList=[arn]) == "UnknownMonitorException"


# --- the rest --------------------------------------------------------------------------------------------------------


def test_a_principal_can_be_simulated(client: Client) -> None:
    iam = client("iam")
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "x.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    }
    iam.create_role(RoleName="simulated", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", **trust}))
    iam.attach_role_policy(RoleName="simulated", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    rows = iam.simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:role/simulated",
        ActionNames=["s3:GetObject", "s3:PutObject"],
        ResourceArns=["arn:aws:s3:::b/k"],
    )["EvaluationResults"]
    assert [r["EvalDecision"] for r in rows] == ["allowed", "implicitDeny"]


def test_a_scalable_target_has_tags(client: Client) -> None:
    scaling = client("application-autoscaling")
    where = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/scaled/variant/v",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    arn = scaling.register_scalable_target(**where, MinCapacity=1, MaxCapacity=2, Tags={"Model": "m"})[
        "ScalableTargetARN"
    ]
    scaling.tag_resource(ResourceARN=arn, Tags={"Owner": "o"})
    scaling.untag_resource(ResourceARN=arn, TagKeys=["Model"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"Owner": "o"}
    scaling.deregister_scalable_target(**where)


def test_an_event_with_a_target_nobody_knows_still_reaches_the_others(client: Client, inbox: Inbox) -> None:
    events = client("events")
    events.put_rule(Name="mixed", EventPattern=json.dumps({"source": ["test.mixed"]}))
    unknown = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:nobody"
    events.put_targets(Rule="mixed", Targets=[{"Id": "1", "Arn": unknown}, {"Id": "2", "Arn": inbox.topic}])
    sent = events.put_events(Entries=[{"Source": "test.mixed", "DetailType": "t", "Detail": '{"a": 1}'}])
    assert sent["FailedEntryCount"] == 0
    event = json.loads(inbox.read()[0][1])
    assert (event["detail"], event["time"][-1]) == ({"a": 1}, "Z")


# --- the event history -----------------------------------------------------------------------------------------------


def test_the_trail_knows_who_changed_what_and_when(client: Client) -> None:
    keys = client("iam")
    keys.create_user(UserName="grace-of-the-trail")
    key = keys.create_access_key(UserName="grace-of-the-trail")["AccessKey"]
    began = datetime.now(UTC) - timedelta(seconds=1)
    bucket = "trailed-bucket"
    client("s3").create_bucket(Bucket=bucket)
    by_grace = boto3.client(
        "s3",
        endpoint_url=client("s3").meta.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    by_grace.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client("s3").list_objects_v2(Bucket=bucket)

    asked = {"LookupAttributes": [{"AttributeKey": "ResourceName", "AttributeValue": bucket}], "StartTime": began}
    events = client("cloudtrail").lookup_events(**asked)["Events"]
    assert [(e["EventName"], e["Username"]) for e in events] == [
        ("PutBucketVersioning", "grace-of-the-trail"),
        ("CreateBucket", "anybody"),
    ]
    assert events[0]["EventSource"] == "s3.amazonaws.com"
    assert began <= events[0]["EventTime"] <= datetime.now(UTC) + timedelta(seconds=1)
    assert json.loads(events[0]["CloudTrailEvent"])["userIdentity"]["arn"].endswith(":user/grace-of-the-trail")
    assert (
        client("cloudtrail").lookup_events(**{**asked, "StartTime": datetime.now(UTC) + timedelta(hours=1)})["Events"]
        == []
    )


def test_faults_are_committed_only_by_a_platform_that_was_started_for_it(platform: str) -> None:
    with pytest.raises(PlatformError, match="started without faults"):
        faults.ask(platform, "POST", {"operation": "s3:PutObject", "kind": "error"})

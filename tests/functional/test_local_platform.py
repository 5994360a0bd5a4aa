"""The local platform through plain boto3: HTTP, identities, events, the event history and faults."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from bedplate.errors import PlatformError
from bedplate.local import faults
from builders import ACCOUNT
from inbox import Inbox
from platform_client import ClientFactory


def test_unsupported_operation_is_rejected_by_name(client: ClientFactory) -> None:
    with pytest.raises(ClientError, match="sagemaker:ListWorkforces") as raised:
        client("sagemaker").list_workforces()
    assert raised.value.response["Error"]["Code"] == "UnknownOperationException"


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [("GET", "/", {"Origin": "https://elsewhere.example"}), ("POST", "/moto-api/reset", {})],
)
def test_requests_of_web_pages_and_to_motos_own_api_are_rejected(
    platform: str, method: str, path: str, headers: dict[str, str]
) -> None:
    from http.client import HTTPConnection

    connection = HTTPConnection(platform.removeprefix("http://"), timeout=10)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    assert response.status == 403
    assert response.getheader("access-control-allow-origin") is None
    connection.close()


def test_eight_concurrent_threads_see_no_error(client: ClientFactory) -> None:
    from concurrent.futures import ThreadPoolExecutor

    sagemaker = client("sagemaker")

    def create_group(number: int) -> int:
        sagemaker.create_model_package_group(ModelPackageGroupName=f"threads-{number}")
        return len(sagemaker.list_model_package_groups(MaxResults=100)["ModelPackageGroupSummaryList"])

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(create_group, range(40))) >= 40
    assert len(sagemaker.list_model_package_groups(NameContains="threads-")["ModelPackageGroupSummaryList"]) == 40


def test_long_polling_does_not_block_other_requests(client: ClientFactory) -> None:
    import threading

    queue = client("sqs").create_queue(QueueName="long-polling")["QueueUrl"]
    responses: list[Any] = []
    receiver = threading.Thread(
        target=lambda: responses.append(client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=10))
    )
    receiver.start()
    started = time.monotonic()
    client("sqs").send_message(QueueUrl=queue, MessageBody="here")
    assert time.monotonic() - started < 2
    receiver.join(10)
    assert responses[0]["Messages"][0]["Body"] == "here"


def test_policies_of_a_principal_can_be_simulated(client: ClientFactory) -> None:
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


def test_scalable_target_can_be_tagged_and_untagged(client: ClientFactory) -> None:
    scaling = client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/scaled/variant/v",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    arn = scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2, Tags={"Model": "m"})[
        "ScalableTargetARN"
    ]
    scaling.tag_resource(ResourceARN=arn, Tags={"Owner": "o"})
    scaling.untag_resource(ResourceARN=arn, TagKeys=["Model"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"Owner": "o"}
    scaling.deregister_scalable_target(**target)


def test_event_with_an_unsupported_target_still_reaches_the_other_targets(client: ClientFactory, inbox: Inbox) -> None:
    events = client("events")
    events.put_rule(Name="mixed", EventPattern=json.dumps({"source": ["test.mixed"]}))
    unsupported = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:missing"
    events.put_targets(Rule="mixed", Targets=[{"Id": "1", "Arn": unsupported}, {"Id": "2", "Arn": inbox.topic}])
    response = events.put_events(Entries=[{"Source": "test.mixed", "DetailType": "t", "Detail": '{"a": 1}'}])
    assert response["FailedEntryCount"] == 0
    event = json.loads(inbox.receive()[0][1])
    assert (event["detail"], event["time"][-1]) == ({"a": 1}, "Z")


def test_event_history_records_who_changed_what_and_when(client: ClientFactory) -> None:
    iam = client("iam")
    iam.create_user(UserName="history-grace")
    key = iam.create_access_key(UserName="history-grace")["AccessKey"]
    since = datetime.now(UTC) - timedelta(seconds=1)
    bucket = "history-bucket"
    client("s3").create_bucket(Bucket=bucket)
    s3_of_grace = boto3.client(
        "s3",
        endpoint_url=client("s3").meta.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    s3_of_grace.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client("s3").list_objects_v2(Bucket=bucket)

    query = {"LookupAttributes": [{"AttributeKey": "ResourceName", "AttributeValue": bucket}], "StartTime": since}
    events = client("cloudtrail").lookup_events(**query)["Events"]
    assert [(e["EventName"], e["Username"]) for e in events] == [
        ("PutBucketVersioning", "history-grace"),
        ("CreateBucket", "anybody"),
    ]
    assert events[0]["EventSource"] == "s3.amazonaws.com"
    assert since <= events[0]["EventTime"] <= datetime.now(UTC) + timedelta(seconds=1)
    assert json.loads(events[0]["CloudTrailEvent"])["userIdentity"]["arn"].endswith(":user/history-grace")
    query["StartTime"] = datetime.now(UTC) + timedelta(hours=1)
    assert client("cloudtrail").lookup_events(**query)["Events"] == []


def test_faults_are_rejected_by_a_platform_that_was_started_without_them(platform: str) -> None:
    with pytest.raises(PlatformError, match="started without --faults"):
        faults.request_faults(platform, "POST", {"operation": "s3:PutObject", "kind": "error"})

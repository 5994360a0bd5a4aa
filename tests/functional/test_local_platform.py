"""The local platform as plain boto3 sees it: the wire, identities, events, the event history, faults."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from bedplate.errors import PlatformError
from bedplate.local import faults
from inbox import Inbox

Client = Callable[[str], Any]
ACCOUNT = "123456789012"


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

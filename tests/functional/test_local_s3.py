"""Objects, their versions, policies and listings on the local platform, as plain boto3 sees them."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from bedplate.aws.session import Session
from bedplate.aws.storage.objects import S3Objects
from bedplate.errors import NotFound
from platform_client import refused

Client = Callable[[str], Any]


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

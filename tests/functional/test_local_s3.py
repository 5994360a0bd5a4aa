"""S3 on the local platform through plain boto3: objects, versions, policies, listings and notifications."""

from __future__ import annotations

import hashlib
import io
import json
import os
from typing import Any

import pytest

from bedplate.aws.session import Session
from bedplate.aws.storage.objects import S3Objects
from bedplate.errors import NotFound
from platform_client import ClientFactory, error_code_of


@pytest.fixture
def bucket(client: ClientFactory, request: pytest.FixtureRequest) -> str:
    name = "b-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    client("s3").create_bucket(Bucket=name)
    client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def test_tls_only_bucket_policy_allows_uploads(client: ClientFactory, bucket: str) -> None:
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


def test_bucket_policy_denies_calls(client: ClientFactory, bucket: str) -> None:
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="protected/1", Body=b"x")
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{bucket}/protected/*",
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert error_code_of(s3.delete_object, Bucket=bucket, Key="protected/1") == "AccessDenied"


def test_only_the_first_conditional_put_succeeds(client: ClientFactory, bucket: str) -> None:
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="once", Body=b"first", IfNoneMatch="*")
    assert (
        error_code_of(s3.put_object, Bucket=bucket, Key="once", Body=b"second", IfNoneMatch="*") == "PreconditionFailed"
    )
    assert s3.get_object(Bucket=bucket, Key="once")["Body"].read() == b"first"


def test_large_objects_are_read_whole_by_range_and_from_copies(client: ClientFactory, bucket: str) -> None:
    s3 = client("s3")
    content = os.urandom(1 << 16) * (18 << 4)  # 18 MiB
    s3.put_object(Bucket=bucket, Key="whole", Body=content)
    s3.upload_fileobj(io.BytesIO(content), bucket, "parts")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/whole")
    for key in ("whole", "parts", "copy"):
        buffer = io.BytesIO()
        s3.download_fileobj(bucket, key, buffer)
        assert buffer.getvalue() == content, key
    assert (
        s3.get_object(Bucket=bucket, Key="parts", Range="bytes=1000000-1000009")["Body"].read()
        == content[1000000:1000010]
    )
    assert s3.head_object(Bucket=bucket, Key="copy")["ETag"] == f'"{hashlib.md5(content).hexdigest()}"'
    assert s3.head_object(Bucket=bucket, Key="parts")["ETag"].endswith('-3"')


def test_fast_read_returns_the_same_as_motos_read(client: ClientFactory, bucket: str) -> None:
    """A plain GET bypasses moto; a GET with a version id is handled by moto."""
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="plain text", Body=b"x" * 10)
    s3.put_object(
        Bucket=bucket, Key="metadata", Body=b"y" * 100_000, ContentType="text/csv", Metadata={"data_sha256": "ab"},
        ServerSideEncryption="aws:kms", SSEKMSKeyId="k", ChecksumAlgorithm="SHA256", Tagging="a=b",
        StorageClass="STANDARD_IA",
    )  # fmt: skip
    s3.put_object(Bucket=bucket, Key="metadata/é +&", Body=b"")
    for key in ("plain text", "metadata", "metadata/é +&"):
        fast = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        by_version = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", VersionId=head["VersionId"])
        assert fast.pop("Body").read() == by_version.pop("Body").read()
        fast.pop("ResponseMetadata")
        by_version.pop("ResponseMetadata")
        assert fast == by_version, key
    s3.put_object(Bucket=bucket, Key="metadata", Body=b"new")
    assert s3.get_object(Bucket=bucket, Key="metadata")["Body"].read() == b"new"
    s3.delete_object(Bucket=bucket, Key="metadata")
    assert error_code_of(s3.get_object, Bucket=bucket, Key="metadata") == "NoSuchKey"
    assert error_code_of(s3.get_object, Bucket=bucket, Key="never") == "NoSuchKey"
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert error_code_of(s3.get_object, Bucket=bucket, Key="plain text") == "AccessDenied"


def test_many_objects_are_read_concurrently_in_order_and_a_missing_one_raises(platform: str, bucket: str) -> None:
    objects = S3Objects(Session.local("us-east-1", platform, actor="ada"))
    uris = [f"s3://{bucket}/many/{number:03d} é+&~" for number in range(70)]
    for uri in uris:
        objects.put(uri, uri.encode())
    assert list(objects.get_many(uris)) == [uri.encode() for uri in uris]
    assert list(objects.get_many([])) == []
    with pytest.raises(NotFound, match="none"):
        list(objects.get_many([*uris, f"s3://{bucket}/none"]))


def test_metadata_keeps_its_underscores(client: ClientFactory, bucket: str) -> None:
    client("s3").put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"data_sha256": "ab"})
    assert client("s3").head_object(Bucket=bucket, Key="k")["Metadata"] == {"data_sha256": "ab"}


def test_all_versions_and_delete_markers_can_be_deleted(client: ClientFactory, bucket: str) -> None:
    s3 = client("s3")
    for number in range(3):
        s3.put_object(Bucket=bucket, Key="k", Body=str(number).encode())
    s3.delete_object(Bucket=bucket, Key="k")
    listing = s3.list_object_versions(Bucket=bucket)
    rows = [*listing["Versions"], *listing["DeleteMarkers"]]
    assert len(rows) == 4
    identifiers = [{"Key": r["Key"], "VersionId": r["VersionId"]} for r in rows]
    assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": identifiers})
    s3.delete_bucket(Bucket=bucket)


def test_listing_returns_pages_by_prefix_and_delimiter_in_order(client: ClientFactory, bucket: str) -> None:
    s3 = client("s3")
    for key in ("a", "d/1", "d/2", "d/e/3", "d/é +&", "z", "gone"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.delete_object(Bucket=bucket, Key="gone")
    paginator = s3.get_paginator("list_objects_v2")

    def list_names(**arguments: Any) -> list[str]:
        names = []
        for page in paginator.paginate(Bucket=bucket, PaginationConfig={"PageSize": 2}, **arguments):
            rows = [r["Key"] for r in page.get("Contents", ())] + [r["Prefix"] for r in page.get("CommonPrefixes", ())]
            assert len(rows) == page["KeyCount"] <= 2
            names += rows
        return names

    assert list_names() == ["a", "d/1", "d/2", "d/e/3", "d/é +&", "z"]
    assert list_names(Delimiter="/") == ["a", "d/", "z"]
    assert list_names(Prefix="d/", Delimiter="/") == ["d/1", "d/2", "d/é +&", "d/e/"]
    assert list_names(Prefix="d/", StartAfter="d/2") == ["d/e/3", "d/é +&"]
    assert list_names(Prefix="nothing") == []
    row = s3.list_objects_v2(Bucket=bucket, Prefix="a")["Contents"][0]
    assert (row["Size"], row["ETag"]) == (1, f'"{hashlib.md5(b"x").hexdigest()}"')
    assert error_code_of(s3.list_objects_v2, Bucket=bucket, ContinuationToken="?") == "InvalidArgument"


def test_event_bridge_notification_setting_is_returned(client: ClientFactory, bucket: str) -> None:
    s3 = client("s3")
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    assert s3.get_bucket_notification_configuration(Bucket=bucket)["EventBridgeConfiguration"] == {}

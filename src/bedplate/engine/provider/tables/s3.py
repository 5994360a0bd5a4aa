"""Resource types of S3: buckets, one type for each of their settings, and objects."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from bedplate.engine.protocol import Properties
from bedplate.engine.provider.clients import AwsClients, Params, ServiceError
from bedplate.engine.provider.resource_type import FollowUpCall, ResourceType, TagOperations, default_param, named_type

MISSING_BUCKET_CODES = ("NoSuchBucket", "404")
"""S3's errors for a bucket that does not exist; HeadBucket returns only the status, because HEAD has no body."""

# --- buckets ---------------------------------------------------------------------------------------------------------


def _require_new_bucket(aws: AwsClients, inputs: Properties) -> None:
    """Raises ServiceError when the bucket exists.

    In us-east-1 CreateBucket returns 200 for a bucket that the account already owns; without this check the stack would
    adopt another stack's bucket.
    """
    if aws.call_or_none("s3", "HeadBucket", *MISSING_BUCKET_CODES, Bucket=inputs["bucket"]) is not None:
        raise ServiceError("CreateBucket", "BucketAlreadyOwnedByYou", f"bucket {inputs['bucket']} already exists")


def _bucket_params(aws: AwsClients, operation: str, _properties: Properties, params: Params) -> Params:
    """Adds the location constraint, which S3 requires in every region except us-east-1, where it rejects one."""
    if operation == "CreateBucket" and aws.region != "us-east-1":
        params["CreateBucketConfiguration"] = {"LocationConstraint": aws.region}
    return params


def _empty_bucket(aws: AwsClients, properties: Properties, inputs: Properties) -> None:
    """Deletes every version and delete marker of a bucket with `forceDestroy`, and the tags of every empty bucket.

    The tags are deleted because moto keeps them, with the intent tag, for the next bucket of the same name. S3 deletes
    a version that object lock protects in governance mode only with BypassGovernanceRetention.
    """
    bucket = properties["bucket"]
    bypass = {"BypassGovernanceRetention": True} if inputs.get("objectLockEnabled") else {}
    while versions := _list_versions(aws, bucket):
        if not inputs.get("forceDestroy"):
            return
        batch = {"Objects": versions, "Quiet": True}
        for error in aws.call("s3", "DeleteObjects", Bucket=bucket, Delete=batch, **bypass).get("Errors", ()):
            raise ServiceError("DeleteObjects", error.get("Code", ""), f"{error.get('Key')}: {error.get('Message')}")
    aws.call_or_none("s3", "DeleteBucketTagging", *MISSING_BUCKET_CODES, Bucket=bucket)


def _list_versions(aws: AwsClients, bucket: str) -> list[Params]:
    """Returns key and version id of up to 1000 versions and delete markers, as many as DeleteObjects takes."""
    page = aws.call_or_none("s3", "ListObjectVersions", *MISSING_BUCKET_CODES, Bucket=bucket, MaxKeys=1000) or {}
    versions = (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
    return [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in versions]


# --- settings of a bucket --------------------------------------------------------------------------------------------


def _object_lock_params(_aws: AwsClients, operation: str, _properties: Properties, params: Params) -> Params:
    """Keeps object lock enabled, because S3 cannot remove it: a delete removes only the default retention."""
    if operation == "PutObjectLockConfiguration":
        params.setdefault("ObjectLockConfiguration", {})["ObjectLockEnabled"] = "Enabled"
    return params


def _bucket_setting(
    name: str,
    operations: tuple[str, str, str],
    properties: tuple[str, ...],
    missing_codes: tuple[str, ...] = (),
    **fields: Any,
) -> ResourceType:
    """Returns the type of a bucket's setting; its id is the bucket's name, and every Put replaces the whole setting.

    `operations` put, get and delete it; a setting that S3 cannot delete has its Put as the third one.
    """
    return ResourceType(
        type=f"aws:s3/{name[0].lower()}{name[1:]}:{name}",
        service="s3",
        operations=operations,
        id_format="{bucket}",
        key_properties=("bucket",),
        missing_codes=(*MISSING_BUCKET_CODES, *missing_codes),
        update_calls=(FollowUpCall(operations[0], ("bucket", *properties)),),
        replaces=("bucket",),
        **fields,
    )


# --- objects ---------------------------------------------------------------------------------------------------------


def _object_params(_aws: AwsClients, operation: str, properties: Properties, params: Params) -> Params:
    if operation == "PutObject":
        params["Body"] = base64.b64decode(properties["contentBase64"])
        if properties.get("tags"):
            params["Tagging"] = urlencode(properties["tags"])
    return params


def _read_object(aws: AwsClients, inputs: Properties, _actual: Mapping[str, Any]) -> Properties:
    """Returns the declared content if the object has the same, otherwise the object's content.

    It reads the object, because the ETag of an object that is encrypted with a KMS key is not a hash of its content.
    """
    declared = base64.b64decode(inputs["contentBase64"]) if inputs.get("contentBase64") else b""
    content = aws.call("s3", "GetObject", Bucket=inputs["bucket"], Key=inputs["key"])["Body"].read()
    if hashlib.sha256(declared).digest() == hashlib.sha256(content).digest():
        return {"contentBase64": inputs["contentBase64"]}
    return {"contentBase64": base64.b64encode(content).decode()}


RESOURCE_TYPES = (
    named_type(
        "aws:s3/bucket:Bucket",
        "s3",
        ("CreateBucket", "HeadBucket", "DeleteBucket"),
        "bucket",
        member_paths={"objectLockEnabled": "ObjectLockEnabledForBucket"},
        provider_only=("forceDestroy",),
        missing_codes=MISSING_BUCKET_CODES,
        outputs={
            "arn": "arn:aws:s3:::{bucket}",
            "bucketDomainName": "{bucket}.s3.amazonaws.com",
            "bucketRegionalDomainName": "{bucket}.s3.{region}.amazonaws.com",
            "region": "{region}",
        },
        replaces=("bucket", "objectLockEnabled"),
        tags=TagOperations(
            {"Bucket": "{bucket}"}, "PutBucketTagging", "DeleteBucketTagging", "GetBucketTagging", on_create=False
        ),
        adjust_params=_bucket_params,
        before_create=_require_new_bucket,
        before_delete=_empty_bucket,
    ),
    _bucket_setting(
        "BucketVersioning",
        ("PutBucketVersioning", "GetBucketVersioning", "PutBucketVersioning"),
        ("versioningConfiguration",),
        # S3 does not suspend the versioning of a bucket with object lock; the delete then counts as done.
        ("InvalidBucketState",),
        is_alive=lambda actual: bool(actual.get("Status")),
        adjust_params=default_param("PutBucketVersioning", "VersioningConfiguration", {"Status": "Suspended"}),
        read_inputs=lambda _aws, _inputs, actual: {"versioningConfiguration": {"status": actual["Status"]}},
    ),
    _bucket_setting(
        "BucketServerSideEncryptionConfiguration",
        ("PutBucketEncryption", "GetBucketEncryption", "DeleteBucketEncryption"),
        ("rules",),
        ("ServerSideEncryptionConfigurationNotFoundError",),
        payload_path="ServerSideEncryptionConfiguration",
        read_path="ServerSideEncryptionConfiguration",
    ),
    _bucket_setting(
        "BucketPublicAccessBlock",
        ("PutPublicAccessBlock", "GetPublicAccessBlock", "DeletePublicAccessBlock"),
        ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"),
        ("NoSuchPublicAccessBlockConfiguration",),
        payload_path="PublicAccessBlockConfiguration",
        read_path="PublicAccessBlockConfiguration",
    ),
    _bucket_setting(
        "BucketOwnershipControls",
        ("PutBucketOwnershipControls", "GetBucketOwnershipControls", "DeleteBucketOwnershipControls"),
        ("rule",),
        ("OwnershipControlsNotFoundError",),
        payload_path="OwnershipControls",
        read_path="OwnershipControls",
    ),
    _bucket_setting(
        "BucketPolicy",
        ("PutBucketPolicy", "GetBucketPolicy", "DeleteBucketPolicy"),
        ("policy",),
        ("NoSuchBucketPolicy",),
    ),
    _bucket_setting(
        "BucketLifecycleConfiguration",
        ("PutBucketLifecycleConfiguration", "GetBucketLifecycleConfiguration", "DeleteBucketLifecycle"),
        ("rules", "transitionDefaultMinimumObjectSize"),
        ("NoSuchLifecycleConfiguration",),
        payload_path="LifecycleConfiguration",
    ),
    _bucket_setting(
        "BucketLogging",
        ("PutBucketLogging", "GetBucketLogging", "PutBucketLogging"),
        ("targetBucket", "targetPrefix", "targetGrants", "targetObjectKeyFormat"),
        payload_path="BucketLoggingStatus.LoggingEnabled",
        read_path="LoggingEnabled",
        adjust_params=default_param("PutBucketLogging", "BucketLoggingStatus", {}),
    ),
    _bucket_setting(
        "BucketObjectLockConfiguration",
        ("PutObjectLockConfiguration", "GetObjectLockConfiguration", "PutObjectLockConfiguration"),
        ("rule",),
        ("ObjectLockConfigurationNotFoundError",),
        payload_path="ObjectLockConfiguration",
        read_path="ObjectLockConfiguration",
        adjust_params=_object_lock_params,
    ),
    ResourceType(
        "aws:s3/bucketObjectv2:BucketObjectv2",
        "s3",
        ("PutObject", "HeadObject", "DeleteObject"),
        id_format="{bucket}/{key}",
        key_properties=("bucket", "key"),
        parse_id=lambda id: dict(zip(("bucket", "key"), id.split("/", 1), strict=True)),
        provider_only=("contentBase64",),
        missing_codes=("NoSuchKey", "404", "NotFound", "NoSuchBucket"),
        outputs={"arn": "arn:aws:s3:::{bucket}/{key}"},
        update_calls=(FollowUpCall("PutObject", ("contentBase64", "contentType")),),
        replaces=("bucket", "key"),
        tags=TagOperations(
            {"Bucket": "{bucket}", "Key": "{key}"},
            *("PutObjectTagging", "DeleteObjectTagging", "GetObjectTagging"),
            on_create=False,
        ),
        adjust_params=_object_params,
        read_inputs=_read_object,
    ),
)

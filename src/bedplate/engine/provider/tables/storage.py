"""S3 and ECR: buckets with their settings, one row for each part, and image repositories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.engine.provider.cloud import Cloud, ServiceError
from bedplate.engine.provider.kind import FollowUpCall, Props, ResourceType, Tags

NO_BUCKET = ("NoSuchBucket", "404")


def _must_be_new(cloud: Cloud, inputs: Props) -> None:
    """S3 answers 200 to the creation of a bucket that one owns already: somebody else's would be taken over."""
    if cloud.attempt("s3", "HeadBucket", *NO_BUCKET, Bucket=inputs["bucket"]) is not None:
        raise ServiceError("CreateBucket", "BucketAlreadyOwnedByYou", f"bucket {inputs['bucket']} exists already")


def _bucket_params(cloud: Cloud, operation: str, _inputs: Props, params: Props) -> Props:
    if operation == "CreateBucket" and cloud.region != "us-east-1":
        params["CreateBucketConfiguration"] = {"LocationConstraint": cloud.region}
    return params


def _empty(cloud: Cloud, known: Props, inputs: Props) -> None:
    """Delete every version and every delete marker of a bucket that may be destroyed with its objects.

    An empty bucket loses its tags too: moto keeps them for the next bucket of the name, with the intent of this one.
    """
    bucket = known["bucket"]
    past = {"BypassGovernanceRetention": True} if inputs.get("objectLockEnabled") else {}
    while found := _versions(cloud, bucket):
        if not inputs.get("forceDestroy"):
            return
        answer = cloud.call("s3", "DeleteObjects", Bucket=bucket, Delete={"Objects": found, "Quiet": True}, **past)
        if answer.get("Errors"):
            first = answer["Errors"][0]
            raise ServiceError("DeleteObjects", first.get("Code", ""), f"{first.get('Key')}: {first.get('Message')}")
    cloud.attempt("s3", "DeleteBucketTagging", *NO_BUCKET, Bucket=bucket)


def _versions(cloud: Cloud, bucket: str) -> list[Props]:
    """Up to a thousand versions and delete markers."""
    page = cloud.attempt("s3", "ListObjectVersions", *NO_BUCKET, Bucket=bucket, MaxKeys=1000) or {}
    listed = (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
    return [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in listed]


def _suspended(_cloud: Cloud, operation: str, _inputs: Props, params: Props) -> Props | None:
    """There is no deletion of versioning: without a configuration it is suspended."""
    if operation == "PutBucketVersioning":
        params.setdefault("VersioningConfiguration", {"Status": "Suspended"})
    return params


def _part(
    name: str,
    put: str,
    get: str,
    delete: str,
    changing: tuple[str, ...],
    gone: tuple[str, ...] = (),
    **more: Any,
) -> ResourceType:
    """One setting of a bucket: put as a whole, and the bucket's name is its identity."""
    return ResourceType(
        type=f"aws:s3/{name[0].lower()}{name[1:]}:{name}",
        service="s3",
        create=put,
        read=get,
        delete=delete,
        id="{bucket}",
        keys=("bucket",),
        gone=(*NO_BUCKET, *gone),
        updates=(FollowUpCall(put, ("bucket", *changing)),),
        replaces=("bucket",),
        **more,
    )


def _lock_off(_cloud: Cloud, operation: str, _inputs: Props, params: Props) -> Props | None:
    """Object lock cannot be taken from a bucket: only its default retention goes."""
    if operation == "PutObjectLockConfiguration":
        params.setdefault("ObjectLockConfiguration", {})["ObjectLockEnabled"] = "Enabled"
    return params


def _logging_off(_cloud: Cloud, operation: str, _inputs: Props, params: Props) -> Props | None:
    """There is no deletion of logging: an empty status ends it."""
    if operation == "PutBucketLogging":
        params.setdefault("BucketLoggingStatus", {})
    return params


def _found_versioning(_cloud: Cloud, _inputs: Props, found: Mapping[str, Any]) -> Props:
    return {"versioningConfiguration": {"status": found["Status"]}}


KINDS = (
    ResourceType(
        type="aws:s3/bucket:Bucket",
        service="s3",
        create="CreateBucket",
        read="HeadBucket",
        delete="DeleteBucket",
        id="{bucket}",
        keys=("bucket",),
        named="bucket",
        rename={"objectLockEnabled": "ObjectLockEnabledForBucket"},
        local=("forceDestroy",),
        gone=NO_BUCKET,
        outputs={
            "arn": "arn:aws:s3:::{bucket}",
            "bucketDomainName": "{bucket}.s3.amazonaws.com",
            "bucketRegionalDomainName": "{bucket}.s3.{region}.amazonaws.com",
            "region": "{region}",
        },
        replaces=("bucket", "objectLockEnabled"),
        tags=Tags(
            "PutBucketTagging", "DeleteBucketTagging", "GetBucketTagging", {"Bucket": "{bucket}"}, on_create=False
        ),
        to_params=_bucket_params,
        before_create=_must_be_new,
        before_delete=_empty,
    ),
    _part(
        "BucketVersioning",
        "PutBucketVersioning",
        "GetBucketVersioning",
        "PutBucketVersioning",
        ("versioningConfiguration",),
        gone=("InvalidBucketState",),  # a bucket with object lock cannot be suspended, and goes as it is
        alive=lambda found: bool(found.get("Status")),
        to_params=_suspended,
        to_inputs=_found_versioning,
    ),
    _part(
        "BucketServerSideEncryptionConfiguration",
        "PutBucketEncryption",
        "GetBucketEncryption",
        "DeleteBucketEncryption",
        ("rules",),
        payload="ServerSideEncryptionConfiguration",
        found="ServerSideEncryptionConfiguration",
        gone=("ServerSideEncryptionConfigurationNotFoundError",),
    ),
    _part(
        "BucketPublicAccessBlock",
        "PutPublicAccessBlock",
        "GetPublicAccessBlock",
        "DeletePublicAccessBlock",
        ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"),
        payload="PublicAccessBlockConfiguration",
        found="PublicAccessBlockConfiguration",
        gone=("NoSuchPublicAccessBlockConfiguration",),
    ),
    _part(
        "BucketOwnershipControls",
        "PutBucketOwnershipControls",
        "GetBucketOwnershipControls",
        "DeleteBucketOwnershipControls",
        ("rule",),
        payload="OwnershipControls",
        found="OwnershipControls",
        gone=("OwnershipControlsNotFoundError",),
    ),
    _part(
        "BucketPolicy",
        "PutBucketPolicy",
        "GetBucketPolicy",
        "DeleteBucketPolicy",
        ("policy",),
        gone=("NoSuchBucketPolicy",),
    ),
    _part(
        "BucketLifecycleConfiguration",
        "PutBucketLifecycleConfiguration",
        "GetBucketLifecycleConfiguration",
        "DeleteBucketLifecycle",
        ("rules", "transitionDefaultMinimumObjectSize"),
        payload="LifecycleConfiguration",
        gone=("NoSuchLifecycleConfiguration",),
    ),
    _part(
        "BucketLogging",
        "PutBucketLogging",
        "GetBucketLogging",
        "PutBucketLogging",  # without a configuration it ends
        ("targetBucket", "targetPrefix", "targetGrants", "targetObjectKeyFormat"),
        payload="BucketLoggingStatus.LoggingEnabled",
        found="LoggingEnabled",
        to_params=_logging_off,
    ),
    _part(
        "BucketObjectLockConfiguration",
        "PutObjectLockConfiguration",
        "GetObjectLockConfiguration",
        "PutObjectLockConfiguration",
        ("rule",),
        payload="ObjectLockConfiguration",
        found="ObjectLockConfiguration",
        gone=("ObjectLockConfigurationNotFoundError",),
        to_params=_lock_off,
    ),
    ResourceType(
        type="aws:ecr/repository:Repository",
        service="ecr",
        create="CreateRepository",
        read="DescribeRepositories",
        delete="DeleteRepository",
        id="{name}",
        keys=("name",),
        named="name",
        max_name=256,
        rename={"name": "repositoryName|repositoryNames"},
        local=("forceDelete",),
        found="repositories[0]",
        gone=("RepositoryNotFoundException",),
        outputs={
            "arn": "=repository.repositoryArn|repositoryArn",
            "registryId": "=repository.registryId|registryId",
            "repositoryUrl": "=repository.repositoryUri|repositoryUri",
        },
        updates=(
            FollowUpCall("PutImageTagMutability", ("imageTagMutability", "imageTagMutabilityExclusionFilters")),
            FollowUpCall("PutImageScanningConfiguration", ("imageScanningConfiguration",)),
        ),
        replaces=("name", "encryptionConfigurations"),
        tags=Tags("TagResource", "UntagResource", "ListTagsForResource", {"resourceArn": "{arn}"}, "tags", "tagKeys"),
        to_params=lambda _cloud, operation, known, params: (
            {**params, "force": bool(known.get("forceDelete"))} if operation == "DeleteRepository" else params
        ),
    ),
    ResourceType(
        type="aws:ecr/repositoryPolicy:RepositoryPolicy",
        service="ecr",
        create="SetRepositoryPolicy",
        read="GetRepositoryPolicy",
        delete="DeleteRepositoryPolicy",
        id="{repository}",
        keys=("repository",),
        rename={"repository": "repositoryName", "policy": "policyText"},
        gone=("RepositoryPolicyNotFoundException", "RepositoryNotFoundException"),
        outputs={"registryId": "=registryId"},
        updates=(FollowUpCall("SetRepositoryPolicy", ("policy",)),),
        replaces=("repository",),
    ),
    ResourceType(
        type="aws:ecr/lifecyclePolicy:LifecyclePolicy",
        service="ecr",
        create="PutLifecyclePolicy",
        read="GetLifecyclePolicy",
        delete="DeleteLifecyclePolicy",
        id="{repository}",
        keys=("repository",),
        rename={"repository": "repositoryName", "policy": "lifecyclePolicyText"},
        gone=("LifecyclePolicyNotFoundException", "RepositoryNotFoundException"),
        outputs={"registryId": "=registryId"},
        updates=(FollowUpCall("PutLifecyclePolicy", ("policy",)),),
        replaces=("repository",),
    ),
)

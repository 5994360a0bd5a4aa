"""Cases of networks, trails, access logs and resource policies, for `test_tables.py`."""

from __future__ import annotations

from typing import Any

from .cases import Case, SharedResources, policy_text

OTHER_ACCOUNT = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::222222222222:root"}}
PULL_STATEMENT = {**OTHER_ACCOUNT, "Sid": "Pull", "Action": ["ecr:BatchGetImage"]}
DESCRIBE_STATEMENT = {
    **OTHER_ACCOUNT,
    "Sid": "See",
    "Action": "sagemaker:DescribeModelPackageGroup",
    "Resource": "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/shared",
}
THIRD_ACCOUNT = {"AWS": "arn:aws:iam::333333333333:root"}


def _event_selectors(read_write: str) -> list[dict[str, Any]]:
    objects = [{"type": "AWS::S3::Object", "values": ["arn:aws:s3:::shared/"]}]
    return [{"readWriteType": read_write, "includeManagementEvents": True, "dataResources": objects}]


def _security_group_rule(shared: SharedResources, **more: Any) -> dict[str, Any]:
    ports = {"ipProtocol": "tcp", "fromPort": 443, "toPort": 443}
    return {"securityGroupId": shared["group"], **ports, "description": "AWS", **more}


CASES: tuple[Case, ...] = (
    Case(
        "aws:ec2/vpc:Vpc",
        lambda _: {"cidrBlock": "10.9.0.0/16", "enableDnsSupport": True, "enableDnsHostnames": True},
        update=lambda _: {"enableDnsHostnames": False},
        replacements={"cidrBlock": "10.8.0.0/16"},
        has_tags=True,
    ),
    Case(
        "aws:ec2/subnet:Subnet",
        lambda shared: {"vpcId": shared["vpc"], "cidrBlock": "10.7.64.0/18", "availabilityZone": "us-east-1b"},
        replacements={"cidrBlock": "10.7.128.0/18", "availabilityZone": "us-east-1c"},
        has_tags=True,
    ),
    Case(
        "aws:ec2/routeTable:RouteTable",
        lambda shared: {"vpcId": shared["vpc"]},
        replacements={"vpcId": "vpc-1"},
        has_tags=True,
    ),
    Case(
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        lambda shared: {"subnetId": shared["subnet"], "routeTableId": shared["routes"]},
        replacements={"subnetId": "subnet-1"},
    ),
    Case(
        "aws:ec2/securityGroup:SecurityGroup",
        lambda shared: {"name": "case", "description": "A case", "vpcId": shared["vpc"]},
        replacements={"name": "other", "description": "Another"},
        has_tags=True,
    ),
    Case(
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        lambda shared: _security_group_rule(shared, referencedSecurityGroupId=shared["group"]),
        replacements={"fromPort": 80, "ipProtocol": "udp"},
        has_tags=True,
    ),
    Case(
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        lambda shared: _security_group_rule(shared, prefixListId=shared["prefixes"]),
        replacements={"toPort": 444},
        has_tags=True,
    ),
    Case(
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        lambda shared: {
            "vpcId": shared["vpc"],
            "serviceName": "com.amazonaws.us-east-1.sts",
            "vpcEndpointType": "Interface",
            "subnetIds": [shared["subnet"]],
            "securityGroupIds": [shared["group"]],
        },
        update=lambda shared: {"securityGroupIds": [shared["group"], shared["other_group"]]},
        replacements={"serviceName": "com.amazonaws.us-east-1.kms"},
        has_tags=True,
    ),
    Case(
        "aws:s3/bucketLogging:BucketLogging",
        lambda shared: {"bucket": shared["bucket"], "targetBucket": shared["logs"], "targetPrefix": "access/shared/"},
        update=lambda _: {"targetPrefix": "access/other/"},
        replacements={"bucket": "other"},
    ),
    Case(
        "aws:cloudtrail/trail:Trail",
        lambda shared: {
            "name": "case",
            "s3BucketName": shared["bucket"],
            "kmsKeyId": shared["key"],
            "enableLogging": True,
            "enableLogFileValidation": True,
            "includeGlobalServiceEvents": True,
            "isMultiRegionTrail": False,
            "eventSelectors": _event_selectors("WriteOnly"),
        },
        update=lambda _: {
            "enableLogging": False,
            "isMultiRegionTrail": True,
            "eventSelectors": _event_selectors("All"),
        },
        replacements={"name": "other"},
        has_tags=True,
    ),
    Case(
        "aws:costexplorer/costAllocationTag:CostAllocationTag",
        lambda _: {"tagKey": "Case", "status": "Active"},
        replacements={"tagKey": "Other"},
    ),
    Case(
        "aws:ecr/repositoryPolicy:RepositoryPolicy",
        lambda shared: {"repository": shared["repository"], "policy": policy_text(PULL_STATEMENT)},
        update=lambda _: {"policy": policy_text({**PULL_STATEMENT, "Principal": THIRD_ACCOUNT})},
        replacements={"repository": "other"},
    ),
    Case(
        "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy",
        lambda shared: {"modelPackageGroupName": shared["versions"], "resourcePolicy": policy_text(DESCRIBE_STATEMENT)},
        update=lambda _: {"resourcePolicy": policy_text({**DESCRIBE_STATEMENT, "Principal": THIRD_ACCOUNT})},
        replacements={"modelPackageGroupName": "other"},
    ),
)

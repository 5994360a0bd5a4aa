"""Cases of the types that hold apart, record and let others read: networks, trails, access logs, resource policies."""

from __future__ import annotations

from typing import Any

from .cases import Case, Ground, text

READER = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::222222222222:root"}}
PULL = {**READER, "Sid": "Pull", "Action": ["ecr:BatchGetImage"]}
SEE = {
    **READER,
    "Sid": "See",
    "Action": "sagemaker:DescribeModelPackageGroup",
    "Resource": "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/ground",
}
OTHER = {"AWS": "arn:aws:iam::333333333333:root"}


def _selectors(read_write: str) -> list[dict[str, Any]]:
    objects = [{"type": "AWS::S3::Object", "values": ["arn:aws:s3:::ground/"]}]
    return [{"readWriteType": read_write, "includeManagementEvents": True, "dataResources": objects}]


def _rule(g: Ground, **more: Any) -> dict[str, Any]:
    ports = {"ipProtocol": "tcp", "fromPort": 443, "toPort": 443}
    return {"securityGroupId": g["group"], **ports, "description": "AWS", **more}


CASES: tuple[Case, ...] = (
    Case(
        "aws:ec2/vpc:Vpc",
        lambda _: {"cidrBlock": "10.9.0.0/16", "enableDnsSupport": True, "enableDnsHostnames": True},
        update=lambda _: {"enableDnsHostnames": False},
        replace={"cidrBlock": "10.8.0.0/16"},
        tags=True,
    ),
    Case(
        "aws:ec2/subnet:Subnet",
        lambda g: {"vpcId": g["vpc"], "cidrBlock": "10.7.64.0/18", "availabilityZone": "us-east-1b"},
        replace={"cidrBlock": "10.7.128.0/18", "availabilityZone": "us-east-1c"},
        tags=True,
    ),
    Case("aws:ec2/routeTable:RouteTable", lambda g: {"vpcId": g["vpc"]}, replace={"vpcId": "vpc-1"}, tags=True),
    Case(
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        lambda g: {"subnetId": g["subnet"], "routeTableId": g["routes"]},
        replace={"subnetId": "subnet-1"},
    ),
    Case(
        "aws:ec2/securityGroup:SecurityGroup",
        lambda g: {"name": "case", "description": "A case", "vpcId": g["vpc"]},
        replace={"name": "other", "description": "Another"},
        tags=True,
    ),
    Case(
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        lambda g: _rule(g, referencedSecurityGroupId=g["group"]),
        replace={"fromPort": 80, "ipProtocol": "udp"},
        tags=True,
    ),
    Case(
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        lambda g: _rule(g, prefixListId=g["prefixes"]),
        replace={"toPort": 444},
        tags=True,
    ),
    Case(
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        lambda g: {
            "vpcId": g["vpc"],
            "serviceName": "com.amazonaws.us-east-1.sts",
            "vpcEndpointType": "Interface",
            "subnetIds": [g["subnet"]],
            "securityGroupIds": [g["group"]],
        },
        update=lambda g: {"securityGroupIds": [g["group"], g["other_group"]]},
        replace={"serviceName": "com.amazonaws.us-east-1.kms"},
        tags=True,
    ),
    Case(
        "aws:s3/bucketLogging:BucketLogging",
        lambda g: {"bucket": g["bucket"], "targetBucket": g["logs"], "targetPrefix": "access/ground/"},
        update=lambda _: {"targetPrefix": "access/other/"},
        replace={"bucket": "other"},
    ),
    Case(
        "aws:cloudtrail/trail:Trail",
        lambda g: {
            "name": "case",
            "s3BucketName": g["bucket"],
            "kmsKeyId": g["key"],
            "enableLogging": True,
            "enableLogFileValidation": True,
            "includeGlobalServiceEvents": True,
            "isMultiRegionTrail": False,
            "eventSelectors": _selectors("WriteOnly"),
        },
        update=lambda _: {
            "enableLogging": False,
            "isMultiRegionTrail": True,
            "eventSelectors": _selectors("All"),
        },
        replace={"name": "other"},
        tags=True,
    ),
    Case(
        "aws:costexplorer/costAllocationTag:CostAllocationTag",
        lambda _: {"tagKey": "Case", "status": "Active"},
        replace={"tagKey": "Other"},
    ),
    Case(
        "aws:ecr/repositoryPolicy:RepositoryPolicy",
        lambda g: {"repository": g["repository"], "policy": text(PULL)},
        update=lambda _: {"policy": text({**PULL, "Principal": OTHER})},
        replace={"repository": "other"},
    ),
    Case(
        "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy",
        lambda g: {"modelPackageGroupName": g["versions"], "resourcePolicy": text(SEE)},
        update=lambda _: {"resourcePolicy": text({**SEE, "Principal": OTHER})},
        replace={"modelPackageGroupName": "other"},
    ),
)

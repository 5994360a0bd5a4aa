"""Where jobs and endpoints run without a way to the internet: private subnets with endpoints of AWS's services."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.settings import Network as Settings
from documents import document

INTERFACES = (
    *("sagemaker.api", "sagemaker.runtime", "ecr.api", "ecr.dkr"),
    *("logs", "kms", "sts", "monitoring", "ssm"),
)
"""Services that jobs, endpoints and the reconciler call. S3 has a gateway, which costs nothing."""


@dataclass(frozen=True)
class NetworkArgs:
    name: str
    region: str
    account_id: str
    settings: Settings
    tags: Mapping[str, str]


class Network(pulumi.ComponentResource):
    """Outputs: `subnet_ids`, `security_group_ids`, both as SageMaker's `vpc_config`. No internet gateway, no NAT."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Network", name, None, opts)
        self._args, self._child = args, pulumi.ResourceOptions(parent=self)
        if args.settings.subnet_ids:
            self.subnet_ids: list[pulumi.Input[str]] = [*args.settings.subnet_ids]
            self.security_group_ids: list[pulumi.Input[str]] = [*args.settings.security_group_ids]
        else:
            self._make()
        self.vpc_config = {"subnets": self.subnet_ids, "security_group_ids": self.security_group_ids}
        self.register_outputs({"subnetIds": self.subnet_ids, "securityGroupIds": self.security_group_ids})

    def _make(self) -> None:
        args, child = self._args, self._child
        vpc = aws.ec2.Vpc(
            "vpc",
            cidr_block=args.settings.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,  # private names of the interface endpoints need both
            tags=self._tags(""),
            opts=child,
        )
        routes = aws.ec2.RouteTable("private", vpc_id=vpc.id, tags=self._tags("-private"), opts=child)
        subnets = [self._subnet(vpc, routes, zone, block) for zone, block in self._zones()]
        jobs = self._group("jobs", vpc, "Jobs and endpoints: AWS's services and each other, nothing else")
        services = self._group("services", vpc, "Interface endpoints of AWS's services")
        gateway = aws.ec2.VpcEndpoint(
            "s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{args.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[routes.id],
            policy=document(_own_buckets_and_image_layers(args)),
            tags=self._tags("-s3"),
            opts=child,
        )
        for service in INTERFACES:
            aws.ec2.VpcEndpoint(
                service,
                vpc_id=vpc.id,
                service_name=f"com.amazonaws.{args.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[subnet.id for subnet in subnets],
                security_group_ids=[services.id],
                tags=self._tags(f"-{service}"),
                opts=child,
            )
        self._allow("services-from-jobs", services, "Ingress", 443, "AWS's services", group=jobs)
        self._allow("jobs-to-services", jobs, "Egress", 443, "AWS's services", group=services)
        self._allow("jobs-to-s3", jobs, "Egress", 443, "S3", prefix_list=gateway.prefix_list_id)
        for direction in ("Ingress", "Egress"):  # distributed training
            self._allow(f"jobs-{direction.lower()}-jobs", jobs, direction, None, "Each other", group=jobs)
        self.subnet_ids = [subnet.id for subnet in subnets]
        self.security_group_ids = [jobs.id]

    def _zones(self) -> list[tuple[str, str]]:
        """Each availability zone with its share of the addresses."""
        settings = self._args.settings
        zones = settings.availability_zones or tuple(f"{self._args.region}{letter}" for letter in "ab")
        blocks = ipaddress.ip_network(settings.cidr).subnets(prefixlen_diff=2)
        return [(zone, str(block)) for zone, block in zip(zones, blocks, strict=False)]

    def _subnet(self, vpc: aws.ec2.Vpc, routes: aws.ec2.RouteTable, zone: str, block: str) -> aws.ec2.Subnet:
        subnet = aws.ec2.Subnet(
            f"private-{zone}",
            vpc_id=vpc.id,
            cidr_block=block,
            availability_zone=zone,
            tags=self._tags(f"-{zone}"),
            opts=self._child,
        )
        aws.ec2.RouteTableAssociation(
            f"private-{zone}", subnet_id=subnet.id, route_table_id=routes.id, opts=self._child
        )
        return subnet

    def _group(self, what: str, vpc: aws.ec2.Vpc, description: str) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            what,
            name=f"{self._args.name}-{what}",
            description=description.replace("'", ""),  # EC2 takes no apostrophe
            vpc_id=vpc.id,
            tags=self._tags(f"-{what}"),
            opts=self._child,
        )

    def _allow(
        self,
        name: str,
        group_of_rule: aws.ec2.SecurityGroup,
        direction: str,
        port: int | None,
        description: str,
        *,
        group: aws.ec2.SecurityGroup | None = None,
        prefix_list: pulumi.Input[str] | None = None,
    ) -> None:
        rule = aws.vpc.SecurityGroupIngressRule if direction == "Ingress" else aws.vpc.SecurityGroupEgressRule
        rule(
            name,
            security_group_id=group_of_rule.id,
            ip_protocol="-1" if port is None else "tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=group.id if group else None,
            prefix_list_id=prefix_list,
            description=description.replace("'", ""),
            tags=self._tags(f"-{name}"),
            opts=self._child,
        )

    def _tags(self, suffix: str) -> dict[str, str]:
        return {**self._args.tags, "Name": f"{self._args.name}{suffix}"}


def _own_buckets_and_image_layers(args: NetworkArgs) -> dict[str, object]:
    """What leaves by S3's gateway goes to this account's principals' buckets, or fetches the layers of an image, which
    ECR keeps in a bucket of AWS's own."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "PrincipalsOfThisAccount",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:PrincipalAccount": args.account_id}},
            },
            {
                "Sid": "ImageLayers",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::prod-{args.region}-starport-layer-bucket/*",
            },
        ],
    }

"""Private subnets for jobs and endpoints, without internet access, and VPC endpoints of the AWS services they call."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bedplate.settings import Network as NetworkSettings
from iam import Statement, allow, policy_document

INTERFACES = (
    *("sagemaker.api", "sagemaker.runtime", "ecr.api", "ecr.dkr"),
    *("logs", "kms", "sts", "monitoring", "ssm"),
)
"""Services that jobs, endpoints and the reconciler call. S3 gets a gateway endpoint, which is free."""


@dataclass(frozen=True)
class NetworkArgs:
    name: str
    region: str
    account_id: str
    settings: NetworkSettings
    tags: Mapping[str, str]


class Network(pulumi.ComponentResource):
    """Outputs: `subnet_ids`, `security_group_ids`, and both as SageMaker's `vpc_config`. It has no internet gateway."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Network", name, None, opts)
        self._args, self._child = args, pulumi.ResourceOptions(parent=self)
        if args.settings.subnet_ids:
            self.subnet_ids: list[pulumi.Input[str]] = [*args.settings.subnet_ids]
            self.security_group_ids: list[pulumi.Input[str]] = [*args.settings.security_group_ids]
        else:
            self._create_vpc()
        self.vpc_config = {"subnets": self.subnet_ids, "security_group_ids": self.security_group_ids}
        self.register_outputs({"subnetIds": self.subnet_ids, "securityGroupIds": self.security_group_ids})

    def _create_vpc(self) -> None:
        args, child = self._args, self._child
        vpc = aws.ec2.Vpc(
            "vpc",
            cidr_block=args.settings.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,  # the private DNS names of interface endpoints need both
            tags=self._tags(""),
            opts=child,
        )
        routes = aws.ec2.RouteTable("private", vpc_id=vpc.id, tags=self._tags("-private"), opts=child)
        subnets = [self._subnet(vpc, routes, zone, block) for zone, block in self._zones()]
        jobs = self._security_group("jobs", vpc, "Jobs and endpoints: AWS's services and each other, nothing else")
        services = self._security_group("services", vpc, "Interface endpoints of AWS's services")
        gateway = aws.ec2.VpcEndpoint(
            "s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{args.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[routes.id],
            policy=policy_document(*_s3_endpoint_statements(args)),
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
        self._allow("services-from-jobs", services, "Ingress", 443, "AWS's services", peer=jobs)
        self._allow("jobs-to-services", jobs, "Egress", 443, "AWS's services", peer=services)
        self._allow("jobs-to-s3", jobs, "Egress", 443, "S3", prefix_list=gateway.prefix_list_id)
        for direction in ("Ingress", "Egress"):  # distributed training
            self._allow(f"jobs-{direction.lower()}-jobs", jobs, direction, None, "Each other", peer=jobs)
        self.subnet_ids = [subnet.id for subnet in subnets]
        self.security_group_ids = [jobs.id]

    def _zones(self) -> list[tuple[str, str]]:
        """Returns every availability zone with its address block, a quarter of the VPC's."""
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

    def _security_group(self, name: str, vpc: aws.ec2.Vpc, description: str) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            name,
            name=f"{self._args.name}-{name}",
            description=description.replace("'", ""),  # EC2 rejects apostrophes
            vpc_id=vpc.id,
            tags=self._tags(f"-{name}"),
            opts=self._child,
        )

    def _allow(
        self,
        name: str,
        security_group: aws.ec2.SecurityGroup,
        direction: str,
        port: int | None,
        description: str,
        *,
        peer: aws.ec2.SecurityGroup | None = None,
        prefix_list: pulumi.Input[str] | None = None,
    ) -> None:
        rule_class = aws.vpc.SecurityGroupIngressRule if direction == "Ingress" else aws.vpc.SecurityGroupEgressRule
        rule_class(
            name,
            security_group_id=security_group.id,
            ip_protocol="-1" if port is None else "tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=peer.id if peer else None,
            prefix_list_id=prefix_list,
            description=description.replace("'", ""),
            tags=self._tags(f"-{name}"),
            opts=self._child,
        )

    def _tags(self, suffix: str) -> dict[str, str]:
        return {**self._args.tags, "Name": f"{self._args.name}{suffix}"}


def _s3_endpoint_statements(args: NetworkArgs) -> list[Statement]:
    """Allows this account's principals, and the download of image layers, which ECR stores in a bucket of AWS."""
    layers = f"arn:aws:s3:::prod-{args.region}-starport-layer-bucket/*"
    own_account = {"StringEquals": {"aws:PrincipalAccount": args.account_id}}
    return [
        allow("PrincipalsOfThisAccount", "s3:*", "*", own_account, principal="*"),
        allow("ImageLayers", "s3:GetObject", layers, principal="*"),
    ]

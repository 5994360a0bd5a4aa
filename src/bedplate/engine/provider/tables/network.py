"""EC2's network: VPCs, subnets, route tables, security groups with their rules, and endpoints of AWS's services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bedplate.engine.protocol import INTENT_TAG
from bedplate.engine.provider.cloud import Cloud
from bedplate.engine.provider.kind import FollowUpCall, Props, ResourceType, Tags

_VPC_SWITCHES = {"enableDnsSupport": "EnableDnsSupport", "enableDnsHostnames": "EnableDnsHostnames"}
_EVERYWHERE = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]


def _tags(resource_type: str) -> Tags:
    target = {"Resources": ["{id}"], "Filters": [{"Name": "resource-id", "Values": ["{id}"]}]}
    return Tags("CreateTags", "DeleteTags", "DescribeTags", target, keys="Tags", specification=resource_type)


def _by_intent(operation: str, listed: str, id_member: str) -> Callable[[Cloud, str, Props], str | None]:
    def find(cloud: Cloud, intent: str, _inputs: Props) -> str | None:
        filters = [{"Name": f"tag:{INTENT_TAG}", "Values": [intent]}]
        found = cloud.call("ec2", operation, Filters=filters)[listed]
        living = [row for row in found if row.get("State") not in ("deleted", "deleting")]
        return str(living[0][id_member]) if living else None

    return find


# --- VPC -------------------------------------------------------------------------------------------------------------


def _switch_vpc(cloud: Cloud, known: Props) -> None:
    """EC2 takes one attribute a call."""
    for name, member in _VPC_SWITCHES.items():
        if name in known:
            cloud.call("ec2", "ModifyVpcAttribute", VpcId=known["id"], **{member: {"Value": bool(known[name])}})


def _found_vpc(cloud: Cloud, inputs: Props, _found: Mapping[str, Any]) -> Props:
    seen: Props = {}
    for name, member in _VPC_SWITCHES.items():
        if name in inputs:
            answer = cloud.call("ec2", "DescribeVpcAttribute", VpcId=inputs["id"], Attribute=name)
            seen[name] = answer[member]["Value"]
    return seen


# --- security groups -------------------------------------------------------------------------------------------------


def _shut(cloud: Cloud, known: Props) -> None:
    """AWS opens a new group towards everywhere; pulumi-aws takes that back, and so does this."""
    cloud.call("ec2", "RevokeSecurityGroupEgress", GroupId=known["id"], IpPermissions=_EVERYWHERE)


def _rule_params(_cloud: Cloud, operation: str, known: Props, params: Props) -> Props:
    if operation.startswith("Authorize"):
        (permission,) = params["IpPermissions"]
        for peer in ("UserIdGroupPairs", "PrefixListIds", "IpRanges"):
            if peer in permission and known.get("description"):
                permission[peer][0]["Description"] = known["description"]
    return params


def _found_rule(_cloud: Cloud, inputs: Props, found: Mapping[str, Any]) -> Props:
    seen = {
        "referencedSecurityGroupId": (found.get("ReferencedGroupInfo") or {}).get("GroupId"),
        "prefixListId": found.get("PrefixListId"),
        "cidrIpv4": found.get("CidrIpv4"),
    }
    return {key: value for key, value in seen.items() if key in inputs}


def _rule(direction: str) -> ResourceType:
    lower = f"securityGroup{direction}Rule"
    return ResourceType(
        type=f"aws:vpc/{lower}:SecurityGroup{direction}Rule",
        service="ec2",
        create=f"AuthorizeSecurityGroup{direction}",
        read="DescribeSecurityGroupRules",
        delete=f"RevokeSecurityGroup{direction}",
        id="{securityGroupRuleId}",
        keys=("securityGroupId",),
        from_id=lambda id: {"id": id},
        rename={
            "securityGroupId": "GroupId",
            "id": "SecurityGroupRuleIds[0]",
            "ipProtocol": "IpPermissions[0].IpProtocol",
            "fromPort": "IpPermissions[0].FromPort",
            "toPort": "IpPermissions[0].ToPort",
            "referencedSecurityGroupId": "IpPermissions[0].UserIdGroupPairs[0].GroupId",
            "prefixListId": "IpPermissions[0].PrefixListIds[0].PrefixListId",
            "cidrIpv4": "IpPermissions[0].IpRanges[0].CidrIp",
        },
        local=("description",),
        found="SecurityGroupRules[0]",
        gone=("InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound", "InvalidGroup.NotFound"),
        outputs={"securityGroupRuleId": "=SecurityGroupRules[0].SecurityGroupRuleId|SecurityGroupRuleId"},
        replaces=("*",),
        tags=_tags("security-group-rule"),
        server_named=True,
        to_params=_rule_params,
        to_inputs=_found_rule,
        find=_by_intent("DescribeSecurityGroupRules", "SecurityGroupRules", "SecurityGroupRuleId"),
    )


# --- route tables ----------------------------------------------------------------------------------------------------


def _association_params(_cloud: Cloud, operation: str, known: Props, params: Props) -> Props:
    if operation == "DescribeRouteTables":
        named = {"Name": "association.route-table-association-id", "Values": [known["id"]]}
        return {"Filters": [named]}
    return params


def _association_of(cloud: Cloud, _intent: str, inputs: Props) -> str | None:
    """An association has no tags; a subnet has one at most."""
    named = {"Name": "association.subnet-id", "Values": [inputs["subnetId"]]}
    for table in cloud.call("ec2", "DescribeRouteTables", Filters=[named])["RouteTables"]:
        for association in table["Associations"]:
            wanted = (inputs["subnetId"], inputs["routeTableId"])
            if (association.get("SubnetId"), table["RouteTableId"]) == wanted:
                return str(association["RouteTableAssociationId"])
    return None


# --- endpoints -------------------------------------------------------------------------------------------------------


def _prefix_list(cloud: Cloud, known: Props) -> None:
    """The address ranges behind a gateway endpoint, for rules of security groups."""
    if known.get("vpcEndpointType", "Gateway") == "Gateway":
        named = {"Name": "prefix-list-name", "Values": [known["serviceName"]]}
        found = cloud.call("ec2", "DescribePrefixLists", Filters=[named])["PrefixLists"]
        if found:
            known["prefixListId"] = found[0]["PrefixListId"]


def _endpoint_params(_cloud: Cloud, operation: str, _known: Props, params: Props) -> Props:
    if operation == "ModifyVpcEndpoint":  # sets are changed member by member, see _change_endpoint
        return {k: v for k, v in params.items() if k in ("VpcEndpointId", "PolicyDocument", "PrivateDnsEnabled")}
    return params


def _change_endpoint(cloud: Cloud, old: Props, new: Props) -> None:
    changes: Props = {}
    for name, member in (
        ("subnetIds", "SubnetIds"),
        ("securityGroupIds", "SecurityGroupIds"),
        ("routeTableIds", "RouteTableIds"),
    ):
        before, after = set(old.get(name) or ()), set(new.get(name) or ())
        if after - before:
            changes[f"Add{member}"] = sorted(after - before)
        if before - after:
            changes[f"Remove{member}"] = sorted(before - after)
    if changes:
        cloud.call("ec2", "ModifyVpcEndpoint", VpcEndpointId=new["id"], **changes)


def _found_endpoint(_cloud: Cloud, inputs: Props, found: Mapping[str, Any]) -> Props:
    groups = [group["GroupId"] for group in found.get("Groups", ())]
    seen: Props = {}
    for name, held in (
        ("securityGroupIds", groups),
        ("subnetIds", found.get("SubnetIds", [])),
        ("routeTableIds", found.get("RouteTableIds", [])),
    ):
        if name in inputs:
            said = inputs[name]
            seen[name] = said if sorted(said) == sorted(held) else held
    return seen


KINDS = (
    ResourceType(
        type="aws:ec2/vpc:Vpc",
        service="ec2",
        create="CreateVpc",
        read="DescribeVpcs",
        delete="DeleteVpc",
        id="{vpcId}",
        keys=("id",),
        rename={"id": "VpcId|VpcIds[0]", "enableDnsSupport": "none", "enableDnsHostnames": "none"},
        found="Vpcs[0]",
        gone=("InvalidVpcID.NotFound",),
        outputs={"vpcId": "=Vpc.VpcId|VpcId", "arn": "arn:aws:ec2:{region}:{account}:vpc/{vpcId}"},
        extras=(FollowUpCall("ModifyVpcAttribute", ("enableDnsSupport", "enableDnsHostnames"), when=lambda _: False),),
        by_hand=tuple(_VPC_SWITCHES),
        after_create=_switch_vpc,
        on_update=lambda cloud, _old, new: _switch_vpc(cloud, new),
        replaces=("cidrBlock", "instanceTenancy"),
        tags=_tags("vpc"),
        server_named=True,
        to_inputs=_found_vpc,
        find=_by_intent("DescribeVpcs", "Vpcs", "VpcId"),
    ),
    ResourceType(
        type="aws:ec2/subnet:Subnet",
        service="ec2",
        create="CreateSubnet",
        read="DescribeSubnets",
        delete="DeleteSubnet",
        id="{subnetId}",
        keys=("id",),
        rename={"id": "SubnetId|SubnetIds[0]"},
        found="Subnets[0]",
        gone=("InvalidSubnetID.NotFound",),
        outputs={"subnetId": "=Subnet.SubnetId|SubnetId", "arn": "=Subnet.SubnetArn|SubnetArn"},
        replaces=("*",),
        tags=_tags("subnet"),
        server_named=True,
        find=_by_intent("DescribeSubnets", "Subnets", "SubnetId"),
    ),
    ResourceType(
        type="aws:ec2/routeTable:RouteTable",
        service="ec2",
        create="CreateRouteTable",
        read="DescribeRouteTables",
        delete="DeleteRouteTable",
        id="{routeTableId}",
        keys=("id",),
        rename={"id": "RouteTableId|RouteTableIds[0]"},
        found="RouteTables[0]",
        gone=("InvalidRouteTableID.NotFound",),
        outputs={
            "routeTableId": "=RouteTable.RouteTableId|RouteTableId",
            "arn": "arn:aws:ec2:{region}:{account}:route-table/{routeTableId}",
        },
        replaces=("vpcId",),
        tags=_tags("route-table"),
        server_named=True,
        find=_by_intent("DescribeRouteTables", "RouteTables", "RouteTableId"),
    ),
    ResourceType(
        type="aws:ec2/routeTableAssociation:RouteTableAssociation",
        service="ec2",
        create="AssociateRouteTable",
        read="DescribeRouteTables",
        delete="DisassociateRouteTable",
        id="{associationId}",
        keys=("id",),
        rename={"id": "AssociationId"},
        found="RouteTables[0]",
        gone=("InvalidAssociationID.NotFound",),
        outputs={"associationId": "=AssociationId|Associations[0].RouteTableAssociationId"},
        replaces=("*",),
        server_named=True,
        to_params=_association_params,
        to_inputs=lambda _cloud, inputs, found: {
            "subnetId": next(
                (a.get("SubnetId") for a in found["Associations"] if a["RouteTableAssociationId"] == inputs["id"]), None
            )
        },
        find=_association_of,
    ),
    ResourceType(
        type="aws:ec2/securityGroup:SecurityGroup",
        service="ec2",
        create="CreateSecurityGroup",
        read="DescribeSecurityGroups",
        delete="DeleteSecurityGroup",
        id="{groupId}",
        keys=("id",),
        rename={"id": "GroupId|GroupIds[0]", "name": "GroupName"},
        named="name",
        max_name=255,
        found="SecurityGroups[0]",
        gone=("InvalidGroup.NotFound",),
        outputs={
            "groupId": "=GroupId|GroupId",
            "arn": "arn:aws:ec2:{region}:{account}:security-group/{groupId}",
        },
        after_create=_shut,
        replaces=("name", "description", "vpcId"),
        tags=_tags("security-group"),
        server_named=True,
        find=_by_intent("DescribeSecurityGroups", "SecurityGroups", "GroupId"),
    ),
    _rule("Ingress"),
    _rule("Egress"),
    ResourceType(
        type="aws:ec2/vpcEndpoint:VpcEndpoint",
        service="ec2",
        create="CreateVpcEndpoint",
        read="DescribeVpcEndpoints",
        delete="DeleteVpcEndpoints",
        id="{vpcEndpointId}",
        keys=("id",),
        rename={"id": "VpcEndpointId|VpcEndpointIds[0]", "policy": "PolicyDocument"},
        found="VpcEndpoints[0]",
        alive=lambda found: str(found.get("State", "")).lower() not in ("deleted", "deleting"),
        gone=("InvalidVpcEndpointId.NotFound",),
        outputs={
            "vpcEndpointId": "=VpcEndpoint.VpcEndpointId|VpcEndpointId",
            "prefixListId": "=none",
            "arn": "arn:aws:ec2:{region}:{account}:vpc-endpoint/{vpcEndpointId}",
        },
        updates=(FollowUpCall("ModifyVpcEndpoint", ("policy", "privateDnsEnabled")),),
        by_hand=("subnetIds", "securityGroupIds", "routeTableIds"),
        after_create=_prefix_list,
        on_update=_change_endpoint,
        replaces=("vpcId", "serviceName", "vpcEndpointType"),
        tags=_tags("vpc-endpoint"),
        server_named=True,
        to_params=_endpoint_params,
        to_inputs=_found_endpoint,
        find=_by_intent("DescribeVpcEndpoints", "VpcEndpoints", "VpcEndpointId"),
    ),
)

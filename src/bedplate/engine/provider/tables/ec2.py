"""Resource types of EC2's network: VPCs, subnets, route tables, security groups with their rules, and VPC endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bedplate.engine.protocol import INTENT_TAG, Properties
from bedplate.engine.provider.clients import AwsClients, Params
from bedplate.engine.provider.resource_type import ALL_PROPERTIES, FollowUpCall, ResourceType, TagOperations

VPC_ATTRIBUTES = {"enableDnsSupport": "EnableDnsSupport", "enableDnsHostnames": "EnableDnsHostnames"}
ENDPOINT_SETS = {
    "subnetIds": "SubnetIds",
    "securityGroupIds": "SecurityGroupIds",
    "routeTableIds": "RouteTableIds",
}
DELETED_STATES = ("deleted", "deleting")


def _find_by_intent(
    operation: str, list_member: str, id_member: str
) -> Callable[[AwsClients, str, Properties], str | None]:
    """Returns a `find_id` hook, which finds the resource that has the intent tag and is not deleted."""

    def find_id(aws: AwsClients, intent: str, _inputs: Properties) -> str | None:
        filters = [{"Name": f"tag:{INTENT_TAG}", "Values": [intent]}]
        resources = aws.call("ec2", operation, Filters=filters)[list_member]
        existing = (resource for resource in resources if resource.get("State") not in DELETED_STATES)
        return next((str(resource[id_member]) for resource in existing), None)

    return find_id


def _ec2_type(
    type: str, operations: tuple[str, str, str], id_member: str, tag_type: str, **fields: Any
) -> ResourceType:
    """Returns the type of a resource whose id EC2 assigns, and which its tags identify after a kill."""
    id_property = f"{id_member[0].lower()}{id_member[1:]}"
    list_member = operations[1].removeprefix("Describe")
    target = {"Resources": ["{id}"], "Filters": [{"Name": "resource-id", "Values": ["{id}"]}]}
    defaults = {
        "key_properties": ("id",),
        "outputs": {
            id_property: f"={list_member.removesuffix('s')}.{id_member}|{id_member}",
            "arn": f"arn:aws:ec2:{{region}}:{{account}}:{tag_type}/{{{id_property}}}",
        },
    }
    return ResourceType(
        type,
        "ec2",
        operations,
        id_format=f"{{{id_property}}}",
        read_path=f"{list_member}[0]",
        tags=TagOperations(
            target,
            *("CreateTags", "DeleteTags", "DescribeTags"),
            keys_member="Tags",
            ec2_resource_type=tag_type,
        ),
        has_generated_id=True,
        find_id=_find_by_intent(operations[1], list_member, id_member),
        **{**defaults, **fields},
    )


# --- VPCs ------------------------------------------------------------------------------------------------------------


def _set_vpc_attributes(aws: AwsClients, properties: Properties) -> None:
    """Sets the declared attributes one by one, because ModifyVpcAttribute takes one per call."""
    for name, member in VPC_ATTRIBUTES.items():
        if name in properties:
            value = {"Value": bool(properties[name])}
            aws.call("ec2", "ModifyVpcAttribute", VpcId=properties["id"], **{member: value})


def _read_vpc(aws: AwsClients, inputs: Properties, _actual: Mapping[str, Any]) -> Properties:
    live_inputs: Properties = {}
    for name, member in VPC_ATTRIBUTES.items():
        if name in inputs:
            response = aws.call("ec2", "DescribeVpcAttribute", VpcId=inputs["id"], Attribute=name)
            live_inputs[name] = response[member]["Value"]
    return live_inputs


# --- security groups -------------------------------------------------------------------------------------------------


def _revoke_default_egress(aws: AwsClients, properties: Properties) -> None:
    """Revokes the rule that AWS adds to a new group, which allows all egress, as pulumi-aws does."""
    permissions = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    aws.call("ec2", "RevokeSecurityGroupEgress", GroupId=properties["id"], IpPermissions=permissions)


def _rule_params(_aws: AwsClients, operation: str, properties: Properties, params: Params) -> Params:
    """Moves the rule's description into its peer (a group, prefix list or IP range), where EC2 expects it."""
    if operation.startswith("Authorize"):
        (permission,) = params["IpPermissions"]
        for peer in ("UserIdGroupPairs", "PrefixListIds", "IpRanges"):
            if peer in permission and properties.get("description"):
                permission[peer][0]["Description"] = properties["description"]
    return params


def _read_rule(_aws: AwsClients, inputs: Properties, actual: Mapping[str, Any]) -> Properties:
    peers = {
        "referencedSecurityGroupId": (actual.get("ReferencedGroupInfo") or {}).get("GroupId"),
        "prefixListId": actual.get("PrefixListId"),
        "cidrIpv4": actual.get("CidrIpv4"),
    }
    return {name: value for name, value in peers.items() if name in inputs}


def _rule_type(direction: str) -> ResourceType:
    operations = (
        f"AuthorizeSecurityGroup{direction}",
        "DescribeSecurityGroupRules",
        f"RevokeSecurityGroup{direction}",
    )
    return _ec2_type(
        f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule",
        operations,
        "SecurityGroupRuleId",
        "security-group-rule",
        key_properties=("securityGroupId",),
        parse_id=lambda id: {"id": id},
        member_paths={
            "securityGroupId": "GroupId",
            "id": "SecurityGroupRuleIds[0]",
            "ipProtocol": "IpPermissions[0].IpProtocol",
            "fromPort": "IpPermissions[0].FromPort",
            "toPort": "IpPermissions[0].ToPort",
            "referencedSecurityGroupId": "IpPermissions[0].UserIdGroupPairs[0].GroupId",
            "prefixListId": "IpPermissions[0].PrefixListIds[0].PrefixListId",
            "cidrIpv4": "IpPermissions[0].IpRanges[0].CidrIp",
        },
        provider_only=("description",),
        missing_codes=("InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound", "InvalidGroup.NotFound"),
        outputs={"securityGroupRuleId": "=SecurityGroupRules[0].SecurityGroupRuleId|SecurityGroupRuleId"},
        replaces=(ALL_PROPERTIES,),
        adjust_params=_rule_params,
        read_inputs=_read_rule,
    )


# --- route tables ----------------------------------------------------------------------------------------------------


def _association_params(_aws: AwsClients, operation: str, properties: Properties, params: Params) -> Params:
    if operation == "DescribeRouteTables":
        return {"Filters": [{"Name": "association.route-table-association-id", "Values": [properties["id"]]}]}
    return params


def _read_association(_aws: AwsClients, inputs: Properties, actual: Mapping[str, Any]) -> Properties:
    subnets = {a["RouteTableAssociationId"]: a.get("SubnetId") for a in actual["Associations"]}
    return {"subnetId": subnets.get(inputs["id"])}


def _find_association(aws: AwsClients, _intent: str, inputs: Properties) -> str | None:
    """Finds the association by its subnet, which has at most one; associations have no tags."""
    filters = [{"Name": "association.subnet-id", "Values": [inputs["subnetId"]]}]
    for table in aws.call("ec2", "DescribeRouteTables", Filters=filters)["RouteTables"]:
        for association in table["Associations"]:
            pair = (association.get("SubnetId"), table["RouteTableId"])
            if pair == (inputs["subnetId"], inputs["routeTableId"]):
                return str(association["RouteTableAssociationId"])
    return None


# --- VPC endpoints ---------------------------------------------------------------------------------------------------


def _set_prefix_list(aws: AwsClients, properties: Properties) -> None:
    """Adds the prefix list (address ranges) of a gateway endpoint, which security group rules refer to."""
    if properties.get("vpcEndpointType", "Gateway") == "Gateway":
        filters = [{"Name": "prefix-list-name", "Values": [properties["serviceName"]]}]
        prefix_lists = aws.call("ec2", "DescribePrefixLists", Filters=filters)["PrefixLists"]
        if prefix_lists:
            properties["prefixListId"] = prefix_lists[0]["PrefixListId"]


def _endpoint_params(_aws: AwsClients, operation: str, _properties: Properties, params: Params) -> Params:
    """Drops the sets from an update: `_update_endpoint_sets` adds and removes their members."""
    if operation == "ModifyVpcEndpoint":
        return {k: v for k, v in params.items() if k in ("VpcEndpointId", "PolicyDocument", "PrivateDnsEnabled")}
    return params


def _update_endpoint_sets(aws: AwsClients, old: Properties, new: Properties) -> None:
    changes: Params = {}
    for name, member in ENDPOINT_SETS.items():
        before, after = set(old.get(name) or ()), set(new.get(name) or ())
        if added := sorted(after - before):
            changes[f"Add{member}"] = added
        if removed := sorted(before - after):
            changes[f"Remove{member}"] = removed
    if changes:
        aws.call("ec2", "ModifyVpcEndpoint", VpcEndpointId=new["id"], **changes)


def _read_endpoint(_aws: AwsClients, inputs: Properties, actual: Mapping[str, Any]) -> Properties:
    """Returns subnets, route tables and security groups, in the declared order if only the order differs."""
    groups = [group["GroupId"] for group in actual.get("Groups", ())]
    live_sets = {name: actual.get(member, []) for name, member in ENDPOINT_SETS.items()} | {"securityGroupIds": groups}
    return {
        name: inputs[name] if sorted(inputs[name]) == sorted(live_set) else live_set
        for name, live_set in live_sets.items()
        if name in inputs
    }


RESOURCE_TYPES = (
    _ec2_type(
        "aws:ec2/vpc:Vpc",
        ("CreateVpc", "DescribeVpcs", "DeleteVpc"),
        "VpcId",
        "vpc",
        missing_codes=("InvalidVpcID.NotFound",),
        member_paths={"id": "VpcId|VpcIds[0]", "enableDnsSupport": "none", "enableDnsHostnames": "none"},
        # Never called: it only tells `check` that the create need not have members for these properties.
        create_follow_ups=(FollowUpCall("ModifyVpcAttribute", tuple(VPC_ATTRIBUTES), condition=lambda _: False),),
        on_update_properties=tuple(VPC_ATTRIBUTES),
        after_create=_set_vpc_attributes,
        on_update=lambda aws, _old, new: _set_vpc_attributes(aws, new),
        replaces=("cidrBlock", "instanceTenancy"),
        read_inputs=_read_vpc,
    ),
    _ec2_type(
        "aws:ec2/subnet:Subnet",
        ("CreateSubnet", "DescribeSubnets", "DeleteSubnet"),
        "SubnetId",
        "subnet",
        missing_codes=("InvalidSubnetID.NotFound",),
        member_paths={"id": "SubnetId|SubnetIds[0]"},
        outputs={"subnetId": "=Subnet.SubnetId|SubnetId", "arn": "=Subnet.SubnetArn|SubnetArn"},
        replaces=(ALL_PROPERTIES,),
    ),
    _ec2_type(
        "aws:ec2/routeTable:RouteTable",
        ("CreateRouteTable", "DescribeRouteTables", "DeleteRouteTable"),
        "RouteTableId",
        "route-table",
        missing_codes=("InvalidRouteTableID.NotFound",),
        member_paths={"id": "RouteTableId|RouteTableIds[0]"},
        replaces=("vpcId",),
    ),
    ResourceType(
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "ec2",
        ("AssociateRouteTable", "DescribeRouteTables", "DisassociateRouteTable"),
        id_format="{associationId}",
        key_properties=("id",),
        member_paths={"id": "AssociationId"},
        read_path="RouteTables[0]",
        missing_codes=("InvalidAssociationID.NotFound",),
        outputs={"associationId": "=AssociationId|Associations[0].RouteTableAssociationId"},
        replaces=(ALL_PROPERTIES,),
        has_generated_id=True,
        adjust_params=_association_params,
        read_inputs=_read_association,
        find_id=_find_association,
    ),
    _ec2_type(
        "aws:ec2/securityGroup:SecurityGroup",
        ("CreateSecurityGroup", "DescribeSecurityGroups", "DeleteSecurityGroup"),
        "GroupId",
        "security-group",
        missing_codes=("InvalidGroup.NotFound",),
        member_paths={"id": "GroupId|GroupIds[0]", "name": "GroupName"},
        name_property="name",
        max_name_length=255,
        outputs={
            "groupId": "=GroupId|GroupId",
            "arn": "arn:aws:ec2:{region}:{account}:security-group/{groupId}",
        },
        after_create=_revoke_default_egress,
        replaces=("name", "description", "vpcId"),
    ),
    _rule_type("Ingress"),
    _rule_type("Egress"),
    _ec2_type(
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        ("CreateVpcEndpoint", "DescribeVpcEndpoints", "DeleteVpcEndpoints"),
        "VpcEndpointId",
        "vpc-endpoint",
        missing_codes=("InvalidVpcEndpointId.NotFound",),
        member_paths={"id": "VpcEndpointId|VpcEndpointIds[0]", "policy": "PolicyDocument"},
        is_alive=lambda actual: str(actual.get("State", "")).lower() not in DELETED_STATES,
        outputs={
            "vpcEndpointId": "=VpcEndpoint.VpcEndpointId|VpcEndpointId",
            "prefixListId": "=none",  # from _set_prefix_list
            "arn": "arn:aws:ec2:{region}:{account}:vpc-endpoint/{vpcEndpointId}",
        },
        update_calls=(FollowUpCall("ModifyVpcEndpoint", ("policy", "privateDnsEnabled")),),
        on_update_properties=tuple(ENDPOINT_SETS),
        after_create=_set_prefix_list,
        on_update=_update_endpoint_sets,
        replaces=("vpcId", "serviceName", "vpcEndpointType"),
        adjust_params=_endpoint_params,
        read_inputs=_read_endpoint,
    ),
)

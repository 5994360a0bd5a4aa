"""The provider functions that a program can invoke: caller identity, region, partition and IAM policy documents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from bedplate.engine.protocol import Properties
from bedplate.engine.provider.clients import AwsClients


def _get_caller_identity(aws: AwsClients, _args: Properties) -> Properties:
    identity = aws.call("sts", "GetCallerIdentity")
    account_id = identity["Account"]
    return {"accountId": account_id, "arn": identity["Arn"], "userId": identity["UserId"], "id": account_id}


def _get_region(aws: AwsClients, _args: Properties) -> Properties:
    names = dict.fromkeys(("id", "name", "region", "description"), aws.region)
    return {**names, "endpoint": f"ec2.{aws.region}.amazonaws.com"}


def _get_partition(_aws: AwsClients, _args: Properties) -> Properties:
    return {"id": "aws", "partition": "aws", "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws"}


def _get_policy_document(_aws: AwsClients, args: Properties) -> Properties:
    document: dict[str, Any] = {"Version": args.get("version", "2012-10-17")}
    if args.get("policyId"):
        document["Id"] = args["policyId"]
    document["Statement"] = [_build_statement(declared) for declared in args.get("statements") or []]
    text = json.dumps(document, indent=2)
    return {
        **args,
        "id": hashlib.sha256(text.encode()).hexdigest()[:10],
        "json": text,
        "minifiedJson": json.dumps(document, separators=(",", ":")),
    }


def _build_statement(declared: Properties) -> dict[str, Any]:
    """Builds an IAM policy statement from the properties of Pulumi's GetPolicyDocumentStatement."""
    statement: dict[str, Any] = {"Sid": declared["sid"]} if declared.get("sid") else {}
    statement["Effect"] = declared.get("effect", "Allow")
    for key, member in (
        ("actions", "Action"),
        ("notActions", "NotAction"),
        ("resources", "Resource"),
        ("notResources", "NotResource"),
    ):
        if declared.get(key):
            statement[member] = _unwrap_single(declared[key])
    for key, member in (("principals", "Principal"), ("notPrincipals", "NotPrincipal")):
        if declared.get(key):
            statement[member] = _build_principals(declared[key])
    if declared.get("conditions"):
        conditions: dict[str, dict[str, Any]] = {}
        for condition in declared["conditions"]:
            conditions.setdefault(condition["test"], {})[condition["variable"]] = _unwrap_single(condition["values"])
        statement["Condition"] = conditions
    return statement


def _build_principals(principals: list[Properties]) -> Any:
    if any(principal["type"] == "*" for principal in principals):
        return "*"
    return {principal["type"]: _unwrap_single(principal["identifiers"]) for principal in principals}


def _unwrap_single(values: list[str]) -> Any:
    """Returns the only element of a list, or a longer list in descending order, as Terraform's provider writes it."""
    return values[0] if len(values) == 1 else sorted(values, reverse=True)


FUNCTIONS: dict[str, Callable[[AwsClients, Properties], Properties]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": _get_caller_identity,
    "aws:index/getRegion:getRegion": _get_region,
    "aws:index/getPartition:getPartition": _get_partition,
    "aws:iam/getPolicyDocument:getPolicyDocument": _get_policy_document,
}

"""The provider's functions that a program may call: who and where we are, and policy documents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from bedplate.engine.protocol import Properties
from bedplate.engine.provider.cloud import Cloud


def _caller_identity(cloud: Cloud, _args: Properties) -> Properties:
    answer = cloud.call("sts", "GetCallerIdentity")
    account = answer["Account"]
    return {"accountId": account, "arn": answer["Arn"], "userId": answer["UserId"], "id": account}


def _region(cloud: Cloud, _args: Properties) -> Properties:
    region = cloud.region
    return {
        "id": region,
        "name": region,
        "region": region,
        "description": region,
        "endpoint": f"ec2.{region}.amazonaws.com",
    }


def _partition(_cloud: Cloud, _args: Properties) -> Properties:
    return {"id": "aws", "partition": "aws", "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws"}


def _policy_document(_cloud: Cloud, args: Properties) -> Properties:
    document: dict[str, Any] = {"Version": args.get("version", "2012-10-17")}
    if args.get("policyId"):
        document["Id"] = args["policyId"]
    document["Statement"] = [_statement(statement) for statement in args.get("statements") or []]
    text = json.dumps(document, indent=2)
    return {
        **args,
        "id": hashlib.sha256(text.encode()).hexdigest()[:10],
        "json": text,
        "minifiedJson": json.dumps(document, separators=(",", ":")),
    }


def _statement(said: Properties) -> dict[str, Any]:
    statement: dict[str, Any] = {"Sid": said["sid"]} if said.get("sid") else {}
    statement["Effect"] = said.get("effect", "Allow")
    for key, member in (
        ("actions", "Action"),
        ("notActions", "NotAction"),
        ("resources", "Resource"),
        ("notResources", "NotResource"),
    ):
        if said.get(key):
            statement[member] = _one_or_many(said[key])
    for key, member in (("principals", "Principal"), ("notPrincipals", "NotPrincipal")):
        if said.get(key):
            statement[member] = _principals(said[key])
    if said.get("conditions"):
        conditions: dict[str, dict[str, Any]] = {}
        for condition in said["conditions"]:
            conditions.setdefault(condition["test"], {})[condition["variable"]] = _one_or_many(condition["values"])
        statement["Condition"] = conditions
    return statement


def _principals(said: list[Properties]) -> Any:
    if any(p["type"] == "*" for p in said):
        return "*"
    return {p["type"]: _one_or_many(p["identifiers"]) for p in said}


def _one_or_many(values: list[str]) -> Any:
    return values[0] if len(values) == 1 else sorted(values, reverse=True)


FUNCTIONS: dict[str, Callable[[Cloud, Properties], Properties]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": _caller_identity,
    "aws:index/getRegion:getRegion": _region,
    "aws:index/getPartition:getPartition": _partition,
    "aws:iam/getPolicyDocument:getPolicyDocument": _policy_document,
}

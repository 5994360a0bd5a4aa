"""What in a plan loses data or drops traffic: said before anybody agrees to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from bedplate.domain.stacks.plan import ResourceChange

Kind = Literal["data", "traffic"]

_HOLDS = {
    "aws:s3/bucket:Bucket": "every object in it, old versions included, goes with it",
    "aws:kms/key:Key": "what was encrypted with it can never be read again once the key is gone",
    "aws:ecr/repository:Repository": "every image in it goes with it, and a release cannot start without its image",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": "the record of its versions and approvals goes with it",
    "aws:cloudwatch/logGroup:LogGroup": "what was logged goes with it",
}
_SERVES = "aws:sagemaker/endpoint:Endpoint"
_VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"


@dataclass(frozen=True, slots=True)
class Risk:
    """`kind` is what is at stake; `why` a clause about it."""

    kind: Kind
    op: str
    urn: str
    type: str
    name: str
    why: str


def risks(resources: Iterable[ResourceChange]) -> tuple[Risk, ...]:
    """Replacements and deletions of what holds data or serves, and the end of a bucket's protections."""
    found = []
    for resource in resources:
        kind, why = _risk(resource)
        if why:
            found.append(Risk(kind, resource.op, resource.urn, resource.type, resource.name, why))
    return tuple(found)


def _risk(resource: ResourceChange) -> tuple[Kind, str]:
    goes = resource.op in ("delete", "replace", "delete-replaced")
    if resource.type == _SERVES and resource.op == "replace":
        return "traffic", "nobody answers between the old endpoint and the new one, which is born with the fallback"
    if resource.type == _SERVES and goes:
        return "traffic", "requests to it fail from then on"
    if resource.type in _HOLDS and goes:
        return "data", _HOLDS[resource.type]
    if resource.type == _VERSIONING and (goes or _turned_off(resource)):
        return "data", "what is overwritten or deleted from then on cannot be brought back"
    if _now_forced(resource):
        return "data", "force_destroy: from then on `destroy` deletes it with all it holds"
    return "data", ""


def _turned_off(resource: ResourceChange) -> bool:
    return (_status(resource.before), _status(resource.after)) == ("Enabled", "Suspended")


def _status(inputs: Any) -> Any:
    return ((inputs or {}).get("versioningConfiguration") or {}).get("status")


def _now_forced(resource: ResourceChange) -> bool:
    before, after = resource.before, resource.after
    if resource.op != "update" or before is None or after is None:
        return False
    return bool(after.get("forceDestroy")) and not before.get("forceDestroy")

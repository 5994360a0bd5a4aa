"""Finds the changes of a plan that lose data or interrupt traffic, so that they are shown before it is confirmed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from bedplate.domain.stacks.plan import ResourceChange

RiskKind = Literal["data", "traffic"]

_DATA_LOSS = {
    "aws:s3/bucket:Bucket": "all its objects are deleted, old versions included",
    "aws:kms/key:Key": "data encrypted with it can never be read again once the key is deleted",
    "aws:ecr/repository:Repository": "all its images are deleted, and a release cannot start without its image",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": "the records of its versions and approvals are deleted",
    "aws:cloudwatch/logGroup:LogGroup": "its log lines are deleted",
}
_ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
_VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"


@dataclass(frozen=True, slots=True)
class Risk:
    """A risky change. `kind` is what is at risk; `reason` is a clause."""

    kind: RiskKind
    op: str
    urn: str
    type: str
    name: str
    reason: str


def find_risks(resources: Iterable[ResourceChange]) -> tuple[Risk, ...]:
    """Returns replacements and deletions of resources that hold data or serve traffic, and removals of a bucket's
    protection."""
    risks = []
    for change in resources:
        kind, why = _find_risk(change)
        if why:
            risks.append(Risk(kind, change.op, change.urn, change.type, change.name, why))
    return tuple(risks)


def _find_risk(change: ResourceChange) -> tuple[RiskKind, str]:
    is_deleted = change.op in ("delete", "replace", "delete-replaced")
    if change.type == _ENDPOINT and change.op == "replace":
        return "traffic", "requests fail between the old endpoint and the new one, which starts with the fallback"
    if change.type == _ENDPOINT and is_deleted:
        return "traffic", "requests to it fail from then on"
    if change.type in _DATA_LOSS and is_deleted:
        return "data", _DATA_LOSS[change.type]
    if change.type == _VERSIONING and (is_deleted or _suspends_versioning(change)):
        return "data", "objects overwritten or deleted from then on cannot be restored"
    if _enables_force_destroy(change):
        return "data", "force_destroy: from then on `destroy` deletes it with all its contents"
    return "data", ""


def _suspends_versioning(change: ResourceChange) -> bool:
    return (_status(change.before), _status(change.after)) == ("Enabled", "Suspended")


def _status(inputs: Any) -> Any:
    return ((inputs or {}).get("versioningConfiguration") or {}).get("status")


def _enables_force_destroy(change: ResourceChange) -> bool:
    before, after = change.before, change.after
    if change.op != "update" or before is None or after is None:
        return False
    return bool(after.get("forceDestroy")) and not before.get("forceDestroy")

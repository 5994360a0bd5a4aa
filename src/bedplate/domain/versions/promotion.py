"""Selects what is copied when a version is promoted to another environment, and builds its metadata there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bedplate.domain.names import BucketPurpose

# Decisions of the source environment: stored under `origin_*`, because they do not count in the target.
_DECISION_KEYS = ("approved_by", "approval_reason", "forced_by", "force_reason", "retire_on")
_DATA_KEYS = ("data_uri", "holdout_uri")
_EVIDENCE_KEYS = ("evaluation_uri", "code_uri")
PROMOTED_FROM = "promoted_from"
"""Metadata key of a package: the ARN of the version that it was promoted from."""
ARTIFACT_SHA256 = "artifact_sha256"


@dataclass(frozen=True, slots=True)
class PromotedObject:
    """An S3 object that is copied with a version. A missing object that is not required is reported, not an error."""

    key: str
    """The metadata key that holds the object's URI; `artifact_uri` for the artifact."""
    source: str
    target: str
    is_required: bool


def rebase_uri(uri: str, source: Mapping[BucketPurpose, str], target: Mapping[BucketPurpose, str]) -> str | None:
    """Returns the URI of the same key in the target's bucket of the same purpose; None if the URI is in none of the
    source's buckets.

    >>> rebase_uri("s3://p-staging-data-1/datasets/m/x.csv", {"data": "p-staging-data-1"}, {"data": "p-prod-data-2"})
    's3://p-prod-data-2/datasets/m/x.csv'
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    purpose = next((key for key, name in source.items() if name == bucket), None)
    return None if purpose is None or purpose not in target else f"s3://{target[purpose]}/{key}"


def list_promoted_objects(
    artifact_uri: str,
    metadata: Mapping[str, str],
    source: Mapping[BucketPurpose, str],
    target: Mapping[BucketPurpose, str],
    *,
    with_data: bool,
) -> tuple[PromotedObject, ...]:
    """Returns the objects to copy: artifact, code, evaluation and SBOM, and with `with_data` also the training data and
    the holdout."""
    candidates = [("artifact_uri", artifact_uri, True)]
    candidates += [(key, metadata[key], True) for key in _EVIDENCE_KEYS if metadata.get(key)]
    candidates += [("sbom_uri", metadata["sbom_uri"], False)] if metadata.get("sbom_uri") else []
    candidates += [(key, metadata[key], False) for key in _DATA_KEYS if with_data and metadata.get(key)]
    objects = []
    for key, uri, is_required in candidates:
        target_uri = rebase_uri(uri, source, target)
        if target_uri is not None:
            objects.append(PromotedObject(key, uri, target_uri, is_required))
    return tuple(objects)


def build_promoted_metadata(
    metadata: Mapping[str, str],
    uris: Mapping[str, str],
    *,
    origin_arn: str,
    origin: str,
    artifact_sha256: str,
    image_uri: str,
    person: str,
) -> dict[str, str]:
    """Returns the version's metadata in the target environment: the new URIs, its origin, and the origin's decisions as
    `origin_*`.

    >>> origin = {"verdict": "PASS", "approved_by": "ada"}
    >>> metadata = build_promoted_metadata(origin, {}, origin_arn="arn", origin="staging:3", artifact_sha256="0a",
    ...                                    image_uri="i", person="grace")
    >>> metadata["verdict"], metadata["origin_approved_by"], "approved_by" in metadata
    ('PASS', 'ada', False)
    """
    unchanged = {key: value for key, value in metadata.items() if key not in _DECISION_KEYS}
    origin_decisions = {f"origin_{key}": metadata[key] for key in _DECISION_KEYS if key in metadata}
    promotion = {
        PROMOTED_FROM: origin_arn,
        "origin": origin,
        ARTIFACT_SHA256: artifact_sha256,
        "promoted_by": person[:256],
        "image_uri": image_uri,
    }
    return {**unchanged, **origin_decisions, **uris, **promotion}

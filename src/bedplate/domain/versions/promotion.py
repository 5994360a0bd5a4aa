"""What of a version goes from one environment to the next, under which names: bytes and evidence, never a rebuild."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bedplate.domain.names import BucketPurpose

# Approvals and forces are the other environment's: kept as a record, not as this one's.
_DECISIONS = ("approved_by", "approval_reason", "forced_by", "force_reason", "retire_on")
_DATA = ("data_uri", "holdout_uri")
_EVIDENCE = ("evaluation_uri", "code_uri")
ORIGIN = "promoted_from"
"""Key of a package's metadata: the ARN of the version that it was promoted from."""
ARTIFACT = "artifact_sha256"


@dataclass(frozen=True, slots=True)
class PromotedObject:
    """One object that goes along; `needed` False: without it the version can live, and it is said."""

    key: str
    """The metadata's key, `artifact_uri` for the artifact itself."""
    source: str
    target: str
    needed: bool


def rebase(uri: str, source: Mapping[BucketPurpose, str], target: Mapping[BucketPurpose, str]) -> str | None:
    """The same key in the other environment's bucket of the same purpose; None for what is in none of the buckets.

    >>> rebase("s3://p-staging-data-1/datasets/m/x.parquet", {"data": "p-staging-data-1"}, {"data": "p-prod-data-2"})
    's3://p-prod-data-2/datasets/m/x.parquet'
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    purpose = next((p for p, name in source.items() if name == bucket), None)
    return None if purpose is None or purpose not in target else f"s3://{target[purpose]}/{key}"


def carried(
    artifact_uri: str,
    metadata: Mapping[str, str],
    source: Mapping[BucketPurpose, str],
    target: Mapping[BucketPurpose, str],
    *,
    with_data: bool,
) -> tuple[PromotedObject, ...]:
    """Everything that goes along: the artifact, the code and the evaluation; with data the rows and the holdout too."""
    wanted = [("artifact_uri", artifact_uri, True)]
    wanted += [(key, metadata[key], True) for key in _EVIDENCE if metadata.get(key)]
    wanted += [("sbom_uri", metadata["sbom_uri"], False)] if metadata.get("sbom_uri") else []
    wanted += [(key, metadata[key], False) for key in _DATA if with_data and metadata.get(key)]
    found = []
    for key, uri, needed in wanted:
        to = rebase(uri, source, target)
        if to is not None:
            found.append(PromotedObject(key, uri, to, needed))
    return tuple(found)


def promoted_metadata(
    metadata: Mapping[str, str],
    places: Mapping[str, str],
    *,
    origin_arn: str,
    origin: str,
    artifact_sha256: str,
    image_uri: str,
    person: str,
) -> dict[str, str]:
    """The version's record in the new environment: where it is now, where it came from, and who had approved it there.

    >>> kept = promoted_metadata({"verdict": "PASS", "approved_by": "ada"}, {}, origin_arn="arn", origin="staging:3",
    ...                          artifact_sha256="0a", image_uri="i", person="grace")
    >>> kept["verdict"], kept["origin_approved_by"], "approved_by" in kept
    ('PASS', 'ada', False)
    """
    kept = {key: value for key, value in metadata.items() if key not in _DECISIONS}
    decided = {f"origin_{key}": metadata[key] for key in _DECISIONS if key in metadata}
    now = {
        ORIGIN: origin_arn,
        "origin": origin,
        ARTIFACT: artifact_sha256,
        "promoted_by": person[:256],
        "image_uri": image_uri,
    }
    return {**kept, **decided, **places, **now}

"""Says which instance families a region offers, so that an update does not fail half-way.

Source: EC2's DescribeInstanceTypeOfferings in each region, as recorded in moto 5.2.5 (November 2026), for the families
in SageMaker's API (botocore's TrainingInstanceType and ProductionVariantInstanceType). SageMaker cannot offer a type
that EC2 lacks in a region, so False is reliable as of that date; it may offer fewer than EC2, so True is not a
guarantee. `available_instance_types` of a stack lists types that its region has gained since.
"""

from __future__ import annotations

AS_OF = "2026-11"

_REGION_NAMES = (
    "af-south-1 ap-east-1 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 "
    "ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ca-central-1 ca-west-1 "
    "eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 "
    "il-central-1 me-central-1 me-south-1 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2"
)
_REGIONS = frozenset(_REGION_NAMES.split())

# Regions without the family, for families that most regions have.
_MISSING_IN = {
    "c4": (
        "af-south-1 ap-east-1 ap-south-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ca-west-1 "
        "eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-3 il-central-1 me-central-1 me-south-1"
    ),
    "c5": "ap-southeast-5",
    "c5d": "ap-southeast-5 ca-west-1",
    "c5n": "ap-south-2 ap-southeast-4 ap-southeast-5 ca-west-1 eu-central-2 eu-south-2 il-central-1 me-central-1",
    "c6g": "",
    "c6gd": (
        "ap-east-1 ap-south-2 ap-southeast-4 ap-southeast-5 ca-west-1 eu-south-1 il-central-1 me-central-1 me-south-1"
    ),
    "c6gn": "af-south-1 ap-south-2 ap-southeast-4 eu-central-2 eu-south-2 me-central-1",
    "c6i": "ap-southeast-3 ap-southeast-4 eu-central-2 eu-south-2 me-central-1",
    "c6in": "",
    "c7g": "ap-southeast-4 me-central-1",
    "c7i": "me-south-1",
    "c7i-flex": "ap-northeast-3 ap-southeast-4 ca-west-1 il-central-1 me-central-1 me-south-1",
    "c8g": "me-central-1 me-south-1",
    "c8i": (
        "ap-east-1 ap-northeast-3 ap-southeast-3 ap-southeast-4 ca-west-1 eu-central-2 eu-south-1 "
        "il-central-1 me-central-1 me-south-1"
    ),
    "c8i-flex": (
        "ap-east-1 ap-northeast-3 ap-southeast-3 ap-southeast-4 ca-west-1 eu-central-2 eu-north-1 "
        "eu-south-1 il-central-1 me-central-1 me-south-1"
    ),
    "g4dn": (
        "ap-south-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ca-west-1 eu-central-2 eu-south-2 "
        "il-central-1 me-central-1"
    ),
    "g5": (
        "af-south-1 ap-northeast-3 ap-south-2 ap-southeast-1 ap-southeast-4 ap-southeast-5 ca-west-1 "
        "eu-central-2 eu-south-1 me-south-1 us-west-1"
    ),
    "g6": (
        "af-south-1 ap-east-1 ap-northeast-3 ap-southeast-1 ap-southeast-3 ap-southeast-4 ca-west-1 "
        "eu-south-1 eu-west-1 il-central-1 me-south-1 us-west-1"
    ),
    "inf1": (
        "ap-northeast-3 ap-south-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ca-west-1 eu-central-2 "
        "eu-south-2 il-central-1 me-central-1"
    ),
    "m4": (
        "af-south-1 ap-east-1 ap-south-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ca-west-1 "
        "eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-3 il-central-1 me-central-1 me-south-1"
    ),
    "m5": "ap-southeast-5",
    "m5d": "ap-southeast-5",
    "m6g": "",
    "m6gd": "",
    "m6i": "ap-southeast-4 eu-south-2",
    "m7i": "ca-west-1 me-south-1",
    "m7i-flex": "af-south-1 ca-west-1 eu-central-2 eu-south-1 il-central-1 me-central-1 me-south-1",
    "m8g": "il-central-1",
    "m8i": (
        "ap-east-1 ap-northeast-3 ap-southeast-3 ap-southeast-4 eu-central-2 eu-north-1 eu-south-1 "
        "il-central-1 me-central-1 me-south-1"
    ),
    "m8i-flex": (
        "ap-east-1 ap-northeast-3 ap-southeast-3 ap-southeast-4 eu-central-2 eu-north-1 eu-south-1 "
        "il-central-1 me-central-1 me-south-1"
    ),
    "r5": "ap-southeast-5",
    "r5d": "ap-southeast-5 ca-west-1",
    "r6g": "",
    "r6gd": (
        "ap-east-1 ap-south-2 ap-southeast-4 ap-southeast-5 ca-west-1 eu-south-1 il-central-1 me-central-1 me-south-1"
    ),
    "r6i": "ap-southeast-3 ap-southeast-4 eu-south-2",
    "r7gd": "ap-southeast-4 ca-central-1 ca-west-1 eu-central-2 me-south-1",
    "r7i": "af-south-1 ap-east-1 ca-west-1 eu-central-2 il-central-1 me-central-1 me-south-1",
    "r8g": "il-central-1 me-south-1",
    "r8i": "ap-east-1 ap-northeast-3 ap-southeast-3 ap-southeast-4 me-south-1",
    "r8i-flex": "ap-east-1 ap-northeast-3 ap-southeast-3 ap-southeast-4 il-central-1 me-central-1 me-south-1",
    "t2": (
        "af-south-1 ap-east-1 ap-south-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ca-west-1 "
        "eu-central-2 eu-north-1 eu-south-1 eu-south-2 il-central-1 me-central-1 me-south-1"
    ),
    "t3": "me-central-1",
}
# Regions with the family, for families that fewer than half of the regions have.
_ONLY_IN = {
    "g6e": (
        "ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 eu-central-1 eu-north-1 "
        "eu-south-2 me-central-1 us-east-1 us-east-2 us-west-2"
    ),
    "g7": "eu-central-1 eu-north-1 eu-south-2 us-east-1 us-east-2 us-west-2",
    "g7e": (
        "ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-3 eu-central-1 eu-north-1 eu-south-2 "
        "eu-west-2 us-east-1 us-east-2 us-west-2"
    ),
    "inf2": (
        "ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-1 ap-southeast-2 eu-central-1 eu-north-1 "
        "eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-2"
    ),
    "p3dn": "ap-northeast-1 eu-west-1 us-east-1 us-west-2",
    "p4d": (
        "ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-2 ca-central-1 eu-central-1 eu-north-1 "
        "eu-west-1 eu-west-2 sa-east-1 us-east-1 us-east-2 us-west-2"
    ),
    "p4de": "ap-northeast-1 ap-southeast-1 eu-central-1 il-central-1 us-east-1 us-west-2",
    "p5": (
        "ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-2 ap-southeast-3 ca-central-1 eu-north-1 "
        "eu-west-2 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2"
    ),
    "p5e": "ap-southeast-2 ap-southeast-3 eu-north-1 eu-west-2 sa-east-1 us-east-2 us-west-2",
    "p5en": (
        "ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-3 eu-north-1 eu-south-2 me-central-1 "
        "us-east-1 us-east-2 us-west-1 us-west-2"
    ),
    "p6-b200": "ap-south-1 ap-south-2 eu-north-1 eu-west-3 us-east-1 us-east-2 us-west-2",
    "p6-b300": "ap-northeast-2 ap-south-2 ap-southeast-3 sa-east-1 us-east-1 us-west-2",
    "trn1": "ap-south-1 ap-southeast-2 ap-southeast-4 us-east-1 us-east-2 us-west-2",
    "trn1n": "us-east-1 us-east-2 us-west-2",
    "trn2": "ap-south-2 ap-southeast-4 sa-east-1 us-east-2",
}


def is_offered(region: str, instance_type: str) -> bool | None:
    """Returns whether the region has the type's family; None if the table lacks the region or the family.

    >>> [is_offered(region, "ml.g5.xlarge") for region in ("us-east-1", "eu-south-1", "us-gov-west-1")]
    [True, False, None]
    """
    family = instance_type.split(".")[1] if instance_type.count(".") == 2 else ""
    if region not in _REGIONS:
        return None
    if family in _MISSING_IN:
        return region not in _MISSING_IN[family].split()
    return region in _ONLY_IN[family].split() if family in _ONLY_IN else None


def list_regions_with(instance_type: str) -> tuple[str, ...]:
    """Returns the regions of the table that have the type's family.

    >>> list_regions_with("ml.trn2.48xlarge")
    ('ap-south-2', 'ap-southeast-4', 'sa-east-1', 'us-east-2')
    """
    return tuple(region for region in sorted(_REGIONS) if is_offered(region, instance_type))

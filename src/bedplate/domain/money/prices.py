"""Lists SageMaker's on-demand prices per instance hour.

Source: AWS's price page (https://aws.amazon.com/sagemaker/pricing/), US East (N. Virginia), from the authors' memory in
2025. The table was not copied from that page: verify a price there before relying on it. Discounts, free tiers, savings
plans and other regions are not included. Training, processing and real-time hosting of one instance type cost the same,
except for the burstable types: t2 is offered for hosting, t3 for training and processing.
"""

from __future__ import annotations

from typing import Literal

InstanceUse = Literal["training", "processing", "endpoint"]

REGION = "us-east-1"
AS_OF = "2025"
S3_USD_PER_GB_MONTH = 0.023
"""S3 Standard, the first 50 TB a month."""

_BY_FAMILY = {
    "ml.m4": {"xlarge": 0.24, "2xlarge": 0.48, "4xlarge": 0.96, "10xlarge": 2.40, "16xlarge": 3.84},
    "ml.m5": {"large": 0.115, "xlarge": 0.23, "2xlarge": 0.461, "4xlarge": 0.922, "12xlarge": 2.765, "24xlarge": 5.53},
    "ml.m6i": {"large": 0.115, "xlarge": 0.23, "2xlarge": 0.461, "4xlarge": 0.922},
    "ml.c5": {"large": 0.102, "xlarge": 0.204, "2xlarge": 0.408, "4xlarge": 0.816, "9xlarge": 1.836, "18xlarge": 3.672},
    "ml.c6i": {"large": 0.102, "xlarge": 0.204, "2xlarge": 0.408, "4xlarge": 0.816},
    "ml.r5": {"large": 0.151, "xlarge": 0.302, "2xlarge": 0.605, "4xlarge": 1.21, "12xlarge": 3.629},
    "ml.g4dn": {"xlarge": 0.736, "2xlarge": 0.94, "4xlarge": 1.505, "8xlarge": 2.72,
                "12xlarge": 4.89, "16xlarge": 5.44},
    "ml.g5": {"xlarge": 1.408, "2xlarge": 1.515, "4xlarge": 2.03, "8xlarge": 3.06, "12xlarge": 7.09,
              "24xlarge": 10.18, "48xlarge": 20.36},
    "ml.p3": {"2xlarge": 3.825, "8xlarge": 14.688, "16xlarge": 28.152},
}  # fmt: skip
_ALL_USES = {f"{family}.{size}": usd for family, sizes in _BY_FAMILY.items() for size, usd in sizes.items()}
_SINGLE_USE: dict[InstanceUse, dict[str, float]] = {
    "endpoint": {"ml.t2.medium": 0.056, "ml.t2.large": 0.111, "ml.t2.xlarge": 0.223, "ml.t2.2xlarge": 0.445},
    "processing": {"ml.t3.medium": 0.05, "ml.t3.large": 0.10, "ml.t3.xlarge": 0.20, "ml.t3.2xlarge": 0.399},
    "training": {"ml.t3.medium": 0.05, "ml.t3.large": 0.10, "ml.t3.xlarge": 0.20, "ml.t3.2xlarge": 0.399},
}


SERVERLESS_USD_PER_GB_S = 0.00002
"""On-demand serverless inference, per second of inference and gigabyte of memory."""
_SERVERLESS = "serverless."


def serverless_type(memory_mb: int) -> str:
    """Returns the instance type that stands for serverless inference with this memory.

    >>> serverless_type(2048), hourly_usd(serverless_type(2048), "endpoint")
    ('serverless.2048', 0.144)
    """
    return f"{_SERVERLESS}{memory_mb}"


def hourly_usd(instance_type: str, use: InstanceUse) -> float | None:
    """Returns the on-demand price in USD of one instance hour; None for a type that is not in the table.

    >>> hourly_usd("ml.m5.large", "training"), hourly_usd("ml.t2.medium", "endpoint")
    (0.115, 0.056)
    >>> hourly_usd("ml.x9.tiny", "endpoint") is None
    True
    >>> hourly_usd("ml.t2.medium", "training") is None
    True
    """
    if use == "endpoint" and instance_type.startswith(_SERVERLESS):
        memory_gb = int(instance_type.removeprefix(_SERVERLESS)) / 1024
        return round(memory_gb * SERVERLESS_USD_PER_GB_S * 3600, 6)
    return _ALL_USES.get(instance_type, _SINGLE_USE[use].get(instance_type))


def run_usd(instance_type: str, use: InstanceUse, *, seconds: float, count: int = 1) -> float | None:
    """Returns USD for `count` instances that run for `seconds`; None for an unknown type.

    >>> run_usd("ml.m5.large", "training", seconds=1800, count=2)
    0.115
    """
    hourly = hourly_usd(instance_type, use)
    return None if hourly is None else hourly * count * seconds / 3600


def storage_usd(gb_month: float) -> float:
    """Returns USD for S3 Standard storage in gigabyte-months.

    >>> storage_usd(100)
    2.3
    """
    return round(gb_month * S3_USD_PER_GB_MONTH, 12)


def list_instance_types(use: InstanceUse) -> tuple[str, ...]:
    """Returns the instance types with a price for a use, cheapest first.

    >>> list_instance_types("endpoint")[0]
    'ml.t2.medium'
    """
    prices = {**_ALL_USES, **_SINGLE_USE[use]}
    return tuple(sorted(prices, key=lambda instance_type: (prices[instance_type], instance_type)))

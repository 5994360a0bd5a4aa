"""Properties of instance types that decide what a request may contain."""

from __future__ import annotations

# Families with local disks: they are encrypted in hardware, and SageMaker refuses a KMS key for them.
# Source: SageMaker API reference, CreateEndpointConfig, KmsKeyId.
_LOCAL_DISK_FAMILIES = frozenset(
    ("m5d", "c5d", "r5d", "m6gd", "c6gd", "r6gd", "m6id", "c6id", "r6id", "g4dn", "g5", "g6", "p4d", "p5")
)


def has_local_disk(instance_type: str) -> bool:
    """Returns whether the instance encrypts local disks in hardware, so that the endpoint configuration must not have a
    KMS key.

    >>> has_local_disk("ml.g5.xlarge"), has_local_disk("ml.m5.large")
    (True, False)
    """
    return instance_type.split(".")[1] in _LOCAL_DISK_FAMILIES

"""Generates physical names from the logical name and seven hex digits, where the program gives no name."""

from __future__ import annotations

import hashlib
import re

from bedplate.engine.protocol import Properties
from bedplate.engine.provider.resource_type import ResourceType

_SUFFIX_LENGTH = 8  # a dash and seven digits


def logical_name(urn: str) -> str:
    """Returns the last part of a URN.

    >>> logical_name("urn:pulumi:dev::shop::aws:s3/bucket:Bucket::ledger")
    'ledger'
    """
    return urn.rsplit("::", 1)[1]


def missing_name(
    resource_type: ResourceType, urn: str, news: Properties, olds: Properties | None, random_seed: bytes
) -> Properties:
    """Returns the physical name as {property: name} where the program gives none, else {}.

    A generated name is kept from `olds`; a new one depends on `random_seed` only.
    """
    if resource_type.name_property is None or news.get(resource_type.name_property) is not None:
        return {}
    if olds and has_generated_name(resource_type, urn, olds):
        return {resource_type.name_property: olds[resource_type.name_property]}
    digits = hashlib.sha256(random_seed).hexdigest()[:7]
    return {resource_type.name_property: f"{_prefix(resource_type, urn)}-{digits}"}


def has_generated_name(resource_type: ResourceType, urn: str, inputs: Properties) -> bool:
    name = inputs.get(resource_type.name_property or "")
    pattern = rf"{re.escape(_prefix(resource_type, urn))}-[0-9a-f]{{7}}"
    return isinstance(name, str) and re.fullmatch(pattern, name) is not None


def _prefix(resource_type: ResourceType, urn: str) -> str:
    return logical_name(urn)[: resource_type.max_name_length - _SUFFIX_LENGTH]

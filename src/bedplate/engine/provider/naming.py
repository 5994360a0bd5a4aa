"""Physical names: those that the program gives, and those made of the logical name and seven hex digits."""

from __future__ import annotations

import hashlib
import re

from bedplate.engine.protocol import Properties
from bedplate.engine.provider.kind import ResourceType

_SUFFIX = 8  # a dash and seven digits


def logical_name(urn: str) -> str:
    """
    >>> logical_name("urn:pulumi:dev::shop::aws:s3/bucket:Bucket::ledger")
    'ledger'
    """
    return urn.rsplit("::", 1)[1]


def made_up(kind: ResourceType, urn: str, random_seed: bytes) -> str:
    """The name of a resource that the program gives none, the same for the same seed."""
    digits = hashlib.sha256(random_seed).hexdigest()[:7]
    return f"{_stem(kind, urn)}-{digits}"


def is_made_up(kind: ResourceType, urn: str, name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(rf"{re.escape(_stem(kind, urn))}-[0-9a-f]{{7}}", name) is not None


def name_for(kind: ResourceType, urn: str, news: Properties, olds: Properties | None, random_seed: bytes) -> str | None:
    """The physical name where the program gives none: the old one if it was made up too, else a new one."""
    if kind.named is None or news.get(kind.named) is not None:
        return None
    old = (olds or {}).get(kind.named)
    return str(old) if is_made_up(kind, urn, old) else made_up(kind, urn, random_seed)


def _stem(kind: ResourceType, urn: str) -> str:
    return logical_name(urn)[: kind.max_name - _SUFFIX]

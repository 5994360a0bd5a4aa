"""Every resource type that the embedded engine knows; a type without a row is an error."""

from __future__ import annotations

from bedplate.engine.provider.kind import ResourceType
from bedplate.engine.provider.tables import (
    access,
    alerting,
    automating,
    models,
    money,
    network,
    recording,
    scaling,
    storage,
    tracking,
)
from bedplate.errors import UsageError

ROOMS = (
    storage,
    access,
    models,
    alerting,
    money,
    recording,
    network,
    scaling,
    automating,
    tracking,
)
KINDS: dict[str, ResourceType] = {kind.type: kind for rows in ROOMS for kind in rows.KINDS}


def kind_of(type: str) -> ResourceType:
    """Raises UsageError for a type without a row."""
    if type not in KINDS:
        raise UsageError(
            f"The embedded engine does not know the resource type {type} (it knows {len(KINDS)})",
            next_step="bedplate up --engine pulumi",
        )
    return KINDS[type]

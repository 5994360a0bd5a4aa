"""`approval:` of model.yaml: how many people must approve a version, who may, and whether its trainer may."""

from __future__ import annotations

from pydantic import Field

from bedplate.settings.types import StrictModel


class Approval(StrictModel):
    """By default one person approves, two when `risk` is high, and everybody with the permission may approve."""

    people: int | None = Field(default=None, ge=1, le=5)
    """How many different people must approve. None takes the number of the risk class, which is also the minimum."""
    approvers: tuple[str, ...] = ()
    """Who may approve, by the names that `bedplate approve` records; empty allows everybody."""
    not_trainer: bool = False
    """Whether the person who trained a version is barred from approving it."""

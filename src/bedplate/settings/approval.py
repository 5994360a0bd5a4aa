"""`approval:` of model.yaml: how many people must say yes, who may, and whether the trainer is one of them."""

from __future__ import annotations

from pydantic import Field

from bedplate.settings.types import StrictModel


class Approval(StrictModel):
    """Without it one person approves, for `risk: high` two, and anybody whom the platform lets."""

    people: int | None = Field(default=None, ge=1, le=5)
    """How many different people must say yes; None is what the risk class asks for, which is also the least."""
    approvers: tuple[str, ...] = ()
    """Who may say yes, as `bedplate approve` names them; empty for everybody."""
    not_trainer: bool = False
    """Whoever trained a version may not approve it."""

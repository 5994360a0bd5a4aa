"""`automation:` of the stack file: whether events start `bedplate reconcile`, and what its job runs on."""

from __future__ import annotations

from pydantic import Field

from bedplate.settings.types import StrictModel


class Automation(StrictModel):
    reconcile: bool = False
    """Whether an alarm, an approval or an exhausted budget starts `bedplate reconcile` in this environment."""
    instance_type: str = Field(default="ml.t3.medium", pattern=r"^ml\.")
    """Instance type of the reconciler's processing job."""
    max_runtime_s: int = Field(default=3600, ge=60, le=432_000)

"""`automation:` and `tracking:` of the stack file: what starts by itself, and where experiments are kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bedplate.settings.types import StrictModel


class Automation(StrictModel):
    reconcile: bool = False
    """Whether an alarm, an approval or a used-up budget starts `bedplate reconcile` in this environment."""
    instance_type: str = Field(default="ml.t3.medium", pattern=r"^ml\.")
    """What the reconciler's job runs on."""
    max_runtime_s: int = Field(default=3600, ge=60, le=432_000)


class Tracking(StrictModel):
    enabled: bool = False
    """Whether this environment has a managed MLflow tracking server. AWS bills it by the hour, used or not."""
    size: Literal["Small", "Medium", "Large"] = "Small"

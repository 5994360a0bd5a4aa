"""`training:` of model.yaml: the training job of a version, its instances, time limit and maximum price."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from bedplate.settings.tuning import Tuning
from bedplate.settings.types import StrictModel, Usd, raise_if_any


class Spot(StrictModel):
    """Managed spot training: cheaper spare capacity that AWS may reclaim; the job then resumes from its checkpoints."""

    max_wait_s: int = Field(ge=1)
    """Limit for waiting and running together; at least `training.max_runtime_s`."""


class Training(StrictModel):
    entry_point: str = "train.py"
    instance_type: str = Field(default="ml.m5.xlarge", pattern=r"^ml\.")
    instance_count: int = Field(default=1, ge=1, le=64)
    volume_gb: int = Field(default=30, ge=1)
    hyperparameters: dict[str, str | int | float | bool] = Field(default_factory=dict)
    seed: int = 0
    holdout_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Last part of the rows by the `time` column (in file order without one); the training script never sees it."""
    max_runtime_s: int = Field(default=3600, ge=1)
    max_usd: Usd | None = None
    spot: Spot | None = None
    tuning: Tuning | None = None

    @model_validator(mode="after")
    def wait_includes_run_time(self) -> Training:
        if self.spot and self.spot.max_wait_s < self.max_runtime_s:
            message = (
                f"spot.max_wait_s {self.spot.max_wait_s} includes the running time: expected at least max_runtime_s "
                f"({self.max_runtime_s})"
            )
            raise_if_any([(message, "spot.max_wait_s", "max_runtime_s")])
        return self

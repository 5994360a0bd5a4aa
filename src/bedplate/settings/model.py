"""`models/<name>/model.yaml`: the release contract, as types."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from bedplate.settings.data import DataContract
from bedplate.settings.gates import Gates
from bedplate.settings.money import Budget
from bedplate.settings.serving import Rollout, Serving
from bedplate.settings.training import Training
from bedplate.settings.types import Edge, Email, Name
from bedplate.settings.watching import Monitor, Retraining


class ModelSpec(Edge):
    """`models/<name>/model.yaml`: the contract between a model's owner and everybody who relies on it."""

    name: Name
    owner: Email
    on_call: Email
    description: str
    intended_use: str
    excluded_use: str
    risk: Literal["low", "medium", "high"]
    task: Literal["binary", "regression"] = "binary"
    fallback: float
    """What release 0 answers to every row: a constant or the base rate."""
    data: DataContract
    training: Training = Training()
    gates: Gates = Gates()
    serving: Serving = Serving()
    rollout: Rollout = Rollout()
    monitors: Monitor = Monitor()
    retraining: Retraining = Retraining()
    budget: Budget
    retire_on: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")

    @field_validator("retire_on", mode="before")
    @classmethod
    def yaml_dates_are_text(cls, value: object) -> object:
        return value.isoformat() if hasattr(value, "isoformat") else value

    @model_validator(mode="after")
    def parts_fit_together(self) -> ModelSpec:
        known = set(self.data.columns)
        used = {g.by: "gates.segments" for g in self.gates.segments} | {
            g.by: "gates.fairness" for g in self.gates.fairness
        }
        if self.monitors.features != "all":
            used |= dict.fromkeys(self.monitors.features, "monitors.features")
        for column, where in used.items():
            if column not in known:
                raise ValueError(f"{where} names {column!r}, which is no column of data.columns")
        if self.rollout.strategy != "all-at-once" and self.serving.instance_count < 2:
            raise ValueError(
                f"rollout.strategy {self.rollout.strategy!r} shifts part of the capacity, so "
                f"serving.instance_count must be at least 2 (it is {self.serving.instance_count})"
            )
        if self.task == "binary" and not 0 <= self.fallback <= 1:
            raise ValueError(
                f"fallback is a probability for task 'binary', so 0 to 1 expected, found {self.fallback:g}"
            )
        return self

"""`models/<name>/model.yaml`: the release contract, as types."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from bedplate.settings.approval import Approval
from bedplate.settings.data import DataContract
from bedplate.settings.gates import Gates
from bedplate.settings.money import Budget
from bedplate.settings.monitors import Monitor, Retraining
from bedplate.settings.serving import Rollout, Serving
from bedplate.settings.training import Training
from bedplate.settings.types import Email, Name, StrictModel, refuse


class ModelSpec(StrictModel):
    """`models/<name>/model.yaml`: the contract between a model's owner and everybody who relies on it."""

    name: Name
    owner: Email
    on_call: Email
    description: str
    intended_use: str
    excluded_use: str
    limits: tuple[str, ...] = ()
    """Known limits: where it errs, what it was not tried on."""
    risk: Literal["low", "medium", "high"]
    task: Literal["binary", "regression"] = "binary"
    fallback: float
    """What release 0 answers to every row: a constant or the base rate."""
    data: DataContract
    training: Training = Training()
    gates: Gates = Gates()
    approval: Approval = Approval()
    serving: Serving = Serving()
    rollout: Rollout = Rollout()
    monitors: Monitor = Monitor()
    retraining: Retraining = Retraining()
    budget: Budget
    retire_on: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")

    @property
    def people_needed(self) -> int:
        """How many different people must approve a version."""
        least = 2 if self.risk == "high" else 1
        return max(self.approval.people or least, least)

    @field_validator("retire_on", mode="before")
    @classmethod
    def yaml_dates_are_text(cls, value: object) -> object:
        return value.isoformat() if hasattr(value, "isoformat") else value

    @model_validator(mode="after")
    def parts_fit_together(self) -> ModelSpec:
        clashes: list[tuple[str, ...]] = []
        features = () if self.monitors.features == "all" else self.monitors.features
        watched = [(f"monitors.features.{at}", column) for at, column in enumerate(features)]
        for key, column in (*self.gates.grouped_by, *watched):
            if column not in self.data.columns:
                where = ".".join(part for part in key.split(".")[:2])
                clashes.append((f"{where} names {column!r}, which is no column of data.columns", key, "data.columns"))
        for key, column in watched:
            if column in self.data.forbidden_for("monitoring"):
                said = f"monitors.features names {column!r}, whose purposes do not allow monitoring"
                clashes.append((said, key, f"data.columns.{column}.purposes"))
        if self.risk == "high" and self.approval.people == 1:
            said = "approval.people is 1, and a model of high risk needs at least 2 people"
            clashes.append((said, "approval.people", "risk"))
        if self.approval.approvers and len({p.casefold() for p in self.approval.approvers}) < self.people_needed:
            said = (
                f"approval.approvers names {len(self.approval.approvers)}, and {self.people_needed} different people "
                "must approve"
            )
            clashes.append((said, "approval.approvers", "approval.people"))
        if self.serving.mode == "serverless":
            if self.rollout.strategy != "all-at-once":
                said = (
                    f"rollout.strategy {self.rollout.strategy!r} shifts traffic between instances, and serving.mode "
                    "'serverless' has none: SageMaker changes such an endpoint all at once"
                )
                clashes.append((said, "rollout.strategy", "serving.mode"))
        elif self.rollout.strategy in ("canary", "linear") and self.serving.instance_count < 2:
            said = (
                f"rollout.strategy {self.rollout.strategy!r} shifts part of the capacity, so "
                f"serving.instance_count must be at least 2 (it is {self.serving.instance_count})"
            )
            clashes.append((said, "serving.instance_count", "rollout.strategy"))
        if self.task == "binary" and not 0 <= self.fallback <= 1:
            said = f"a fallback is a probability for task 'binary', so 0 to 1 expected, found {self.fallback:g}"
            clashes.append((said, "fallback", "task"))
        if self.monitors.psi_warn > self.monitors.psi_alert:
            said = (
                f"psi_warn {self.monitors.psi_warn:g} is above psi_alert {self.monitors.psi_alert:g}: "
                "what alerts would never have warned"
            )
            clashes.append((said, "monitors.psi_warn", "monitors.psi_alert"))
        if self.task == "binary":
            wrong = {"rmse", "mae", "r2"}
        else:
            wrong = {"auc", "average_precision", "brier", "log_loss", "accuracy", "ece"}
        measured = [(f"gates.thresholds.{at}.metric", gate.metric) for at, gate in enumerate(self.gates.thresholds)]
        measured += [(f"gates.segments.{at}.metric", gate.metric) for at, gate in enumerate(self.gates.segments)]
        measured += [("gates.champion.metric", self.gates.champion.metric)] if self.gates.champion else []
        measured += [(f"monitors.max_drop.{metric}", metric) for metric in self.monitors.max_drop]
        for key, metric in measured:
            if metric in wrong:
                clashes.append((f"{metric} is no metric of task {self.task!r}", key, "task"))
        clashes += [(said, key, "task") for said, key in self.gates.unfit(self.task)]
        clashes += self._schedules_without_a_bound()
        refuse(clashes)
        return self

    def _schedules_without_a_bound(self) -> list[tuple[str, ...]]:
        """Schedules that would have nothing to look at, or nothing to hold it against."""
        asked = self.monitors.schedules
        wanted = {"model_quality": asked.model_quality, "bias": asked.bias, "explainability": asked.explainability}
        found: list[tuple[str, ...]] = []
        for kind, gate in (("bias", "fairness"), ("explainability", "explanation")):
            if wanted[kind] is not None and not getattr(self.gates, gate):
                said = f"monitors.schedules.{kind} watches what gates.{gate} says, and that is not there"
                found.append((said, f"monitors.schedules.{kind}", "gates"))
        for at, rule in enumerate(self.gates.fairness if asked.bias else ()):
            if rule.by in self.data.columns and rule.by not in self.data.watched:
                said = f"monitors.schedules.bias looks at {rule.by!r}, which is no feature that may be monitored"
                found.append((said, f"gates.fairness.{at}.by", f"data.columns.{rule.by}"))
        if self.serving.mode == "serverless":
            said = "serving.mode 'serverless' captures no requests, so there is nothing for a schedule to look at"
            found += [(said, f"monitors.schedules.{k}", "serving.mode") for k, v in wanted.items() if v is not None]
        return found

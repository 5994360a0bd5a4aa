"""`models/<name>/model.yaml`: the release contract of one model, and the rules that span its sections."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from bedplate.settings.approval import Approval
from bedplate.settings.budget import Budget
from bedplate.settings.data import DataContract
from bedplate.settings.gates import Gates, Metric
from bedplate.settings.monitors import Monitor, ScheduleSettings
from bedplate.settings.rollout import Rollout
from bedplate.settings.serving import Serving
from bedplate.settings.training import Training
from bedplate.settings.types import FORMAT, Conflict, Email, Format, Name, StrictModel, raise_if_any


class Retraining(StrictModel):
    on_drift: bool = True
    on_performance_drop: bool = True
    max_age_days: int | None = Field(default=None, ge=1)


class ModelSpec(StrictModel):
    """The contract between a model's owner and its users."""

    format: Format = FORMAT
    """Version of the file's format."""
    name: Name
    owner: Email
    on_call: Email
    description: str
    intended_use: str
    excluded_use: str
    limits: tuple[str, ...] = ()
    """Known limits: where the model is wrong, and what it was not tested on."""
    risk: Literal["low", "medium", "high"]
    task: Literal["binary", "regression"] = "binary"
    fallback: float
    """What release 0 predicts for every row: a constant or the base rate."""
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
    def required_approvals(self) -> int:
        """How many different people must approve a version."""
        minimum = 2 if self.risk == "high" else 1
        return max(self.approval.people or minimum, minimum)

    @field_validator("retire_on", mode="before")
    @classmethod
    def yaml_dates_are_text(cls, value: object) -> object:
        return value.isoformat() if hasattr(value, "isoformat") else value

    @model_validator(mode="after")
    def sections_are_consistent(self) -> ModelSpec:
        errors = [*self._column_errors(), *self._approval_errors(), *self._rollout_errors()]
        if self.task == "binary" and not 0 <= self.fallback <= 1:
            message = f"a fallback is a probability for task 'binary', expected 0 to 1, found {self.fallback:g}"
            errors.append((message, "fallback", "task"))
        if self.monitors.psi_warn > self.monitors.psi_alert:
            bounds = f"psi_warn {self.monitors.psi_warn:g} is above psi_alert {self.monitors.psi_alert:g}"
            message = f"{bounds}: an alert would come before the warning"
            errors.append((message, "monitors.psi_warn", "monitors.psi_alert"))
        errors += self._metric_errors()
        errors += [(message, key, "task") for message, key in self.gates.task_errors(self.task)]
        raise_if_any([*errors, *self._schedule_errors()])
        return self

    def _column_errors(self) -> list[Conflict]:
        """Returns the columns of gates and monitors that the data contract does not have or does not allow."""
        errors: list[Conflict] = []
        features = () if self.monitors.features == "all" else self.monitors.features
        monitored = [(f"monitors.features.{i}", column) for i, column in enumerate(features)]
        for key, column in (*self.gates.group_columns, *monitored):
            if column not in self.data.columns:
                section = ".".join(key.split(".")[:2])
                errors.append((f"{section} names {column!r}, which is no column of data.columns", key, "data.columns"))
        for key, column in monitored:
            if column in self.data.excluded_columns("monitoring"):
                message = f"monitors.features names {column!r}, whose purposes do not allow monitoring"
                errors.append((message, key, f"data.columns.{column}.purposes"))
        return errors

    def _approval_errors(self) -> list[Conflict]:
        errors: list[Conflict] = []
        if self.risk == "high" and self.approval.people == 1:
            message = "approval.people is 1, and a model of high risk needs at least 2 people"
            errors.append((message, "approval.people", "risk"))
        approvers, required = self.approval.approvers, self.required_approvals
        if approvers and len({person.casefold() for person in approvers}) < required:
            message = f"approval.approvers names {len(approvers)}, and {required} different people must approve"
            errors.append((message, "approval.approvers", "approval.people"))
        return errors

    def _rollout_errors(self) -> list[Conflict]:
        strategy, instances = self.rollout.strategy, self.serving.instance_count
        if self.serving.mode == "serverless" and strategy != "all-at-once":
            reason = "serving.mode 'serverless' has none: SageMaker updates such an endpoint all at once"
            message = f"rollout.strategy {strategy!r} shifts traffic between instances, and {reason}"
            return [(message, "rollout.strategy", "serving.mode")]
        if self.serving.mode != "serverless" and strategy in ("canary", "linear") and instances < 2:
            minimum = f"serving.instance_count must be at least 2 (it is {instances})"
            message = f"rollout.strategy {strategy!r} shifts part of the capacity, so {minimum}"
            return [(message, "serving.instance_count", "rollout.strategy")]
        return []

    def _metric_errors(self) -> list[Conflict]:
        """Returns the metrics of gates and monitors that the task does not have."""
        regression = {"rmse", "mae", "r2"}
        unavailable = regression if self.task == "binary" else set(get_args(Metric)) - regression
        metrics = [(f"gates.thresholds.{i}.metric", gate.metric) for i, gate in enumerate(self.gates.thresholds)]
        metrics += [(f"gates.segments.{i}.metric", gate.metric) for i, gate in enumerate(self.gates.segments)]
        metrics += [("gates.champion.metric", self.gates.champion.metric)] if self.gates.champion else []
        metrics += [(f"monitors.max_drop.{metric}", metric) for metric in self.monitors.max_drop]
        return [
            (f"{metric} is no metric of task {self.task!r}", key, "task")
            for key, metric in metrics
            if metric in unavailable
        ]

    def _schedule_errors(self) -> list[Conflict]:
        """Returns the schedules that have no requests to read, or no gate whose bound they use."""
        schedules = self.monitors.schedules
        enabled = [kind for kind in ScheduleSettings.model_fields if getattr(schedules, kind) is not None]
        errors: list[Conflict] = []
        for kind, gate in (("bias", "fairness"), ("explainability", "explanation")):
            if kind in enabled and not getattr(self.gates, gate):
                message = f"monitors.schedules.{kind} uses the bounds of gates.{gate}, which is not set"
                errors.append((message, f"monitors.schedules.{kind}", "gates"))
        for i, rule in enumerate(self.gates.fairness if schedules.bias else ()):
            if rule.column in self.data.columns and rule.column not in self.data.monitored_features:
                message = f"monitors.schedules.bias reads {rule.column!r}, which is no feature that may be monitored"
                errors.append((message, f"gates.fairness.{i}.column", f"data.columns.{rule.column}"))
        if self.serving.mode == "serverless":
            message = "serving.mode 'serverless' captures no requests, so a schedule has nothing to read"
            errors += [(message, f"monitors.schedules.{kind}", "serving.mode") for kind in enabled]
        return errors

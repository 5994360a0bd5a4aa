"""`serving:` of model.yaml: the endpoint's inference mode, its capacity and autoscaling, and its service level."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from bedplate.settings.types import Conflict, Pct, StrictModel, raise_if_any

INSTANCE_KEYS = ("instance_type", "instance_count", "min_instances", "max_instances", "invocations_per_instance")
"""Keys about instances, which a serverless endpoint does not have."""


class Slo(StrictModel):
    latency_p99_ms: float = Field(default=500, gt=0)
    max_error_pct: Pct = 1.0


class Serverless(StrictModel):
    """`mode: serverless`: no instances, no cost without requests, and a cold start for the first request."""

    memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144] = 2048
    max_concurrency: int = Field(default=20, ge=1, le=200)
    """Requests that run at the same time; further ones are throttled. The account has its own limit."""
    provisioned_concurrency: int | None = Field(default=None, ge=1, le=200)
    """Executions that are kept warm and billed by the hour."""

    @model_validator(mode="after")
    def provisioned_is_within_maximum(self) -> Serverless:
        if self.provisioned_concurrency and self.provisioned_concurrency > self.max_concurrency:
            raise ValueError(
                f"provisioned_concurrency {self.provisioned_concurrency} is above max_concurrency "
                f"{self.max_concurrency}, so a part of it could never be used"
            )
        return self


class Asynchronous(StrictModel):
    """`mode: async`: requests wait in a queue, payloads and results are in S3, and instances may scale to zero."""

    max_concurrent_per_instance: int = Field(default=4, ge=1, le=1000)
    backlog_per_instance: float = Field(default=5, gt=0)
    """Autoscaling target: waiting requests per instance."""
    notify_errors: bool = True
    """Whether failed requests are published to the alerts topic."""
    success_topic_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:sns:")
    """Your own SNS topic for completed requests; its name must begin with the environment's prefix."""


class ScheduledScaling(StrictModel):
    """Autoscaling bounds that apply from a time until the next entry."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    at: str = Field(pattern=r"^(cron|rate|at)\(.+\)$")
    """Application Auto Scaling's expression, e.g. `cron(0 7 ? * MON-FRI *)`."""
    timezone: str = "UTC"
    min_instances: int = Field(ge=0)
    max_instances: int = Field(ge=0)


class Serving(StrictModel):
    entry_point: str = "inference.py"
    mode: Literal["instance", "serverless", "async"] = "instance"
    """SageMaker cannot change the mode of an endpoint: another mode replaces it."""
    instance_type: str = Field(default="ml.m5.large", pattern=r"^ml\.")
    instance_count: int = Field(default=2, ge=1)
    min_instances: int = Field(default=2, ge=0)
    """0 scales to zero while no request waits; possible only where `mode` is async."""
    max_instances: int = Field(default=4, ge=1)
    invocations_per_instance: float = Field(default=1000, gt=0)
    """Autoscaling target where `mode` is instance: invocations per instance and minute."""
    serverless: Serverless = Serverless()
    asynchronous: Asynchronous = Asynchronous()
    schedule: tuple[ScheduledScaling, ...] = ()
    """Autoscaling bounds by time of day: more instances before the morning, fewer at night."""
    capture_pct: Pct = 100
    """Share of requests that are captured; 0 where `mode` is serverless, which SageMaker cannot capture."""
    slo: Slo = Slo()

    @model_validator(mode="before")
    @classmethod
    def serverless_captures_nothing(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("mode") == "serverless" and "capture_pct" not in data:
            return {**data, "capture_pct": 0}
        return data

    @model_validator(mode="after")
    def keys_fit_the_mode(self) -> Serving:
        errors: list[Conflict] = []
        if not self.min_instances <= self.instance_count <= self.max_instances:
            counts = f"{self.min_instances}, {self.instance_count}, {self.max_instances}"
            errors.append(
                (f"expected min_instances <= instance_count <= max_instances, found {counts}", "instance_count")
            )
        fields = type(self).model_fields
        if self.mode == "serverless":
            errors += [
                (f"{key} is about instances, and mode 'serverless' has none", key, "mode")
                for key in INSTANCE_KEYS
                if getattr(self, key) != fields[key].default
            ]
            if self.capture_pct:
                message = "SageMaker cannot capture serverless endpoints: expected capture_pct 0 with this mode"
                errors.append((message, "capture_pct", "mode"))
            if self.schedule:
                errors.append(("a serverless endpoint has no instances to schedule", "schedule", "mode"))
        elif self.serverless != Serverless():
            errors.append((f"serverless is set, and mode is {self.mode!r}", "serverless", "mode"))
        if self.mode != "async":
            if self.asynchronous != Asynchronous():
                errors.append((f"asynchronous is set, and mode is {self.mode!r}", "asynchronous", "mode"))
            if self.min_instances == 0:
                message = (
                    "min_instances 0 is possible only where mode is 'async': SageMaker keeps one instance otherwise"
                )
                errors.append((message, "min_instances", "mode"))
        raise_if_any([*errors, *self._schedule_errors()])
        return self

    def _schedule_errors(self) -> list[Conflict]:
        errors: list[Conflict] = []
        for i, entry in enumerate(self.schedule):
            key, low, high = f"schedule.{i}.min_instances", entry.min_instances, entry.max_instances
            if low > high:
                message = f"{entry.name}: min_instances {low} is above max_instances {high}"
                errors.append((message, key, f"schedule.{i}.max_instances"))
            if low == 0 and self.mode != "async":
                message = f"{entry.name}: min_instances 0 is possible only where mode is 'async'"
                errors.append((message, key, "mode"))
        if len({entry.name for entry in self.schedule}) < len(self.schedule):
            errors.append(("every entry of schedule needs its own name", "schedule"))
        return errors

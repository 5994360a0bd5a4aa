"""`stacks/Pulumi.<stack>.yaml`: what differs between environments, as types."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from bedplate.settings.automation import Automation, Tracking
from bedplate.settings.infrastructure import AccountId, Audit, Network, RegistrySettings, Storage
from bedplate.settings.money import CostAnomalies, PlatformBudget
from bedplate.settings.types import Email, Name, StrictModel, refuse


class Alerts(StrictModel):
    emails: tuple[Email, ...]


class Promotion(StrictModel):
    """What this environment takes from others."""

    sources: tuple[str, ...] = ()
    """Stacks that versions may be promoted from; none named: any."""
    approval: Literal["again", "carried"] = "again"
    """Whether somebody has to approve a promoted version here too, or the origin's approval counts."""


class StackSettings(StrictModel):
    """The `bedplate:` keys of a stack file. Values only; rules live in code."""

    target: Literal["local", "aws"]
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="an AWS region")
    account_id: AccountId | None = None
    """The only account this stack may be applied to; checked with STS before anything changes."""
    owner: Email
    cost_center: str
    models: tuple[Name, ...]
    image_tag: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")
    """Tag of the image in this environment's repository, where tags are immutable; without it one that follows from
    Bedplate's version, the Dockerfile and the lock file (`bedplate stack image` prints it)."""
    storage: Storage = Storage()
    registry: RegistrySettings = RegistrySettings()
    audit: Audit = Audit()
    network: Network = Network()
    cost_allocation_tags: bool = False
    """Whether `up` activates the tags that costs are counted by: only the payer account may, and AWS knows a tag only
    about a day after something first carried it."""
    budget: PlatformBudget
    cost_anomalies: CostAnomalies = CostAnomalies()
    alerts: Alerts
    automation: Automation = Automation()
    tracking: Tracking = Tracking()
    promotion: Promotion = Promotion()
    overrides: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Per model: keys of model.yaml that have another value in this environment."""

    available_instance_types: tuple[str, ...] = ()
    """Instance types that this region has, though Bedplate's dated table of regions (domain.availability) says no."""

    @model_validator(mode="after")
    def values_fit_together(self) -> StackSettings:
        have = ", ".join(self.models)
        clashes = [
            (f"overrides names {model!r}, which is not in models ({have})", f"overrides.{model}", "models")
            for model in self.overrides
            if model not in self.models
        ]
        twice = sorted({model for model in self.models if self.models.count(model) > 1})
        clashes += [(f"models names {model!r} more than once", "models", "models") for model in twice]
        if self.target == "local" and self.account_id is not None:
            said = "account_id is for stacks on AWS, and target is 'local'"
            clashes.append((said, "account_id", "target"))
        refuse(clashes)
        return self

"""`stacks/Pulumi.<stack>.yaml`: the settings of one environment, and its small sections."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from bedplate.settings.automation import Automation
from bedplate.settings.budget import CostAnomalies, PlatformBudget
from bedplate.settings.network import Network
from bedplate.settings.storage import Storage
from bedplate.settings.types import FORMAT, AccountId, Days, Email, Format, Name, StrictModel, raise_if_any


class Alerts(StrictModel):
    emails: tuple[Email, ...]


class Audit(StrictModel):
    """The CloudTrail trail of this environment."""

    enabled: bool = True
    """Switch it off where the organisation has a trail over this account: AWS charges for a second copy of events."""
    retention_days: Days = 400
    """Days that the trail's files are kept."""
    multi_region: bool = False
    """Whether the trail records every region, or only the stack's region and the global services."""


class Promotion(StrictModel):
    """Which versions of other environments this environment accepts."""

    sources: tuple[str, ...] = ()
    """Stacks that versions may be promoted from; empty allows every stack."""
    approval: Literal["required", "inherited"] = "required"
    """Whether a promoted version must be approved here again, or inherits the approval of its source stack."""


class RegistrySettings(StrictModel):
    reader_account_ids: tuple[AccountId, ...] = ()
    """Accounts that may read model packages, artifacts and images: dev lists staging's, staging lists production's."""


class Tracking(StrictModel):
    enabled: bool = False
    """Whether this environment has a managed MLflow tracking server. AWS bills it by the hour, used or not."""
    size: Literal["Small", "Medium", "Large"] = "Small"


class StackSettings(StrictModel):
    """The `bedplate:` keys of a stack file. It holds values only; rules are in code."""

    format: Format = FORMAT
    """Version of the file's format."""
    target: Literal["local", "aws"]
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="an AWS region")
    account_id: AccountId | None = None
    """The only account this stack may be applied to; `up` compares it with STS before it changes anything."""
    owner: Email
    cost_center: str
    models: tuple[Name, ...]
    image_tag: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")
    """Tag of the image in this environment's ECR repository, where tags are immutable. The default is derived from
    Bedplate's version, the Dockerfile and the lock file (`bedplate stack image` prints it)."""
    storage: Storage = Storage()
    registry: RegistrySettings = RegistrySettings()
    audit: Audit = Audit()
    network: Network = Network()
    cost_allocation_tags: bool = False
    """Whether `up` activates the cost-allocation tags. Only the payer account may, and AWS lists a tag only about a day
    after the first resource has it."""
    budget: PlatformBudget
    cost_anomalies: CostAnomalies = CostAnomalies()
    alerts: Alerts
    automation: Automation = Automation()
    tracking: Tracking = Tracking()
    promotion: Promotion = Promotion()
    overrides: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By model: keys of model.yaml that have another value in this environment."""

    available_instance_types: tuple[str, ...] = ()
    """Instance types that the region offers although Bedplate's dated table (domain.stacks.availability) lacks them."""

    @model_validator(mode="after")
    def keys_are_consistent(self) -> StackSettings:
        stack_models = ", ".join(self.models)
        errors = [
            (f"overrides names {model!r}, which is not in models ({stack_models})", f"overrides.{model}", "models")
            for model in self.overrides
            if model not in self.models
        ]
        duplicates = sorted({model for model in self.models if self.models.count(model) > 1})
        errors += [(f"models names {model!r} more than once", "models", "models") for model in duplicates]
        if self.target == "local" and self.account_id is not None:
            errors.append(("account_id is for stacks on AWS, and target is 'local'", "account_id", "target"))
        raise_if_any(errors)
        return self

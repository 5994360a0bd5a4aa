"""Builds the name of every resource, release and S3 prefix.

The Pulumi program (`infra/`), the CLI and the local platform all take their names from this module, so that a name
is never stored when it can be derived.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

BucketPurpose = Literal["artifacts", "data", "capture", "ledger", "logs", "trail"]
BUCKET_PURPOSES: tuple[BucketPurpose, ...] = ("artifacts", "data", "capture", "ledger")
"""Buckets that the commands read and write; `logs` (S3 access logs) and `trail` (CloudTrail) are for auditors."""
ScheduleKind = Literal["model-quality", "bias", "explainability"]
SCHEDULE_KINDS: tuple[ScheduleKind, ...] = ("model-quality", "bias", "explainability")
"""Kinds of monitoring that Pulumi's AWS provider cannot define; it can define data quality."""
PERSONAS = ("platform-engineer", "data-scientist", "approver", "finance", "auditor", "reconciler")

_RELEASE = re.compile(r"^(?P<endpoint>.+)-v(?P<version>\d+)-(?P<digest>[0-9a-f]{7,8})$")
_MULTI_VARIANT = re.compile(r"^(?P<endpoint>.+)-split-(?P<digest>[0-9a-f]{7,8})$")
VARIANT = "live"
"""Name of a release's single production variant, and of the champion's in a multi-variant configuration."""
CHALLENGER = "challenger"
"""Name of the second variant of a multi-variant configuration, and of a shadow variant."""


def model_card(package_group: str, version: int) -> str:
    """Returns the name of a version's model card; SageMaker allows 63 characters.

    >>> model_card("bedplate-prod-churn", 3), len(model_card("x" * 70, 12))
    ('bedplate-prod-churn-v3', 63)
    """
    suffix = f"-v{version}"
    return f"{package_group[: 63 - len(suffix)].rstrip('-')}{suffix}"


def bucket(project: str, stack: str, purpose: BucketPurpose, account_id: str) -> str:
    """Returns a bucket's name, which ends with the account because bucket names are global.

    >>> bucket("bedplate", "prod", "ledger", "123456789012")
    'bedplate-prod-ledger-123456789012'
    """
    return f"{project}-{stack}-{purpose}-{account_id}"


def execution_role_prefix(project: str, stack: str, account_id: str) -> str:
    """Returns the prefix of the ARN of every model's execution role; the model's name follows it.

    >>> execution_role_prefix("bedplate", "prod", "123456789012")
    'arn:aws:iam::123456789012:role/bedplate-prod.'
    """
    return f"arn:aws:iam::{account_id}:role/{project}-{stack}."


def trail_arn(project: str, stack: str, region: str, account_id: str) -> str:
    """Returns the ARN of a stack's CloudTrail trail.

    >>> trail_arn("bedplate", "prod", "us-east-1", "123456789012")
    'arn:aws:cloudtrail:us-east-1:123456789012:trail/bedplate-prod'
    """
    return f"arn:aws:cloudtrail:{region}:{account_id}:trail/{project}-{stack}"


def outputs_parameter(project: str, stack: str) -> str:
    """Returns the name of the SSM parameter that holds `settings.PlatformOutputs` as JSON.

    >>> outputs_parameter("bedplate", "prod")
    '/bedplate/prod/platform-outputs'
    """
    return f"/{project}/{stack}/platform-outputs"


def stage_budget(budget: str, stage: str) -> str:
    """Returns the name of the budget of one lifecycle stage of a model or of the platform.

    The dot distinguishes it from the budget of a model that has the name of a stage.

    >>> stage_budget("bedplate-prod-churn", "training")
    'bedplate-prod-churn.training'
    """
    return f"{budget}.{stage}"


@dataclass(frozen=True, slots=True)
class ModelNames:
    """Names of one model's resources and S3 prefixes.

    >>> ModelNames("bedplate", "local", "flight-delay").endpoint
    'bedplate-local-flight-delay'
    """

    project: str
    stack: str
    model: str

    @property
    def base(self) -> str:
        return f"{self.project}-{self.stack}-{self.model}"

    @property
    def endpoint(self) -> str:
        return self.base

    @property
    def package_group(self) -> str:
        return self.base

    @property
    def execution_role(self) -> str:
        """The role of the model's jobs and endpoint. The dot distinguishes it from a persona's role.

        >>> ModelNames("bedplate", "prod", "churn").execution_role
        'bedplate-prod.churn'
        """
        return f"{self.project}-{self.stack}.{self.model}"

    @property
    def budget(self) -> str:
        return self.base

    @property
    def monitoring_schedule(self) -> str:
        return f"{self.base}-data-quality"

    def schedule(self, kind: ScheduleKind) -> str:
        """Returns the name of a schedule that the CLI creates, and of the alarm on its constraint violations.

        >>> ModelNames("bedplate", "prod", "churn").schedule("model-quality")
        'bedplate-prod-churn-model-quality'
        """
        return f"{self.base}-{kind}"

    @property
    def errors_alarm(self) -> str:
        """Alarm on `Invocation5XXErrors`; rolls a deployment back."""
        return f"{self.base}-errors"

    @property
    def latency_alarm(self) -> str:
        """Alarm on `ModelLatency` (microseconds); rolls a deployment back."""
        return f"{self.base}-latency"

    @property
    def drift_alarm(self) -> str:
        """Alarm on the monitor's own metric; notifies people, never rolls back."""
        return f"{self.base}-drift"

    @property
    def health_alarm(self) -> str:
        """Composite alarm over all other alarms; it notifies people."""
        return f"{self.base}-health"

    @property
    def dashboard(self) -> str:
        return self.base

    @property
    def rollback_alarms(self) -> tuple[str, str]:
        return (self.errors_alarm, self.latency_alarm)

    def release(self, version: int, digest: str) -> str:
        """Returns the name of a release's Model and EndpointConfig: version and the first 8 hex digits of `digest`.

        >>> ModelNames("bedplate", "local", "flight-delay").release(3, "0a1b2c3d4e5f")
        'bedplate-local-flight-delay-v3-0a1b2c3d'
        """
        return f"{self.base}-v{version}-{digest[:8]}"

    def multi_variant_config(self, digest: str) -> str:
        """Returns the name of the EndpointConfig that serves several releases.

        >>> ModelNames("bedplate", "local", "flight-delay").multi_variant_config("0a1b2c3d4e5f")
        'bedplate-local-flight-delay-split-0a1b2c3d'
        """
        return f"{self.base}-split-{digest[:8]}"

    def copy_endpoint(self, version: int) -> str:
        """Returns the name of a temporary endpoint that serves one release next to the live endpoint.

        >>> ModelNames("bedplate", "local", "flight-delay").copy_endpoint(3)
        'bedplate-local-flight-delay-copy-v3'
        """
        return f"{self.copy_endpoint_prefix}{version}"

    @property
    def copy_endpoint_prefix(self) -> str:
        """Prefix of the names of all temporary endpoints."""
        return f"{self.base}-copy-v"

    def guard_alarm(self, release: str) -> str:
        """Returns the name of the alarm that compares one release's predictions with the champion's.

        The alarm is deleted together with the release.

        >>> n = ModelNames("bedplate", "local", "flight-delay")
        >>> n.guard_alarm("bedplate-local-flight-delay-v2-0a1b2c3d")
        'bedplate-local-flight-delay-v2-0a1b2c3d-predictions'
        """
        return f"{release}-predictions"

    @property
    def backlog_alarm(self) -> str:
        """Alarm on waiting requests without an instance: it starts the first instance and notifies no one."""
        return f"{self.base}-backlog"

    # S3 keys and prefixes, below the bucket named in each comment.
    @property
    def async_prefix(self) -> str:  # capture bucket: <prefix>{input,output,failed}/, kept as long as captured requests
        return f"capture/{self.model}/async/"

    @property
    def datasets_prefix(self) -> str:  # data bucket: <prefix><data sha256[:16]>/{train,holdout}.parquet
        return f"datasets/{self.model}/"

    @property
    def dataset_versions_prefix(self) -> str:  # data bucket: <prefix><sha256>/{data.parquet|data.csv,manifest.json,...}
        return f"datasets/{self.model}/versions/"

    @property
    def labels_prefix(self) -> str:  # data bucket: late labels, JSON Lines of {key, label, observed_at}
        return f"labels/{self.model}/"

    @property
    def ground_truth_prefix(self) -> str:  # data bucket: <prefix>yyyy/mm/dd/hh/<digest>.jsonl, SageMaker's ground truth
        return f"ground-truth/{self.model}/"

    @property
    def training_prefix(self) -> str:  # artifacts bucket: <prefix><job name>/output/model.tar.gz
        return f"training/{self.model}/"

    @property
    def evaluations_prefix(self) -> str:  # artifacts bucket: <prefix>v<version>/<evaluation id>/evaluation.json
        return f"evaluations/{self.model}/"

    @property
    def baseline_prefix(self) -> str:  # artifacts bucket: <prefix>{statistics,constraints}.json (object versions kept)
        return f"baselines/{self.model}/"

    def schedule_prefix(self, kind: ScheduleKind) -> str:  # artifacts: <prefix>{constraints,analysis_config}.json
        return f"{self.baseline_prefix}{kind}/"

    @property
    def monitoring_prefix(self) -> str:  # artifacts: <prefix><job name>/{drift,statistics,constraint_violations}.json
        return f"monitoring/{self.model}/"

    @property
    def capture_prefix(self) -> str:  # capture bucket: <prefix><endpoint>/<variant>/yyyy/mm/dd/hh/*.jsonl
        return f"capture/{self.model}/"


def parse_release_version(release: str) -> int | None:
    """Returns the version in a release's name; None when the name is not a release's.

    >>> parse_release_version("bedplate-local-flight-delay-v3-0a1b2c3d"), parse_release_version("something-else")
    (3, None)
    """
    match = _RELEASE.match(release)
    return int(match["version"]) if match else None


def is_multi_variant(config: str) -> bool:
    """Returns whether an EndpointConfig's name is that of a multi-variant configuration, not of a single release.

    >>> is_multi_variant("bedplate-local-churn-split-0a1b2c3d"), is_multi_variant("bedplate-local-churn-v3-0a1b2c3d")
    (True, False)
    """
    return _MULTI_VARIANT.match(config) is not None

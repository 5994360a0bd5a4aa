"""What everything is called: the one place that spells a resource's, a release's or an object's name.

The platform program (`infra/`), the command line and the local platform all read their names here, so that a name is
never stored when it can be derived.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

BucketPurpose = Literal["artifacts", "data", "capture", "ledger", "logs", "trail"]
BUCKET_PURPOSES: tuple[BucketPurpose, ...] = ("artifacts", "data", "capture", "ledger")
"""What the commands read and write; `logs` (who asked S3 for what) and `trail` (CloudTrail) are the auditor's."""
ScheduleKind = Literal["model-quality", "bias", "explainability"]
SCHEDULE_KINDS: tuple[ScheduleKind, ...] = ("model-quality", "bias", "explainability")
"""Kinds of monitoring that Pulumi's provider has no definition for, beside data quality, for which it has one."""
PERSONAS = ("platform-engineer", "data-scientist", "approver", "finance", "auditor", "reconciler")

_RELEASE = re.compile(r"^(?P<endpoint>.+)-v(?P<version>\d+)-(?P<digest>[0-9a-f]{7,8})$")
_SPLIT = re.compile(r"^(?P<endpoint>.+)-split-(?P<digest>[0-9a-f]{7,8})$")
VARIANT = "live"
"""Name of a release's one production variant, and of the champion's in a split."""
CHALLENGER = "challenger"
"""Name of the second variant of a split, and of a shadow; further ones are `arm-3` and so on."""


def variant_of(place: int) -> str:
    """Name of the variant at a place in a split, the champion's being the first.

    >>> [variant_of(place) for place in (1, 2, 3)]
    ['live', 'challenger', 'arm-3']
    """
    return {1: VARIANT, 2: CHALLENGER}.get(place, f"arm-{place}")


def model_card(package_group: str, version: int) -> str:
    """A version's model card; SageMaker allows 63 characters.

    >>> model_card("bedplate-prod-churn", 3), len(model_card("x" * 70, 12))
    ('bedplate-prod-churn-v3', 63)
    """
    tail = f"-v{version}"
    return f"{package_group[: 63 - len(tail)].rstrip('-')}{tail}"


def bucket(project: str, stack: str, purpose: BucketPurpose, account_id: str) -> str:
    """Bucket names are global, so they end with the account.

    >>> bucket("bedplate", "prod", "ledger", "123456789012")
    'bedplate-prod-ledger-123456789012'
    """
    return f"{project}-{stack}-{purpose}-{account_id}"


def execution_role_prefix(project: str, stack: str, account_id: str) -> str:
    """What the ARN of every model's execution role begins with; the model's name is the rest.

    >>> execution_role_prefix("bedplate", "prod", "123456789012")
    'arn:aws:iam::123456789012:role/bedplate-prod.'
    """
    return f"arn:aws:iam::{account_id}:role/{project}-{stack}."


def trail_arn(project: str, stack: str, region: str, account_id: str) -> str:
    """The CloudTrail trail of an environment.

    >>> trail_arn("bedplate", "prod", "us-east-1", "123456789012")
    'arn:aws:cloudtrail:us-east-1:123456789012:trail/bedplate-prod'
    """
    return f"arn:aws:cloudtrail:{region}:{account_id}:trail/{project}-{stack}"


def outputs_parameter(project: str, stack: str) -> str:
    """The SSM parameter that holds `settings.PlatformOutputs` as JSON.

    >>> outputs_parameter("bedplate", "prod")
    '/bedplate/prod/platform-outputs'
    """
    return f"/{project}/{stack}/platform-outputs"


def stage_budget(budget: str, stage: str) -> str:
    """The budget of one stage of the life, beside the whole one of a model or of the platform. The dot keeps it apart
    from the budget of a model called like a stage.

    >>> stage_budget("bedplate-prod-churn", "training")
    'bedplate-prod-churn.training'
    """
    return f"{budget}.{stage}"


@dataclass(frozen=True, slots=True)
class ModelNames:
    """Names of what the platform holds for one model.

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
        """What the model's jobs and endpoint run as. The dot keeps it apart from a persona's role.

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
        """Name of a schedule that the command line makes, and of the alarm on the bounds that it finds broken.

        >>> ModelNames("bedplate", "prod", "churn").schedule("model-quality")
        'bedplate-prod-churn-model-quality'
        """
        return f"{self.base}-{kind}"

    @property
    def errors_alarm(self) -> str:
        """On `Invocation5XXErrors`; rolls a deployment back."""
        return f"{self.base}-errors"

    @property
    def latency_alarm(self) -> str:
        """On `ModelLatency` (microseconds); rolls a deployment back."""
        return f"{self.base}-latency"

    @property
    def drift_alarm(self) -> str:
        """On the monitor's own metric; tells people, never rolls back."""
        return f"{self.base}-drift"

    @property
    def health_alarm(self) -> str:
        """Over all the others: the one that tells people."""
        return f"{self.base}-health"

    @property
    def dashboard(self) -> str:
        return self.base

    @property
    def rollback_alarms(self) -> tuple[str, str]:
        return (self.errors_alarm, self.latency_alarm)

    def release(self, version: int, digest: str) -> str:
        """Name of a release's Model and EndpointConfig: version and content hash (8 hex digits).

        >>> ModelNames("bedplate", "local", "flight-delay").release(3, "0a1b2c3d4e5f")
        'bedplate-local-flight-delay-v3-0a1b2c3d'
        """
        return f"{self.base}-v{version}-{digest[:8]}"

    def split(self, digest: str) -> str:
        """Name of the EndpointConfig that divides the traffic over several releases.

        >>> ModelNames("bedplate", "local", "flight-delay").split("0a1b2c3d4e5f")
        'bedplate-local-flight-delay-split-0a1b2c3d'
        """
        return f"{self.base}-split-{digest[:8]}"

    def copy(self, version: int) -> str:
        """Name of an endpoint that answers with one release for a moment, beside the live one.

        >>> ModelNames("bedplate", "local", "flight-delay").copy(3)
        'bedplate-local-flight-delay-copy-v3'
        """
        return f"{self.copy_prefix}{version}"

    @property
    def copy_prefix(self) -> str:
        """What the names of all copies begin with."""
        return f"{self.base}-copy-v"

    def guard_alarm(self, release: str) -> str:
        """Alarm on one release's own answers against the champion's; lives as long as the release.

        >>> n = ModelNames("bedplate", "local", "flight-delay")
        >>> n.guard_alarm("bedplate-local-flight-delay-v2-0a1b2c3d")
        'bedplate-local-flight-delay-v2-0a1b2c3d-answers'
        """
        return f"{release}-answers"

    @property
    def backlog_alarm(self) -> str:
        """Something waits and no instance is there: brings the first one; tells nobody."""
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
    def monitoring_prefix(
        self,
    ) -> str:  # artifacts bucket: <prefix><job name>/{drift,statistics,constraint_violations}.json
        return f"monitoring/{self.model}/"

    @property
    def capture_prefix(self) -> str:  # capture bucket: <prefix><endpoint>/<variant>/yyyy/mm/dd/hh/*.jsonl
        return f"capture/{self.model}/"


def version_of_release(release: str) -> int | None:
    """Version in a release's name, None when the name is not a release's.

    >>> version_of_release("bedplate-local-flight-delay-v3-0a1b2c3d"), version_of_release("something-else")
    (3, None)
    """
    match = _RELEASE.match(release)
    return int(match["version"]) if match else None


def is_split(config: str) -> bool:
    """Whether an EndpointConfig's name is that of a split, no release's.

    >>> is_split("bedplate-local-flight-delay-split-0a1b2c3d"), is_split("bedplate-local-flight-delay-v3-0a1b2c3d")
    (True, False)
    """
    return _SPLIT.match(config) is not None

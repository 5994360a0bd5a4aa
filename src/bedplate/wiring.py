"""Connects a command to a stack: the only place that chooses region, endpoint URL, credentials and adapters."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.domain.names import BUCKET_PURPOSES, BucketPurpose, ModelNames, bucket
from bedplate.errors import UsageError
from bedplate.settings import ModelSpec, PlatformOutputs, StackSettings, load_model, load_stack, read_yaml

if TYPE_CHECKING:
    from bedplate import ports
    from bedplate.aws.session import Session
    from bedplate.engine.automation.stack import Stack
    from bedplate.engine.terraform import TerraformExport
    from bedplate.workflows.record.ledger import Ledger

_UNREACHABLE_URL = "http://127.0.0.1:9"
"""Stands for a local platform that does not run: this machine's discard port."""


@dataclass(frozen=True)
class Connection:
    """A stack's settings and adapters (a `StackContext`). Each adapter is imported and created on first use."""

    project_dir: Path
    project: str
    name: str
    settings: StackSettings
    local_url: str | None
    profile: str | None = None

    @cached_property
    def session(self) -> Session:
        from bedplate.aws.session import Session

        if self.local_url:
            return Session.local(self.settings.region, self.local_url, actor=self._claimed_actor)
        return Session.aws(self.settings.region, expected_account=self.settings.account_id, profile=self.profile)

    @cached_property
    def identity(self) -> ports.Identity:
        from bedplate.aws.account.identity import get_identity

        return get_identity(self.session)

    @cached_property
    def _claimed_actor(self) -> str:
        from bedplate.aws.account.identity import claimed_actor

        return claimed_actor()

    @property
    def label(self) -> str:
        """`LOCAL http://127.0.0.1:4566`, or on AWS the account, region and ARN of the caller."""
        if self.local_url:
            return f"LOCAL {self.local_url}"
        return f"AWS {self.identity.account_id} {self.identity.region} as {self.identity.arn}"

    @cached_property
    def outputs(self) -> PlatformOutputs:
        from bedplate.aws.account.outputs import load_outputs

        return load_outputs(self.session, self.project, self.name)

    @cached_property
    def jobs(self) -> ports.Jobs:
        from bedplate.aws.sagemaker.jobs import SageMakerJobs

        return SageMakerJobs(self.session)

    @cached_property
    def schedules(self) -> ports.Schedules:
        from bedplate.aws.sagemaker.schedules import MonitoringSchedules

        return MonitoringSchedules(self.session)

    @cached_property
    def registry(self) -> ports.Registry:
        from bedplate.aws.sagemaker.registry import SageMakerRegistry

        return SageMakerRegistry(self.session)

    @cached_property
    def endpoints(self) -> ports.Endpoints:
        from bedplate.aws.sagemaker.endpoints import SageMakerEndpoints

        return SageMakerEndpoints(self.session)

    @cached_property
    def objects(self) -> ports.Objects:
        from bedplate.aws.storage.objects import S3Objects

        return S3Objects(self.session)

    @cached_property
    def model_cards(self) -> ports.ModelCards:
        from bedplate.aws.sagemaker.model_cards import SageMakerCards

        return SageMakerCards(self.session, kms_key_arn=self.outputs.kms_key_arn)

    @cached_property
    def signer(self) -> ports.Signer:
        from bedplate.aws.storage.signing import KmsSigner

        return KmsSigner(self.session)

    @cached_property
    def metrics(self) -> ports.Metrics:
        from bedplate.aws.metrics import CloudWatchMetrics

        return CloudWatchMetrics(self.session)

    @cached_property
    def costs(self) -> ports.Costs:
        from bedplate.aws.costs import CostExplorerCosts

        return CostExplorerCosts(self.session)

    @cached_property
    def experiments(self) -> ports.Experiments:
        """MLflow at BEDPLATE_TRACKING (`off`, or a tracking URI), else the stack's tracking server, else a file."""
        from bedplate.aws.experiments import MlflowExperiments, NoExperiments, local_tracking_url

        uri = os.environ.get("BEDPLATE_TRACKING")
        if uri == "off":
            return NoExperiments()
        if uri:
            return MlflowExperiments(uri)
        arn = self.outputs.tracking_server_arn
        if arn:
            return MlflowExperiments(local_tracking_url(self.session, arn) if self.local_url else arn)
        folder = state_dir(self.project_dir) / "experiments"
        return MlflowExperiments(f"sqlite:///{folder / 'mlflow.db'}", folder=folder)

    @cached_property
    def trail(self) -> ports.Trail:
        from bedplate.aws.account.trail import CloudTrailHistory

        return CloudTrailHistory(self.session)

    @cached_property
    def tagging(self) -> ports.Tagging:
        from bedplate.aws.account.tagging import ResourceTagging

        return ResourceTagging(self.session)

    @cached_property
    def account(self) -> ports.Account:
        from bedplate.aws.account.account import AwsAccount

        return AwsAccount(self.session)

    @cached_property
    def clock(self) -> ports.Clock:
        from bedplate.aws.clock import SystemClock

        return SystemClock()

    def deployment(self, engine: str | None = None, *, install: bool = False) -> Stack:
        """Returns the stack for Pulumi operations: by default with the embedded engine for a local stack, else the CLI.

        With `install` a missing Pulumi CLI is downloaded. Raises UsageError for the embedded engine on AWS.
        """
        from bedplate.engine.automation.stack import Stack

        if self.local_url is None:
            if engine == "embedded":
                raise UsageError(
                    f"Stack {self.name!r} is on AWS, but the embedded engine works only on local stacks",
                    next_step=f"bedplate up --stack {self.name} --engine pulumi",
                )
            return Stack(self.project_dir, self.name, engine="pulumi", install=install)
        from bedplate.local.lifecycle import status

        local_stack = partial(
            Stack,
            self.project_dir,
            self.name,
            endpoint_url=self.local_url,
            state_dir=state_dir(self.project_dir) / "state",
            generation=status(self.project_dir).generation,
        )
        if engine == "pulumi":
            return local_stack(engine="pulumi", install=install)
        from bedplate.engine.provider import provider_factory

        provider = provider_factory(self.local_url, self.settings.region, actor=self._claimed_actor)
        return local_stack(provider_factory=provider)

    def terraform(
        self, directory: Path, *, engine: str | None = None, install: bool = False, show_secrets: bool = False
    ) -> tuple[TerraformExport, tuple[str, ...]]:
        """Writes the stack's state to a directory as Terraform; returns the export and the names of the files."""
        from bedplate.engine import terraform

        document = self.deployment(engine, install=install).export(show_secrets=show_secrets)
        exported = terraform.build_export(document, endpoint_url=self.local_url)
        names = terraform.write_export(exported, directory, stack=self.name, project_dir=self.project_dir)
        return exported, names

    def model(self, name: str) -> ModelSpec:
        """Returns the model's model.yaml with this environment's settings. Raises NotFound for an unknown model."""
        return load_model(self.project_dir, name, self.settings, stack=self.name)

    def names(self, model: str) -> ModelNames:
        return ModelNames(self.project, self.name, model)


def connect(project_dir: Path, stack: str) -> Connection:
    """Connects to a stack; with `target: local` starts the local platform unless it is running.

    Raises NotFound for a stack without a file, SettingsError for an invalid file.
    """
    settings = load_stack(project_dir, stack)
    project = str(read_yaml(project_dir / "Pulumi.yaml")["name"])
    url = _start_local_platform(project_dir, settings.region) if settings.target == "local" else None
    return Connection(project_dir, project, stack, settings, url)


@dataclass(frozen=True)
class PromotionOrigin:
    """The environment that a version is promoted from (the `workflows.versions.promote.PromotionSource` protocol)."""

    connection: Connection
    session: Session
    is_read_only: bool

    @property
    def stack(self) -> str:
        return self.connection.name

    @cached_property
    def registry(self) -> ports.Registry:
        from bedplate.aws.sagemaker.registry import SageMakerRegistry

        account_id = self.connection.settings.account_id if self.is_read_only else None
        return SageMakerRegistry(self.session, account_id=account_id)

    @cached_property
    def objects(self) -> ports.Objects:
        from bedplate.aws.storage.objects import S3Objects

        return S3Objects(self.session)

    @cached_property
    def buckets(self) -> dict[BucketPurpose, str]:
        """The buckets' names, by convention: another account cannot read the SSM parameter with the outputs."""
        account = self.connection.settings.account_id or self.connection.identity.account_id
        project, stack = self.connection.project, self.connection.name
        return {purpose: bucket(project, stack, purpose, account) for purpose in BUCKET_PURPOSES}

    @cached_property
    def ledger(self) -> Ledger | None:
        from bedplate.workflows.record.ledger import Ledger

        return None if self.is_read_only else Ledger.of(self.connection)

    def names(self, model: str) -> ModelNames:
        return self.connection.names(model)

    def pin_image(self, image_uri: str) -> str | None:
        from bedplate.aws.storage import images

        return images.pin_image(self.session, image_uri)


def connect_origin(project_dir: Path, stack: str, *, target: Connection, profile: str | None) -> PromotionOrigin:
    """Connects to the environment that a version is promoted from.

    When it is in another AWS account than the target, `profile` provides the credentials. Without a profile the
    target's credentials are used, read-only: `registry.readers` makes the policies of its bucket, key and package
    groups allow this.
    """
    from dataclasses import replace

    from bedplate.aws.session import Session

    origin = connect(project_dir, stack)
    if (origin.local_url is None) is not (target.local_url is None):
        raise UsageError(
            f"Stacks {stack!r} and {target.name!r} are not both on AWS: a version is not promoted between AWS and a "
            "local stack"
        )
    if origin.local_url or profile:
        origin = replace(origin, profile=profile)
    elif origin.settings.account_id not in (None, target.identity.account_id):
        return PromotionOrigin(origin, Session.aws(origin.settings.region), is_read_only=True)
    return PromotionOrigin(origin, origin.session, is_read_only=False)


def connect_offline(project_dir: Path, stack: str) -> Connection:
    """Connects to a stack without starting the local platform; while that is down, every adapter's call fails."""
    from bedplate.local.lifecycle import status

    settings = load_stack(project_dir, stack)
    project = str(read_yaml(project_dir / "Pulumi.yaml")["name"])
    url = (status(project_dir).url or _UNREACHABLE_URL) if settings.target == "local" else None
    return Connection(project_dir, project, stack, settings, url)


def find_local_platform(project_dir: Path) -> tuple[str | None, bool]:
    """Returns the URL of this project's local platform (None when it is down), and whether the default port is free."""
    from bedplate.local.lifecycle import is_default_port_free, status

    return status(project_dir).url, is_default_port_free()


def find_pulumi_cli() -> tuple[Path | None, str]:
    """Returns the path of the Pulumi CLI (None without one) and the minimum version.

    Raises UsageError like `engine.automation.pulumi_cli.find_executable`.
    """
    from bedplate.engine.automation import pulumi_cli as cli

    return cli.find_executable(), cli.MIN_VERSION


def state_dir(project_dir: Path) -> Path:
    """Returns the directory of this project's local state: BEDPLATE_STATE_DIR, or `.bedplate`."""
    path = os.environ.get("BEDPLATE_STATE_DIR")
    return Path(path).resolve() if path else project_dir / ".bedplate"


def delete_engine_state(project_dir: Path) -> None:
    """Deletes the embedded engine's state, after the resources it describes were deleted with the local platform."""
    import shutil

    shutil.rmtree(state_dir(project_dir) / "state", ignore_errors=True)


def _start_local_platform(project_dir: Path, region: str) -> str:
    from bedplate.local.lifecycle import ensure_running

    url: str = ensure_running(project_dir, region=region)
    if not url.startswith(("http://127.0.0.1:", "http://localhost:", "http://[::1]:")):
        raise UsageError(f"The local platform reported the URL {url}, which is not on this machine")
    return url

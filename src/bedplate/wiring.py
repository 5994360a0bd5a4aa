"""Where a command is at work, and with which adapters: the only place that picks region, endpoint and credentials."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.domain.names import BUCKET_PURPOSES, BucketPurpose, ModelNames, bucket
from bedplate.errors import UsageError
from bedplate.settings import ModelSpec, PlatformOutputs, StackSettings, load_model, load_stack, read_yaml

if TYPE_CHECKING:
    from bedplate import ports
    from bedplate.aws.session import Session
    from bedplate.engine.automation.stack import Stack
    from bedplate.engine.terraform import Export
    from bedplate.workflows.record.ledger import Ledger

_NOWHERE = "http://127.0.0.1:9"
"""The discard port of this machine: where a platform is that does not run."""


@dataclass(frozen=True)
class Connection:
    """One stack, reached: settings now, adapters when first asked for (each imports what it needs then)."""

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
        from bedplate.aws.account.identity import whoami

        return whoami(self.session)

    @cached_property
    def _claimed_actor(self) -> str:
        from bedplate.aws.account.identity import claimed

        return claimed()

    @property
    def label(self) -> str:
        """`LOCAL http://127.0.0.1:4566`, or the account and region that STS names."""
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
    def cards(self) -> ports.Cards:
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
        """MLflow: BEDPLATE_TRACKING (`off`, or a tracking URI), else the stack's server, else a file here."""
        from bedplate.aws.experiments import MlflowExperiments, NoExperiments, local_server

        named = os.environ.get("BEDPLATE_TRACKING")
        if named == "off":
            return NoExperiments()
        if named:
            return MlflowExperiments(named)
        arn = self.outputs.tracking_server_arn
        if arn:
            return MlflowExperiments(local_server(self.session, arn) if self.local_url else arn)
        folder = state_dir(self.project_dir) / "experiments"
        return MlflowExperiments(f"sqlite:///{folder / 'mlflow.db'}", folder=folder)

    @cached_property
    def trail(self) -> ports.Trail:
        from bedplate.aws.account.trail import CloudTrailHistory

        return CloudTrailHistory(self.session)

    @cached_property
    def tagged(self) -> ports.Tagged:
        from bedplate.aws.account.tagged import TaggedResources

        return TaggedResources(self.session)

    @cached_property
    def account(self) -> ports.Account:
        from bedplate.aws.account.account import AwsAccount

        return AwsAccount(self.session)

    @cached_property
    def clock(self) -> ports.Clock:
        from bedplate.aws.clock import SystemClock

        return SystemClock()

    def deployment(self, engine: str | None = None, *, install: bool = False) -> Stack:
        """The stack as Pulumi sees it: by the embedded engine on the local stack, by the Pulumi CLI on any other.

        With `install` a CLI that is needed and not there is downloaded.

        Raises UsageError when the embedded engine is asked for a stack that is not on this machine.
        """
        from bedplate.engine.automation.stack import Stack

        if self.local_url is None:
            if engine == "embedded":
                raise UsageError(
                    f"Stack {self.name!r} is on AWS, and the embedded engine applies to this machine only",
                    next_step=f"bedplate up --stack {self.name} --engine pulumi",
                )
            return Stack(self.project_dir, self.name, engine="pulumi", install=install)
        if engine == "pulumi":
            return Stack(
                self.project_dir,
                self.name,
                engine="pulumi",
                endpoint_url=self.local_url,
                state_dir=state_dir(self.project_dir) / "state",
                install=install,
                world=_local_world(self.project_dir),
            )
        from bedplate.engine.provider import provider_factory

        return Stack(
            self.project_dir,
            self.name,
            endpoint_url=self.local_url,
            provider_factory=provider_factory(self.local_url, self.settings.region, actor=self._claimed_actor),
            state_dir=state_dir(self.project_dir) / "state",
            world=_local_world(self.project_dir),
        )

    def terraform(
        self, directory: Path, *, engine: str | None = None, install: bool = False, show_secrets: bool = False
    ) -> tuple[Export, tuple[str, ...]]:
        """Write the stack's state to a directory as Terraform; what was exported, and the names of the files."""
        from bedplate.engine import terraform

        document = self.deployment(engine, install=install).export(show_secrets=show_secrets)
        exported = terraform.export(document, endpoint_url=self.local_url)
        names = terraform.write(exported, directory, stack=self.name, project_dir=self.project_dir)
        return exported, names

    def model(self, name: str) -> ModelSpec:
        """The model's contract in this environment; NotFound for an unknown one."""
        return load_model(self.project_dir, name, self.settings, stack=self.name)

    def names(self, model: str) -> ModelNames:
        return ModelNames(self.project, self.name, model)


def connect(project_dir: Path, stack: str) -> Connection:
    """Reach a stack; on `target: local` this starts the local platform when it is not running.

    Raises NotFound for a stack without a file, SettingsError for a faulty one.
    """
    settings = load_stack(project_dir, stack)
    project = str(read_yaml(project_dir / "Pulumi.yaml")["name"])
    return Connection(
        project_dir,
        project,
        stack,
        settings,
        _local_url(project_dir, settings.region) if settings.target == "local" else None,
    )


@dataclass(frozen=True)
class PromotionOrigin:
    """The environment that a version is promoted from (`workflows.versions.promote.PromotionOrigin`)."""

    at: Connection
    session: Session
    readable_only: bool

    @property
    def stack(self) -> str:
        return self.at.name

    @cached_property
    def registry(self) -> ports.Registry:
        from bedplate.aws.sagemaker.registry import SageMakerRegistry

        return SageMakerRegistry(self.session, account_id=self.at.settings.account_id if self.readable_only else None)

    @cached_property
    def objects(self) -> ports.Objects:
        from bedplate.aws.storage.objects import S3Objects

        return S3Objects(self.session)

    @cached_property
    def buckets(self) -> dict[BucketPurpose, str]:
        """By their names: the parameter with the outputs is not readable from another account."""
        account = self.at.settings.account_id or self.at.identity.account_id
        return {purpose: bucket(self.at.project, self.at.name, purpose, account) for purpose in BUCKET_PURPOSES}

    @cached_property
    def ledger(self) -> Ledger | None:
        from bedplate.workflows.record.ledger import Ledger

        return None if self.readable_only else Ledger.of(self.at)

    def names(self, model: str) -> ModelNames:
        return self.at.names(model)

    def pinned_image(self, image_uri: str) -> str | None:
        from bedplate.aws.storage.images import pinned

        return pinned(self.session, image_uri)


def connect_origin(project_dir: Path, stack: str, *, target: Connection, profile: str | None) -> PromotionOrigin:
    """Reach the environment that a version comes from.

    On AWS in another account than the target's: by `profile`, with all that this profile may; without one by the
    target's own credentials, which its bucket's, key's and package groups' policies let read (`registry.readers`).
    """
    from dataclasses import replace

    from bedplate.aws.session import Session

    at = connect(project_dir, stack)
    if (at.local_url is None) is not (target.local_url is None):
        raise UsageError(
            f"{stack!r} and {target.name!r} are not both on AWS: no version leaves a laptop for AWS, or comes back"
        )
    if at.local_url or profile:
        at = replace(at, profile=profile)
        return PromotionOrigin(at, at.session, readable_only=False)
    if at.settings.account_id in (None, target.identity.account_id):
        return PromotionOrigin(at, at.session, readable_only=False)
    return PromotionOrigin(at, Session.aws(at.settings.region), readable_only=True)


def look(project_dir: Path, stack: str) -> Connection:
    """Reach a stack's settings and state without starting anything; of a platform that does not run, only these."""
    from bedplate.local.lifecycle import status

    settings = load_stack(project_dir, stack)
    project = str(read_yaml(project_dir / "Pulumi.yaml")["name"])
    url = (status(project_dir).url or _NOWHERE) if settings.target == "local" else None
    return Connection(project_dir, project, stack, settings, url)


def platform_here(project_dir: Path) -> tuple[str | None, bool]:
    """Where this project's local platform runs, None when it does not, and whether its usual port is free."""
    from bedplate.local.lifecycle import status, usual_port_is_free

    return status(project_dir).url, usual_port_is_free()


def pulumi_cli() -> tuple[Path | None, str]:
    """Where the Pulumi CLI is, and the oldest version that serves. Raises UsageError as `engine.pulumi_cli.find`."""
    from bedplate.engine.automation import pulumi_cli as cli

    return cli.find(), cli.OLDEST


def state_dir(project_dir: Path) -> Path:
    """Where this project's local state lives: `.bedplate`, or what BEDPLATE_STATE_DIR names."""
    named = os.environ.get("BEDPLATE_STATE_DIR")
    return Path(named).resolve() if named else project_dir / ".bedplate"


def forget_local_stacks(project_dir: Path) -> None:
    """Remove the embedded engine's state: what it describes is gone with the local platform."""
    import shutil

    shutil.rmtree(state_dir(project_dir) / "state", ignore_errors=True)


def _local_world(project_dir: Path) -> str | None:
    from bedplate.local.lifecycle import status

    return status(project_dir).world


def _local_url(project_dir: Path, region: str) -> str:
    from bedplate.local.lifecycle import ensure_running

    url: str = ensure_running(project_dir, region=region)
    if not url.startswith(("http://127.0.0.1:", "http://localhost:", "http://[::1]:")):
        raise UsageError(f"The local platform answered with {url}, which is not this machine")
    return url

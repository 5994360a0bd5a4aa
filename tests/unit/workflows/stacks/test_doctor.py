"""`doctor` runs checks concurrently, and reports each failure with its fix."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bedplate import ports
from bedplate.domain.names import PERSONAS
from bedplate.domain.stacks.diagnosis import Finding, Health, Quota, Subscription, fail, list_quota_needs, ok
from bedplate.domain.stacks.permissions import StackArns, list_permissions
from bedplate.errors import Denied, NotFound, PlatformError, UsageError
from bedplate.settings import ModelSpec, PlatformOutputs, StackSettings
from bedplate.workflows.stacks import doctor_machine as machine
from bedplate.workflows.stacks.doctor import DoctorCheck, run_checks
from bedplate.workflows.stacks.doctor_account import account_checks
from builders import a_spec, outputs, settings
from fakes import FakeAccount

ACCOUNT = "123456789012"
DEV = settings(target="aws", account_id=ACCOUNT, models=("churn",))


@dataclass
class FakeUpdate:
    result: str


@dataclass
class FakeLock:
    description: str
    is_on_other_machine: bool


@dataclass
class Deployment:
    updates: Sequence[FakeUpdate] | None = (FakeUpdate("succeeded"),)
    lock: FakeLock | None = None
    error: str = ""

    def history(self, limit: int = 20) -> Sequence[FakeUpdate]:
        if self.error:
            raise PlatformError(self.error, next_step="pulumi login")
        if self.updates is None:
            raise NotFound("never brought up")
        return self.updates

    def active_engine(self) -> str:
        return "pulumi"

    def lock_holder(self) -> FakeLock | None:
        return self.lock


@dataclass
class FakeStack:
    """A stack on AWS that is up and without problems, except for what a test changes."""

    account: FakeAccount = field(default_factory=FakeAccount)
    settings: StackSettings = DEV
    arn: str = f"arn:aws:sts::{ACCOUNT}:assumed-role/ada/ada@example.com"
    in_account: str = ACCOUNT
    no_credentials: bool = False
    up: bool = True
    state: Deployment = field(default_factory=Deployment)
    spec: ModelSpec = field(default_factory=a_spec)
    engines: list[str | None] = field(default_factory=list)
    """The engines that `deployment` was called with."""
    project: str = "bedplate"
    name: str = "dev"
    local_url: str | None = None

    @property
    def identity(self) -> ports.Identity:
        if self.no_credentials:
            raise PlatformError("there are no AWS credentials", next_step="aws configure sso")
        return ports.Identity(self.in_account, "us-east-1", self.arn, "ada", self.local_url)

    @property
    def outputs(self) -> PlatformOutputs:
        if not self.up:
            raise NotFound("the platform is not up")
        roles = {persona: f"arn:aws:iam::{ACCOUNT}:role/bedplate-dev-{persona}" for persona in PERSONAS}
        return outputs(stack="dev", persona_role_arns=roles)

    def deployment(self, engine: str | None = None, *, install: bool = False) -> Deployment:
        self.engines.append(engine)
        return self.state

    def model(self, name: str) -> ModelSpec:
        return self.spec


def examine(stack: FakeStack, persona: str | None = None) -> dict[str, Finding]:
    """Returns every finding by name; the Pulumi CLI is installed."""
    pulumi = DoctorCheck("pulumi", "this machine", lambda: ok("pulumi", "3.260.0"))
    checks = (pulumi, *account_checks(lambda: stack, stack.settings, persona=persona))
    return {finding.check: finding for finding in run_checks(checks)}


def sufficient_quotas(spec: ModelSpec) -> dict[str, Quota]:
    needs = list_quota_needs({spec.name: spec})
    return {need.name.casefold(): Quota(need.name, "L-1", need.maximum, True) for need in needs}


def test_a_healthy_stack_on_aws_needs_no_fixes() -> None:
    stack = FakeStack(FakeAccount(quotas=sufficient_quotas(a_spec())), settings=DEV)
    findings = examine(stack)
    assert {name: finding for name, finding in findings.items() if finding.health is not Health.OK} == {}
    assert {finding.fix for finding in findings.values()} == {""}
    assert {f"role {persona}" for persona in PERSONAS} <= findings.keys()


Problem = tuple[str, Callable[[FakeStack], Any], str, Health, str, str]


def on_account(**changes: Any) -> Callable[[FakeStack], Any]:
    return lambda stack: stack.account.__dict__.update(changes)


def on_stack(**changes: Any) -> Callable[[FakeStack], Any]:
    return lambda stack: stack.__dict__.update(changes)


def may_not(action: str) -> Callable[[FakeStack], Any]:
    return on_account(allows=lambda name, permission: permission.is_allowed and name != action)


PROBLEMS: tuple[Problem, ...] = (
    ("no credentials", on_stack(no_credentials=True), "credentials", Health.FAIL,
     "no AWS credentials", "aws configure"),
    ("root", on_stack(arn=f"arn:aws:iam::{ACCOUNT}:root"), "credentials", Health.WARN, "root", "sign in as a role"),
    ("other account", on_stack(in_account="9" * 12), "account", Health.FAIL, "999999999999", "AWS_PROFILE"),
    ("any account", on_stack(settings=DEV.model_copy(update={"account_id": None})), "account", Health.WARN, "none",
     f'bedplate:account_id: "{ACCOUNT}"'),
    ("region off", on_account(region_state="not-opted-in"), "region", Health.FAIL,
     "not enabled", "aws account enable-region"),
    ("no such region", on_account(region_state="unknown"), "region", Health.FAIL, "has no region", "aws:region"),
    ("no SageMaker", on_account(is_sagemaker_available=False), "region", Health.FAIL, "no SageMaker", "aws:region"),
    ("an unreachable service", on_account(unreachable_services=("kms",)), "endpoints", Health.FAIL,
     "kms", "HTTPS_PROXY"),
    ("a slow clock", on_account(skew_s=-900.0), "clock", Health.FAIL, "900 s behind", "timedatectl"),
    ("no quota", on_account(quotas={}), "quota: ml.m5.large for endpoint usage", Health.WARN, "not list", "console"),
    ("too many budgets", on_account(budget_count=20_000), "budgets", Health.FAIL, "20,000", "delete"),
    ("no permissions", on_account(allows=lambda name, permission: False), "permissions", Health.FAIL,
     "of any persona", "sign in"),
    ("training denied", may_not("sagemaker:CreateTrainingJob"), "you as data-scientist", Health.WARN,
     "CreateTrainingJob", "assume the role bedplate-dev-data-scientist"),
    ("a role without a permission", may_not("sagemaker:CreateTrainingJob"), "role data-scientist", Health.FAIL,
     "CreateTrainingJob", "bedplate drift"),
    ("a role with all permissions", on_account(allows=lambda name, permission: True), "role data-scientist",
     Health.FAIL, "must not do", "bedplate drift"),
    ("quotas denied", on_account(is_denied=True), "quotas", Health.WARN,
     "could not be checked", "identity with this permission"),
    ("no image", on_account(is_image_pushed=False), "image", Health.FAIL, "does not exist", "push the image"),
    ("region denied", on_account(is_denied=True), "region", Health.OK, "accepts these credentials", ""),
    ("key disabled", on_account(key_state="Disabled"), "key", Health.FAIL, "Disabled", "aws kms enable-key"),
    ("key pending deletion", on_account(key_state="PendingDeletion"), "key", Health.FAIL,
     "PendingDeletion", "cancel-key-deletion"),
    ("key denied", on_account(is_denied=True), "key", Health.WARN,
     "could not be checked", "identity with this permission"),
    ("not confirmed", on_account(subscriptions=(Subscription("ml@example.com", False),)), "alerts", Health.WARN,
     "not confirmed", "follow the link"),
    ("not subscribed", on_account(subscriptions=()), "alerts", Health.FAIL, "ml@example.com",
     "bedplate up --refresh --stack dev"),
    ("not up", on_stack(up=False), "stack", Health.SKIPPED, "not up", "bedplate up --stack dev"),
    ("no backend", on_stack(state=Deployment(error="no login")), "state", Health.FAIL, "no login", "pulumi login"),
    ("never brought up", on_stack(state=Deployment(updates=None)), "state", Health.OK, "never brought up", ""),
    ("a lock of another machine", on_stack(state=Deployment(lock=FakeLock("eve@far", True))), "lock", Health.WARN,
     "eve@far", "bedplate state unlock --stack dev"),
    ("a lock of this machine", on_stack(state=Deployment(lock=FakeLock("eve@here", False))), "lock", Health.WARN,
     "eve@here", "wait"),
    ("an update in progress", on_stack(state=Deployment((FakeUpdate("in-progress"),))), "lock", Health.WARN,
     "in progress", "pulumi cancel"),
    ("an interrupted update", on_stack(state=Deployment((FakeUpdate("interrupted"),))), "lock", Health.WARN,
     "interrupted", "bedplate up"),
    ("a region without the type", on_stack(settings=DEV.model_copy(update={"region": "ap-southeast-5"})),
     "instance types", Health.FAIL, "lacks ml.m5.large", "regions with it: "),
    ("an unknown region", on_stack(settings=DEV.model_copy(update={"region": "us-gov-west-1"})), "instance types",
     Health.WARN, "does not say", "quotas"),
)  # fmt: skip


@pytest.mark.parametrize(("provoke", "check", "health", "detail", "fix"), [p[1:] for p in PROBLEMS],
                         ids=[p[0] for p in PROBLEMS])  # fmt: skip
def test_each_failure_is_found_with_its_fix(
    provoke: Callable[[FakeStack], Any], check: str, health: Health, detail: str, fix: str
) -> None:
    stack = FakeStack(FakeAccount(quotas=sufficient_quotas(a_spec())))
    provoke(stack)
    finding = examine(stack)[check]
    assert finding.health is health, finding
    assert detail in finding.detail
    assert fix in finding.fix


def test_without_credentials_dependent_checks_are_skipped() -> None:
    findings = examine(FakeStack(no_credentials=True))
    assert {findings[name].health for name in ("account", "region", "quotas", "permissions", "key")} == {Health.SKIPPED}
    assert {findings[name].health for name in ("endpoints", "clock", "state", "instance types")} == {Health.OK}


def test_a_named_persona_must_have_its_permissions() -> None:
    allowed = {"ce:GetCostAndUsage", "budgets:ViewBudget", "ssm:GetParameter"}
    stack = FakeStack(FakeAccount(allows=lambda action, permission: action in allowed))
    assert examine(stack)["you as finance"].health is Health.OK
    assert examine(stack)["you as approver"].health is Health.WARN
    assert examine(stack, "approver")["you as approver"].health is Health.FAIL
    stack.arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/bedplate-dev-auditor/eve"
    assert examine(stack)["you as auditor"].health is Health.FAIL, "the role's persona must be complete"


def test_the_state_is_read_by_its_active_engine() -> None:
    stack = FakeStack()
    examine(stack)
    assert stack.engines == [None, "pulumi"], "opening the other engine would migrate the state"


# --- quotas ----------------------------------------------------------------------------------------------------------


def test_quotas_include_a_second_fleet_and_separate_serving_from_scaling() -> None:
    spec = a_spec(serving={"instance_type": "ml.c5.large", "instance_count": 2, "max_instances": 6})
    quota = Quota("ml.c5.large for endpoint usage", "L-7", 3, True)
    quotas = {**sufficient_quotas(spec), quota.name.casefold(): quota}

    def examine_quota(value: float) -> Finding:
        quotas[quota.name.casefold()] = replace(quota, value=value)
        return examine(FakeStack(FakeAccount(quotas=quotas), spec=spec))[f"quota: {quota.name}"]

    assert (examine_quota(3).health, examine_quota(4).health, examine_quota(7).health, examine_quota(8).health) == (
        Health.FAIL, Health.WARN, Health.WARN, Health.OK,
    )  # fmt: skip
    assert "--quota-code L-7 --desired-value 8" in examine_quota(3).fix


def test_quotas_of_several_models_add_up_where_they_run_together() -> None:
    specs = {
        name: a_spec(name, training={"instance_type": "ml.g5.xlarge", "instance_count": 3}) for name in ("one", "two")
    }
    by_name = {
        need.name: (need.minimum, need.maximum) for need in list_quota_needs(specs, reconciler_instance="ml.t3.medium")
    }
    assert by_name["ml.g5.xlarge for training job usage"] == (3, 3)
    assert by_name["ml.g5.xlarge for processing job usage"] == (1, 1)
    assert by_name["ml.m5.large for processing job usage"] == (1, 2), "all models are monitored in the same hour"
    assert by_name["ml.m5.large for endpoint usage"] == (2 + 2 + 2, 4 + 4 + 2)
    assert by_name["ml.t3.medium for processing job usage"] == (1, 1)


def test_a_spot_training_needs_spot_instances() -> None:
    spec = a_spec(training={"instance_type": "ml.g5.xlarge", "spot": {"max_wait_s": 7200}})
    names = [need.name for need in list_quota_needs({"churn": spec}) if "training job" in need.name]
    assert names == ["ml.g5.xlarge for spot training job usage"]


def test_a_serverless_model_needs_concurrency_and_no_instances() -> None:
    spec = a_spec(
        serving={"mode": "serverless", "serverless": {"max_concurrency": 50}}, rollout={"strategy": "all-at-once"}
    )
    quotas = {"maximum total concurrency across all serverless endpoints": Quota("x", "L-9", 10, False)}
    findings = examine(FakeStack(FakeAccount(quotas=quotas), spec=spec))
    row = findings["quota: total concurrency across all serverless endpoints"]
    assert (row.health, "not adjustable" in row.fix) == (Health.WARN, True)
    assert not [name for name in findings if "endpoint usage" in name]


# --- permissions -----------------------------------------------------------------------------------------------------


def test_every_persona_has_permissions_and_limits_in_this_environment() -> None:
    arns = StackArns("bedplate", "dev", "eu-west-1", ACCOUNT, ("churn",))
    for persona in PERSONAS:
        permissions = list_permissions(persona, arns)
        assert [permission for permission in permissions if permission.is_allowed]
        assert [permission for permission in permissions if not permission.is_allowed], f"{persona} has no limits"
        resources = {permission.resource for permission in permissions} - {"*"}
        assert not [r for r in resources if not any(part in r for part in ("bedplate", ":key/", "/aws/sagemaker/"))]


# --- running checks --------------------------------------------------------------------------------------------------


def healthy(name: str) -> Callable[[], Finding]:
    return lambda: ok(name, "fine")


def test_a_check_that_hangs_does_not_block_the_others() -> None:
    released = threading.Event()

    def wait() -> Finding:
        released.wait(5)
        return ok("slow", "at last")

    checks = (
        DoctorCheck("slow", "s", wait, timeout_s=0.01),
        DoctorCheck("quick", "s", healthy("quick")),
        DoctorCheck("behind", "s", healthy("behind"), after=("slow",)),
    )
    findings = run_checks(checks)
    released.set()
    assert [(finding.check, finding.health) for finding in findings] == [
        ("slow", Health.FAIL), ("quick", Health.OK), ("behind", Health.SKIPPED),
    ]  # fmt: skip
    assert "no result within 0.01 s" in findings[0].detail


def test_checks_run_concurrently_and_are_reported_in_order() -> None:
    barrier = threading.Barrier(3, timeout=5)

    def run_together(name: str) -> Callable[[], Finding]:
        def run() -> Finding:
            barrier.wait()  # raises unless all three run at the same time
            return ok(name, "met")

        return run

    checked: list[str] = []
    findings = run_checks([DoctorCheck(name, "s", run_together(name)) for name in "abc"], on_check=checked.append)
    assert [(finding.check, finding.detail) for finding in findings] == [("a", "met"), ("b", "met"), ("c", "met")]
    assert sorted(checked) == ["a", "b", "c"]


def test_a_check_that_raises_is_a_finding() -> None:
    def raise_error(error: Exception) -> Callable[[], Finding]:
        def run() -> Finding:
            raise error

        return run

    findings = run_checks([
        DoctorCheck("ours", "s", raise_error(UsageError("no such thing", next_step="bedplate up"))),
        DoctorCheck("refused", "s", raise_error(Denied("may not"))),
        DoctorCheck("broken", "s", raise_error(KeyError("x"))),
    ])  # fmt: skip
    assert [finding.health for finding in findings] == [Health.FAIL, Health.WARN, Health.FAIL]
    assert [finding.fix for finding in findings] == [
        "bedplate up",
        "use an identity with this permission",
        "report this as a bug",
    ]
    assert "KeyError" in findings[2].detail


def test_a_failure_skips_dependent_checks() -> None:
    bad = DoctorCheck("bad", "s", lambda: fail("bad", "it is", "fix it"))
    chain = (
        bad,
        DoctorCheck("next", "s", healthy("next"), after=("bad",)),
        DoctorCheck("last", "s", healthy("last"), after=("next",)),
    )
    assert [finding.health for finding in run_checks(chain)] == [Health.FAIL, Health.SKIPPED, Health.SKIPPED]
    with pytest.raises(ValueError, match="not all of them come before it"):
        run_checks((chain[1], bad))


# --- this machine ----------------------------------------------------------------------------------------------------


def test_packages_are_compared_with_the_lock_file(tmp_path: Path) -> None:
    assert machine.check_packages(tmp_path).health is Health.WARN, "no lock file"
    installed: Mapping[str, str] = machine.list_installed()
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"click=={installed['click']} \\\n    --hash=sha256:00\npywin32==1 ; sys_platform == 'win32'\n")
    assert machine.check_packages(tmp_path).health is Health.OK
    lock.write_text("click==0.0.1\n")
    assert machine.check_packages(tmp_path).health is Health.WARN
    lock.write_text("no-such-package-at-all==1.0\n")
    finding = machine.check_packages(tmp_path)
    assert (finding.health, finding.fix) == (Health.FAIL, "make setup")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Returns a function that creates a program which prints a line; PATH contains only such programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, prints: str, code: int = 0) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\necho '{prints}'\nexit {code}\n")
        path.chmod(0o755)
        return path

    return make


def test_only_a_stack_on_aws_needs_the_pulumi_cli(tools: Callable[..., Path]) -> None:
    findings = [machine.check_pulumi(None, "3.206.0", "dev", on_aws=on_aws) for on_aws in (True, False)]
    assert [finding.health for finding in findings] == [Health.FAIL, Health.SKIPPED]
    assert "--install" in findings[0].fix
    old, new, broken = tools("old", "v3.100.2"), tools("new", "v3.260.0"), tools("broken", "", 1)
    findings = [machine.check_pulumi(path, "3.206.0", "dev", on_aws=True) for path in (old, new, broken)]
    assert [finding.health for finding in findings] == [Health.FAIL, Health.OK, Health.FAIL]


def test_docker_terraform_and_git_are_found_or_reported(tools: Callable[..., Path], tmp_path: Path) -> None:
    assert [machine.check_docker(on_aws=on_aws).health for on_aws in (True, False)] == [Health.WARN, Health.SKIPPED]
    assert machine.check_terraform().health is Health.SKIPPED
    assert machine.check_git(tmp_path).detail.startswith("not found")
    tools("docker", "", 1)
    assert "engine does not respond" in machine.check_docker(on_aws=True).detail
    tools("docker", "28.1")
    tools("terraform", "Terraform v1.11.4")
    tools("git", "git version 2.47", 1)
    assert (machine.check_docker(on_aws=True).detail, machine.check_terraform().detail) == ("28.1", "1.11.4")
    assert "no commit" in machine.check_git(tmp_path).detail
    tools("git", "git version 2.47")
    assert machine.check_git(tmp_path).health is Health.OK


def test_an_invalid_stack_file_is_reported_with_every_error(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.dev.yaml").write_text("config:\n  bedplate:target: moon\n")
    checks = machine.machine_checks(
        tmp_path, "dev", on_aws=True, state_dir=tmp_path / ".bedplate",
        find_pulumi=lambda: (None, "3.206.0"), find_local_platform=lambda: (None, True),
    )  # fmt: skip
    findings = {finding.check: finding for finding in run_checks(checks)}
    assert findings["stack and models"].health is Health.FAIL
    assert "Pulumi.dev.yaml" in findings["stack and models"].detail
    assert "port" not in findings, "a stack on AWS does not use the local platform's port"
    assert findings["disk"].health in (Health.OK, Health.WARN)


def test_a_folder_that_is_not_writable_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "access", lambda path, mode: False)  # root can write anywhere
    assert machine.check_disk(tmp_path / "a" / "b").health is Health.FAIL

"""`doctor`: checks side by side, each failure provoked, and what it says about mending it."""

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
class Run:
    result: str


@dataclass
class Held:
    description: str
    on_other_machine: bool


@dataclass
class Deployment:
    runs: Sequence[Run] | None = (Run("succeeded"),)
    held: Held | None = None
    trouble: str = ""

    def history(self, limit: int = 20) -> Sequence[Run]:
        if self.trouble:
            raise PlatformError(self.trouble, next_step="pulumi login")
        if self.runs is None:
            raise NotFound("never brought up")
        return self.runs

    def active_engine(self) -> str:
        return "pulumi"

    def lock_holder(self) -> Held | None:
        return self.held


@dataclass
class FakeStack:
    """One stack on AWS, up and well, but for what a test says."""

    account: FakeAccount = field(default_factory=FakeAccount)
    settings: StackSettings = DEV
    arn: str = f"arn:aws:sts::{ACCOUNT}:assumed-role/ada/ada@example.com"
    in_account: str = ACCOUNT
    no_credentials: bool = False
    up: bool = True
    state: Deployment = field(default_factory=Deployment)
    spec: ModelSpec = field(default_factory=a_spec)
    engines: list[str | None] = field(default_factory=list)
    """Whom the state was asked of."""
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


def examined(patient: FakeStack, persona: str | None = None) -> dict[str, Finding]:
    """Every finding by its name; a pulumi CLI is there."""
    pulumi = DoctorCheck("pulumi", "this machine", lambda: ok("pulumi", "3.260.0"))
    checks = (pulumi, *account_checks(lambda: patient, patient.settings, persona=persona))
    return {each.check: each for each in run_checks(checks)}


def generous(spec: ModelSpec) -> dict[str, Quota]:
    needs = list_quota_needs({spec.name: spec})
    return {need.name.casefold(): Quota(need.name, "L-1", need.maximum, True) for need in needs}


def test_a_healthy_stack_on_aws_has_nothing_to_mend() -> None:
    patient = FakeStack(FakeAccount(quotas=generous(a_spec())), settings=DEV)
    found = examined(patient)
    assert {name: each for name, each in found.items() if each.health is not Health.OK} == {}
    assert {each.fix for each in found.values()} == {""}
    assert {f"role {persona}" for persona in PERSONAS} <= found.keys()


Provoked = tuple[str, Callable[[FakeStack], Any], str, Health, str, str]


def account(**changes: Any) -> Callable[[FakeStack], Any]:
    return lambda patient: patient.account.__dict__.update(changes)


def patient(**changes: Any) -> Callable[[FakeStack], Any]:
    return lambda patient: patient.__dict__.update(changes)


def may_not(action: str) -> Callable[[FakeStack], Any]:
    return account(allows=lambda asked, ask: ask.allowed and asked != action)


PROVOKED: tuple[Provoked, ...] = (
    ("no credentials", patient(no_credentials=True), "credentials", Health.FAIL, "no AWS credentials", "aws configure"),
    ("root", patient(arn=f"arn:aws:iam::{ACCOUNT}:root"), "credentials", Health.WARN, "root", "sign in as a role"),
    ("other account", patient(in_account="9" * 12), "account", Health.FAIL, "999999999999", "AWS_PROFILE"),
    ("any account", patient(settings=DEV.model_copy(update={"account_id": None})), "account", Health.WARN, "none",
     f'bedplate:account_id: "{ACCOUNT}"'),
    ("region off", account(region="not-opted-in"), "region", Health.FAIL, "not enabled", "aws account enable-region"),
    ("no such region", account(region="unknown"), "region", Health.FAIL, "knows no region", "aws:region"),
    ("no SageMaker", account(sagemaker=False), "region", Health.FAIL, "no SageMaker", "aws:region"),
    ("a deaf service", account(deaf=("kms",)), "endpoints", Health.FAIL, "kms", "HTTPS_PROXY"),
    ("a slow clock", account(skew_s=-900.0), "clock", Health.FAIL, "900 s behind", "timedatectl"),
    ("no quota", account(limits={}), "quota: ml.m5.large for endpoint usage", Health.WARN, "not list", "console"),
    ("too many budgets", account(budgets=20_000), "budgets", Health.FAIL, "20,000", "delete"),
    ("may nothing", account(allows=lambda asked, ask: False), "permissions", Health.FAIL, "nobody's work", "sign in"),
    ("may not train", may_not("sagemaker:CreateTrainingJob"), "you as data-scientist", Health.WARN,
     "CreateTrainingJob", "act as bedplate-dev-data-scientist"),
    ("a role that lacks", may_not("sagemaker:CreateTrainingJob"), "role data-scientist", Health.FAIL,
     "CreateTrainingJob", "bedplate drift"),
    ("a role that may all", account(allows=lambda asked, ask: True), "role data-scientist", Health.FAIL,
     "must not", "bedplate drift"),
    ("may not ask", account(denied=True), "quotas", Health.WARN, "could not be asked", "identity that may"),
    ("no image", account(pushed=False), "image", Health.FAIL, "does not exist", "push the image"),
    ("may not ask of the region", account(denied=True), "region", Health.OK, "knows these credentials", ""),
    ("key disabled", account(key="Disabled"), "key", Health.FAIL, "Disabled", "aws kms enable-key"),
    ("key going", account(key="PendingDeletion"), "key", Health.FAIL, "PendingDeletion", "cancel-key-deletion"),
    ("key refused", account(denied=True), "key", Health.WARN, "could not be asked", "identity that may"),
    ("not confirmed", account(subscribers=(Subscription("ml@example.com", False),)), "alerts", Health.WARN,
     "not confirmed", "follow the link"),
    ("not subscribed", account(subscribers=()), "alerts", Health.FAIL, "ml@example.com",
     "bedplate up --refresh --stack dev"),
    ("not up", patient(up=False), "stack", Health.SKIPPED, "not up", "bedplate up --stack dev"),
    ("no backend", patient(state=Deployment(trouble="no login")), "state", Health.FAIL, "no login", "pulumi login"),
    ("never up", patient(state=Deployment(runs=None)), "state", Health.OK, "never brought up", ""),
    ("a lock elsewhere", patient(state=Deployment(held=Held("eve@far", True))), "lock", Health.WARN, "eve@far",
     "bedplate state unlock --stack dev"),
    ("a lock here", patient(state=Deployment(held=Held("eve@here", False))), "lock", Health.WARN, "eve@here", "wait"),
    ("a run under way", patient(state=Deployment((Run("in-progress"),))), "lock", Health.WARN, "under way",
     "pulumi cancel"),
    ("a dead run", patient(state=Deployment((Run("interrupted"),))), "lock", Health.WARN, "interrupted", "bedplate up"),
    ("a region without the type", patient(settings=DEV.model_copy(update={"region": "ap-southeast-5"})),
     "instance types", Health.FAIL, "lacks ml.m5.large", "regions with it: "),
    ("an unknown region", patient(settings=DEV.model_copy(update={"region": "us-gov-west-1"})), "instance types",
     Health.WARN, "nobody knows", "quotas"),
)  # fmt: skip


@pytest.mark.parametrize(("provoke", "check", "health", "what", "mend"), [p[1:] for p in PROVOKED],
                         ids=[p[0] for p in PROVOKED])  # fmt: skip
def test_each_failure_is_found_and_comes_with_its_mend(
    provoke: Callable[[FakeStack], Any], check: str, health: Health, what: str, mend: str
) -> None:
    sick = FakeStack(FakeAccount(quotas=generous(a_spec())))
    provoke(sick)
    found = examined(sick)[check]
    assert found.health is health, found
    assert what in found.detail
    assert mend in found.fix


def test_without_credentials_what_needs_them_is_skipped_and_the_rest_is_looked_at() -> None:
    found = examined(FakeStack(no_credentials=True))
    assert {found[name].health for name in ("account", "region", "quotas", "permissions", "key")} == {Health.SKIPPED}
    assert {found[name].health for name in ("endpoints", "clock", "state", "instance types")} == {Health.OK}


def test_a_persona_that_is_asked_for_must_be_able_to_do_its_work() -> None:
    allowed = {"ce:GetCostAndUsage", "budgets:ViewBudget", "ssm:GetParameter"}
    sick = FakeStack(FakeAccount(allows=lambda action, ask: action in allowed))
    assert examined(sick)["you as finance"].health is Health.OK
    assert examined(sick)["you as approver"].health is Health.WARN
    assert examined(sick, "approver")["you as approver"].health is Health.FAIL
    sick.arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/bedplate-dev-auditor/eve"
    assert examined(sick)["you as auditor"].health is Health.FAIL, "the role says whose work it is for"


def test_the_state_is_asked_of_the_engine_that_keeps_it() -> None:
    patient = FakeStack()
    examined(patient)
    assert patient.engines == [None, "pulumi"], "the other one would take it over, and doctor changes nothing"


# --- quotas ----------------------------------------------------------------------------------------------------------


def test_quotas_count_a_second_fleet_beside_what_serves_and_tell_failing_from_scaling() -> None:
    spec = a_spec(serving={"instance_type": "ml.c5.large", "instance_count": 2, "max_instances": 6})
    quota = Quota("ml.c5.large for endpoint usage", "L-7", 3, True)
    limits = {**generous(spec), quota.name.casefold(): quota}

    def found(value: float) -> Finding:
        limits[quota.name.casefold()] = replace(quota, value=value)
        return examined(FakeStack(FakeAccount(quotas=limits), spec=spec))[f"quota: {quota.name}"]

    assert (found(3).health, found(4).health, found(7).health, found(8).health) == (
        Health.FAIL, Health.WARN, Health.WARN, Health.OK,
    )  # fmt: skip
    assert "--quota-code L-7 --desired-value 8" in found(3).fix


def test_quotas_of_several_models_add_up_where_they_run_at_once() -> None:
    two = {
        name: a_spec(name, training={"instance_type": "ml.g5.xlarge", "instance_count": 3}) for name in ("one", "two")
    }
    by_name = {need.name: (need.minimum, need.maximum) for need in list_quota_needs(two, reconciler_instance="ml.t3.medium")}
    assert by_name["ml.g5.xlarge for training job usage"] == (3, 3)
    assert by_name["ml.g5.xlarge for processing job usage"] == (1, 1)
    assert by_name["ml.m5.large for processing job usage"] == (1, 2), "every model is monitored in the same hour"
    assert by_name["ml.m5.large for endpoint usage"] == (2 + 2 + 2, 4 + 4 + 2)
    assert by_name["ml.t3.medium for processing job usage"] == (1, 1)


def test_a_spot_training_asks_for_spot_instances() -> None:
    spec = a_spec(training={"instance_type": "ml.g5.xlarge", "spot": {"max_wait_s": 7200}})
    trained = [need.name for need in list_quota_needs({"churn": spec}) if "training job" in need.name]
    assert trained == ["ml.g5.xlarge for spot training job usage"]


def test_a_serverless_model_asks_for_concurrency_and_for_no_instances() -> None:
    spec = a_spec(
        serving={"mode": "serverless", "serverless": {"max_concurrency": 50}}, rollout={"strategy": "all-at-once"}
    )
    limits = {"maximum total concurrency across all serverless endpoints": Quota("x", "L-9", 10, False)}
    found = examined(FakeStack(FakeAccount(quotas=limits), spec=spec))
    row = found["quota: total concurrency across all serverless endpoints"]
    assert (row.health, "not adjustable" in row.fix) == (Health.WARN, True)
    assert not [name for name in found if "endpoint usage" in name]


# --- permissions -----------------------------------------------------------------------------------------------------


def test_every_persona_has_work_and_limits_in_this_environment_only() -> None:
    place = StackArns("bedplate", "dev", "eu-west-1", ACCOUNT, ("churn",))
    for persona in PERSONAS:
        asked = list_permissions(persona, place)
        assert [ask for ask in asked if ask.is_allowed]
        assert [ask for ask in asked if not ask.is_allowed], f"{persona} may do everything"
        assert not [ask.resource for ask in asked if ask.resource != "*" and "bedplate" not in ask.resource
                    and ":key/" not in ask.resource and "/aws/sagemaker/" not in ask.resource]  # fmt: skip


# --- running checks --------------------------------------------------------------------------------------------------


def healthy(name: str) -> Callable[[], Finding]:
    return lambda: ok(name, "fine")


def test_a_check_that_does_not_come_back_holds_up_nobody() -> None:
    never = threading.Event()

    def hangs() -> Finding:
        never.wait(5)
        return ok("slow", "at last")

    checks = (
        DoctorCheck("slow", "s", hangs, timeout_s=0.01),
        DoctorCheck("quick", "s", healthy("quick")),
        DoctorCheck("behind", "s", healthy("behind"), after=("slow",)),
    )
    found = run_checks(checks)
    never.set()
    assert [(each.check, each.health) for each in found] == [
        ("slow", Health.FAIL), ("quick", Health.OK), ("behind", Health.SKIPPED),
    ]  # fmt: skip
    assert "no answer within 0.01 s" in found[0].detail


def test_checks_run_side_by_side_and_are_told_in_their_order() -> None:
    together = threading.Barrier(3, timeout=5)

    def meets(name: str) -> Callable[[], Finding]:
        def look() -> Finding:
            together.wait()  # breaks unless all three are at it
            return ok(name, "met")

        return look

    heard: list[str] = []
    found = run_checks([DoctorCheck(name, "s", meets(name)) for name in "abc"], on_check=heard.append)
    assert [(each.check, each.detail) for each in found] == [("a", "met"), ("b", "met"), ("c", "met")]
    assert sorted(heard) == ["a", "b", "c"]


def test_a_check_that_raises_is_a_finding() -> None:
    def raises(error: Exception) -> Callable[[], Finding]:
        def look() -> Finding:
            raise error

        return look

    found = run_checks([
        DoctorCheck("ours", "s", raises(UsageError("no such thing", next_step="bedplate up"))),
        DoctorCheck("refused", "s", raises(Denied("may not"))),
        DoctorCheck("broken", "s", raises(KeyError("x"))),
    ])  # fmt: skip
    assert [each.health for each in found] == [Health.FAIL, Health.WARN, Health.FAIL]
    assert [each.fix for each in found] == ["bedplate up", "ask with an identity that may", "report this as a fault"]
    assert "KeyError" in found[2].detail


def test_a_warning_stops_nothing_and_a_failure_stops_what_comes_after() -> None:
    bad = DoctorCheck("bad", "s", lambda: fail("bad", "it is", "mend it"))
    chain = (
        bad,
        DoctorCheck("next", "s", healthy("next"), after=("bad",)),
        DoctorCheck("last", "s", healthy("last"), after=("next",)),
    )
    assert [each.health for each in run_checks(chain)] == [Health.FAIL, Health.SKIPPED, Health.SKIPPED]
    with pytest.raises(ValueError, match="not all of them come before it"):
        run_checks((chain[1], bad))


# --- this machine ----------------------------------------------------------------------------------------------------


def test_packages_are_held_against_the_lock(tmp_path: Path) -> None:
    assert machine.check_packages(tmp_path).health is Health.WARN, "no lock file"
    have: Mapping[str, str] = machine.list_installed()
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"click=={have['click']} \\\n    --hash=sha256:00\npywin32==1 ; sys_platform == 'win32'\n")
    assert machine.check_packages(tmp_path).health is Health.OK
    lock.write_text("click==0.0.1\n")
    assert machine.check_packages(tmp_path).health is Health.WARN
    lock.write_text("no-such-package-at-all==1.0\n")
    found = machine.check_packages(tmp_path)
    assert (found.health, found.fix) == (Health.FAIL, "make setup")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a program that prints a line, the only one on PATH beside others made so."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, prints: str, code: int = 0) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\necho '{prints}'\nexit {code}\n")
        path.chmod(0o755)
        return path

    return make


def test_a_stack_on_aws_needs_the_pulumi_cli_and_the_laptop_does_not(tools: Callable[..., Path]) -> None:
    judged = [machine.check_pulumi(None, "3.206.0", "dev", on_aws=on_aws) for on_aws in (True, False)]
    assert [each.health for each in judged] == [Health.FAIL, Health.SKIPPED]
    assert "--install" in judged[0].fix
    old, new, broken = tools("old", "v3.100.2"), tools("new", "v3.260.0"), tools("broken", "", 1)
    judged = [machine.check_pulumi(path, "3.206.0", "dev", on_aws=True) for path in (old, new, broken)]
    assert [each.health for each in judged] == [Health.FAIL, Health.OK, Health.FAIL]


def test_docker_terraform_and_git_are_found_or_told(tools: Callable[..., Path], tmp_path: Path) -> None:
    assert [machine.check_docker(on_aws=on_aws).health for on_aws in (True, False)] == [Health.WARN, Health.SKIPPED]
    assert machine.check_terraform().health is Health.SKIPPED
    assert machine.check_git(tmp_path).detail.startswith("not found")
    tools("docker", "", 1)
    assert "engine does not answer" in machine.check_docker(on_aws=True).detail
    tools("docker", "28.1")
    tools("terraform", "Terraform v1.11.4")
    tools("git", "git version 2.47", 1)
    assert (machine.check_docker(on_aws=True).detail, machine.check_terraform().detail) == ("28.1", "1.11.4")
    assert "no commit" in machine.check_git(tmp_path).detail
    tools("git", "git version 2.47")
    assert machine.check_git(tmp_path).health is Health.OK


def test_a_faulty_stack_file_is_told_with_every_fault(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.dev.yaml").write_text("config:\n  bedplate:target: moon\n")
    checks = machine.machine_checks(
        tmp_path, "dev", on_aws=True, state_dir=tmp_path / ".bedplate",
        find_pulumi=lambda: (None, "3.206.0"), local=lambda: (None, True),
    )  # fmt: skip
    found = {each.check: each for each in run_checks(checks)}
    assert found["stack and models"].health is Health.FAIL
    assert "Pulumi.dev.yaml" in found["stack and models"].detail
    assert "port" not in found, "the local platform's port is nothing to a stack on AWS"
    assert found["disk"].health in (Health.OK, Health.WARN)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "access", lambda path, mode: False)  # root may write anywhere
    assert machine.check_disk(tmp_path / "a" / "b").health is Health.FAIL

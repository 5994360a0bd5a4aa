"""Injects a failure at each step of training, deployment and rollback, and checks the state that results.

After each failure a healthy release serves all traffic, no ledger record is lost, and the repeated command finishes the
operation. `TABLE` lists failing calls; the tests below it cover alarms, kills, concurrent commands and manual changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bedplate.aws.sagemaker.endpoints import SageMakerEndpoints
from bedplate.aws.storage.objects import S3Objects
from bedplate.domain.ledger import LIVE_KINDS, Record
from bedplate.domain.names import bucket
from bedplate.domain.release import version_of
from bedplate.local import faults
from bedplate.workflows.record.ledger import Ledger
from command_line import CommandResult
from fakes import FakeClock
from local_stage import ACCOUNT, PROJECT, STACK, Stage
from polling import wait_until
from serving_stage import ROLLOUT_WITHOUT_TRAFFIC, register_version, wait_until_settled

ALWAYS = 50
"""More failures than a client has retries."""
ROW = b'{"id": "x", "at": "2013-01-01T00:00:00Z", "age": 40.0, "plan": "pro"}'
AT_ONCE = ("--strategy", "all-at-once", "--bake", "0")


@dataclass(frozen=True)
class FailureCase:
    """The call fails `times` times during `command`, which exits with `code`; then `live` serves the traffic.

    Without the failure, the repeated command exits with `repeat_code`, and `repeat_live` serves the traffic.
    """

    step: str
    failure: faults.FaultKind
    times: int
    command: tuple[str, ...]
    call: tuple[str, int, str]
    """Operation, number of calls that succeed first, and text that the request contains."""
    code: int
    live: str
    repeat_code: int | None = None
    repeat_live: str = ""


DEPLOY = ("deploy", "churn:{other}", *AT_ONCE)
ROLLBACK = ("rollback", "churn", "--now", "--reason", "rehearsal")
START_RECORD, END_RECORD = ("s3:PutObject", 0, "/ledger/"), ("s3:PutObject", 1, "/ledger/")
"""A deployment writes one record before traffic moves, and one after it has verified the live release."""
CREATE, CONFIGURE = ("sagemaker:CreateModel", 0, ""), ("sagemaker:CreateEndpointConfig", 0, "")
GUARD, SHIFT = ("cloudwatch:PutMetricAlarm", 0, ""), ("sagemaker:UpdateEndpoint", 0, "")
OBSERVE, VERIFY = ("sagemaker:DescribeEndpoint", 5, ""), ("sagemaker-runtime:InvokeEndpoint", 0, "")
TABLE = (
    # step, failure, times, command, call | exit code, live version | exit code and live version of the repeated command
    FailureCase("create the model", "throttle", ALWAYS, DEPLOY, CREATE, 1, "one", 0, "other"),
    FailureCase("create the model", "lost", 1, DEPLOY, CREATE, 0, "other"),
    FailureCase("create the configuration", "error", ALWAYS, DEPLOY, CONFIGURE, 1, "one", 0, "other"),
    FailureCase("create the guard", "error", ALWAYS, DEPLOY, GUARD, 1, "one", 0, "other"),
    FailureCase("record the start", "error", ALWAYS, DEPLOY, START_RECORD, 1, "one", 0, "other"),
    FailureCase("record the start", "lost", 1, DEPLOY, START_RECORD, 0, "other"),
    FailureCase("shift", "throttle", ALWAYS, DEPLOY, SHIFT, 1, "one", 0, "other"),
    FailureCase("shift", "throttle", 2, DEPLOY, SHIFT, 0, "other"),
    FailureCase("shift", "lost", 1, DEPLOY, SHIFT, 0, "other"),
    FailureCase("bake", "error", ALWAYS, DEPLOY, OBSERVE, 1, "other", 0, "other"),
    FailureCase("verify", "error", ALWAYS, DEPLOY, VERIFY, 1, "other", 0, "other"),
    FailureCase("record the end", "error", ALWAYS, DEPLOY, END_RECORD, 1, "other", 0, "other"),
    FailureCase("record the end", "lost", 1, DEPLOY, END_RECORD, 0, "other"),
    FailureCase("roll back", "throttle", ALWAYS, ROLLBACK, SHIFT, 1, "other", 0, "one"),
    FailureCase("roll back", "lost", 1, ROLLBACK, SHIFT, 0, "one"),
    FailureCase("record the rollback", "error", ALWAYS, ROLLBACK, END_RECORD, 1, "one", 0, "one"),
)


@pytest.fixture(scope="module")
def stage(fault_stage: Stage) -> Stage:
    fault_stage.write_model_yaml(rollout=ROLLOUT_WITHOUT_TRAFFIC)
    return fault_stage


@pytest.fixture(scope="module")
def versions(stage: Stage) -> dict[str, int]:
    """Two versions with similar predictions, and one with different predictions."""
    splits = {"one": 40.0, "other": 40.5, "bad": 75.0}
    return {name: register_version(stage, split=split) for name, split in splits.items()}


@dataclass
class Scenario:
    """A stage whose version `one` is live; arguments of commands name versions as `{one}`, `{other}` and `{bad}`."""

    stage: Stage
    versions: dict[str, int]
    records_before: list[Record]

    def run(self, *args: str) -> CommandResult:
        return self.stage.run(*self.format_arguments(*args))

    def format_arguments(self, *args: str) -> list[str]:
        return [argument.format(**self.versions) for argument in args]

    def inject_fault(
        self, operation: str, kind: faults.FaultKind, times: int = ALWAYS, skip: int = 0, match: str = ""
    ) -> None:
        request = {"operation": operation, "kind": kind, "times": times, "skip": skip, "match": match}
        faults.request_faults(self.stage.url, "POST", request)

    def clear_faults(self) -> list[faults.Fault]:
        injected = faults.request_faults(self.stage.url, "GET")
        faults.request_faults(self.stage.url, "DELETE")
        return injected

    @property
    def ledger(self) -> Ledger:
        return Ledger(S3Objects(self.stage.session), bucket(PROJECT, STACK, "ledger", ACCOUNT), FakeClock())

    def new_records(self) -> list[Record]:
        return self.ledger.records()[len(self.records_before) :]

    def assert_live(self, live: str, *, recorded: bool = True) -> None:
        """Asserts that this version serves all traffic and that the ledger is intact.

        With `recorded`, the ledger must also name it as the live version.
        """
        assert wait_until_settled(self.stage) == "InService"
        endpoints, name = SageMakerEndpoints(self.stage.session), self.stage.names.endpoint
        state = endpoints.observe(name)
        assert (state.variants, state.pending_config) == ({"live": 1.0}, None)
        assert version_of(endpoints.invoke(name, ROW).release or "") == self.versions[live]
        ledger = self.ledger
        assert ledger.verify(full=True).ok
        records = ledger.records()
        assert records[: len(self.records_before)] == self.records_before
        if recorded:
            live_records = [r for r in records if r.model == "churn" and r.kind in LIVE_KINDS and r.data.get("live")]
            assert version_of(str(live_records[-1].data["live"])) == self.versions[live]

    def deploy_if_not_live(self, name: str) -> None:
        response = SageMakerEndpoints(self.stage.session).invoke(self.stage.names.endpoint, ROW)
        if version_of(response.release or "") != self.versions[name]:
            result = self.run("deploy", f"churn:{{{name}}}", *AT_ONCE, "--force", "--reason", "the case before")
            assert result.code == 0, result.stderr

    def raise_alarm(self, name: str) -> None:
        client = self.stage.session.client("cloudwatch")
        client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="the table of failures")

    def reset_alarms(self) -> None:
        """Sets the alarms to OK at once, which would otherwise return to OK up to a second after the last test."""
        client = self.stage.session.client("cloudwatch")
        for alarm in self.stage.names.rollback_alarms:
            client.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="the next case")


@pytest.fixture
def scenario(stage: Stage, versions: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Scenario]:
    """`one` is live, and botocore retries failed calls without a delay."""
    from botocore.retries.standard import ExponentialBackoff

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0)
    scenario = Scenario(stage, versions, [])
    scenario.clear_faults()
    scenario.reset_alarms()
    scenario.deploy_if_not_live("one")
    scenario.records_before = scenario.ledger.records()
    yield scenario
    scenario.clear_faults()


@pytest.mark.parametrize("case", TABLE, ids=lambda case: f"{case.step} {case.failure}-{case.times}".replace(" ", "-"))
def test_a_failed_call_leaves_a_healthy_release_and_the_repeated_command_finishes(
    case: FailureCase, scenario: Scenario
) -> None:
    if case.command == ROLLBACK:
        scenario.deploy_if_not_live("other")
    else:
        _delete_release(scenario, "other")
    scenario.inject_fault(case.call[0], case.failure, case.times, *case.call[1:])
    result = scenario.run(*case.command)
    [fault] = scenario.clear_faults()
    assert fault.injected > 0, "the fault was never injected"
    assert result.code == case.code, result.stderr
    scenario.assert_live(case.live, recorded=case.code == 0)
    if case.repeat_code is not None:
        assert "Traceback" not in result.stderr
        repeated = scenario.run(*case.command)
        assert repeated.code == case.repeat_code, repeated.stderr
        scenario.assert_live(case.repeat_live)


def _delete_release(scenario: Scenario, name: str) -> None:
    """Deletes the release of a version, so that the next deployment has to create it."""
    endpoints, names = SageMakerEndpoints(scenario.stage.session), scenario.stage.names
    for release in endpoints.list_releases(names.endpoint):
        if version_of(release.name) == scenario.versions[name]:
            endpoints.delete_release(release.name)
            scenario.stage.session.client("cloudwatch").delete_alarms(AlarmNames=[names.guard_alarm(release.name)])


# --- alarms, kills, concurrent commands and manual changes -----------------------------------------------------------


def _start_canary(scenario: Scenario, share: float, bake_s: int) -> None:
    """Starts a deployment of `other` without waiting for its end, and waits until it has this share of the traffic."""
    result = scenario.run("deploy", "churn:{other}", "--bake", str(bake_s), "--no-wait")
    assert result.code == 0, result.stderr
    endpoints, name = SageMakerEndpoints(scenario.stage.session), scenario.stage.names.endpoint
    wait_until(lambda: endpoints.observe(name).pending_share == share)


@pytest.mark.parametrize(("during", "share", "bake_s"), [("canary", 0.5, 300), ("promotion", 1.0, 5)])
def test_an_alarm_rolls_the_deployment_back(during: str, share: float, bake_s: int, scenario: Scenario) -> None:
    """The promotion starts after the canary's bake and bakes as long again, in which the alarm is raised."""
    _start_canary(scenario, share, bake_s)
    scenario.raise_alarm(scenario.stage.names.errors_alarm)
    scenario.assert_live("one", recorded=False)
    result = scenario.run("deploy", "churn:{other}")
    assert result.code == 5, result.stderr
    assert scenario.stage.names.errors_alarm in result.stderr
    scenario.assert_live("one")
    assert [r.kind for r in scenario.new_records()] == ["deployment-started", "resumed", "deployment-rolled-back"]


def test_a_second_concurrent_deployment_is_rejected(scenario: Scenario) -> None:
    _start_canary(scenario, 0.5, 5)
    result = scenario.run("deploy", "churn:{bad}", *AT_ONCE, "--force", "--reason", "hurry")
    assert result.code == 7, result.stderr
    assert scenario.run("deploy", "churn:{other}").code == 0
    scenario.assert_live("other")


def test_a_rollback_aborts_a_deployment_in_flight(scenario: Scenario) -> None:
    _start_canary(scenario, 0.5, 300)
    result = scenario.run(*ROLLBACK)
    assert result.code == 0, result.stderr
    scenario.assert_live("one")


@pytest.mark.parametrize(
    ("after", "operation", "skip", "match", "live"),
    [
        ("the configuration was created", "sagemaker:CreateEndpointConfig", 0, "", "one"),
        ("the traffic was shifted", "sagemaker:UpdateEndpoint", 0, "", "other"),
        ("the end was recorded", "s3:PutObject", 1, "/ledger/", "other"),
    ],
)
def test_a_deployment_killed_after_any_step_is_finished_by_the_same_command(
    after: str, operation: str, skip: int, match: str, live: str, scenario: Scenario
) -> None:
    _delete_release(scenario, "other")
    scenario.inject_fault(operation, "hold", 1, skip, match)
    with scenario.stage.start(*scenario.format_arguments("deploy", "churn:{other}", *AT_ONCE)):
        wait_until(lambda: faults.request_faults(scenario.stage.url, "GET")[0].injected == 1)
    scenario.clear_faults()
    scenario.assert_live(live, recorded=False)
    repeated = scenario.run("deploy", "churn:{other}", *AT_ONCE)
    assert repeated.code == 0, repeated.stderr
    scenario.assert_live("other")
    kinds = [r.kind for r in scenario.new_records()]
    assert (kinds[0], kinds.count("deployed")) == ("deployment-started", 1)


def test_a_version_that_was_rejected_manually_is_not_deployed(scenario: Scenario) -> None:
    sagemaker = scenario.stage.session.client("sagemaker")
    package = _package_arn(scenario, "other")
    sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Rejected")
    try:
        result = scenario.run(*DEPLOY)
        assert result.code == 4, result.stderr
        scenario.assert_live("one")
    finally:
        sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")


def test_a_manually_deleted_version_is_an_error_with_its_number(scenario: Scenario) -> None:
    deleted = register_version(scenario.stage, split=41.5)
    scenario.stage.session.client("sagemaker").delete_model_package(
        ModelPackageName=_package_arn(scenario, "other").rpartition("/")[0] + f"/{deleted}"
    )
    result = scenario.run("deploy", f"churn:{deleted}", *AT_ONCE)
    assert result.code == 2, result.stderr
    assert f"version {deleted}" in result.stderr
    scenario.assert_live("one")


def test_a_rollback_to_a_manually_deleted_release_leaves_a_healthy_release_live(scenario: Scenario) -> None:
    scenario.deploy_if_not_live("other")
    _delete_release(scenario, "one")
    result = scenario.run(*ROLLBACK)
    assert "Traceback" not in result.stderr
    scenario.assert_live("one" if result.code == 0 else "other")


def _package_arn(scenario: Scenario, name: str) -> str:
    group = scenario.stage.names.package_group
    return f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model-package/{group}/{scenario.versions[name]}"


# --- training, evaluation and approval -------------------------------------------------------------------------------


def test_a_training_that_cannot_be_submitted_registers_nothing(scenario: Scenario) -> None:
    scenario.stage.write_data()
    before = _list_versions(scenario)
    scenario.inject_fault("sagemaker:CreateTrainingJob", "throttle")
    result = scenario.run("train", "churn", "--data", str(scenario.stage.project / "data.parquet"), "--seed", "501")
    [fault] = scenario.clear_faults()
    assert (result.code, fault.injected > 0) == (1, True), result.stderr
    assert _list_versions(scenario) == before
    assert not [r for r in scenario.new_records() if r.kind == "trained"]
    scenario.assert_live("one")


def test_a_training_whose_script_fails_registers_nothing_and_prints_its_exception(scenario: Scenario) -> None:
    scenario.stage.write_data()
    before = _list_versions(scenario)
    result = scenario.run("train", "churn", "--data", str(scenario.stage.project / "data.parquet"), "--set", "noise=10")
    assert result.code == 1
    assert "too much noise" in result.stderr
    assert _list_versions(scenario) == before
    assert not [r for r in scenario.new_records() if r.kind == "trained"]
    scenario.assert_live("one")


def test_a_version_whose_registration_response_was_lost_is_registered_once(scenario: Scenario) -> None:
    scenario.stage.write_data()
    before = _list_versions(scenario)
    scenario.inject_fault("sagemaker:CreateModelPackage", "lost", 1)
    result = scenario.run("train", "churn", "--data", str(scenario.stage.project / "data.parquet"), "--seed", "502")
    [fault] = scenario.clear_faults()
    assert (result.code, fault.injected) == (0, 1), result.stderr
    [new] = set(_list_versions(scenario)) - set(before)
    assert [r.version for r in scenario.new_records() if r.kind == "trained"] == [new]
    scenario.inject_fault("sagemaker:CreateProcessingJob", "throttle")
    assert scenario.run("evaluate", f"churn:{new}").code == 1
    scenario.clear_faults()
    assert scenario.run("approve", f"churn:{new}", "--reason", "never evaluated").code in (3, 4, 6)
    assert scenario.run("evaluate", f"churn:{new}").code in (0, 3, 6)
    scenario.inject_fault("s3:PutObject", "error", ALWAYS, 0, "/ledger/")
    assert scenario.run("approve", f"churn:{new}", "--force", "--reason", "rehearsal").code == 1
    scenario.clear_faults()
    result = scenario.run("approve", f"churn:{new}", "--force", "--reason", "rehearsal")
    assert result.code == 0, result.stderr
    kinds = [r.kind for r in scenario.new_records() if r.version == new]
    assert kinds.count("approved") + kinds.count("forced") >= 1
    assert scenario.ledger.verify(full=True).ok
    scenario.assert_live("one")


def _list_versions(scenario: Scenario) -> list[int]:
    pages = scenario.stage.session.client("sagemaker").get_paginator("list_model_packages")
    group = scenario.stage.names.package_group
    summaries = (p for page in pages.paginate(ModelPackageGroupName=group) for p in page["ModelPackageSummaryList"])
    return [summary["ModelPackageVersion"] for summary in summaries]

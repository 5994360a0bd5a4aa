"""A table of failures, one injected at each step of a release's life, with the end state of each asserted.

Whatever fails: a good release answers all of the traffic, nothing is lost from the ledger, and the same command, typed
again once the failure is over, finishes what it began. What is not a call that fails (alarms, kills, two at once, hands
that edit) stands below the table, under the same invariants.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bedplate.aws.sagemaker.endpoints import SageMakerEndpoints
from bedplate.aws.session import Session
from bedplate.aws.storage.objects import S3Objects
from bedplate.domain.ledger import LIVE_KINDS, Record
from bedplate.domain.names import bucket
from bedplate.domain.release import version_told
from bedplate.local import faults
from bedplate.workflows.record.ledger import Ledger
from fakes import FakeClock
from local_stage import ACCOUNT, PROJECT, STACK, Stage
from serving_stage import ROLLOUT, approved, settled
from typed import Ran, typed

ALWAYS = 50
"""More often than any client tries."""
ROW = b'{"id": "x", "at": "2013-01-01T00:00:00Z", "age": 40.0, "plan": "pro"}'
AT_ONCE = ("--strategy", "all-at-once", "--bake", "0")


@dataclass(frozen=True)
class Row:
    """`act` meets a failure `times` times and exits with `code`; `live` answers then. Typed again once the failure is
    over, it exits with `again_code`, and `again_live` answers."""

    step: str
    failure: faults.Kind
    times: int
    act: tuple[str, ...]
    at: tuple[str, int, str]
    """Operation, how many of its calls pass before, what the request holds."""
    code: int
    live: str
    again_code: int | None = None
    again_live: str = ""


DEPLOY = ("deploy", "churn:{other}", *AT_ONCE)
ROLLBACK = ("rollback", "churn", "--now", "--reason", "rehearsal")
BEGINNING, END = ("s3:PutObject", 0, "/ledger/"), ("s3:PutObject", 1, "/ledger/")
"""A deployment writes two records, before the traffic moves and after the endpoint was asked."""
CREATE, CONFIGURE = ("sagemaker:CreateModel", 0, ""), ("sagemaker:CreateEndpointConfig", 0, "")
GUARD, SHIFT = ("cloudwatch:PutMetricAlarm", 0, ""), ("sagemaker:UpdateEndpoint", 0, "")
LOOK, ASK = ("sagemaker:DescribeEndpoint", 5, ""), ("sagemaker-runtime:InvokeEndpoint", 0, "")
TABLE = (
    # step, failure: how often, what fails | exit, who answers | again: exit, who answers
    Row("create the model", "throttle", ALWAYS, DEPLOY, CREATE, 1, "one", 0, "other"),
    Row("create the model", "lost", 1, DEPLOY, CREATE, 0, "other"),
    Row("create the configuration", "error", ALWAYS, DEPLOY, CONFIGURE, 1, "one", 0, "other"),
    Row("create the guard", "error", ALWAYS, DEPLOY, GUARD, 1, "one", 0, "other"),
    Row("record the beginning", "error", ALWAYS, DEPLOY, BEGINNING, 1, "one", 0, "other"),
    Row("record the beginning", "lost", 1, DEPLOY, BEGINNING, 0, "other"),
    Row("shift", "throttle", ALWAYS, DEPLOY, SHIFT, 1, "one", 0, "other"),
    Row("shift", "throttle", 2, DEPLOY, SHIFT, 0, "other"),
    Row("shift", "lost", 1, DEPLOY, SHIFT, 0, "other"),
    Row("bake", "error", ALWAYS, DEPLOY, LOOK, 1, "other", 0, "other"),
    Row("ask who answers", "error", ALWAYS, DEPLOY, ASK, 1, "other", 0, "other"),
    Row("record the end", "error", ALWAYS, DEPLOY, END, 1, "other", 0, "other"),
    Row("record the end", "lost", 1, DEPLOY, END, 0, "other"),
    Row("roll back", "throttle", ALWAYS, ROLLBACK, SHIFT, 1, "other", 0, "one"),
    Row("roll back", "lost", 1, ROLLBACK, SHIFT, 0, "one"),
    Row("record the rollback", "error", ALWAYS, ROLLBACK, END, 1, "one", 0, "one"),
)


@pytest.fixture(scope="module")
def stage(rough_stage: Stage) -> Stage:
    rough_stage.spec(rollout={**ROLLOUT, "bake_answers": 0})
    return rough_stage


@pytest.fixture(scope="module")
def session(stage: Stage) -> Session:
    """Clients are made once: that is most of a command's time."""
    return stage.session


@pytest.fixture(scope="module")
def versions(stage: Stage) -> dict[str, int]:
    """Two versions that answer alike, and one that answers otherwise."""
    return {"one": approved(stage), "other": approved(stage, split=40.5), "bad": approved(stage, split=75.0)}


@dataclass
class Scene:
    stage: Stage
    versions: dict[str, int]
    begun: list[Record]

    def run(self, *args: str) -> Ran:
        """`bedplate ...` in this process, which spares each row the imports."""
        return typed(*(part.format(**self.versions) for part in args))

    def start(self, *args: str) -> subprocess.Popen[str]:
        words = [part.format(**self.versions) for part in args]
        return subprocess.Popen(
            [sys.executable, "-m", "bedplate", *words],
            cwd=self.stage.project,
            env=self.stage.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def fault(self, operation: str, kind: faults.Kind, times: int = ALWAYS, skip: int = 0, match: str = "") -> None:
        told = {"operation": operation, "kind": kind, "times": times, "skip": skip, "match": match}
        faults.ask(self.stage.url, "POST", told)

    def mend(self) -> list[faults.Fault]:
        struck = faults.ask(self.stage.url, "GET")
        faults.ask(self.stage.url, "DELETE")
        return struck

    @property
    def ledger(self) -> Ledger:
        return Ledger(S3Objects(self.stage.session), bucket(PROJECT, STACK, "ledger", ACCOUNT), FakeClock())

    def stands(self, live: str, *, recorded: bool = True) -> None:
        """All traffic is on this version, and the ledger is whole; with `recorded` it also says who is live."""
        assert settled(self.stage) == "InService"
        endpoints, name = SageMakerEndpoints(self.stage.session), self.stage.names.endpoint
        state = endpoints.observe(name)
        assert (state.variants, state.pending_config) == ({"live": 1.0}, None)
        assert version_told(endpoints.invoke(name, ROW).release or "") == self.versions[live]
        ledger = self.ledger
        assert ledger.verify(full=True).ok
        records = ledger.records()
        assert records[: len(self.begun)] == self.begun
        if recorded:
            told = [r for r in records if r.model == "churn" and r.kind in LIVE_KINDS and r.data.get("live")]
            assert version_told(str(told[-1].data["live"])) == self.versions[live]

    def goes_live(self, which: str) -> None:
        answer = SageMakerEndpoints(self.stage.session).invoke(self.stage.names.endpoint, ROW)
        if version_told(answer.release or "") != self.versions[which]:
            told = self.run("deploy", f"churn:{{{which}}}", *AT_ONCE, "--force", "--reason", "the row before")
            assert told.code == 0, told.err

    def raise_alarm(self, name: str) -> None:
        client = self.stage.session.client("cloudwatch")
        client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="the table of failures")

    def calm(self) -> None:
        """An alarm that the test before raised does not stop this one: it would settle by itself a second later."""
        client = self.stage.session.client("cloudwatch")
        for alarm in self.stage.names.rollback_alarms:
            client.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="the next row")


@pytest.fixture
def scene(stage: Stage, versions: dict[str, int], session: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """`one` is live. Calls that fail are tried again at once."""
    from botocore.retries.standard import ExponentialBackoff

    for name in [n for n in os.environ if n.startswith(("BEDPLATE_", "AWS_"))]:
        monkeypatch.delenv(name)
    for name, value in stage.environment.items():
        if name.startswith("BEDPLATE_") or name == "NO_COLOR":
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(Session, "local", lambda *_, **__: session)
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0)
    made = Scene(stage, versions, [])
    made.mend()
    made.calm()
    made.goes_live("one")
    made.begun = made.ledger.records()
    yield made
    made.mend()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.step} {row.failure}-{row.times}".replace(" ", "-"))
def test_whatever_call_fails_a_good_release_answers_and_the_same_again_finishes(row: Row, scene: Scene) -> None:
    if row.act == ROLLBACK:
        scene.goes_live("other")
    _forget_release(scene, "other", live=row.act == ROLLBACK)
    scene.fault(row.at[0], row.failure, row.times, *row.at[1:])
    told = scene.run(*row.act)
    [fault] = scene.mend()
    assert fault.struck > 0, "the fault never struck"
    assert told.code == row.code, told.err
    scene.stands(row.live, recorded=row.code == 0)
    if row.again_code is not None:
        assert "Traceback" not in told.err
        again = scene.run(*row.act)
        assert again.code == row.again_code, again.err
        scene.stands(row.again_live)


def _forget_release(scene: Scene, which: str, *, live: bool) -> None:
    """Make its creation necessary again."""
    if live:
        return
    endpoints, names = SageMakerEndpoints(scene.stage.session), scene.stage.names
    for release in endpoints.releases(names.endpoint):
        if version_told(release.name) == scene.versions[which]:
            endpoints.delete_release(release.name)
            scene.stage.session.client("cloudwatch").delete_alarms(AlarmNames=[names.guard_alarm(release.name)])


# --- not a call that fails ------------------------------------------------------------------------------------------


def _until(true: Callable[[], Any], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        threading.Event().wait(0.02)


def _rolling(scene: Scene, share: float, bake_s: int) -> None:
    """`other` is on its way, nobody waits, and it has this share of the traffic."""
    told = scene.run("deploy", "churn:{other}", "--bake", str(bake_s), "--no-wait")
    assert told.code == 0, told.err
    endpoints, name = SageMakerEndpoints(scene.stage.session), scene.stage.names.endpoint
    _until(lambda: endpoints.observe(name).pending_share == share)


@pytest.mark.parametrize(("during", "share", "bake_s"), [("canary", 0.5, 300), ("promotion", 1.0, 5)])
def test_an_alarm_takes_the_traffic_back(during: str, share: float, bake_s: int, scene: Scene) -> None:
    """The second has to wait for the first bake, and is given as long again to raise its alarm in."""
    _rolling(scene, share, bake_s)
    scene.raise_alarm(scene.stage.names.errors_alarm)
    scene.stands("one", recorded=False)
    told = scene.run("deploy", "churn:{other}")
    assert told.code == 5, told.err
    assert scene.stage.names.errors_alarm in told.err
    scene.stands("one")
    assert [r.kind for r in scene.ledger.records()[len(scene.begun) :]] == ["deploying", "resumed", "rolled-back"]


def test_of_two_deploys_at_once_the_second_moves_nothing(scene: Scene) -> None:
    _rolling(scene, 0.5, 5)
    told = scene.run("deploy", "churn:{bad}", *AT_ONCE, "--force", "--reason", "hurry")
    assert told.code == 7, told.err
    assert scene.run("deploy", "churn:{other}").code == 0
    scene.stands("other")


def test_a_rollback_during_a_deploy_undoes_it(scene: Scene) -> None:
    _rolling(scene, 0.5, 300)
    told = scene.run(*ROLLBACK)
    assert told.code == 0, told.err
    scene.stands("one")


@pytest.mark.parametrize(
    ("after", "operation", "skip", "match", "live"),
    [
        ("the configuration was made", "sagemaker:CreateEndpointConfig", 0, "", "one"),
        ("the traffic was shifted", "sagemaker:UpdateEndpoint", 0, "", "other"),
        ("the end was recorded", "s3:PutObject", 1, "/ledger/", "other"),
    ],
)
def test_killed_after_any_step_the_same_command_finishes_it(
    after: str, operation: str, skip: int, match: str, live: str, scene: Scene
) -> None:
    _forget_release(scene, "other", live=False)
    scene.fault(operation, "hold", 1, skip, match)
    running = scene.start("deploy", "churn:{other}", *AT_ONCE)
    _until(lambda: faults.ask(scene.stage.url, "GET")[0].struck == 1)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    scene.mend()
    scene.stands(live, recorded=False)
    again = scene.run("deploy", "churn:{other}", *AT_ONCE)
    assert again.code == 0, again.err
    scene.stands("other")
    kinds = [r.kind for r in scene.ledger.records()[len(scene.begun) :]]
    assert (kinds[0], kinds.count("deployed")) == ("deploying", 1)


def test_an_approval_taken_back_by_hand_is_heeded(scene: Scene) -> None:
    sagemaker = scene.stage.session.client("sagemaker")
    package = _package(scene, "other")
    sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Rejected")
    try:
        told = scene.run(*DEPLOY)
        assert told.code == 4, told.err
        scene.stands("one")
    finally:
        sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")


def test_a_version_deleted_by_hand_is_named_and_nothing_moves(scene: Scene) -> None:
    gone = approved(scene.stage, split=41.5)
    scene.stage.session.client("sagemaker").delete_model_package(
        ModelPackageName=_package(scene, "other").rpartition("/")[0] + f"/{gone}"
    )
    told = scene.run("deploy", f"churn:{gone}", *AT_ONCE)
    assert told.code == 2, told.err
    assert f"version {gone}" in told.err
    scene.stands("one")


def test_a_kept_release_deleted_by_hand_is_made_again_or_refused_and_traffic_stays_on_a_good_one(scene: Scene) -> None:
    scene.goes_live("other")
    _forget_release(scene, "one", live=False)
    told = scene.run(*ROLLBACK)
    assert "Traceback" not in told.err
    scene.stands("one" if told.code == 0 else "other")


def _package(scene: Scene, which: str) -> str:
    group = scene.stage.names.package_group
    return f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model-package/{group}/{scene.versions[which]}"


# --- before there is a release ---------------------------------------------------------------------------------------


def test_training_that_cannot_be_submitted_leaves_nothing_behind(scene: Scene) -> None:
    scene.stage.data()
    before = _versions(scene)
    scene.fault("sagemaker:CreateTrainingJob", "throttle")
    told = scene.run("train", "churn", "--data", str(scene.stage.project / "data.parquet"), "--seed", "501")
    [fault] = scene.mend()
    assert (told.code, fault.struck > 0) == (1, True), told.err
    assert _versions(scene) == before
    assert not [r for r in scene.ledger.records()[len(scene.begun) :] if r.kind == "trained"]
    scene.stands("one")


def test_training_whose_script_fails_registers_nothing_and_tells_its_last_words(scene: Scene) -> None:
    scene.stage.data()
    before = _versions(scene)
    told = scene.run("train", "churn", "--data", str(scene.stage.project / "data.parquet"), "--set", "noise=10")
    assert told.code == 1
    assert "too much noise" in told.err
    assert _versions(scene) == before
    assert not [r for r in scene.ledger.records()[len(scene.begun) :] if r.kind == "trained"]
    scene.stands("one")


def test_version_whose_registration_was_answered_by_nobody_is_registered_once(scene: Scene) -> None:
    scene.stage.data()
    before = _versions(scene)
    scene.fault("sagemaker:CreateModelPackage", "lost", 1)
    told = scene.run("train", "churn", "--data", str(scene.stage.project / "data.parquet"), "--seed", "502")
    [fault] = scene.mend()
    assert (told.code, fault.struck) == (0, 1), told.err
    [new] = set(_versions(scene)) - set(before)
    assert [r.version for r in scene.ledger.records()[len(scene.begun) :] if r.kind == "trained"] == [new]
    scene.fault("sagemaker:CreateProcessingJob", "throttle")
    assert scene.run("evaluate", f"churn:{new}").code == 1
    scene.mend()
    assert scene.run("approve", f"churn:{new}", "--reason", "never evaluated").code in (3, 4, 6)
    assert scene.run("evaluate", f"churn:{new}").code in (0, 3, 6)
    scene.fault("s3:PutObject", "error", ALWAYS, 0, "/ledger/")
    assert scene.run("approve", f"churn:{new}", "--force", "--reason", "rehearsal").code == 1
    scene.mend()
    told = scene.run("approve", f"churn:{new}", "--force", "--reason", "rehearsal")
    assert told.code == 0, told.err
    kinds = [r.kind for r in scene.ledger.records()[len(scene.begun) :] if r.version == new]
    assert kinds.count("approved") + kinds.count("forced") >= 1
    assert scene.ledger.verify(full=True).ok
    scene.stands("one")


def _versions(scene: Scene) -> list[int]:
    pages = scene.stage.session.client("sagemaker").get_paginator("list_model_packages")
    found = pages.paginate(ModelPackageGroupName=scene.stage.names.package_group)
    return [p["ModelPackageVersion"] for page in found for p in page["ModelPackageSummaryList"]]

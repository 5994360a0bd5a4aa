"""Rollouts of two releases side by side from end to end, over ports in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bedplate import ports
from bedplate.domain.rollout.machine import RolloutState, open_rollout, rollouts_in
from bedplate.errors import GateFailed, Locked, NotEnoughData, NotFound, RolledBack, UsageError
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release import rollout as workflow
from bedplate.workflows.release.deploy import DeployRequest, prepare
from bedplate.workflows.release.releases import prune
from bedplate.workflows.release.rollback import RollbackRequest, rollback
from bedplate.workflows.release.rollback import prepare as prepare_rollback
from bedplate.workflows.release.rollout import follow, order, outcome_error, tick
from bedplate.workflows.release.rollout_start import begin, propose
from bedplate.workflows.release.rollout_status import past, standing
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.watch.status import status
from builders import a_spec
from fakes import EPOCH, FakeStackContext
from unit.workflows.release.test_deploy import E, platform, rolling
from unit.workflows.release.test_deploy import run as deploy_version

__all__ = ["platform"]

EXPERIMENT = {"min_answers": 20, "max_hours": 1, "min_effect": 0.5}


@pytest.fixture
def live(platform: FakeStackContext) -> str:
    """v1 answers; experiments are small."""
    for version in (1, 2):
        platform.objects.put(f"s3://artifacts/training/churn/job-{version}/output/model.tar.gz", b"x")
    rollout = {"strategy": "all-at-once", "experiment": EXPERIMENT}
    platform.specs["churn"] = a_spec(rollout=rollout)
    champion = str(deploy_version(platform, version=1).live)
    platform.clock.sleep(600)
    return champion


def start(platform: FakeStackContext, strategy: Any, **experiment: Any) -> RolloutState:
    if experiment:
        spec = platform.specs["churn"]
        wanted = spec.rollout.experiment.model_copy(update=experiment)
        platform.specs["churn"] = spec.model_copy(
            update={"rollout": spec.rollout.model_copy(update={"experiment": wanted})}
        )
    return begin(platform, propose(platform, DeployRequest("churn", 2), strategy), "churn")


def ticks(platform: FakeStackContext, count: int = 8) -> RolloutState:
    for _ in range(count):
        tick(platform, "churn", null_reporter)
        platform.clock.sleep(5)
    return last(platform)


def last(platform: FakeStackContext) -> RolloutState:
    return rollouts_in(Ledger(platform.objects, "ledger", platform.clock).records(), "churn")[-1]


def kinds(platform: FakeStackContext) -> list[str]:
    records = Ledger(platform.objects, "ledger", platform.clock).records()
    return [str(r.data.get("event") or r.kind) for r in records if r.kind != "alert"][2:]


def answered(platform: FakeStackContext, variant: str, answers: dict[str, float]) -> None:
    """As if the variant had answered these requests, by their key, a minute ago."""
    at = platform.clock.now()
    side = {"observedContentType": "application/jsonlines", "encoding": "JSON"}
    for key, answer in answers.items():
        row = json.dumps({"id": key, "age": 1.0, "calls": 2, "plan": "pro"})
        record = {
            "captureData": {
                "endpointInput": {**side, "data": row},
                "endpointOutput": {**side, "data": json.dumps({"prediction": answer})},
            },
            "eventMetadata": {"customAttributes": ["release=x"], "inferenceTime": at.isoformat()},
        }
        key = f"s3://capture/capture/churn/{E}/{variant}/{at:%Y/%m/%d/%H/%M-%S}-000-{len(platform.objects.held)}.jsonl"
        platform.objects.put(key, json.dumps(record).encode())


def labelled(platform: FakeStackContext, labels: dict[str, int]) -> None:
    lines = "".join(json.dumps({"id": key, "label": label}) + "\n" for key, label in labels.items())
    platform.objects.put(f"s3://data/labels/churn/{len(platform.objects.held)}.jsonl", lines.encode())


def test_a_shadow_that_agrees_passes_and_is_promoted_by_a_person(platform: FakeStackContext, live: str) -> None:
    start(platform, "shadow")
    assert ticks(platform).phase == "shadowing"
    split = rolling(platform).splits[rolling(platform).live[E]]
    assert ([v.name for v in split.variants], [v.name for v in split.shadows]) == (["live"], ["challenger"])
    assert split.shadows[0].weight == 1.0
    answered(platform, "live", {str(i): i / 60 for i in range(60)})
    answered(platform, "challenger", {str(i): i / 60 for i in range(60)})
    passed = ticks(platform)
    assert (passed.phase, passed.verdict, passed.facts["agreement_pct"]) == ("passed", "PASS", 100)
    assert rolling(platform).live[E] == split.name
    order(platform, "churn", "promote", reason=None, reporter=null_reporter)
    done = ticks(platform)
    assert done.phase == "promoted"
    assert rolling(platform).live[E] == done.terms.challenger
    assert kinds(platform)[-3:] == ["promote", "deploying", "deployed"]
    assert outcome_error(done) is None


def test_a_shadow_that_disagrees_never_gets_traffic(platform: FakeStackContext, live: str) -> None:
    start(platform, "shadow")
    ticks(platform)
    answered(platform, "live", {str(i): 0.2 for i in range(20)})
    answered(platform, "challenger", {str(i): 0.8 for i in range(20)})
    done = ticks(platform)
    assert (done.phase, done.verdict) == ("rolled-back", "FAIL")
    assert rolling(platform).live[E] == live
    assert isinstance(outcome_error(done), GateFailed)
    assert past(platform, "churn")[-1].verdict == "FAIL"


def test_without_traffic_there_is_no_data_and_the_champion_stays(platform: FakeStackContext, live: str) -> None:
    start(platform, "shadow")
    ticks(platform)
    platform.clock.sleep(3600)
    done = ticks(platform)
    assert (done.phase, done.verdict) == ("no-data", "NO_DATA")
    assert rolling(platform).live[E] == live
    assert isinstance(outcome_error(done), NotEnoughData)


def test_an_ab_test_divides_the_traffic_and_late_labels_decide(platform: FakeStackContext, live: str) -> None:
    start(platform, "ab", share_pct=40)
    ticks(platform)
    assert rolling(platform).observe(E).variants == {"live": 0.6, "challenger": 0.4}
    answered(platform, "live", {f"a{i}": 0.9 if i % 2 else 0.1 for i in range(40)})
    answered(platform, "challenger", {f"b{i}": 0.9 for i in range(40)})
    assert ticks(platform).phase == "splitting"
    labelled(platform, {**{f"a{i}": 1 for i in range(40)}, **{f"b{i}": 1 for i in range(40)}})
    done = ticks(platform)
    assert (done.phase, done.facts["effect"]) == ("passed", 0.5)


def test_a_champion_that_was_right_more_often_on_the_same_rows_stays(platform: FakeStackContext, live: str) -> None:
    start(platform, "champion-challenger")
    ticks(platform)
    rows = {str(i): 0.9 for i in range(40)}
    answered(platform, "live", rows)
    answered(platform, "challenger", {key: 0.1 if int(key) % 2 else 0.9 for key in rows})
    labelled(platform, dict.fromkeys(rows, 1))
    done = ticks(platform)
    assert (done.phase, done.facts["difference"]) == ("rolled-back", -0.5)


def test_a_bandit_moves_the_weights_to_the_better_one_and_then_ends(platform: FakeStackContext, live: str) -> None:
    start(platform, "bandit", min_answers=40, floor_pct=10)
    ticks(platform)
    answered(platform, "live", {f"a{i}": 0.9 if i % 3 == 0 else 0.1 for i in range(35)})
    answered(platform, "challenger", {f"b{i}": 0.9 if i % 3 else 0.1 for i in range(35)})
    labelled(platform, {f"{arm}{i}": 1 for arm in "ab" for i in range(60)})
    halfway = ticks(platform)
    assert halfway.phase == "splitting"
    assert halfway.weights == {"live": 0.1, "challenger": 0.9}
    assert rolling(platform).observe(E).variants["challenger"] == pytest.approx(0.9)
    answered(platform, "live", {f"a{i}": 0.1 for i in range(35, 50)})
    answered(platform, "challenger", {f"b{i}": 0.9 for i in range(35, 50)})
    assert ticks(platform).phase == "passed"


@pytest.mark.parametrize("strategy", ["shadow", "ab"])
def test_killed_between_any_two_steps_the_next_tick_goes_on(
    platform: FakeStackContext, live: str, strategy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every tick of a whole rollout is killed behind its first, second, third or fourth effect, in turn."""
    platform.specs["churn"] = a_spec(
        rollout={"strategy": "all-at-once", "experiment": {**EXPERIMENT, "auto_promote": True}}
    )
    start(platform, strategy)
    budget = [1_000_000]

    def fatal(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            done = call(*args, **kwargs)
            budget[0] -= 1
            if budget[0] == 0:
                raise KeyboardInterrupt
            return done

        return counted

    for port, names in (
        (platform.endpoints, ("create_release", "create_split", "update", "set_weights")),
        (platform.objects, ("put_if_absent",)),
    ):
        for name in names:
            monkeypatch.setattr(port, name, fatal(getattr(port, name)))
    kills = 0
    fed = False
    for attempt in range(200):
        budget[0] = 1 + attempt % 4  # killed right behind its first effect, its second ...
        try:
            tick(platform, "churn", null_reporter)
        except KeyboardInterrupt:
            kills += 1
        platform.clock.sleep(5)
        if last(platform).phase in ("shadowing", "splitting") and not fed:
            fed = True
            answered(platform, "live", {str(i): i / 90 for i in range(45)})
            answered(platform, "challenger", {f"{'' if strategy == 'shadow' else 'b'}{i}": i / 90 for i in range(45)})
            labelled(platform, {**{str(i): 1 for i in range(45)}, **{f"b{i}": 0 for i in range(45)}})
        if last(platform).over:
            break
    assert kills >= 4
    assert last(platform).phase == "promoted"
    assert rolling(platform).live[E] == last(platform).terms.challenger
    assert len(rolling(platform).updates) == 3  # v1, the split, v2: nothing was done twice
    assert Ledger(platform.objects, "ledger", platform.clock).verify().ok


def test_of_two_who_tick_at_once_one_writes_and_the_other_is_told(platform: FakeStackContext, live: str) -> None:
    start(platform, "ab")
    ticks(platform)
    raced: list[bool] = []

    def other(uri: str) -> None:
        if "ledger/" in uri and not raced:
            raced.append(True)
            order(platform, "churn", "pause", reason="me first", reporter=null_reporter)

    platform.objects.race = other
    with pytest.raises(Locked, match="was faster"):
        order(platform, "churn", "abort", reason="me too", reporter=null_reporter)
    assert last(platform).phase == "paused"
    assert rolling(platform).observe(E).variants == {"live": 1.0, "challenger": 0.0}


def test_records_of_others_do_not_keep_a_decision_out(platform: FakeStackContext, live: str) -> None:
    start(platform, "ab")
    ticks(platform)
    ledger, raced = Ledger(platform.objects, "ledger", platform.clock), [False]

    def other(uri: str) -> None:
        if "ledger/" in uri and not raced[0]:
            raced[0] = True
            ledger.record("labelled", "12 labels", actor="bob", model="churn")

    platform.objects.race = other
    assert order(platform, "churn", "pause", reason=None, reporter=null_reporter).phase == "paused"
    assert ledger.verify().ok


def test_a_pause_gives_the_champion_everything_and_resume_the_weights_back(
    platform: FakeStackContext, live: str
) -> None:
    start(platform, "ab")
    ticks(platform)
    order(platform, "churn", "pause", reason="holiday", reporter=null_reporter)
    assert rolling(platform).observe(E).variants["challenger"] == 0
    with pytest.raises(UsageError, match="paused cannot pause"):
        order(platform, "churn", "pause", reason=None, reporter=null_reporter)
    order(platform, "churn", "resume", reason=None, reporter=null_reporter)
    assert ticks(platform).phase == "splitting"
    assert rolling(platform).observe(E).variants["challenger"] == 0.5


def test_an_abort_gives_all_traffic_back(platform: FakeStackContext, live: str) -> None:
    start(platform, "bandit")
    ticks(platform)
    order(platform, "churn", "abort", reason="wrong data", reporter=null_reporter)
    done = ticks(platform)
    assert (done.phase, done.reason, rolling(platform).live[E]) == ("aborted", "wrong data", live)
    assert isinstance(outcome_error(done), RolledBack)


def test_an_abort_undoes_a_promotion_in_flight(platform: FakeStackContext, live: str) -> None:
    start(platform, "ab")
    ticks(platform)
    name = f"{E}-errors"
    platform.metrics.held[name] = ports.AlarmState(name, "OK", "", EPOCH, "arn")
    rolling(platform).takes = 10_000
    order(platform, "churn", "promote", reason="the boss wants it", reporter=null_reporter)
    assert rolling(platform).pending == last(platform).terms.challenger

    def look(held: Any) -> None:
        if held.pending and platform.metrics.held[name].state == "ALARM":
            held.undone_by = "alarm"
            held._settle(E)
            held.undone_by, held.takes = None, 1
            platform.metrics.held[name] = replace(platform.metrics.held[name], state="OK")

    rolling(platform).on_observe = look
    order(platform, "churn", "abort", reason="stop", reporter=null_reporter)
    done = ticks(platform)
    assert (done.phase, rolling(platform).live[E]) == ("aborted", live)


def test_a_promotion_that_the_platform_undid_leaves_the_champion_alone(platform: FakeStackContext, live: str) -> None:
    start(platform, "ab")
    ticks(platform)
    order(platform, "churn", "promote", reason="now", reporter=null_reporter)
    rolling(platform).undone_by = "alarm"
    platform.clock.sleep(5)
    for _ in range(4):
        rolling(platform).observe(E)
    rolling(platform).undone_by = None
    done = ticks(platform)
    assert (done.phase, done.by, rolling(platform).live[E]) == ("rolled-back", "alarm", live)
    assert isinstance(outcome_error(done), RolledBack)


def test_a_promotion_without_a_pass_needs_a_reason(platform: FakeStackContext, live: str) -> None:
    start(platform, "ab")
    ticks(platform)
    with pytest.raises(UsageError, match="no PASS yet"):
        order(platform, "churn", "promote", reason=None, reporter=null_reporter)


def test_a_rollback_ends_a_rollout_that_shares_the_traffic(platform: FakeStackContext, live: str) -> None:
    start(platform, "ab")
    ticks(platform)
    done = rollback(prepare_rollback(platform, RollbackRequest("churn", reason="complaints")), null_reporter)
    assert (done.live, rolling(platform).live[E]) == (live, live)
    assert last(platform).phase == "rolled-back"
    assert tick(platform, "churn", null_reporter) is None


def test_a_rollback_out_of_a_split_that_the_ledger_does_not_know(platform: FakeStackContext, live: str) -> None:
    """The ledger is behind the world: it was restored from before the rollout began."""
    start(platform, "ab")
    ticks(platform)
    kept = {uri: raw for uri, raw in platform.objects.held.items() if "s3://ledger/" in uri}
    for uri in sorted(kept)[2:]:
        del platform.objects.held[uri]
    rolling(platform).held[rolling(platform).live[E]] = replace(
        rolling(platform).held[live], name=rolling(platform).live[E]
    )
    done = rollback(prepare_rollback(platform, RollbackRequest("churn")), null_reporter)
    assert (done.live, rolling(platform).live[E]) == (live, live)


def test_a_deployment_is_kept_out_while_a_rollout_is_open(platform: FakeStackContext, live: str) -> None:
    start(platform, "ab")
    with pytest.raises(Locked, match="rollout of v2"):
        prepare(platform, DeployRequest("churn", 2, strategy="canary"))
    with pytest.raises(Locked):
        propose(platform, DeployRequest("churn", 2), "shadow")
    again = propose(platform, DeployRequest("churn", 2), "ab")
    assert begin(platform, again, "churn").id == last(platform).id


def test_nothing_is_compared_with_a_constant_or_with_itself(platform: FakeStackContext) -> None:
    with pytest.raises(UsageError, match="constant answer"):
        propose(platform, DeployRequest("churn", 2), "ab")
    deploy_version(platform, version=2)
    with pytest.raises(UsageError, match="live already"):
        propose(platform, DeployRequest("churn", 2), "ab")
    with pytest.raises(NotFound, match="No rollout"):
        order(platform, "churn", "abort", reason=None, reporter=null_reporter)


def test_followed_to_its_end_it_says_what_it_sees(
    platform: FakeStackContext, live: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(workflow, "PAUSE_LOCAL_S", 120.0)
    start(platform, "shadow")
    done = follow(platform, "churn", lambda event, fields: heard.append((event, fields)))
    assert done.phase == "no-data"
    seen = [fields for event, fields in heard if event == "experiment"]
    assert seen[0]["phase"] == "proposed"
    assert any("0 of 20 pairs" in fields["told"] for fields in seen)


def test_status_tells_of_a_rollout_and_of_a_bake(platform: FakeStackContext, live: str) -> None:
    quiet = standing(platform, "churn")
    assert (quiet.open, quiet.last and quiet.last.phase) == (None, "promoted")
    start(platform, "shadow")
    ticks(platform)
    told = standing(platform, "churn")
    assert told.open is not None
    assert (told.open.phase, told.shadows, told.judged) == (
        "shadowing",
        {"challenger": 1.0},
        "0 of 20 pairs of answers",
    )
    order(platform, "churn", "abort", reason="x", reporter=null_reporter)
    ticks(platform)
    rolling(platform).takes = 10_000
    rolling(platform).baking = True
    deploy_version(platform, version=2, strategy="canary", bake_s=60, wait=False)
    baking = standing(platform, "churn")
    assert baking.open is not None
    assert (baking.open.strategy, baking.answers, baking.bake_left_s) == ("canary", 0, 60)


def test_an_open_rollout_is_found_by_its_model_only(platform: FakeStackContext, live: str, tmp_path: Path) -> None:
    start(platform, "ab")
    records = Ledger(platform.objects, "ledger", platform.clock).records()
    assert open_rollout(records, "other") is None
    assert records[-1].at - EPOCH >= timedelta(seconds=600)


def test_a_pruning_leaves_what_a_rollout_compares_and_takes_the_splits_of_those_that_are_over(
    platform: FakeStackContext, live: str
) -> None:
    spec = platform.specs["churn"]
    platform.specs["churn"] = spec.model_copy(
        update={"rollout": spec.rollout.model_copy(update={"keep_releases": 2, "strategy": "all-at-once"})}
    )
    start(platform, "ab")
    ticks(platform)
    split, challenger = rolling(platform).live[E], last(platform).terms.challenger
    for version in (7, 8, 9):
        newer = f"{E}-v{version}-0a1b2c3d"
        made = replace(rolling(platform).held[live], name=newer, created_at=platform.clock.now())
        rolling(platform).held[newer] = made
    prune(platform, "churn")
    assert {challenger, live} <= set(rolling(platform).held)
    assert split in rolling(platform).splits
    assert str(status(platform, "churn").rollout).startswith("ab of v2 is splitting: live 50 %")
    order(platform, "churn", "abort", reason="x", reporter=null_reporter)
    ticks(platform)
    prune(platform, "churn")
    assert split not in rolling(platform).splits

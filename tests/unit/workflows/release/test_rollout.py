"""Rollouts of two releases side by side from end to end, with ports in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bedplate import ports
from bedplate.domain.rollout.state_machine import RolloutState, find_open_rollout, list_rollouts
from bedplate.errors import GateFailed, Locked, NotEnoughData, NotFound, RolledBack, UsageError
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.release import rollout as workflow
from bedplate.workflows.release.deploy import DeployRequest, prepare
from bedplate.workflows.release.releases import prune_releases
from bedplate.workflows.release.rollback import RollbackRequest, rollback
from bedplate.workflows.release.rollback import prepare as prepare_rollback
from bedplate.workflows.release.rollout import apply_command, follow_rollout, outcome_error, tick
from bedplate.workflows.release.rollout_start import propose_rollout, start_rollout
from bedplate.workflows.release.rollout_status import read_rollout_history, read_rollout_status
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.watch.status import read_status
from builders import a_spec, capture_record
from fakes import EPOCH, FakeStackContext, RollingEndpoints
from release_builders import ENDPOINT
from release_stack import deploy_version, put_capture, rolling_endpoints

EXPERIMENT = {"min_predictions": 20, "max_hours": 1, "min_effect": 0.5}


@pytest.fixture
def live(stack: FakeStackContext) -> str:
    """v1 is live; experiments are small. Returns the live release."""
    for version in (1, 2):
        stack.objects.put(f"s3://artifacts/training/churn/job-{version}/output/model.tar.gz", b"x")
    rollout = {"strategy": "all-at-once", "experiment": EXPERIMENT}
    stack.specs["churn"] = a_spec(rollout=rollout)
    champion = str(deploy_version(stack, version=1).live)
    stack.clock.sleep(600)
    return champion


def start(stack: FakeStackContext, strategy: Any, **experiment: Any) -> RolloutState:
    if experiment:
        spec = stack.specs["churn"]
        settings = spec.rollout.experiment.model_copy(update=experiment)
        stack.specs["churn"] = spec.model_copy(
            update={"rollout": spec.rollout.model_copy(update={"experiment": settings})}
        )
    return start_rollout(stack, propose_rollout(stack, DeployRequest("churn", 2), strategy), "churn")


def ticks(stack: FakeStackContext, count: int = 8) -> RolloutState:
    for _ in range(count):
        tick(stack, "churn", null_reporter)
        stack.clock.sleep(5)
    return last(stack)


def last(stack: FakeStackContext) -> RolloutState:
    return list_rollouts(Ledger(stack.objects, "ledger", stack.clock).records(), "churn")[-1]


def list_events(stack: FakeStackContext) -> list[str]:
    records = Ledger(stack.objects, "ledger", stack.clock).records()
    return [str(r.data.get("event") or r.kind) for r in records if r.kind != "alert"][2:]


def capture_variant(stack: FakeStackContext, variant: str, predictions: dict[str, float]) -> None:
    """Captures requests of a variant, as predictions by the row's key."""
    for key, prediction in predictions.items():
        row = {"id": key, "age": 1.0, "calls": 2, "plan": "pro"}
        put_capture(stack, capture_record([row], [prediction], time=stack.clock.now()), variant=variant)


def add_labels(stack: FakeStackContext, labels: dict[str, int]) -> None:
    lines = "".join(json.dumps({"id": key, "label": label}) + "\n" for key, label in labels.items())
    stack.objects.put(f"s3://data/labels/churn/{len(stack.objects.contents)}.jsonl", lines.encode())


def test_shadow_that_agrees_passes_and_is_promoted_by_a_person(stack: FakeStackContext, live: str) -> None:
    start(stack, "shadow")
    assert ticks(stack).phase == "shadowing"
    split = rolling_endpoints(stack).multi_variants[rolling_endpoints(stack).live[ENDPOINT]]
    assert ([v.name for v in split.variants], [v.name for v in split.shadows]) == (["live"], ["challenger"])
    assert split.shadows[0].weight == 1.0
    capture_variant(stack, "live", {str(i): i / 60 for i in range(60)})
    capture_variant(stack, "challenger", {str(i): i / 60 for i in range(60)})
    passed = ticks(stack)
    assert (passed.phase, passed.verdict, passed.measurements["agreement_pct"]) == ("passed", "PASS", 100)
    assert rolling_endpoints(stack).live[ENDPOINT] == split.name
    apply_command(stack, "churn", "promote", reason=None, reporter=null_reporter)
    result = ticks(stack)
    assert result.phase == "promoted"
    assert rolling_endpoints(stack).live[ENDPOINT] == result.terms.challenger
    assert list_events(stack)[-3:] == ["promote", "deployment-started", "deployed"]
    assert outcome_error(result) is None


def test_shadow_that_disagrees_never_gets_traffic(stack: FakeStackContext, live: str) -> None:
    start(stack, "shadow")
    ticks(stack)
    capture_variant(stack, "live", {str(i): 0.2 for i in range(20)})
    capture_variant(stack, "challenger", {str(i): 0.8 for i in range(20)})
    result = ticks(stack)
    assert (result.phase, result.verdict) == ("rolled-back", "FAIL")
    assert rolling_endpoints(stack).live[ENDPOINT] == live
    assert isinstance(outcome_error(result), GateFailed)
    assert read_rollout_history(stack, "churn")[-1].verdict == "FAIL"


def test_rollout_without_traffic_is_no_data_and_restores_the_champion(stack: FakeStackContext, live: str) -> None:
    start(stack, "shadow")
    ticks(stack)
    stack.clock.sleep(3600)
    result = ticks(stack)
    assert (result.phase, result.verdict) == ("no-data", "NO_DATA")
    assert rolling_endpoints(stack).live[ENDPOINT] == live
    assert isinstance(outcome_error(result), NotEnoughData)


def test_ab_test_splits_the_traffic_and_is_decided_by_late_labels(stack: FakeStackContext, live: str) -> None:
    start(stack, "ab", share_pct=40)
    ticks(stack)
    assert rolling_endpoints(stack).observe(ENDPOINT).variants == {"live": 0.6, "challenger": 0.4}
    capture_variant(stack, "live", {f"a{i}": 0.9 if i % 2 else 0.1 for i in range(40)})
    capture_variant(stack, "challenger", {f"b{i}": 0.9 for i in range(40)})
    assert ticks(stack).phase == "splitting"
    add_labels(stack, {**{f"a{i}": 1 for i in range(40)}, **{f"b{i}": 1 for i in range(40)}})
    result = ticks(stack)
    assert (result.phase, result.measurements["effect"]) == ("passed", 0.5)


def test_champion_with_the_higher_reward_on_the_same_rows_stays_live(stack: FakeStackContext, live: str) -> None:
    start(stack, "champion-challenger")
    ticks(stack)
    rows = {str(i): 0.9 for i in range(40)}
    capture_variant(stack, "live", rows)
    capture_variant(stack, "challenger", {key: 0.1 if int(key) % 2 else 0.9 for key in rows})
    add_labels(stack, dict.fromkeys(rows, 1))
    result = ticks(stack)
    assert (result.phase, result.measurements["difference"]) == ("rolled-back", -0.5)


def test_bandit_moves_the_weights_to_the_better_release_and_ends(stack: FakeStackContext, live: str) -> None:
    start(stack, "bandit", min_predictions=40, floor_pct=10)
    ticks(stack)
    capture_variant(stack, "live", {f"a{i}": 0.9 if i % 3 == 0 else 0.1 for i in range(35)})
    capture_variant(stack, "challenger", {f"b{i}": 0.9 if i % 3 else 0.1 for i in range(35)})
    add_labels(stack, {f"{arm}{i}": 1 for arm in "ab" for i in range(60)})
    halfway = ticks(stack)
    assert halfway.phase == "splitting"
    assert halfway.weights == {"live": 0.1, "challenger": 0.9}
    assert rolling_endpoints(stack).observe(ENDPOINT).variants["challenger"] == pytest.approx(0.9)
    capture_variant(stack, "live", {f"a{i}": 0.1 for i in range(35, 50)})
    capture_variant(stack, "challenger", {f"b{i}": 0.9 for i in range(35, 50)})
    assert ticks(stack).phase == "passed"


@pytest.mark.parametrize("strategy", ["shadow", "ab"])
def test_tick_continues_after_a_kill_between_any_two_steps(
    stack: FakeStackContext, live: str, strategy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every tick of a whole rollout is killed after its first, second, third or fourth effect."""
    stack.specs["churn"] = a_spec(
        rollout={"strategy": "all-at-once", "experiment": {**EXPERIMENT, "auto_promote": True}}
    )
    start(stack, strategy)
    budget = [1_000_000]

    def kill_after(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = call(*args, **kwargs)
            budget[0] -= 1
            if budget[0] == 0:
                raise KeyboardInterrupt
            return result

        return wrapper

    for port, names in (
        (stack.endpoints, ("create_release", "create_multi_variant", "update", "set_weights")),
        (stack.objects, ("put_if_absent",)),
    ):
        for name in names:
            monkeypatch.setattr(port, name, kill_after(getattr(port, name)))
    kills = 0
    has_traffic = False
    for attempt in range(200):
        budget[0] = 1 + attempt % 4  # killed after its first effect, its second ...
        try:
            tick(stack, "churn", null_reporter)
        except KeyboardInterrupt:
            kills += 1
        stack.clock.sleep(5)
        if last(stack).phase in ("shadowing", "splitting") and not has_traffic:
            has_traffic = True
            capture_variant(stack, "live", {str(i): i / 90 for i in range(45)})
            capture_variant(
                stack, "challenger", {f"{'' if strategy == 'shadow' else 'b'}{i}": i / 90 for i in range(45)}
            )
            add_labels(stack, {**{str(i): 1 for i in range(45)}, **{f"b{i}": 0 for i in range(45)}})
        if last(stack).is_over:
            break
    assert kills >= 4
    assert last(stack).phase == "promoted"
    assert rolling_endpoints(stack).live[ENDPOINT] == last(stack).terms.challenger
    assert len(rolling_endpoints(stack).updates) == 3  # v1, the split, v2: nothing was result twice
    assert Ledger(stack.objects, "ledger", stack.clock).verify().ok


def test_second_of_two_concurrent_commands_is_locked(stack: FakeStackContext, live: str) -> None:
    start(stack, "ab")
    ticks(stack)
    raced: list[bool] = []

    def other(uri: str) -> None:
        if "ledger/" in uri and not raced:
            raced.append(True)
            apply_command(stack, "churn", "pause", reason="me first", reporter=null_reporter)

    stack.objects.race = other
    with pytest.raises(Locked, match="was faster"):
        apply_command(stack, "churn", "abort", reason="me too", reporter=null_reporter)
    assert last(stack).phase == "paused"
    assert rolling_endpoints(stack).observe(ENDPOINT).variants == {"live": 1.0, "challenger": 0.0}


def test_unrelated_record_does_not_block_a_command(stack: FakeStackContext, live: str) -> None:
    start(stack, "ab")
    ticks(stack)
    ledger, raced = Ledger(stack.objects, "ledger", stack.clock), [False]

    def other(uri: str) -> None:
        if "ledger/" in uri and not raced[0]:
            raced[0] = True
            ledger.record("labels-added", "12 labels", actor="bob", model="churn")

    stack.objects.race = other
    assert apply_command(stack, "churn", "pause", reason=None, reporter=null_reporter).phase == "paused"
    assert ledger.verify().ok


def test_pause_moves_all_traffic_to_the_champion_and_resume_restores_the_weights(
    stack: FakeStackContext, live: str
) -> None:
    start(stack, "ab")
    ticks(stack)
    apply_command(stack, "churn", "pause", reason="holiday", reporter=null_reporter)
    assert rolling_endpoints(stack).observe(ENDPOINT).variants["challenger"] == 0
    with pytest.raises(UsageError, match="Cannot pause a rollout in phase 'paused'"):
        apply_command(stack, "churn", "pause", reason=None, reporter=null_reporter)
    apply_command(stack, "churn", "resume", reason=None, reporter=null_reporter)
    assert ticks(stack).phase == "splitting"
    assert rolling_endpoints(stack).observe(ENDPOINT).variants["challenger"] == 0.5


def test_abort_moves_all_traffic_back(stack: FakeStackContext, live: str) -> None:
    start(stack, "bandit")
    ticks(stack)
    apply_command(stack, "churn", "abort", reason="wrong data", reporter=null_reporter)
    result = ticks(stack)
    assert (result.phase, result.reason, rolling_endpoints(stack).live[ENDPOINT]) == ("aborted", "wrong data", live)
    assert isinstance(outcome_error(result), RolledBack)


def test_abort_rolls_a_promotion_in_flight_back(stack: FakeStackContext, live: str) -> None:
    start(stack, "ab")
    ticks(stack)
    name = f"{ENDPOINT}-errors"
    stack.metrics.alarms[name] = ports.AlarmState(name, "OK", "", EPOCH, "arn")
    rolling_endpoints(stack).observations_needed = 10_000
    apply_command(stack, "churn", "promote", reason="the boss wants it", reporter=null_reporter)
    assert rolling_endpoints(stack).pending == last(stack).terms.challenger

    def observe(rolling: RollingEndpoints) -> None:
        if rolling.pending and stack.metrics.alarms[name].state == "ALARM":
            rolling.rollback_reason = "alarm"
            rolling.finish_update(ENDPOINT)
            rolling.rollback_reason, rolling.observations_needed = None, 1
            stack.metrics.alarms[name] = replace(stack.metrics.alarms[name], state="OK")

    rolling_endpoints(stack).on_observe = observe
    apply_command(stack, "churn", "abort", reason="stop", reporter=null_reporter)
    result = ticks(stack)
    assert (result.phase, rolling_endpoints(stack).live[ENDPOINT]) == ("aborted", live)


def test_promotion_that_the_platform_rolls_back_restores_the_champion(stack: FakeStackContext, live: str) -> None:
    start(stack, "ab")
    ticks(stack)
    apply_command(stack, "churn", "promote", reason="now", reporter=null_reporter)
    rolling_endpoints(stack).rollback_reason = "alarm"
    stack.clock.sleep(5)
    for _ in range(4):
        rolling_endpoints(stack).observe(ENDPOINT)
    rolling_endpoints(stack).rollback_reason = None
    result = ticks(stack)
    assert (result.phase, result.decided_by, rolling_endpoints(stack).live[ENDPOINT]) == ("rolled-back", "alarm", live)
    assert isinstance(outcome_error(result), RolledBack)


def test_promotion_without_a_pass_needs_a_reason(stack: FakeStackContext, live: str) -> None:
    start(stack, "ab")
    ticks(stack)
    with pytest.raises(UsageError, match="has no PASS"):
        apply_command(stack, "churn", "promote", reason=None, reporter=null_reporter)


def test_rollback_ends_a_rollout(stack: FakeStackContext, live: str) -> None:
    start(stack, "ab")
    ticks(stack)
    result = rollback(prepare_rollback(stack, RollbackRequest("churn", reason="complaints")), null_reporter)
    assert (result.live, rolling_endpoints(stack).live[ENDPOINT]) == (live, live)
    assert last(stack).phase == "rolled-back"
    assert tick(stack, "churn", null_reporter) is None


def test_rollback_from_a_multi_variant_config_that_is_not_in_the_ledger(stack: FakeStackContext, live: str) -> None:
    """The ledger was restored from a time before the rollout started."""
    start(stack, "ab")
    ticks(stack)
    records = {uri: raw for uri, raw in stack.objects.contents.items() if "s3://ledger/" in uri}
    for uri in sorted(records)[2:]:
        del stack.objects.contents[uri]
    rolling_endpoints(stack).releases[rolling_endpoints(stack).live[ENDPOINT]] = replace(
        rolling_endpoints(stack).releases[live], name=rolling_endpoints(stack).live[ENDPOINT]
    )
    result = rollback(prepare_rollback(stack, RollbackRequest("churn")), null_reporter)
    assert (result.live, rolling_endpoints(stack).live[ENDPOINT]) == (live, live)


def test_open_rollout_blocks_a_deployment(stack: FakeStackContext, live: str) -> None:
    start(stack, "ab")
    with pytest.raises(Locked, match="rollout of v2"):
        prepare(stack, DeployRequest("churn", 2, strategy="canary"))
    with pytest.raises(Locked):
        propose_rollout(stack, DeployRequest("churn", 2), "shadow")
    again = propose_rollout(stack, DeployRequest("churn", 2), "ab")
    assert start_rollout(stack, again, "churn").id == last(stack).id


def test_rollout_needs_a_champion_that_is_a_different_model(stack: FakeStackContext) -> None:
    with pytest.raises(UsageError, match="returns a constant"):
        propose_rollout(stack, DeployRequest("churn", 2), "ab")
    deploy_version(stack, version=2)
    with pytest.raises(UsageError, match="already live"):
        propose_rollout(stack, DeployRequest("churn", 2), "ab")
    with pytest.raises(NotFound, match="No rollout"):
        apply_command(stack, "churn", "abort", reason=None, reporter=null_reporter)


def test_followed_rollout_reports_its_ticks(
    stack: FakeStackContext, live: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Any] = []
    monkeypatch.setattr(workflow, "PAUSE_LOCAL_S", 120.0)
    start(stack, "shadow")
    result = follow_rollout(stack, "churn", lambda event, fields: events.append((event, fields)))
    assert result.phase == "no-data"
    ticks = [fields for event, fields in events if event == "experiment"]
    assert ticks[0]["phase"] == "proposed"
    assert any("0 of 20 pairs" in fields["message"] for fields in ticks)


def test_status_shows_a_rollout_and_a_bake(stack: FakeStackContext, live: str) -> None:
    quiet = read_rollout_status(stack, "churn")
    assert (quiet.open_rollout, quiet.last_rollout and quiet.last_rollout.phase) == (None, "promoted")
    start(stack, "shadow")
    ticks(stack)
    status = read_rollout_status(stack, "churn")
    assert status.open_rollout is not None
    assert (status.open_rollout.phase, status.shadows, status.verdict_message) == (
        "shadowing",
        {"challenger": 1.0},
        "0 of 20 pairs of predictions",
    )
    apply_command(stack, "churn", "abort", reason="x", reporter=null_reporter)
    ticks(stack)
    rolling_endpoints(stack).observations_needed = 10_000
    rolling_endpoints(stack).is_baking = True
    deploy_version(stack, version=2, strategy="canary", bake_s=60, wait=False)
    baking = read_rollout_status(stack, "churn")
    assert baking.open_rollout is not None
    assert (baking.open_rollout.strategy, baking.predictions, baking.bake_left_s) == ("canary", 0, 60)


def test_open_rollout_is_found_by_its_model(stack: FakeStackContext, live: str, tmp_path: Path) -> None:
    start(stack, "ab")
    records = Ledger(stack.objects, "ledger", stack.clock).records()
    assert find_open_rollout(records, "other") is None
    assert records[-1].at - EPOCH >= timedelta(seconds=600)


def test_pruning_keeps_the_releases_of_an_open_rollout_and_deletes_finished_configs(
    stack: FakeStackContext, live: str
) -> None:
    spec = stack.specs["churn"]
    stack.specs["churn"] = spec.model_copy(
        update={"rollout": spec.rollout.model_copy(update={"keep_releases": 2, "strategy": "all-at-once"})}
    )
    start(stack, "ab")
    ticks(stack)
    split, challenger = rolling_endpoints(stack).live[ENDPOINT], last(stack).terms.challenger
    for version in (7, 8, 9):
        newer = f"{ENDPOINT}-v{version}-0a1b2c3d"
        release = replace(rolling_endpoints(stack).releases[live], name=newer, created_at=stack.clock.now())
        rolling_endpoints(stack).releases[newer] = release
    prune_releases(stack, "churn")
    assert {challenger, live} <= set(rolling_endpoints(stack).releases)
    assert split in rolling_endpoints(stack).multi_variants
    assert str(read_status(stack, "churn").rollout).startswith("ab of v2 is splitting: live 50 %")
    apply_command(stack, "churn", "abort", reason="x", reporter=null_reporter)
    ticks(stack)
    prune_releases(stack, "churn")
    assert split not in rolling_endpoints(stack).multi_variants

"""Deploy, rollback, invoke and status as a person types them, against a local platform that really serves."""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bedplate.local import lifecycle
from local_stage import Stage, build
from serving_stage import ROLLOUT, approved, serve, settled

BROKEN = "def model_fn(d):\n    raise ValueError('no such thing')\n\ndef predict_fn(rows, model):\n    return rows\n"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """v1 is live; v2 is as good, v3 answers otherwise, v4 will not load, v5 waits for approval."""
    project = tmp_path_factory.mktemp("second-half")
    made = build(project)
    try:
        serve(made)
        assert [approved(made), approved(made, split=41.0), approved(made, split=70.0)] == [1, 2, 3]
        assert approved(made, inference=BROKEN) == 4
        assert approved(made, split=42.0, approval="PendingManualApproval") == 5
        assert made.run("deploy", "churn:1", "--bake", "1").code == 0
        yield made
    finally:
        lifecycle.stop(project)


@pytest.fixture
def first_live(stage: Stage) -> Stage:
    """v1 answers, whatever the test before did, and has answered enough to be compared with."""
    settled(stage)
    if answering(stage) != "1":
        assert (
            stage.run("deploy", "churn:1", "--strategy", "all-at-once", "--bake", "0", "--force", "--reason", "x").code
            == 0
        )
    assert stage.run("invoke", "churn", "--rows", "200").code == 0
    return stage


def answering(stage: Stage) -> str:
    """The version in the header of an answer, asked by plain boto3."""
    answer = stage.session.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=stage.names.endpoint,
        Body=b'{"id": "x", "at": "2013-01-01T00:00:00Z", "age": 40.0, "plan": "pro"}',
        ContentType="application/jsonlines",
    )
    return dict(part.split("=") for part in answer["CustomAttributes"].split(";"))["version"]


class Customers:
    """Requests, one after the other, for as long as the block lasts."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._stop = stage, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Customers:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        client = self._stage.session.client("sagemaker-runtime")
        rows = [{"id": f"c{i}", "at": "2013-01-01T00:00:00Z", "age": 20 + 0.2 * i, "plan": "pro"} for i in range(200)]
        turn = 0
        while not self._stop.wait(0.02):
            body = b"\n".join(json.dumps(row).encode() for row in rows[turn % 7 :: 7])
            turn += 1
            client.invoke_endpoint(
                EndpointName=self._stage.names.endpoint, Body=body, ContentType="application/jsonlines"
            )


def test_a_live_version_is_left_alone(first_live: Stage) -> None:
    told = first_live.run("deploy", "churn:1", "--json")
    assert told.code == 0
    assert told.json["changed"] is False


def test_a_dry_run_shows_the_plan_and_moves_nothing(first_live: Stage) -> None:
    told = first_live.run("deploy", "churn:2", "--dry-run", "--json").json
    assert [s["kind"] for s in told["plan"]["steps"]][-2:] == ["Prove", "End"]
    assert answering(first_live) == "1"


def test_a_canary_whose_answers_have_shifted_is_rolled_back_by_its_alarm(first_live: Stage) -> None:
    with Customers(first_live):
        told = first_live.run("deploy", "churn:3", "--bake", "20")
    assert told.code == 5, told.err
    assert "AnswerShift was" in told.err
    assert "above 0.25" in told.err
    assert "AnswerShift of" in told.err
    assert "█" in told.err
    assert answering(first_live) == "1"
    last = first_live.run("ledger", "show", "--json").json[-1]
    assert (last["kind"], last["version"], last["data"]["alarm"]["threshold"]) == ("rolled-back", 3, 0.25)


def test_a_canary_that_nobody_asks_is_undone_and_the_exit_code_says_no_data(first_live: Stage) -> None:
    first_live.spec(rollout={**ROLLOUT, "bake_answers": 50})
    try:
        told = first_live.run("deploy", "churn:2", "--bake", "2")
    finally:
        first_live.spec(rollout={**ROLLOUT, "bake_answers": 0})
    assert told.code == 6, told.err
    assert "0 answers in a bake of 2 s, and 50 are needed" in told.err
    assert answering(first_live) == "1"
    last = first_live.run("ledger", "show", "--json").json[-1]
    assert (last["kind"], last["data"]["verdict"]) == ("rolled-back", "NO_DATA")


def test_a_good_canary_takes_all_traffic(first_live: Stage) -> None:
    with Customers(first_live):
        told = first_live.run("deploy", "churn:2", "--bake", "1", "--json")
    assert told.code == 0, told.err
    assert told.json["proof"]["rows_from"] == "captured requests"
    assert answering(first_live) == "2"


def test_a_model_that_will_not_load_never_answers(first_live: Stage) -> None:
    told = first_live.run("deploy", "churn:4", "--bake", "0")
    assert told.code == 5
    assert "ValueError: no such thing" in told.err
    assert answering(first_live) == "1"


def test_a_version_that_nobody_approved_is_refused(first_live: Stage) -> None:
    told = first_live.run("deploy", "churn:5")
    assert told.code == 4
    assert "Next:  bedplate approve churn:5" in told.err


def test_the_old_release_answers_after_two_seconds_of_work_with_its_re_scoring(first_live: Stage) -> None:
    """Processor seconds of the command: a machine that others are busy on stretches those of a clock."""
    assert first_live.run("deploy", "churn:2", "--strategy", "all-at-once", "--bake", "0").code == 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = first_live.run_apart("rollback", "churn", "--reason", "rehearsal")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert told.code == 0, told.err
    assert answering(first_live) == "1"
    assert "re-score" in told.err
    assert 0.0 < taken_s < 2.0
    assert "rehearsal" in first_live.run("ledger", "show").out


def test_while_a_rollout_is_in_flight_another_is_locked_out_and_a_rollback_undoes_it(first_live: Stage) -> None:
    with first_live.running("deploy", "churn:2", "--bake", "300") as rolling:
        wait_for(lambda: status_of(first_live) == "Updating")
        second = first_live.run("deploy", "churn:3")
        assert second.code == 7
        assert "v2 is on its way" in second.err
        assert (status_of(first_live), rolling.poll()) == ("Updating", None), "the first goes on"
        told = first_live.run("rollback", "churn", "--reason", "stop")
        out, err = rolling.communicate(timeout=120)
    assert told.code == 0, told.err
    assert answering(first_live) == "1"
    assert rolling.returncode == 5, (out, err)
    assert first_live.run("ledger", "verify").code == 0


def test_a_shadow_sees_every_request_answers_none_and_takes_over_when_it_agrees(first_live: Stage) -> None:
    side_by_side(first_live, min_answers=100)
    with Customers(first_live):
        told = first_live.run("deploy", "churn:2", "--strategy", "shadow", "--json")
        assert told.code == 0, told.err
        assert (told.json["phase"], told.json["verdict"]) == ("passed", "PASS")
        assert told.json["facts"]["agreement_pct"] >= 90
        assert {answering(first_live) for _ in range(5)} == {"1"}
        promoted = first_live.run("rollout", "promote", "churn", "--json")
    assert promoted.code == 0, promoted.err
    assert promoted.json["phase"] == "promoted"
    assert answering(first_live) == "2"
    shown = first_live.run("rollout", "history", "churn", "--json").json
    assert (shown[0]["strategy"], shown[0]["phase"], shown[0]["verdict"]) == ("shadow", "promoted", "PASS")
    assert first_live.run("ledger", "verify").code == 0


def test_a_shadow_that_disagrees_never_gets_traffic(first_live: Stage) -> None:
    side_by_side(first_live, min_answers=100)
    with Customers(first_live):
        told = first_live.run("deploy", "churn:3", "--strategy", "shadow")
    assert told.code == 3, told.err
    assert "decisions are equal" in told.err
    assert answering(first_live) == "1"


def test_an_ab_test_divides_the_traffic_until_a_rollback_ends_it(first_live: Stage) -> None:
    side_by_side(first_live, min_answers=100)
    assert first_live.run("deploy", "churn:2", "--strategy", "ab", "--no-wait").code == 0
    settled(first_live)
    assert first_live.run("rollout", "tick", "churn", "--json").json["phase"] == "splitting"
    assert {answering(first_live) for _ in range(40)} == {"1", "2"}
    shown = first_live.run("rollout", "status", "churn", "--json").json[0]
    assert (shown["open"]["phase"], shown["weights"]) == ("splitting", {"live": 0.5, "challenger": 0.5})
    assert first_live.run("deploy", "churn:3").code == 7
    assert first_live.run("rollout", "pause", "churn").code == 0
    settled(first_live)
    assert {answering(first_live) for _ in range(10)} == {"1"}
    told = first_live.run("rollback", "churn", "--now", "--reason", "enough")
    assert told.code == 0, told.err
    assert {answering(first_live) for _ in range(10)} == {"1"}
    assert first_live.run("rollout", "status", "churn", "--json").json[0]["open"] is None


def test_killed_in_the_middle_the_same_command_finishes_it(first_live: Stage) -> None:
    with first_live.running("deploy", "churn:2", "--bake", "2") as rolling:
        wait_for(lambda: status_of(first_live) == "Updating")
        os.kill(rolling.pid, signal.SIGKILL)
    told = first_live.run("deploy", "churn:2", "--bake", "2", "--json")
    assert told.code == 0, told.err
    assert told.json["changed"] is False
    assert answering(first_live) == "2"
    assert first_live.run("ledger", "verify").code == 0
    assert "version 2" in first_live.run("who-was-live", "churn").out


def test_a_missing_column_is_told_in_the_models_own_words(first_live: Stage, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "1", "plan": "pro"}\n')
    told = first_live.run("invoke", "churn", "--data", str(rows))
    assert told.code == 2
    assert "age" in told.err


def test_answers_are_written_beside_their_keys(first_live: Stage, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    told = first_live.run("invoke", "churn", "--rows", "30", "--out", str(out), "--json")
    assert told.json["rows"] == 30
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == 30
    assert lines[0].keys() == {"id", "prediction", "release"}


def test_labels_meet_the_captured_answers_by_their_key(first_live: Stage, tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps({"id": f"7-{i}", "left": i % 2}) + "\n" for i in range(50)))
    told = first_live.run("labels", "add", "churn", str(labels), "--json").json
    assert told["labels"] == 50
    assert told["matched"] >= 50
    assert not first_live.run("labels", "add", "churn", str(labels), "--json").json["new"]


def test_status_asks_the_endpoint_itself(first_live: Stage) -> None:
    told = first_live.run("status", "churn", "--json").json
    assert told["answers"] == told["live"]
    assert told["traffic"]["requests"] > 0
    assert {a["name"] for a in told["alarms"]} >= set(first_live.names.rollback_alarms)


def test_drift_is_found_by_feature_and_late_labels_tell_how_right_the_answers_were(
    first_live: Stage, tmp_path: Path
) -> None:
    assert first_live.run("baseline", "churn", "--json").json["features"] == ["age", "plan"]
    older = [{"id": f"old-{i}", "at": "2013-02-01T00:00:00Z", "age": 40 + 0.1 * i, "plan": "pro"} for i in range(400)]
    rows, labels = tmp_path / "rows.jsonl", tmp_path / "labels.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in older))
    labels.write_text("".join(json.dumps({"id": r["id"], "label": int(i % 3 > 0)}) + "\n" for i, r in enumerate(older)))
    begun = datetime.now(UTC).isoformat()
    assert first_live.run("invoke", "churn", "--data", str(rows)).code == 0
    assert first_live.run("labels", "add", "churn", str(labels)).code == 0
    told = first_live.run("monitor", "run", "churn", "--from", begun, "--json")
    assert told.code == 3, told.err
    assert told.json["outcome"] == "DRIFT"
    assert told.json["features"]["age"]["verdict"] == "significant"
    assert told.json["performance"]["n_labelled"] >= 400
    shown = first_live.run("monitor", "report", "churn")
    assert shown.code == 3
    assert "significant" in shown.out
    assert first_live.run("ledger", "verify").code == 0


def test_money_is_told_by_model_and_budget(first_live: Stage) -> None:
    budget = {
        "BudgetName": first_live.names.budget,
        "BudgetLimit": {"Amount": "0.0001", "Unit": "USD"},
        "TimeUnit": "MONTHLY",
        "BudgetType": "COST",
        "CostFilters": {"TagKeyValue": ["user:Model$churn"]},
    }
    first_live.session.client("budgets").create_budget(AccountId="123456789012", Budget=budget)
    told = first_live.run("costs", "--model", "churn", "--json").json
    assert told["total_usd"] > 0
    assert {share["group"] for share in told["shares"]} >= {"serving"}
    assert told["models"][0]["predictions"] > 0
    assert first_live.run("budgets", "--model", "churn").code == 0
    over = first_live.run("budgets", "--check")
    assert over.code == 8
    assert "Used up: churn" in over.err


def test_a_used_up_budget_stops_new_trainings_until_somebody_lets_them_go_on(first_live: Stage) -> None:
    client = first_live.session.client
    account, name = "123456789012", "bedplate-local"
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = client("iam").create_role(RoleName="bedplate-local-data-scientist", AssumeRolePolicyDocument=trust)["Role"]
    deny = {
        "Effect": "Deny",
        "Action": ["sagemaker:CreateTrainingJob"],
        "Resource": f"arn:aws:sagemaker:*:{account}:training-job/bedplate-local-*",
        "Condition": {"StringEquals": {"aws:RequestTag/Model": "churn"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    policy = client("iam").create_policy(PolicyName="stop", PolicyDocument=document)["Policy"]["Arn"]
    budget = {"BudgetName": name, "BudgetLimit": {"Amount": "1000", "Unit": "USD"}, "TimeUnit": "MONTHLY"}
    client("budgets").create_budget(AccountId=account, Budget={**budget, "BudgetType": "COST"})
    client("budgets").create_budget_action(
        AccountId=account,
        BudgetName=name,
        NotificationType="ACTUAL",
        ActionType="APPLY_IAM_POLICY",
        ActionThreshold={"ActionThresholdValue": 0.00001, "ActionThresholdType": "ABSOLUTE_VALUE"},
        Definition={"IamActionDefinition": {"PolicyArn": policy, "Roles": ["bedplate-local-data-scientist"]}},
        ExecutionRoleArn=role["Arn"],
        ApprovalModel="AUTOMATIC",
        Subscribers=[{"SubscriptionType": "EMAIL", "Address": "a@example.com"}],
    )

    def attached() -> list[str]:
        found = client("iam").list_attached_role_policies(RoleName="bedplate-local-data-scientist")
        return [each["PolicyName"] for each in found["AttachedPolicies"]]

    deadline = time.monotonic() + 10
    while attached() != ["stop"]:
        assert time.monotonic() < deadline, "the action is not executed"
        threading.Event().wait(0.05)
    refused = first_live.run("train", "churn", "--data", str(first_live.data(seed=9)), "--seed", "77")
    assert refused.code == 8, refused.err
    assert "has stopped new trainings" in refused.err
    with pytest.raises(client("sagemaker").exceptions.ClientError, match="explicit deny"):  # and not only politely
        client("sagemaker").create_training_job(
            TrainingJobName="bedplate-local-churn-by-hand",
            RoleArn=role["Arn"],
            AlgorithmSpecification={"TrainingImage": "i", "TrainingInputMode": "File"},
            OutputDataConfig={"S3OutputPath": "s3://b/o"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
            Tags=[{"Key": "Model", "Value": "churn"}],
        )
    assert first_live.run("budgets", "--resume", name, "--yes").code == 0
    assert attached() == []
    client("budgets").delete_budget(AccountId=account, BudgetName=name)


def test_only_releases_that_somebody_needs_survive_a_pruning(first_live: Stage) -> None:
    before = {r["release"]: r["why"] for r in first_live.run("releases", "list", "churn", "--json").json}
    gone = first_live.run("releases", "prune", "churn", "--yes", "--json").json["deleted"]
    assert set(gone) == {release for release, why in before.items() if not why}
    assert answering(first_live) == "1"


def test_an_unknown_model_is_named(first_live: Stage) -> None:
    told = first_live.run("deploy", "nobody")
    assert told.code == 2
    assert "nobody" in told.err


def side_by_side(stage: Stage, **experiment: Any) -> None:
    stage.spec(rollout={**ROLLOUT, "strategy": "all-at-once", "bake_answers": 0, "experiment": experiment})


def status_of(stage: Stage) -> str:
    told = stage.session.client("sagemaker").describe_endpoint(EndpointName=stage.names.endpoint)
    return str(told["EndpointStatus"])


def wait_for(condition: Any, *, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)

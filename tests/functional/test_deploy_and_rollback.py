"""Deploys, rolls back, invokes, monitors and prunes releases with the CLI on a running local platform."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from background_traffic import BackgroundTraffic
from local_stage import Stage, start_stage
from polling import wait_until
from serving_stage import (
    ROLLOUT,
    ROLLOUT_WITHOUT_TRAFFIC,
    endpoint_status,
    prepare_endpoint,
    register_version,
    wait_until_settled,
)

AT_ONCE = ("--strategy", "all-at-once", "--bake", "0")
BROKEN = "def model_fn(d):\n    raise ValueError('no such thing')\n\ndef predict_fn(rows, model):\n    return rows\n"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """v1 is live; v2 is as good; v3 has other predictions; v4 cannot be loaded; v5 is pending approval."""
    with start_stage(tmp_path_factory.mktemp("deploy")) as stage:
        prepare_endpoint(stage)
        assert [register_version(stage, split=split) for split in (40.0, 41.0, 70.0)] == [1, 2, 3]
        assert register_version(stage, inference=BROKEN) == 4
        assert register_version(stage, split=42.0, approval="PendingManualApproval") == 5
        assert stage.run("deploy", "churn:1", "--bake", "1").code == 0
        yield stage


@pytest.fixture
def first_live(stage: Stage) -> Stage:
    """v1 is live and has enough predictions for a comparison, whatever the previous test did."""
    wait_until_settled(stage)
    if live_version(stage) != "1":
        deployment = stage.run("deploy", "churn:1", *AT_ONCE, "--force", "--reason", "x")
        assert deployment.code == 0, deployment.stderr
    assert stage.run("invoke", "churn", "--rows", "200").code == 0
    return stage


def live_version(stage: Stage) -> str:
    """The version that serves a request, from the header of its response."""
    response = stage.session.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=stage.names.endpoint,
        Body=b'{"id": "x", "at": "2013-01-01T00:00:00Z", "age": 40.0, "plan": "pro"}',
        ContentType="application/jsonlines",
    )
    return dict(part.split("=") for part in response["CustomAttributes"].split(";"))["version"]


def send_traffic(stage: Stage) -> BackgroundTraffic:
    """Sends requests during a `with` block; the rows of each request have ages from 20 to 60."""
    rows = [{"id": f"c{i}", "at": "2013-01-01T00:00:00Z", "age": 20 + 0.2 * i, "plan": "pro"} for i in range(196)]
    spread = [row for first in range(7) for row in rows[first::7]]
    return BackgroundTraffic(stage.session.client("sagemaker-runtime"), stage.names.endpoint, spread, batch_size=28)


def test_deploying_the_live_version_changes_nothing(first_live: Stage) -> None:
    result = first_live.run("deploy", "churn:1", "--json")
    assert result.code == 0
    assert result.json["changed"] is False


def test_a_dry_run_shows_the_plan_and_moves_no_traffic(first_live: Stage) -> None:
    result = first_live.run("deploy", "churn:2", "--dry-run", "--json").json
    assert [s["kind"] for s in result["plan"]["steps"]][-2:] == ["Verify", "RecordOutcome"]
    assert live_version(first_live) == "1"


def test_a_canary_whose_predictions_shift_is_rolled_back_by_its_alarm(first_live: Stage) -> None:
    with send_traffic(first_live):
        result = first_live.run("deploy", "churn:3", "--bake", "20")
    assert result.code == 5, result.stderr
    assert "PredictionShift was" in result.stderr
    assert "above 0.25" in result.stderr
    assert "PredictionShift of" in result.stderr
    assert "█" in result.stderr
    assert live_version(first_live) == "1"
    last = first_live.run("ledger", "show", "--json").json[-1]
    assert (last["kind"], last["version"], last["data"]["alarm"]["threshold"]) == ("deployment-rolled-back", 3, 0.25)


def test_a_canary_without_traffic_is_rolled_back_with_the_exit_code_of_no_data(first_live: Stage) -> None:
    first_live.write_model_yaml(rollout={**ROLLOUT, "min_bake_predictions": 50})
    try:
        result = first_live.run("deploy", "churn:2", "--bake", "2")
    finally:
        first_live.write_model_yaml(rollout=ROLLOUT_WITHOUT_TRAFFIC)
    assert result.code == 6, result.stderr
    assert "0 predictions in a bake of 2 s, but at least 50 are required" in result.stderr
    assert live_version(first_live) == "1"
    last = first_live.run("ledger", "show", "--json").json[-1]
    assert (last["kind"], last["data"]["verdict"]) == ("deployment-rolled-back", "NO_DATA")


def test_a_healthy_canary_gets_all_traffic(first_live: Stage) -> None:
    with send_traffic(first_live):
        result = first_live.run("deploy", "churn:2", "--bake", "1", "--json")
    assert result.code == 0, result.stderr
    assert result.json["probe"]["rows_source"] == "captured requests"
    assert live_version(first_live) == "2"


def test_a_model_that_cannot_be_loaded_is_rolled_back(first_live: Stage) -> None:
    result = first_live.run("deploy", "churn:4", "--bake", "0")
    assert result.code == 5
    assert "ValueError: no such thing" in result.stderr
    assert live_version(first_live) == "1"


def test_an_unapproved_version_is_rejected(first_live: Stage) -> None:
    result = first_live.run("deploy", "churn:5")
    assert result.code == 4
    assert "Next:  bedplate approve churn:5" in result.stderr


def test_a_rollback_with_its_re_scoring_takes_less_than_two_seconds(first_live: Stage) -> None:
    """Measures processor time, because other processes delay the elapsed time."""
    assert first_live.run("deploy", "churn:2", *AT_ONCE).code == 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = first_live.run_in_subprocess("rollback", "churn", "--reason", "rehearsal")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert result.code == 0, result.stderr
    assert live_version(first_live) == "1"
    assert "re-score" in result.stderr
    assert 0.0 < taken_s < 2.0
    assert "rehearsal" in first_live.run("ledger", "show").stdout


def test_a_deployment_in_flight_locks_out_another_and_is_aborted_by_a_rollback(first_live: Stage) -> None:
    with first_live.start("deploy", "churn:2", "--bake", "300") as rolling:
        wait_until(lambda: endpoint_status(first_live) == "Updating")
        second = first_live.run("deploy", "churn:3")
        assert second.code == 7
        assert "update to v2 is in progress" in second.stderr
        assert (endpoint_status(first_live), rolling.poll()) == ("Updating", None), "the first one continues"
        result = first_live.run("rollback", "churn", "--reason", "stop")
        output, err = rolling.communicate(timeout=120)
    assert result.code == 0, result.stderr
    assert live_version(first_live) == "1"
    assert rolling.returncode == 5, (output, err)
    assert first_live.run("ledger", "verify").code == 0


def test_a_shadow_that_agrees_can_be_promoted(first_live: Stage) -> None:
    configure_experiment(first_live, min_predictions=100)
    with send_traffic(first_live):
        result = first_live.run("deploy", "churn:2", "--strategy", "shadow", "--json")
        assert result.code == 0, result.stderr
        assert (result.json["phase"], result.json["verdict"]) == ("passed", "PASS")
        assert result.json["measurements"]["agreement_pct"] >= 90
        assert {live_version(first_live) for _ in range(5)} == {"1"}
        promoted = first_live.run("rollout", "promote", "churn", "--json")
    assert promoted.code == 0, promoted.stderr
    assert promoted.json["phase"] == "promoted"
    assert live_version(first_live) == "2"
    shown = first_live.run("rollout", "history", "churn", "--json").json
    assert (shown[0]["strategy"], shown[0]["phase"], shown[0]["verdict"]) == ("shadow", "promoted", "PASS")
    assert first_live.run("ledger", "verify").code == 0


def test_a_shadow_that_disagrees_never_gets_traffic(first_live: Stage) -> None:
    configure_experiment(first_live, min_predictions=100)
    with send_traffic(first_live):
        result = first_live.run("deploy", "churn:3", "--strategy", "shadow")
    assert result.code == 3, result.stderr
    assert "decisions are equal" in result.stderr
    assert live_version(first_live) == "1"


def test_an_ab_test_splits_the_traffic_until_a_rollback_ends_it(first_live: Stage) -> None:
    configure_experiment(first_live, min_predictions=100)
    assert first_live.run("deploy", "churn:2", "--strategy", "ab", "--no-wait").code == 0
    wait_until_settled(first_live)
    assert first_live.run("rollout", "tick", "churn", "--json").json["phase"] == "splitting"
    assert {live_version(first_live) for _ in range(40)} == {"1", "2"}
    shown = first_live.run("rollout", "status", "churn", "--json").json[0]
    assert (shown["open_rollout"]["phase"], shown["weights"]) == ("splitting", {"live": 0.5, "challenger": 0.5})
    assert first_live.run("deploy", "churn:3").code == 7
    assert first_live.run("rollout", "pause", "churn").code == 0
    wait_until_settled(first_live)
    assert {live_version(first_live) for _ in range(10)} == {"1"}
    result = first_live.run("rollback", "churn", "--now", "--reason", "enough")
    assert result.code == 0, result.stderr
    assert {live_version(first_live) for _ in range(10)} == {"1"}
    assert first_live.run("rollout", "status", "churn", "--json").json[0]["open_rollout"] is None


def test_a_killed_deployment_is_finished_by_the_same_command(first_live: Stage) -> None:
    with first_live.start("deploy", "churn:2", "--bake", "2"):
        wait_until(lambda: endpoint_status(first_live) == "Updating")
    result = first_live.run("deploy", "churn:2", "--bake", "2", "--json")
    assert result.code == 0, result.stderr
    assert result.json["changed"] is False
    assert live_version(first_live) == "2"
    assert first_live.run("ledger", "verify").code == 0
    assert "version 2" in first_live.run("who-was-live", "churn").stdout


def test_the_error_of_a_request_names_its_missing_column(first_live: Stage, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "1", "plan": "pro"}\n')
    result = first_live.run("invoke", "churn", "--data", str(rows))
    assert result.code == 2
    assert "age" in result.stderr


def test_predictions_are_written_with_their_keys(first_live: Stage, tmp_path: Path) -> None:
    output = tmp_path / "predictions.jsonl"
    result = first_live.run("invoke", "churn", "--rows", "30", "--out", str(output), "--json")
    assert result.json["rows"] == 30
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(lines) == 30
    assert lines[0].keys() == {"id", "prediction", "release"}


def test_labels_are_joined_with_captured_predictions_by_key(first_live: Stage, tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps({"id": f"7-{i}", "left": i % 2}) + "\n" for i in range(50)))
    result = first_live.run("labels", "add", "churn", str(labels), "--json").json
    assert result["labels"] == 50
    assert result["matched"] >= 50
    assert not first_live.run("labels", "add", "churn", str(labels), "--json").json["new"]


def test_status_invokes_the_endpoint(first_live: Stage) -> None:
    result = first_live.run("status", "churn", "--json").json
    assert result["probed_release"] == result["live"]
    assert result["traffic"]["requests"] > 0
    assert {a["name"] for a in result["alarms"]} >= set(first_live.names.rollback_alarms)


def test_monitoring_reports_drift_by_feature_and_metrics_on_late_labels(first_live: Stage, tmp_path: Path) -> None:
    assert first_live.run("baseline", "churn", "--json").json["features"] == ["age", "plan"]
    older = [{"id": f"old-{i}", "at": "2013-02-01T00:00:00Z", "age": 40 + 0.1 * i, "plan": "pro"} for i in range(400)]
    rows, labels = tmp_path / "rows.jsonl", tmp_path / "labels.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in older))
    labels.write_text("".join(json.dumps({"id": r["id"], "label": int(i % 3 > 0)}) + "\n" for i, r in enumerate(older)))
    start = datetime.now(UTC).isoformat()
    assert first_live.run("invoke", "churn", "--data", str(rows)).code == 0
    assert first_live.run("labels", "add", "churn", str(labels)).code == 0
    result = first_live.run("monitor", "run", "churn", "--from", start, "--json")
    assert result.code == 3, result.stderr
    assert result.json["outcome"] == "DRIFT"
    assert result.json["features"]["age"]["verdict"] == "significant"
    assert result.json["performance"]["n_labelled"] >= 400
    shown = first_live.run("monitor", "report", "churn")
    assert shown.code == 3
    assert "significant" in shown.stdout
    assert first_live.run("ledger", "verify").code == 0


def test_costs_and_budgets_are_shown_by_model(first_live: Stage) -> None:
    budget = {
        "BudgetName": first_live.names.budget,
        "BudgetLimit": {"Amount": "0.0001", "Unit": "USD"},
        "TimeUnit": "MONTHLY",
        "BudgetType": "COST",
        "CostFilters": {"TagKeyValue": ["user:Model$churn"]},
    }
    first_live.session.client("budgets").create_budget(AccountId="123456789012", Budget=budget)
    result = first_live.run("costs", "--model", "churn", "--json").json
    assert result["total_usd"] > 0
    assert {share["group"] for share in result["shares"]} >= {"serving"}
    assert result["models"][0]["predictions"] > 0
    assert first_live.run("budgets", "--model", "churn").code == 0
    over = first_live.run("budgets", "--check")
    assert over.code == 8
    assert "Used up: churn" in over.stderr


def test_an_exhausted_budget_stops_trainings_until_they_are_resumed(first_live: Stage) -> None:
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

    def list_attached_policies() -> list[str]:
        response = client("iam").list_attached_role_policies(RoleName="bedplate-local-data-scientist")
        return [policy["PolicyName"] for policy in response["AttachedPolicies"]]

    wait_until(list_attached_policies, lambda names: names == ["stop"], timeout_s=10)
    error = first_live.run("train", "churn", "--data", str(first_live.write_data(seed=9)), "--seed", "77")
    assert error.code == 8, error.stderr
    assert "has stopped new trainings" in error.stderr
    with pytest.raises(client("sagemaker").exceptions.ClientError, match="explicit deny"):
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
    assert list_attached_policies() == []
    client("budgets").delete_budget(AccountId=account, BudgetName=name)


def test_pruning_deletes_the_releases_that_are_not_in_use(first_live: Stage) -> None:
    before = {r["release"]: r["reason"] for r in first_live.run("releases", "list", "churn", "--json").json}
    deleted = first_live.run("releases", "prune", "churn", "--yes", "--json").json["deleted"]
    assert set(deleted) == {release for release, reason in before.items() if not reason}
    assert live_version(first_live) == "1"


def test_the_error_names_an_unknown_model(first_live: Stage) -> None:
    result = first_live.run("deploy", "unknown")
    assert result.code == 2
    assert "unknown" in result.stderr


def configure_experiment(stage: Stage, **experiment: Any) -> None:
    """Writes a model.yaml with this experiment and without a bake."""
    stage.write_model_yaml(rollout={**ROLLOUT_WITHOUT_TRAFFIC, "strategy": "all-at-once", "experiment": experiment})

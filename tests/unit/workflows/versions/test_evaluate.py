"""An evaluation runs its job once, and records the verdict in registry and ledger."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bedplate import ports
from bedplate.errors import Conflict, JobFailed, NotFound
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.versions.evaluate import EvaluationResult, evaluate, plan_evaluation, store_page
from builders import a_package, a_spec, a_stack_context
from fakes import EPOCH, FakeStackContext, failing_work
from release_builders import ENDPOINT
from training_stack import EVALUATED_SPEC, add_fallback_release, evaluation_work

HOLDOUT = {"holdout_uri": "s3://data/datasets/churn/0a1b/holdout.parquet"}


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    context = a_stack_context(tmp_path, EVALUATED_SPEC)
    context.registry.packages[ENDPOINT] = [a_package(1, metadata=HOLDOUT)]
    add_fallback_release(context)
    context.jobs.work = evaluation_work(context)
    return context


def go_live(stack: FakeStackContext, version: int) -> None:
    name = f"{ENDPOINT}-v{version}-0a1b2c3d"
    stack.endpoints.releases[name] = ports.Release(
        name, f"s3://artifacts/{version}/model.tar.gz", {"BEDPLATE_RELEASE": name}, EPOCH
    )
    stack.endpoints.live[ENDPOINT] = name


def run_evaluation(stack: FakeStackContext, version: int | None = None) -> EvaluationResult:
    return evaluate(stack, plan_evaluation(stack, "churn", version), null_reporter)


def metadata(stack: FakeStackContext) -> Any:
    return stack.registry.get(ENDPOINT, 1).metadata


def record_kinds(stack: FakeStackContext) -> list[str]:
    return [r.kind for r in Ledger(stack.objects, "ledger", stack.clock).records()]


def test_the_verdict_is_written_to_registry_and_ledger(stack: FakeStackContext) -> None:
    result = run_evaluation(stack)
    assert result.gate_report is not None
    assert result.gate_report.outcome == "PASS"
    assert metadata(stack)["verdict"] == "PASS"
    assert metadata(stack)["evaluation_uri"] == result.plan.evaluation_uri
    assert float(metadata(stack)["metric.auc"]) > 0.7
    assert record_kinds(stack) == ["evaluated"]


def test_a_changed_evaluation_file_is_rejected_until_the_version_is_evaluated_again(stack: FakeStackContext) -> None:
    uri = run_evaluation(stack).plan.evaluation_uri
    stack.objects.put(uri, stack.objects.get(uri) + b" ")
    with pytest.raises(Conflict, match="was changed") as error:
        run_evaluation(stack)
    assert error.value.next_step == "bedplate evaluate churn:1 --again"
    again = evaluate(stack, plan_evaluation(stack, "churn", 1, rerun=True), null_reporter)
    assert again.plan.evaluation_uri != uri
    assert record_kinds(stack) == ["evaluated", "evaluated"]


def test_mlflow_is_preloaded_only_while_a_job_runs(stack: FakeStackContext) -> None:
    submit = stack.jobs.submit_processing
    stack.jobs.submit_processing = lambda request: replace(submit(request), status="InProgress")  # type: ignore[method-assign]
    run_evaluation(stack)
    assert stack.experiments.preloads == 1
    run_evaluation(stack)
    assert stack.experiments.preloads == 1


def test_a_failed_gate_is_recorded_like_any_other_verdict(stack: FakeStackContext) -> None:
    stack.jobs.work = evaluation_work(stack, good=False)
    result = run_evaluation(stack)
    assert result.gate_report is not None
    assert (result.gate_report.outcome, metadata(stack)["verdict"], record_kinds(stack)) == (
        "FAIL",
        "FAIL",
        ["evaluated"],
    )


def test_the_fallback_is_a_champion_with_a_constant_prediction(stack: FakeStackContext) -> None:
    run_evaluation(stack)
    (request,) = stack.jobs.processings.values()
    assert request.environment["BEDPLATE_FALLBACK"] == "0.2"
    assert set(request.inputs) == {"candidate", "holdout", "spec"}
    assert request.command == ("python", "-m", "bedplate.container", "evaluate")


def test_the_live_release_is_scored_on_the_same_rows(stack: FakeStackContext) -> None:
    stack.registry.packages[ENDPOINT].append(a_package(2, metadata=HOLDOUT))
    go_live(stack, 1)
    result = run_evaluation(stack)
    (request,) = stack.jobs.processings.values()
    assert request.inputs["champion"][0] == "s3://artifacts/1/model.tar.gz"
    assert "BEDPLATE_FALLBACK" not in request.environment
    assert result.plan.champion is not None
    assert result.plan.champion.display_name == "v1"


def test_the_live_version_passes_the_champion_gate_against_itself(stack: FakeStackContext) -> None:
    go_live(stack, 1)
    result = run_evaluation(stack)
    (request,) = stack.jobs.processings.values()
    assert "champion" not in request.inputs
    assert result.gate_report is not None
    assert result.gate_report.outcome == "PASS"


def test_without_an_endpoint_the_champion_gate_has_no_data(stack: FakeStackContext) -> None:
    stack.endpoints.live.clear()
    result = run_evaluation(stack)
    assert result.gate_report is not None
    assert result.gate_report.outcome == "NO_DATA"


def test_evaluating_again_reuses_the_job_and_the_record(stack: FakeStackContext) -> None:
    run_evaluation(stack)
    run_evaluation(stack)
    assert len(stack.jobs.processings) == 1
    assert record_kinds(stack) == ["evaluated"]


def test_a_job_without_its_result_is_ignored(stack: FakeStackContext) -> None:
    first = run_evaluation(stack)
    del stack.objects.contents[first.plan.evaluation_uri]
    again = run_evaluation(stack)
    assert again.gate_report is not None
    assert again.plan.job_name != first.plan.job_name


def test_a_run_killed_before_its_record_is_completed(stack: FakeStackContext) -> None:
    planned = plan_evaluation(stack, "churn", 1)
    evaluate(stack, planned, null_reporter)
    stack.objects.contents = {u: b for u, b in stack.objects.contents.items() if not u.startswith("s3://ledger")}
    stack.registry.packages[ENDPOINT] = [a_package(1, metadata=HOLDOUT)]
    run_evaluation(stack)
    assert metadata(stack)["verdict"] == "PASS"
    assert (len(stack.jobs.processings), record_kinds(stack)) == (1, ["evaluated"])


def test_another_champion_needs_another_job(stack: FakeStackContext) -> None:
    first = plan_evaluation(stack, "churn", 1).evaluation_uri
    stack.registry.packages[ENDPOINT].append(a_package(2, metadata=HOLDOUT))
    go_live(stack, 2)
    assert plan_evaluation(stack, "churn", 1).evaluation_uri != first


def test_changed_gates_are_applied_without_a_second_job(stack: FakeStackContext) -> None:
    run_evaluation(stack)
    stack.specs["churn"] = a_spec(gates={"thresholds": [{"metric": "auc", "min": 0.99}]})
    result = run_evaluation(stack)
    assert result.gate_report is not None
    assert result.gate_report.outcome == "FAIL"
    assert (metadata(stack)["verdict"], len(stack.jobs.processings), record_kinds(stack)) == (
        "FAIL",
        1,
        ["evaluated", "evaluated"],
    )


def test_gates_with_other_measurements_start_another_job(stack: FakeStackContext) -> None:
    run_evaluation(stack)
    stack.specs["churn"] = a_spec(gates={"thresholds": [{"metric": "auc", "min": 0.7}], "leakage": {}})
    stack.registry.packages[ENDPOINT] = [a_package(1, metadata={**HOLDOUT, "data_uri": "s3://data/train.parquet"})]
    result = run_evaluation(stack)
    first, second = stack.jobs.processings.values()
    assert "training" not in first.inputs
    assert second.inputs["training"][0] == "s3://data/train.parquet"
    document = json.loads(stack.objects.get(result.plan.spec_uri))
    assert document["gates"]["leakage"]["max_single_feature"] == 0.95
    assert result.gate_report is not None
    assert result.gate_report.outcome == "NO_DATA", "the fake container measures no leakage"


def test_the_page_is_stored_beside_the_evaluation(stack: FakeStackContext) -> None:
    planned = plan_evaluation(stack, "churn", 1)
    store_page(stack, planned, "<html>")
    assert stack.objects.get(planned.evaluation_uri.replace(".json", ".html")) == b"<html>"


def test_a_failed_job_is_retried_under_the_next_name(stack: FakeStackContext) -> None:
    stack.jobs.work = failing_work("the candidate cannot score the holdout: KeyError: 'age'")
    with pytest.raises(JobFailed, match="KeyError"):
        run_evaluation(stack)
    assert "verdict" not in metadata(stack)
    stack.jobs.work = evaluation_work(stack)
    assert run_evaluation(stack).job.name.endswith("-2")


def test_a_version_without_a_holdout_is_an_error(stack: FakeStackContext) -> None:
    stack.registry.packages[ENDPOINT] = [a_package(1)]
    with pytest.raises(NotFound, match="no holdout"):
        run_evaluation(stack)

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedplate import ports
from bedplate.domain.evidence import evaluation
from bedplate.errors import Conflict, JobFailed, NotFound
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.versions.evaluate import EvaluationResult, evaluate, plan_evaluation, store_page
from builders import a_package, a_spec, a_stack_context
from fakes import EPOCH, FakeStackContext, failing_work

SPEC = a_spec(gates={"thresholds": [{"metric": "auc", "min": 0.7}], "champion": {"metric": "auc"}})
HOLDOUT = {"holdout_uri": "s3://data/datasets/churn/0a1b/holdout.parquet"}
ENDPOINT = "bedplate-local-churn"


def container(at: FakeStackContext, *, good: bool = True) -> Any:
    """Returns the work of the image's `evaluate`: scores candidate and fallback on 400 rows."""

    def work(request: ports.ProcessingRequest) -> None:
        random = np.random.default_rng(0)
        labels = (random.random(400) < 0.5).astype(float)
        candidate = labels * 0.3 + random.random(400) if good else random.random(400)
        champion = (
            np.full(400, 0.2)
            if {"BEDPLATE_FALLBACK"} & set(request.environment) or "champion" in request.inputs
            else None
        )
        result = evaluation.evaluate_models(
            SPEC, labels, candidate, champion, {"plan": ["basic"] * 400}, artifact_mb=1.0, seconds=0.1
        )
        (_, uri) = request.outputs["evaluation"]
        at.objects.put(f"{uri}/evaluation.json", json.dumps(result.to_json()).encode())

    return work


@pytest.fixture
def at(tmp_path: Path) -> FakeStackContext:
    created = a_stack_context(tmp_path, SPEC)
    created.registry.packages[ENDPOINT] = [a_package(1, metadata=HOLDOUT)]
    fallback = created.endpoints.live[ENDPOINT]
    environment = {"BEDPLATE_FALLBACK": "0.2", "BEDPLATE_RELEASE": f"{ENDPOINT}-v0"}
    created.endpoints.releases[fallback] = ports.Release(fallback, None, environment, EPOCH)
    created.jobs.work = container(created)
    return created


def go_live(at: FakeStackContext, version: int) -> None:
    name = f"{ENDPOINT}-v{version}-0a1b2c3d"
    at.endpoints.releases[name] = ports.Release(
        name, f"s3://artifacts/{version}/model.tar.gz", {"BEDPLATE_RELEASE": name}, EPOCH
    )
    at.endpoints.live[ENDPOINT] = name


def run(at: FakeStackContext, version: int | None = None) -> EvaluationResult:
    return evaluate(at, plan_evaluation(at, "churn", version), null_reporter)


def metadata(at: FakeStackContext) -> Any:
    return at.registry.get(ENDPOINT, 1).metadata


def kinds(at: FakeStackContext) -> list[str]:
    return [r.kind for r in Ledger(at.objects, "ledger", at.clock).records()]


def test_the_verdict_is_written_to_registry_and_ledger(at: FakeStackContext) -> None:
    result = run(at)
    assert result.gate_report is not None
    assert result.gate_report.outcome == "PASS"
    assert metadata(at)["verdict"] == "PASS"
    assert metadata(at)["evaluation_uri"] == result.plan.evaluation_uri
    assert float(metadata(at)["metric.auc"]) > 0.7
    assert kinds(at) == ["evaluated"]


def test_a_changed_evaluation_file_is_refused_until_measured_again(at: FakeStackContext) -> None:
    uri = run(at).plan.evaluation_uri
    at.objects.put(uri, at.objects.get(uri) + b" ")
    with pytest.raises(Conflict, match="was changed") as error:
        run(at)
    assert error.value.next_step == "bedplate evaluate churn:1 --again"
    again = evaluate(at, plan_evaluation(at, "churn", 1, rerun=True), null_reporter)
    assert again.plan.evaluation_uri != uri
    assert kinds(at) == ["evaluated", "evaluated"]


def test_mlflow_is_preloaded_only_while_a_job_runs(at: FakeStackContext) -> None:
    submit = at.jobs.submit_processing
    at.jobs.submit_processing = lambda request: replace(submit(request), status="InProgress")  # type: ignore[method-assign]
    run(at)
    assert at.experiments.preloads == 1
    run(at)
    assert at.experiments.preloads == 1


def test_a_failed_gate_is_recorded_like_any_other_verdict(at: FakeStackContext) -> None:
    at.jobs.work = container(at, good=False)
    result = run(at)
    assert result.gate_report is not None
    assert (result.gate_report.outcome, metadata(at)["verdict"], kinds(at)) == ("FAIL", "FAIL", ["evaluated"])


def test_the_fallback_is_a_champion_with_a_constant_prediction(at: FakeStackContext) -> None:
    run(at)
    (request,) = at.jobs.processings.values()
    assert request.environment["BEDPLATE_FALLBACK"] == "0.2"
    assert set(request.inputs) == {"candidate", "holdout", "spec"}
    assert request.command == ("python", "-m", "bedplate.container", "evaluate")


def test_the_live_release_is_scored_on_the_same_rows(at: FakeStackContext) -> None:
    at.registry.packages[ENDPOINT].append(a_package(2, metadata=HOLDOUT))
    go_live(at, 1)
    result = run(at)
    (request,) = at.jobs.processings.values()
    assert request.inputs["champion"][0] == "s3://artifacts/1/model.tar.gz"
    assert "BEDPLATE_FALLBACK" not in request.environment
    assert result.plan.champion is not None
    assert result.plan.champion.display_name == "v1"


def test_the_live_version_passes_the_champion_gate_against_itself(at: FakeStackContext) -> None:
    go_live(at, 1)
    result = run(at)
    (request,) = at.jobs.processings.values()
    assert "champion" not in request.inputs
    assert result.gate_report is not None
    assert result.gate_report.outcome == "PASS"


def test_without_an_endpoint_the_champion_gate_has_no_data(at: FakeStackContext) -> None:
    at.endpoints.live.clear()
    result = run(at)
    assert result.gate_report is not None
    assert result.gate_report.outcome == "NO_DATA"


def test_evaluating_again_reuses_the_job_and_the_record(at: FakeStackContext) -> None:
    run(at)
    run(at)
    assert len(at.jobs.processings) == 1
    assert kinds(at) == ["evaluated"]


def test_a_job_without_its_result_is_ignored(at: FakeStackContext) -> None:
    first = run(at)
    del at.objects.contents[first.plan.evaluation_uri]
    again = run(at)
    assert again.gate_report is not None
    assert again.plan.job_name != first.plan.job_name


def test_a_run_killed_before_its_record_is_completed(at: FakeStackContext) -> None:
    planned = plan_evaluation(at, "churn", 1)
    evaluate(at, planned, null_reporter)
    at.objects.contents = {u: b for u, b in at.objects.contents.items() if not u.startswith("s3://ledger")}
    at.registry.packages[ENDPOINT] = [a_package(1, metadata=HOLDOUT)]
    run(at)
    assert metadata(at)["verdict"] == "PASS"
    assert (len(at.jobs.processings), kinds(at)) == (1, ["evaluated"])


def test_another_champion_needs_another_job(at: FakeStackContext) -> None:
    first = plan_evaluation(at, "churn", 1).evaluation_uri
    at.registry.packages[ENDPOINT].append(a_package(2, metadata=HOLDOUT))
    go_live(at, 2)
    assert plan_evaluation(at, "churn", 1).evaluation_uri != first


def test_changed_gates_are_applied_without_a_second_job(at: FakeStackContext) -> None:
    run(at)
    at.specs["churn"] = a_spec(gates={"thresholds": [{"metric": "auc", "min": 0.99}]})
    result = run(at)
    assert result.gate_report is not None
    assert result.gate_report.outcome == "FAIL"
    assert (metadata(at)["verdict"], len(at.jobs.processings), kinds(at)) == ("FAIL", 1, ["evaluated", "evaluated"])


def test_gates_with_other_measurements_start_another_job(at: FakeStackContext) -> None:
    run(at)
    more = {"gates": {"thresholds": [{"metric": "auc", "min": 0.7}], "leakage": {}}}
    at.specs["churn"] = a_spec(**more)
    at.registry.packages[ENDPOINT] = [a_package(1, metadata={**HOLDOUT, "data_uri": "s3://data/train.parquet"})]
    result = run(at)
    first, second = at.jobs.processings.values()
    assert "training" not in first.inputs
    assert second.inputs["training"][0] == "s3://data/train.parquet"
    document = json.loads(at.objects.get(result.plan.spec_uri))
    assert document["gates"]["leakage"]["max_single_feature"] == 0.95
    assert result.gate_report is not None
    assert result.gate_report.outcome == "NO_DATA", "the fake container measures no leakage"


def test_the_page_is_stored_beside_the_evaluation(at: FakeStackContext) -> None:
    planned = plan_evaluation(at, "churn", 1)
    store_page(at, planned, "<html>")
    assert at.objects.get(planned.evaluation_uri.replace(".json", ".html")) == b"<html>"


def test_a_failed_job_is_retried_under_the_next_name(at: FakeStackContext) -> None:
    at.jobs.work = failing_work("the candidate cannot score the holdout: KeyError: 'age'")
    with pytest.raises(JobFailed, match="KeyError"):
        run(at)
    assert "verdict" not in metadata(at)
    at.jobs.work = container(at)
    assert run(at).job.name.endswith("-2")


def test_a_version_without_a_holdout_is_an_error(at: FakeStackContext) -> None:
    at.registry.packages[ENDPOINT] = [a_package(1)]
    with pytest.raises(NotFound, match="no holdout"):
        run(at)

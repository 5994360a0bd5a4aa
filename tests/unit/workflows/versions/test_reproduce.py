"""A version is trained again from its stored parts and compared with the original."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedplate import ports
from bedplate.domain.evidence import evaluation
from bedplate.domain.versions.package import CONTRACT_FILE, build_archive, read_archive
from bedplate.domain.versions.reproduction import ReproductionResult, compare_predictions, compare_reproduced_metrics
from bedplate.errors import GateFailed, JobFailed, NotFound, OverBudget, PlatformError
from bedplate.settings import LOCK_FILES
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import null_reporter
from bedplate.workflows.training.train import train
from bedplate.workflows.training.training_plan import TrainRequest
from bedplate.workflows.training.training_plan import plan as plan_training
from bedplate.workflows.versions.reproduce import plan_reproduction, reproduce
from builders import a_spec
from fakes import FakeStackContext, RecordingReporter, failing_work
from training_stack import build_training_stack

SPEC = a_spec(training={"hyperparameters": {"max_iter": 100}, "seed": 3, "max_usd": 5})


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    """A stack with one version, trained on 500 rows; both models get the same scores."""
    context = build_training_stack(tmp_path, SPEC)
    (tmp_path / LOCK_FILES[0]).parent.mkdir()
    (tmp_path / LOCK_FILES[0]).write_text("numpy==2")
    request = TrainRequest("churn", tmp_path / "data.parquet", {})
    training = train(context, plan_training(context, request, null_reporter), null_reporter)
    assert training.package is not None
    context.jobs.work = scoring_work(context)
    return context


def scoring_work(stack: FakeStackContext, *, shift: float = 0.0) -> Any:
    """Returns the work of the image's `evaluate`; the reproduced model predicts `shift` more in the first row."""

    def work(request: Any) -> None:
        if not isinstance(request, ports.ProcessingRequest):
            return
        random = np.random.default_rng(0)
        labels = (random.random(200) < 0.5).astype(float)
        registered = labels * 0.3 + random.random(200) / 2
        reproduced = registered.copy()
        reproduced[0] += shift
        groups = {"plan": ["basic"] * 200}
        result = evaluation.evaluate_models(SPEC, labels, reproduced, registered, groups, artifact_mb=1.0, seconds=0.1)
        (_, uri) = request.outputs["evaluation"]
        stack.objects.put(f"{uri}/evaluation.json", json.dumps(result.to_json()).encode())
        buffer = io.BytesIO()
        pq.write_table(pa.table({"prediction": reproduced, "champion_prediction": registered}), buffer)
        stack.objects.put(f"{uri}/predictions.parquet", buffer.getvalue())

    return work


def run_reproduction(stack: FakeStackContext, **options: Any) -> ReproductionResult:
    return reproduce(stack, plan_reproduction(stack, "churn", 1), null_reporter, **options)


def metadata(stack: FakeStackContext) -> dict[str, str]:
    return dict(stack.registry.get("bedplate-local-churn", 1).metadata)


def test_the_repeated_training_has_the_same_request(stack: FakeStackContext) -> None:
    (first,) = stack.jobs.trainings.values()
    assert run_reproduction(stack).is_identical
    _, again = stack.jobs.trainings.values()
    for part in ("image_uri", "entry_point", "channels", "hyperparameters", "environment", "instance_type"):
        assert getattr(again, part) == getattr(first, part), part


def test_a_reproduction_registers_and_records_nothing(stack: FakeStackContext) -> None:
    run_reproduction(stack)
    assert len(stack.registry.packages["bedplate-local-churn"]) == 1
    assert [r.kind for r in Ledger(stack.objects, "ledger", stack.clock).records()] == ["data-registered", "trained"]


def test_one_different_prediction_makes_the_model_different(stack: FakeStackContext) -> None:
    stack.jobs.work = scoring_work(stack, shift=1e-12)
    result = run_reproduction(stack)
    assert not result.is_identical
    assert result.predictions.differing == 1
    assert result.predictions.max_difference == pytest.approx(1e-12, rel=1e-3)


def test_the_code_comes_from_the_archive(stack: FakeStackContext) -> None:
    (stack.project_dir / "models" / "churn" / "train.py").write_text("raise SystemExit('changed since')")
    assert run_reproduction(stack).is_identical


def test_another_lock_file_is_refused_unless_allowed(stack: FakeStackContext) -> None:
    (stack.project_dir / LOCK_FILES[0]).write_text("numpy==3")
    with pytest.raises(GateFailed, match="the lock file is") as error:
        run_reproduction(stack)
    assert error.value.next_step == "bedplate reproduce churn:1 --anyway"
    assert len(stack.jobs.trainings) == 1
    reporter = RecordingReporter()
    assert reproduce(stack, plan_reproduction(stack, "churn", 1), reporter, allow_changes=True).is_identical
    assert "lock file" in reporter.events_of("warning")[0]["text"]


def test_a_code_archive_that_was_replaced_is_refused(stack: FakeStackContext) -> None:
    uri = metadata(stack)["code_uri"]
    files = read_archive(stack.objects.get(uri))
    stack.objects.put(uri, build_archive({**files, "train.py": b"print('another')"}))
    with pytest.raises(GateFailed, match="the code is"):
        run_reproduction(stack)


def test_changed_data_is_refused_even_with_allow_changes(stack: FakeStackContext) -> None:
    stack.objects.put(metadata(stack)["holdout_uri"], b"other rows")
    with pytest.raises(PlatformError, match="was changed"):
        run_reproduction(stack, allow_changes=True)


@pytest.mark.parametrize(
    ("key", "message"), [("data_uri", "data of churn:1 no longer exists"), ("code_uri", "code archive of churn:1")]
)
def test_missing_data_or_code_is_named(stack: FakeStackContext, key: str, message: str) -> None:
    del stack.objects.contents[metadata(stack)[key]]
    with pytest.raises(NotFound, match=message):
        run_reproduction(stack)


def test_an_archive_without_a_contract_is_refused(stack: FakeStackContext) -> None:
    uri = metadata(stack)["code_uri"]
    stack.objects.put(
        uri, build_archive({n: b for n, b in read_archive(stack.objects.get(uri)).items() if n != CONTRACT_FILE})
    )
    with pytest.raises(PlatformError, match="cannot be read"):
        run_reproduction(stack)


def test_parameters_too_long_for_the_registry_come_from_the_ledger(stack: FakeStackContext) -> None:
    package = stack.registry.get("bedplate-local-churn", 1)
    stack.registry.update_metadata(package, {"hyperparameters": json.dumps({"sha256": "0a1b"})})
    assert plan_reproduction(stack, "churn", 1).hyperparameters == {"max_iter": "100", "seed": "3"}


def test_a_killed_run_is_resumed_and_a_complete_one_repeated(stack: FakeStackContext) -> None:
    killed = plan_reproduction(stack, "churn", 1)
    stack.jobs.work = failing_work("killed")
    with pytest.raises(JobFailed):
        reproduce(stack, killed, null_reporter)
    stack.jobs.work = scoring_work(stack)
    run_reproduction(stack)
    names = list(stack.jobs.trainings)
    assert [job[-2:] for job in names[1:]] == ["-1", "-2"]
    del stack.jobs.processings[names[-1]]
    assert plan_reproduction(stack, "churn", 1).job_name == names[-1]
    run_reproduction(stack)
    assert list(stack.jobs.trainings) == names
    assert plan_reproduction(stack, "churn", 1).job_name.endswith("-3")


def test_a_used_up_budget_blocks_the_reproduction(stack: FakeStackContext) -> None:
    stack.costs.budgets = [ports.BudgetState("bedplate-local-churn", 10, 12, None, ())]
    with pytest.raises(OverBudget, match="used up"):
        run_reproduction(stack)


def test_stored_predictions_of_the_evaluation_are_compared(stack: FakeStackContext) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"prediction": np.zeros(200)}), buffer)
    stack.objects.put("s3://artifacts/e/predictions.parquet", buffer.getvalue())
    stack.registry.update_metadata(
        stack.registry.get("bedplate-local-churn", 1), {"evaluation_uri": "s3://artifacts/e/evaluation.json"}
    )
    result = run_reproduction(stack)
    assert result.predictions.differing == 0
    assert result.evaluated_predictions is not None
    assert result.evaluated_predictions.differing == 200
    assert not result.is_identical


def test_a_metric_that_differs_from_the_registry_is_a_difference() -> None:
    same = compare_predictions([0.1], [0.1])
    for recorded, is_identical in (("0.7", True), ("0.6", False)):
        metrics = compare_reproduced_metrics({"metric.auc": recorded}, {"auc": 0.7}, {"auc": 0.7})
        assert ReproductionResult(metrics, same, None).is_identical is is_identical


def test_nan_equals_only_nan() -> None:
    nan = float("nan")
    assert compare_predictions([nan, 1], [nan, 1]).differing == 0
    assert compare_predictions([nan, 1], [0, 1]).max_difference == float("inf")
    with pytest.raises(ValueError, match="cannot be compared"):
        compare_predictions([1], [1, 2])

"""MLflow runs are logged and listed through the experiments adapter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bedplate.aws.experiments import MlflowExperiments, NoExperiments
from bedplate.errors import PlatformError
from bedplate.ports import RunDraft
from fakes import EPOCH

DRAFT = RunDraft(
    experiment="bedplate-local-churn",
    job="job-1",
    name="churn:1",
    status="FINISHED",
    params={"max_iter": "50"},
    metrics={"train_auc": 0.75},
    tags={"code_commit": "abc", "version": "1"},
    started_at=EPOCH,
    ended_at=EPOCH,
)


def test_a_job_has_one_run_and_list_runs_returns_what_was_logged(tmp_path: Path) -> None:
    experiments = MlflowExperiments(f"sqlite:///{tmp_path / 'mlflow.db'}", folder=tmp_path)
    assert experiments.list_runs(DRAFT.experiment) == (), "listing creates no store"
    assert not (tmp_path / "mlflow.db").exists()
    first = experiments.log_run(DRAFT)
    assert experiments.log_run(replace(DRAFT, metrics={"train_auc": 0.76})) == first, "the same job is the same run"
    second = replace(DRAFT, job="job-2", name="job-2", status="FAILED", params={"max_iter": "60"}, tags={})
    failed = experiments.log_run(second)
    assert experiments.add_metrics(DRAFT.experiment, "job-1", {"auc": 0.7}, {"verdict": "PASS"})
    assert not experiments.add_metrics(DRAFT.experiment, "unknown-job", {"auc": 0.7}, {})
    runs = {run.id: run for run in experiments.list_runs(DRAFT.experiment)}
    assert set(runs) == {first, failed}
    assert runs[first].metrics == {"train_auc": 0.76, "auc": 0.7}
    assert runs[first].params == {"max_iter": "50"}
    assert runs[first].tags == {"code_commit": "abc", "version": "1", "verdict": "PASS"}
    assert (runs[first].job, runs[first].name, runs[first].started_at) == ("job-1", "churn:1", EPOCH)
    assert (runs[first].status, runs[failed].status) == ("FINISHED", "FAILED")
    assert experiments.list_runs("bedplate-local-other") == []


def test_an_unreachable_server_is_an_error_that_names_the_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(PlatformError, match=r"Cannot log the run of job-1 at http://127\.0\.0\.1:9") as error:
        MlflowExperiments("http://127.0.0.1:9").log_run(DRAFT)
    assert error.value.next_step is not None
    assert "BEDPLATE_TRACKING=off" in error.value.next_step


def test_without_tracking_no_run_is_logged() -> None:
    experiments = NoExperiments()
    experiments.log_run(DRAFT)
    assert experiments.list_runs(DRAFT.experiment) == ()

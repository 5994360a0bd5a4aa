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


def test_runs_come_back_from_mlflows_own_store_as_they_were_kept_and_once_each(tmp_path: Path) -> None:
    kept = MlflowExperiments(f"sqlite:///{tmp_path / 'mlflow.db'}", folder=tmp_path)
    assert kept.runs(DRAFT.experiment) == (), "asking makes no store"
    assert not (tmp_path / "mlflow.db").exists()
    first = kept.log(DRAFT)
    assert kept.log(replace(DRAFT, metrics={"train_auc": 0.76})) == first, "the same job is the same run"
    failed = kept.log(replace(DRAFT, job="job-2", name="job-2", status="FAILED", params={"max_iter": "60"}, tags={}))
    assert kept.add_metrics(DRAFT.experiment, "job-1", {"auc": 0.7}, {"verdict": "PASS"})
    assert not kept.add_metrics(DRAFT.experiment, "nobody", {"auc": 0.7}, {})
    runs = {run.id: run for run in kept.runs(DRAFT.experiment)}
    assert set(runs) == {first, failed}
    assert runs[first].metrics == {"train_auc": 0.76, "auc": 0.7}
    assert runs[first].params == {"max_iter": "50"}
    assert runs[first].tags == {"code_commit": "abc", "version": "1", "verdict": "PASS"}
    assert (runs[first].job, runs[first].name, runs[first].started_at) == ("job-1", "churn:1", EPOCH)
    assert (runs[first].status, runs[failed].status) == ("FINISHED", "FAILED")
    assert kept.runs("bedplate-local-other") == []


def test_a_server_that_does_not_answer_is_said_with_the_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(PlatformError, match=r"Cannot keep the run of job-1 at http://127\.0\.0\.1:9") as failed:
        MlflowExperiments("http://127.0.0.1:9").log(DRAFT)
    assert failed.value.next_step is not None
    assert "BEDPLATE_TRACKING=off" in failed.value.next_step


def test_off_keeps_nothing() -> None:
    nowhere = NoExperiments()
    nowhere.log(DRAFT)
    assert nowhere.runs(DRAFT.experiment) == ()

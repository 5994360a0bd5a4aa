"""Keeps trainings side by side in MLflow: a managed server, the local platform's, or a file of the project."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bedplate.aws.errors import translated
from bedplate.aws.session import Session
from bedplate.errors import PlatformError
from bedplate.ports import ExperimentRun, RunDraft

JOB = "bedplate.job"
NAME = "mlflow.runName"
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "GIT_PYTHON_REFRESH": "quiet",
}
_OTHERWISE = "BEDPLATE_TRACKING=off keeps no runs; any other value is the tracking URI to use instead"
_PAGE = 1000


class NoExperiments:
    """The `Experiments` port where nothing is kept (`BEDPLATE_TRACKING=off`)."""

    where = ""

    def warm(self) -> None:
        return None

    def log(self, draft: RunDraft) -> str:
        return ""

    def add_metrics(self, experiment: str, job: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> bool:
        return False

    def runs(self, experiment: str) -> Sequence[ExperimentRun]:
        return ()


class MlflowExperiments:
    """The `Experiments` port.

    `uri` is MLflow's tracking URI: `http://...`, `sqlite:///...`, or the ARN of a managed server, which the plugin
    `sagemaker-mlflow` answers for. With `folder` the store is a file in it, which comes into being with its first use.
    """

    def __init__(self, uri: str, *, folder: Path | None = None) -> None:
        self._uri = uri
        self._folder = folder
        self._lock = threading.RLock()
        self._held: Any = None

    @property
    def where(self) -> str:
        return self._uri

    def warm(self) -> None:
        """MLflow takes seconds to import, and its first store more: both happen while the job runs."""
        threading.Thread(target=self._warm, name="mlflow", daemon=True).start()

    def log(self, draft: RunDraft) -> str:
        from_ms, to_ms = _ms(draft.started_at), _ms(draft.ended_at)
        with self._client(f"Cannot keep the run of {draft.job}") as client:
            experiment = self._experiment(client, draft.experiment, create=True)
            found = self._find(client, experiment, draft.job)
            named = {"run_name": draft.name, "tags": {JOB: draft.job}}
            made = found or client.create_run(experiment, start_time=from_ms, **named)
            run_id = str(made.info.run_id)
            kept = set(made.data.params)  # MLflow's parameters are written once
            self._batch(
                client,
                run_id,
                draft.metrics,
                {**draft.tags, NAME: draft.name},
                {key: value for key, value in draft.params.items() if key not in kept},
            )
            if draft.status != "RUNNING":
                client.set_terminated(run_id, status=draft.status, end_time=to_ms)
            return run_id

    def add_metrics(self, experiment: str, job: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> bool:
        with self._client(f"Cannot add to the run of {job}") as client:
            known = self._experiment(client, experiment, create=False)
            found = self._find(client, known, job) if known else None
            if found is None:
                return False
            self._batch(client, found.info.run_id, metrics, tags, {})
            return True

    def runs(self, experiment: str) -> Sequence[ExperimentRun]:
        if self._folder is not None and not (self._folder / "mlflow.db").exists():
            return ()
        with self._client("Cannot list runs") as client:
            known = self._experiment(client, experiment, create=False)
            found: list[ExperimentRun] = []
            token = None
            while known:
                page = client.search_runs([known], max_results=_PAGE, page_token=token)
                found += [_run(each) for each in page]
                token = page.token
                if not token:
                    break
            return found

    def _experiment(self, client: Any, name: str, *, create: bool) -> str | None:
        found = client.get_experiment_by_name(name)
        if found is None:
            return str(client.create_experiment(name)) if create else None
        return str(found.experiment_id)

    def _find(self, client: Any, experiment: str | None, job: str) -> Any:
        found = client.search_runs([experiment], filter_string=f"tags.`{JOB}` = '{job}'", max_results=1)
        return found[0] if found else None

    def _batch(
        self, client: Any, run_id: str, metrics: Mapping[str, float], tags: Mapping[str, str], params: Mapping[str, str]
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = int(datetime.now(UTC).timestamp() * 1000)
        client.log_batch(
            run_id,
            metrics=[Metric(key, value, now, 0) for key, value in metrics.items()],
            params=[Param(key, value) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )

    def _warm(self) -> None:
        try:
            with self._client("Cannot reach MLflow") as client:
                client.search_experiments(max_results=1)
        except PlatformError:
            return  # whoever logs gets the same error, and says it

    @contextmanager
    def _client(self, doing: str) -> Iterator[Any]:
        """One at a time, in this process and (for a file) on this machine; MLflow's errors in our words."""
        with self._lock, self._alone(), _quiet():
            try:
                from mlflow.exceptions import MlflowException
                from mlflow.tracking import MlflowClient
                from sqlalchemy.exc import SQLAlchemyError
            except ImportError as exc:
                raise PlatformError(f"{doing}: MLflow cannot be imported: {exc}") from exc
            try:
                if self._held is None:
                    self._held = MlflowClient(self._uri)
                yield self._held
            except (MlflowException, SQLAlchemyError, OSError) as exc:
                reason = str(exc).strip().splitlines()[0]
                raise PlatformError(
                    f"{doing} at {self._uri}: {reason}",
                    next_step=_OTHERWISE,
                ) from exc

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands that make the file's tables at the same time would get in each other's way."""
        if self._folder is None:
            yield
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield


def local_server(session: Session, arn: str) -> str:
    """Where the local platform's server listens now: it has another port after each start of the platform."""
    name = arn.rsplit("/", 1)[-1]
    with translated(f"Cannot find tracking server {name}"):
        found = session.client("sagemaker").describe_mlflow_tracking_server(TrackingServerName=name)
    return str(found.get("TrackingServerUrl") or "http://127.0.0.1:9")


def _run(found: Any) -> ExperimentRun:
    tags = {key: value for key, value in found.data.tags.items() if not key.startswith("mlflow.")}
    return ExperimentRun(
        id=found.info.run_id,
        job=tags.pop(JOB, ""),
        name=found.info.run_name or found.data.tags.get(NAME, ""),
        status=found.info.status if found.info.status in ("RUNNING", "FINISHED", "FAILED", "KILLED") else "RUNNING",
        params=dict(found.data.params),
        metrics=dict(found.data.metrics),
        tags=tags,
        started_at=_moment(found.info.start_time),
        ended_at=_moment(found.info.end_time),
    )


def _ms(moment: datetime | None) -> int | None:
    return int(moment.timestamp() * 1000) if moment else None


def _moment(ms: int | None) -> datetime | None:
    return datetime.fromtimestamp(ms / 1000, UTC) if ms else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without MLflow's remarks on its tables, its deprecations and its report of use."""
    for key, value in _QUIET.items():
        os.environ.setdefault(key, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""Logs trainings to MLflow: a managed tracking server, the local platform's, or a file in the project."""

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
from typing import Any, get_args

from bedplate.aws.errors import map_client_errors
from bedplate.aws.session import Session
from bedplate.errors import PlatformError
from bedplate.ports import ExperimentRun, RunDraft, RunStatus

JOB_TAG = "bedplate.job"
RUN_NAME_TAG = "mlflow.runName"
_QUIET_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "GIT_PYTHON_REFRESH": "quiet",
}
_NEXT_STEP = "BEDPLATE_TRACKING=off logs no runs; any other value is the tracking URI to use instead"
_PAGE_SIZE = 1000


class NoExperiments:
    """The `Experiments` port when tracking is off (`BEDPLATE_TRACKING=off`)."""

    location = ""

    def preload(self) -> None:
        return None

    def log_run(self, draft: RunDraft) -> str:
        return ""

    def add_metrics(self, experiment: str, job: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> bool:
        return False

    def list_runs(self, experiment: str) -> Sequence[ExperimentRun]:
        return ()


class MlflowExperiments:
    """The `Experiments` port.

    `uri` is MLflow's tracking URI: `http://...`, `sqlite:///...`, or the ARN of a managed server, which needs the
    plugin `sagemaker-mlflow`. With `folder` the store is a file in it, which the first use creates.
    """

    def __init__(self, uri: str, *, folder: Path | None = None) -> None:
        self.location = uri
        self._folder = folder
        self._lock = threading.RLock()
        self._mlflow: Any = None

    def preload(self) -> None:
        """Imports MLflow and creates its store, which both take seconds, while the training job runs."""
        threading.Thread(target=self._preload, name="mlflow", daemon=True).start()

    def log_run(self, draft: RunDraft) -> str:
        with self._open_client(f"Cannot log the run of {draft.job}") as client:
            experiment = self._experiment_id(client, draft.experiment, create=True)
            run = self._find_run(client, experiment, draft.job) or client.create_run(
                experiment, _to_ms(draft.started_at), tags={JOB_TAG: draft.job}, run_name=draft.name
            )
            run_id = str(run.info.run_id)
            tags = {**draft.tags, RUN_NAME_TAG: draft.name}
            # MLflow rejects a second value of a parameter
            params = {key: value for key, value in draft.params.items() if key not in run.data.params}
            self._log_batch(client, run_id, draft.metrics, tags, params)
            if draft.status != "RUNNING":
                client.set_terminated(run_id, status=draft.status, end_time=_to_ms(draft.ended_at))
            return run_id

    def add_metrics(self, experiment: str, job: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> bool:
        with self._open_client(f"Cannot add to the run of {job}") as client:
            experiment_id = self._experiment_id(client, experiment, create=False)
            run = self._find_run(client, experiment_id, job) if experiment_id else None
            if run is None:
                return False
            self._log_batch(client, run.info.run_id, metrics, tags, {})
            return True

    def list_runs(self, experiment: str) -> Sequence[ExperimentRun]:
        if self._folder is not None and not (self._folder / "mlflow.db").exists():
            return ()
        with self._open_client("Cannot list runs") as client:
            experiment_id = self._experiment_id(client, experiment, create=False)
            runs: list[ExperimentRun] = []
            token = None
            while experiment_id:
                page = client.search_runs([experiment_id], max_results=_PAGE_SIZE, page_token=token)
                runs += [_parse_run(run) for run in page]
                token = page.token
                if not token:
                    break
            return runs

    def _experiment_id(self, client: Any, name: str, *, create: bool) -> str | None:
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            return str(client.create_experiment(name)) if create else None
        return str(experiment.experiment_id)

    def _find_run(self, client: Any, experiment: str | None, job: str) -> Any:
        runs = client.search_runs([experiment], filter_string=f"tags.`{JOB_TAG}` = '{job}'", max_results=1)
        return runs[0] if runs else None

    def _log_batch(
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

    def _preload(self) -> None:
        try:
            with self._open_client("Cannot reach MLflow") as client:
                client.search_experiments(max_results=1)
        except PlatformError:
            return  # `log_run` raises the same error

    @contextmanager
    def _open_client(self, error_prefix: str) -> Iterator[Any]:
        """Yields the client to one thread (for a file, one process) at a time; MLflow's errors become PlatformError."""
        with self._lock, self._exclusive(), _silence_mlflow():
            try:
                from mlflow.exceptions import MlflowException
                from mlflow.tracking import MlflowClient
                from sqlalchemy.exc import SQLAlchemyError
            except ImportError as exc:
                raise PlatformError(f"{error_prefix}: MLflow cannot be imported: {exc}") from exc
            try:
                if self._mlflow is None:
                    self._mlflow = MlflowClient(self.location)
                yield self._mlflow
            except (MlflowException, SQLAlchemyError, OSError) as exc:
                reason = str(exc).strip().splitlines()[0]
                raise PlatformError(f"{error_prefix} at {self.location}: {reason}", next_step=_NEXT_STEP) from exc

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Keeps two commands from creating the file's tables at the same time."""
        if self._folder is None:
            yield
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def local_tracking_url(session: Session, arn: str) -> str:
    """Returns the URL of the local platform's tracking server, whose port changes with each start of the platform."""
    name = arn.rsplit("/", 1)[-1]
    with map_client_errors(f"Cannot find tracking server {name}"):
        server = session.client("sagemaker").describe_mlflow_tracking_server(TrackingServerName=name)
    return str(server.get("TrackingServerUrl") or "http://127.0.0.1:9")


def _parse_run(run: Any) -> ExperimentRun:
    tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")}
    return ExperimentRun(
        id=run.info.run_id,
        job=tags.pop(JOB_TAG, ""),
        name=run.info.run_name or run.data.tags.get(RUN_NAME_TAG, ""),
        status=run.info.status if run.info.status in get_args(RunStatus) else "RUNNING",
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=tags,
        started_at=_from_ms(run.info.start_time),
        ended_at=_from_ms(run.info.end_time),
    )


def _to_ms(time: datetime | None) -> int | None:
    return int(time.timestamp() * 1000) if time else None


def _from_ms(ms: int | None) -> datetime | None:
    return datetime.fromtimestamp(ms / 1000, UTC) if ms else None


@contextmanager
def _silence_mlflow() -> Iterator[None]:
    """Suppresses MLflow's log lines about its tables, its deprecation warnings and its telemetry."""
    for key, value in _QUIET_ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

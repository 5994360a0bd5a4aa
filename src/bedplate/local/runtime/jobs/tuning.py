"""Runs tuning jobs: starts training jobs as trials, a few at a time, with hyperparameters that a search selects."""

from __future__ import annotations

import threading
import traceback
import zlib
from collections import Counter, defaultdict
from typing import Any

from bedplate.domain.versions.tuning import is_worth_finishing
from bedplate.local.hooks import KindName, Record, Services
from bedplate.local.runtime.jobs.training import TrainingRunner
from bedplate.local.runtime.jobs.tuning_search import Search, build_search

KIND: KindName = "hyper-parameter-tuning-job"
POLL_S = 0.1
_RUNNING = ("InProgress", "Stopping")


class TuningRunner:
    """Handles the hooks of tuning jobs."""

    def __init__(self, services: Services, training: TrainingRunner) -> None:
        self._services = services
        self._training = training
        self._stop_events: dict[str, threading.Event] = {}
        self._closed = threading.Event()
        self._metric_values: dict[str, list[tuple[str, float]]] = defaultdict(list)
        training.on_metric = lambda job, name, value: self._metric_values[job].append((name, value))

    def start(self, record: Record) -> None:
        name = record["HyperParameterTuningJobName"]
        self._stop_events[name] = threading.Event()
        threading.Thread(target=self._run, args=(name, record), name=f"tuning-{name}", daemon=True).start()

    def stop(self, name: str) -> None:
        if name in self._stop_events:
            self._stop_events[name].set()

    def restore(self) -> None:
        """Fails the tuning jobs that ran when the platform ended, as their training jobs failed."""
        for record in self._services.records(KIND):
            if record["HyperParameterTuningJobStatus"] in _RUNNING:
                reason = "InternalServerError: the local platform ended while the tuning was running. Start it again."
                self._finish(record["HyperParameterTuningJobName"], "Failed", reason)

    def close(self) -> None:
        self._closed.set()

    def _run(self, name: str, record: Record) -> None:
        try:
            tuning = _TuningJob(self._services, self._training, record, self._metric_values)
            tuning.run(self._stop_events[name], self._closed)
        except Exception as exc:  # no error may leave a tuning job InProgress for ever
            traceback.print_exc()
            self._finish(name, "Failed", f"InternalServerError: {type(exc).__name__}: {exc}")

    def _finish(self, name: str, status: str, reason: str | None) -> None:
        changes = {"HyperParameterTuningEndTime": self._services.now(), "FailureReason": reason}
        self._services.update(KIND, name, HyperParameterTuningJobStatus=status, **changes)


class _TuningJob:
    """One running tuning job."""

    def __init__(
        self,
        services: Services,
        training: TrainingRunner,
        record: Record,
        metric_values: dict[str, list[tuple[str, float]]],
    ) -> None:
        self._services, self._training, self._record, self._metric_values = services, training, record, metric_values
        self._name: str = record["HyperParameterTuningJobName"]
        config = record["HyperParameterTuningJobConfig"]
        objective = config.get("HyperParameterTuningJobObjective") or {}
        self._type, self._metric = objective.get("Type", "Maximize"), objective.get("MetricName", "")
        limits = config["ResourceLimits"]
        self._max_trials = int(limits["MaxNumberOfTrainingJobs"])
        self._max_parallel = int(limits["MaxParallelTrainingJobs"])
        self._stops_early = config.get("TrainingJobEarlyStoppingType") == "Auto"
        seed = config.get("RandomSeed")
        self._search: Search = build_search(record, zlib.crc32(self._name.encode()) if seed is None else int(seed))
        self._points: dict[str, dict[str, str]] = {}
        self._exhausted = False

    def run(self, stop_event: threading.Event, closed_event: threading.Event) -> None:
        """Runs until every trial has ended. After `stop_event` no trial starts and running ones are stopped."""
        reported: Any = None
        while not closed_event.is_set():
            children = [self._services.record("training-job", name) or {} for name in self._points]
            running = [c for c in children if c.get("TrainingJobStatus") in _RUNNING]
            if stop_event.is_set():
                self._stop_trials(running)
            else:
                self._start_trials(children, len(running))
                if self._stops_early:
                    self._stop_trials([c for c in running if not self._is_worth_finishing(c, children)])
            progress = self._progress(children)
            if progress != reported:
                self._services.update(KIND, self._name, **progress)
                reported = progress
            all_started = self._exhausted or len(self._points) >= self._max_trials
            if not running and len(children) == len(self._points) and (all_started or stop_event.is_set()):
                self._finish(children, stopped=stop_event.is_set())
                return
            closed_event.wait(POLL_S)

    def _start_trials(self, children: list[Record], running_count: int) -> None:
        while running_count < self._max_parallel and len(self._points) < self._max_trials:
            sign = 1 if self._type == "Maximize" else -1
            trials = [
                (self._points[c["TrainingJobName"]], sign * value)
                for c in children
                if c.get("TrainingJobStatus") == "Completed" and (value := _final_metric(c, self._metric)) is not None
            ]
            point = self._search.next(trials)
            if point is None:
                self._exhausted = True
                return
            self._start_trial(point)
            running_count += 1

    def _start_trial(self, point: dict[str, str]) -> None:
        number = len(self._points) + 1
        identity = f"{self._name}/{number}/{sorted(point.items())}"
        name = f"{self._name}-{number:03d}-{zlib.crc32(identity.encode()):08x}"
        definition, now = self._record["TrainingJobDefinition"], self._services.now()
        output = definition["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        fixed = {**(definition.get("StaticHyperParameters") or {}), "_tuning_objective_metric": self._metric}
        arn = self._record["HyperParameterTuningJobArn"]
        transition = {"Status": "Starting", "StartTime": now, "StatusMessage": "Launching requested ML instances"}
        job = {
            **{key: value for key, value in definition.items() if key != "StaticHyperParameters"},
            "TrainingJobName": name,
            "TrainingJobArn": f"{arn.rpartition(':')[0]}:training-job/{name}",
            "TuningJobArn": arn,
            "HyperParameters": {**fixed, **point},
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Starting",
            "SecondaryStatusTransitions": [transition],
            "ModelArtifacts": {"S3ModelArtifacts": f"{output}/{name}/output/model.tar.gz"},
            "CreationTime": now,
            "LastModifiedTime": now,
            "Tags": [{"Key": key, "Value": value} for key, value in self._services.tags(arn).items()],
        }
        self._services.add("training-job", name, job)
        self._points[name] = point
        self._training.start(self._services.record("training-job", name) or job)

    def _stop_trials(self, children: list[Record]) -> None:
        for child in children:
            if child.get("TrainingJobStatus") == "InProgress":
                self._services.update("training-job", child["TrainingJobName"], TrainingJobStatus="Stopping")
                self._training.stop(child["TrainingJobName"])

    def _is_worth_finishing(self, child: Record, children: list[Record]) -> bool:
        def values_of(trial: Record) -> list[float]:
            return [value for name, value in self._metric_values[trial["TrainingJobName"]] if name == self._metric]

        other_trials = [values_of(c) for c in children if c.get("TrainingJobName") != child["TrainingJobName"]]
        return is_worth_finishing(values_of(child), other_trials, maximize=self._type == "Maximize")

    def _progress(self, children: list[Record]) -> dict[str, Any]:
        """Returns the counters and the best trial for the tuning job's record."""
        counts = Counter(child.get("TrainingJobStatus", "InProgress") for child in children)
        pending = counts["InProgress"] + counts["Stopping"]
        measured = [c for c in children if _final_metric(c, self._metric) is not None]
        completed = [c for c in measured if c.get("TrainingJobStatus") == "Completed"]
        select = max if self._type == "Maximize" else min
        best = select(completed, key=lambda c: _final_metric(c, self._metric) or 0.0) if completed else None
        best_summary = trial_summary(best, self._record, self._points[best["TrainingJobName"]]) if best else None
        return {
            "TrainingJobStatusCounters": {
                "Completed": counts["Completed"],
                "InProgress": pending,
                "RetryableError": 0,
                "NonRetryableError": counts["Failed"],
                "Stopped": counts["Stopped"],
            },
            "ObjectiveStatusCounters": {
                "Succeeded": len(completed),
                "Pending": pending,
                "Failed": len(children) - len(completed) - pending,
            },
            "BestTrainingJob": best_summary,
            "bedplate:Trials": dict(self._points),
        }

    def _finish(self, children: list[Record], *, stopped: bool) -> None:
        succeeded = any(c.get("TrainingJobStatus") == "Completed" for c in children)
        status = "Stopped" if stopped else "Completed" if succeeded else "Failed"
        reason = None if succeeded or stopped else "No training job succeeded"
        self._services.update(
            KIND,
            self._name,
            HyperParameterTuningJobStatus=status,
            HyperParameterTuningEndTime=self._services.now(),
            FailureReason=reason,
            **self._progress(children),
        )


def _final_metric(child: Record, name: str | None) -> float | None:
    metrics = child.get("FinalMetricDataList") or ()
    return next((float(metric["Value"]) for metric in metrics if metric["MetricName"] == name), None)


def trial_summary(child: Record, tuning: Record, point: dict[str, str]) -> Record:
    """Returns a trial's HyperParameterTrainingJobSummary."""
    objective = tuning["HyperParameterTuningJobConfig"].get("HyperParameterTuningJobObjective") or {}
    value = _final_metric(child, objective.get("MetricName"))
    has_ended = child.get("TrainingJobStatus") in ("Completed", "Failed", "Stopped")
    keys = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime")
    return {
        **{key: child[key] for key in (*keys, "TrainingJobStatus", "FailureReason") if key in child},
        "TuningJobName": tuning["HyperParameterTuningJobName"],
        "TunedHyperParameters": dict(point),
        "ObjectiveStatus": ("Failed" if value is None else "Succeeded") if has_ended else "Pending",
        **({"FinalHyperParameterTuningJobObjectiveMetric": {**objective, "Value": value}} if value is not None else {}),
    }

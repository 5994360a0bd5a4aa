"""Tuning jobs: training jobs as their children, a few at a time, each at the point that the search chose."""

from __future__ import annotations

import threading
import traceback
import zlib
from collections import defaultdict
from typing import Any

from bedplate.domain.versions.tuning import worth_finishing
from bedplate.local.hooks import Kind, Record, Services
from bedplate.local.runtime.jobs.training import TrainingRunner
from bedplate.local.runtime.jobs.tuning_search import Search, search_of

KIND: Kind = "hyper-parameter-tuning-job"
LOOK_S = 0.1
_RUNNING = ("InProgress", "Stopping")


class TuningRunner:
    """Answers the hooks of tuning jobs."""

    def __init__(self, services: Services, training: TrainingRunner) -> None:
        self._services = services
        self._training = training
        self._asked: dict[str, threading.Event] = {}
        self._closed = threading.Event()
        self._heard: dict[str, list[tuple[str, float]]] = defaultdict(list)
        training.on_metric = lambda job, name, value: self._heard[job].append((name, value))

    def started(self, record: Record) -> None:
        name = record["HyperParameterTuningJobName"]
        self._asked[name] = threading.Event()
        threading.Thread(target=self._run, args=(name, record), name=f"tuning-{name}", daemon=True).start()

    def stopped(self, name: str) -> None:
        if name in self._asked:
            self._asked[name].set()

    def restore(self) -> None:
        """What ran when the platform ended has failed, as its trainings have."""
        for record in self._services.records(KIND):
            if record["HyperParameterTuningJobStatus"] in _RUNNING:
                reason = "InternalServerError: the local platform ended while the tuning was running. Start it again."
                self._end(record["HyperParameterTuningJobName"], "Failed", reason)

    def close(self) -> None:
        self._closed.set()

    def _run(self, name: str, record: Record) -> None:
        try:
            _Tuning(self._services, self._training, record, self._heard).run(self._asked[name], self._closed)
        except Exception as exc:  # whatever goes wrong here, a tuning must not stay InProgress for ever
            traceback.print_exc()
            self._end(name, "Failed", f"InternalServerError: {type(exc).__name__}: {exc}")

    def _end(self, name: str, status: str, reason: str | None) -> None:
        now = self._services.now()
        changes = {"HyperParameterTuningEndTime": now, "FailureReason": reason}
        self._services.update(KIND, name, HyperParameterTuningJobStatus=status, **changes)


class _Tuning:
    """One tuning on its way."""

    def __init__(
        self, services: Services, training: TrainingRunner, record: Record, heard: dict[str, list[tuple[str, float]]]
    ) -> None:
        self._services, self._training, self._record, self._heard = services, training, record, heard
        self._name: str = record["HyperParameterTuningJobName"]
        config = record["HyperParameterTuningJobConfig"]
        aim = config.get("HyperParameterTuningJobObjective") or {}
        self._type, self._metric = aim.get("Type", "Maximize"), aim.get("MetricName", "")
        self._limits = config["ResourceLimits"]
        self._early = config.get("TrainingJobEarlyStoppingType") == "Auto"
        seed = config.get("RandomSeed")
        self._search: Search = search_of(record, zlib.crc32(self._name.encode()) if seed is None else int(seed))
        self._launched: dict[str, dict[str, str]] = {}
        self._exhausted = False

    def run(self, asked: threading.Event, closed: threading.Event) -> None:
        """Until every trial has ended. With `asked` nothing new is begun, and what runs is stopped."""
        told: Any = None
        while not closed.is_set():
            children = [self._services.record("training-job", name) or {} for name in self._launched]
            running = [c for c in children if c.get("TrainingJobStatus") in _RUNNING]
            if asked.is_set():
                self._stop([c for c in running if c["TrainingJobStatus"] == "InProgress"])
            else:
                self._launch(children, len(running))
                if self._early:
                    self._stop([c for c in running if not self._worthy(c, children)])
            now = self._counted(children)
            if now != told:
                self._services.update(KIND, self._name, **now)
                told = now
            over = self._exhausted or len(self._launched) >= int(self._limits["MaxNumberOfTrainingJobs"])
            if not running and len(children) == len(self._launched) and (over or asked.is_set()):
                self._conclude(children, stopped=asked.is_set())
                return
            closed.wait(LOOK_S)

    def _launch(self, children: list[Record], running: int) -> None:
        while running < int(self._limits["MaxParallelTrainingJobs"]) and len(self._launched) < int(
            self._limits["MaxNumberOfTrainingJobs"]
        ):
            sign = 1 if self._type == "Maximize" else -1
            seen = [
                (self._launched[c["TrainingJobName"]], sign * value)
                for c in children
                if c.get("TrainingJobStatus") == "Completed" and (value := self._value(c)) is not None
            ]
            point = self._search.next(seen)
            if point is None:
                self._exhausted = True
                return
            self._begin(point)
            running += 1

    def _begin(self, point: dict[str, str]) -> None:
        number = len(self._launched) + 1
        told = f"{self._name}/{number}/{sorted(point.items())}"
        name = f"{self._name}-{number:03d}-{zlib.crc32(told.encode()):08x}"
        defined, now = self._record["TrainingJobDefinition"], self._services.now()
        output = defined["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        fixed = {**(defined.get("StaticHyperParameters") or {}), "_tuning_objective_metric": self._metric}
        arn = self._record["HyperParameterTuningJobArn"]
        transition = {"Status": "Starting", "StartTime": now, "StatusMessage": "Launching requested ML instances"}
        job = {
            **{key: value for key, value in defined.items() if key != "StaticHyperParameters"},
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
        self._launched[name] = point
        self._training.started(self._services.record("training-job", name) or job)

    def _stop(self, children: list[Record]) -> None:
        for child in children:
            if child.get("TrainingJobStatus") == "InProgress":
                self._services.update("training-job", child["TrainingJobName"], TrainingJobStatus="Stopping")
                self._training.stopped(child["TrainingJobName"])

    def _worthy(self, child: Record, children: list[Record]) -> bool:
        def course(of: Record) -> list[float]:
            return [value for name, value in self._heard[of["TrainingJobName"]] if name == self._metric]

        others = [course(c) for c in children if c.get("TrainingJobName") != child["TrainingJobName"]]
        return worth_finishing(course(child), others, maximize=self._type == "Maximize")

    def _value(self, child: Record) -> float | None:
        told = child.get("FinalMetricDataList") or ()
        return next((float(each["Value"]) for each in told if each["MetricName"] == self._metric), None)

    def _counted(self, children: list[Record]) -> dict[str, Any]:
        by = defaultdict(int, {"Completed": 0})
        for child in children:
            by[child.get("TrainingJobStatus", "InProgress")] += 1
        valued = [c for c in children if self._value(c) is not None]
        done = [c for c in valued if c.get("TrainingJobStatus") == "Completed"]
        pick = max if self._type == "Maximize" else min
        best = pick(done, key=lambda c: self._value(c) or 0.0) if done else None
        return {
            "TrainingJobStatusCounters": {
                "Completed": by["Completed"],
                "InProgress": by["InProgress"] + by["Stopping"],
                "RetryableError": 0,
                "NonRetryableError": by["Failed"],
                "Stopped": by["Stopped"],
            },
            "ObjectiveStatusCounters": {
                "Succeeded": len(done),
                "Pending": by["InProgress"] + by["Stopping"],
                "Failed": len(children) - len(done) - by["InProgress"] - by["Stopping"],
            },
            "BestTrainingJob": summary(best, self._record, self._launched[best["TrainingJobName"]]) if best else None,
            "bedplate:Trials": dict(self._launched),
        }

    def _conclude(self, children: list[Record], *, stopped: bool) -> None:
        succeeded = any(c.get("TrainingJobStatus") == "Completed" for c in children)
        status = "Stopped" if stopped else "Completed" if succeeded else "Failed"
        reason = None if succeeded or stopped else "No training job succeeded"
        self._services.update(
            KIND,
            self._name,
            HyperParameterTuningJobStatus=status,
            HyperParameterTuningEndTime=self._services.now(),
            FailureReason=reason,
            **self._counted(children),
        )


def summary(child: Record, tuning: Record, point: dict[str, str]) -> Record:
    """A trial as SageMaker's lists of them tell it."""
    aim = tuning["HyperParameterTuningJobConfig"].get("HyperParameterTuningJobObjective") or {}
    told = child.get("FinalMetricDataList") or ()
    value = next((each["Value"] for each in told if each["MetricName"] == aim.get("MetricName")), None)
    ended = child.get("TrainingJobStatus") in ("Completed", "Failed", "Stopped")
    keys = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime")
    return {
        **{key: child[key] for key in (*keys, "TrainingJobStatus", "FailureReason") if key in child},
        "TuningJobName": tuning["HyperParameterTuningJobName"],
        "TunedHyperParameters": dict(point),
        "ObjectiveStatus": ("Failed" if value is None else "Succeeded") if ended else "Pending",
        **({"FinalHyperParameterTuningJobObjectiveMetric": {**aim, "Value": value}} if value is not None else {}),
    }

"""In-memory implementations of the ports, without I/O and without a clock of their own."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from bedplate import ports
from bedplate.domain.names import ModelNames, ScheduleKind
from bedplate.domain.stacks.diagnosis import Quota, Subscription
from bedplate.domain.stacks.permissions import Permission
from bedplate.errors import Conflict, Denied, NotFound, PlatformError
from bedplate.settings import ModelSpec, PlatformOutputs, StackSettings

EPOCH = datetime(2013, 7, 1, 12, 0, tzinfo=UTC)


@dataclass
class FakeClock:
    """A clock that only `sleep` moves."""

    at: datetime = EPOCH
    slept_s: float = 0.0

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        self.at += timedelta(seconds=seconds)


@dataclass
class FakeObjects:
    """Objects in a dict. `race` runs before each conditional put, to simulate another writer."""

    contents: dict[str, bytes] = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)
    race: Callable[[str], None] = lambda uri: None
    puts: list[str] = field(default_factory=list)
    gets: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, uri: str) -> bytes:
        self.gets.append(uri)
        if uri not in self.contents:
            raise NotFound(f"Cannot read {uri}: no such key")
        return self.contents[uri]

    def get_many(self, uris: Sequence[str]) -> Iterator[bytes]:
        return map(self.get, uris)

    def put(self, uri: str, body: bytes, *, content_type: str = "application/octet-stream") -> None:
        self.puts.append(uri)
        self.contents[uri] = body

    def put_if_absent(self, uri: str, body: bytes) -> bool:
        self.race(uri)
        with self._lock:
            if uri in self.contents:
                return False
            self.put(uri, body)
            return True

    def exists(self, uri: str) -> bool:
        return uri in self.contents

    def list(self, prefix_uri: str, *, start_after: str | None = None) -> Iterator[ports.ObjectInfo]:
        for uri in sorted(self.contents):
            if uri.startswith(prefix_uri) and (start_after is None or uri > start_after):
                etag = hashlib.md5(self.contents[uri], usedforsecurity=False).hexdigest()
                yield ports.ObjectInfo(uri, len(self.contents[uri]), self.clock.now(), etag)

    def empty_bucket(self, bucket: str) -> int:
        for uri in [u for u in self.contents if u.startswith(f"s3://{bucket}/")]:
            del self.contents[uri]
        return 0

    def upload(self, path: Path, uri: str, *, progress: Callable[[int], None] | None = None) -> None:
        self.put(uri, path.read_bytes())
        if progress:
            progress(path.stat().st_size)

    def download(self, uri: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.get(uri))


@dataclass
class FakeRegistry:
    """Versions by model package group. Approving one version changes no other version, as in SageMaker."""

    clock: FakeClock = field(default_factory=FakeClock)
    packages: dict[str, list[ports.Package]] = field(default_factory=dict)

    def register(self, draft: ports.PackageDraft) -> ports.Package:
        versions = self.packages.setdefault(draft.group, [])
        version = len(versions) + 1
        arn = f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{draft.group}/{version}"
        package = ports.Package(
            group=draft.group,
            version=version,
            arn=arn,
            approval="PendingManualApproval",
            approval_note=None,
            image_uri=draft.image_uri,
            artifact_uri=draft.artifact_uri,
            environment=draft.environment,
            metadata=dict(draft.metadata),
            created_at=self.clock.now(),
        )
        versions.append(package)
        return package

    def list_versions(self, group: str) -> Sequence[ports.Package]:
        return tuple(reversed(self.packages.get(group, [])))

    def get(self, group: str, version: int) -> ports.Package:
        for package in self.packages.get(group, []):
            if package.version == version:
                return package
        raise NotFound(f"There is no version {version} of {group}", next_step="bedplate models list")

    def set_approval(self, package: ports.Package, approval: ports.Approval, note: str) -> ports.Package:
        return self._put(replace(self.get(package.group, package.version), approval=approval, approval_note=note))

    def delete(self, package: ports.Package) -> None:
        self.packages[package.group] = [p for p in self.packages.get(package.group, []) if p.version != package.version]

    def update_metadata(self, package: ports.Package, metadata: Mapping[str, str]) -> ports.Package:
        stored = self.get(package.group, package.version)
        assert all(metadata.values()), "SageMaker takes no empty value"
        return self._put(replace(stored, metadata={**stored.metadata, **metadata}))

    def _put(self, package: ports.Package) -> ports.Package:
        self.packages[package.group][package.version - 1] = package
        return package


@dataclass
class FakeJobs:
    """Jobs that end at once. `work` simulates the container: it may write objects, and raises to make the job fail."""

    clock: FakeClock = field(default_factory=FakeClock)
    work: Callable[[Any], None] = lambda request: None
    trainings: dict[str, ports.TrainingRequest] = field(default_factory=dict)
    processings: dict[str, ports.ProcessingRequest] = field(default_factory=dict)
    tunings: dict[str, ports.TuningRequest] = field(default_factory=dict)
    tuning_jobs: dict[str, ports.TuningJob] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    jobs: dict[str, ports.Job] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    objects: FakeObjects = field(default_factory=FakeObjects)
    """Where trainings write their artifacts."""

    def submit_training(self, request: ports.TrainingRequest) -> ports.Job:
        if request.name in self.trainings:
            raise Conflict(f"There is a training job {request.name} already")
        self.trainings[request.name] = request
        return self._run(request, f"{request.output_uri.rstrip('/')}/{request.name}/output/model.tar.gz")

    def submit_tuning(self, request: ports.TuningRequest) -> ports.TuningJob:
        """Runs each trial with the lower end of every range. The objective of trial n is n / 10."""
        trials = []
        for number in range(1, request.max_trials + 1):
            name = f"{request.name}-{number:03d}-0"
            params = {key: str(space).split(":")[0].split(",")[0] for key, space in request.ranges.items()}
            hyperparameters = {**request.training.hyperparameters, **params}
            job = self.submit_training(replace(request.training, name=name, hyperparameters=hyperparameters))
            self.logs[name] = [f"metric: {request.objective}=0.{number}"]
            value = number / 10 if job.status == "Completed" else None
            trials.append(ports.TuningTrial(name, job.status, params, value))
        completed = sorted((t for t in trials if t.status == "Completed"), key=lambda t: t.objective_value or 0.0)
        best = completed[-1 if request.maximize else 0].job if completed else None
        status: ports.JobStatus = "Completed" if completed else "Failed"
        self.tunings[request.name] = request
        self.tuning_jobs[request.name] = ports.TuningJob(
            request.name, f"arn:{request.name}", status, None, best, tuple(trials)
        )
        return self.tuning_jobs[request.name]

    def get_tuning(self, name: str) -> ports.TuningJob:
        if name not in self.tuning_jobs:
            raise NotFound(f"There is no tuning job {name}")
        return self.tuning_jobs[name]

    def submit_processing(self, request: ports.ProcessingRequest) -> ports.Job:
        if request.name in self.processings:
            raise Conflict(f"There is a processing job {request.name} already")
        self.processings[request.name] = request
        return self._run(request, None)

    def get_training(self, name: str) -> ports.Job:
        if name not in self.trainings:
            raise NotFound(f"There is no training job {name}")
        return self.jobs[name]

    def get_processing(self, name: str) -> ports.Job:
        if name not in self.processings:
            raise NotFound(f"There is no processing job {name}")
        return self.jobs[name]

    def stop(self, name: str) -> None:
        self.stopped.append(name)

    def list_log_lines(self, name: str, *, kind: Literal["training", "processing"], skip: int = 0) -> Sequence[str]:
        return self.logs.get(name, [])[skip:]

    def _run(self, request: Any, artifact_uri: str | None) -> ports.Job:
        now = self.clock.now()
        job = ports.Job(
            request.name, f"arn:{request.name}", "Completed", "Completed", None, artifact_uri, 12.0, now, now
        )
        try:
            self.work(request)
            if artifact_uri:
                self.objects.contents[artifact_uri] = b"model"
        except Exception as exc:
            job = replace(job, status="Failed", phase="Failed", failure_reason=str(exc), artifact_uri=None)
        self.jobs[request.name] = job
        return job


@dataclass
class FakeEndpoints:
    """Endpoints by name, each with its live release; an update takes effect at once."""

    clock: FakeClock = field(default_factory=FakeClock)
    live: dict[str, str] = field(default_factory=dict)
    releases: dict[str, ports.Release] = field(default_factory=dict)
    updates: list[tuple[str, str, ports.TrafficRouting]] = field(default_factory=list)
    status: str = "InService"
    multi_variants: dict[str, ports.MultiVariantDraft] = field(default_factory=dict)
    weights: dict[str, dict[str, float]] = field(default_factory=dict)
    """Endpoint -> variant -> weight, after `set_weights` was called for the live configuration."""
    weight_changes: list[tuple[str, dict[str, float]]] = field(default_factory=list)
    requested_variants: list[str | None] = field(default_factory=list)
    predict: Callable[[str, Mapping[str, Any]], float] = lambda release, row: 0.5
    """The prediction of a release for a row; may raise."""
    created_endpoints: list[str] = field(default_factory=list)
    """Names of the endpoints that `create_endpoint` created."""

    def observe(self, endpoint: str) -> ports.EndpointState:
        if endpoint not in self.live:
            raise NotFound(f"There is no endpoint {endpoint}", next_step="bedplate up")
        weights = self._weights(endpoint)
        draft = self.multi_variants.get(self.live[endpoint])
        total = sum(weights.values())
        return ports.EndpointState(
            name=endpoint,
            arn=f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{endpoint}",
            status=self.status,
            config=self.live[endpoint],
            variants={name: weight / total for name, weight in weights.items()},
            pending_config=None,
            failure_reason=None,
            modified_at=self.clock.now(),
            shadows={v.name: min(1.0, v.weight / total) for v in draft.shadows} if draft else {},
        )

    def create_multi_variant(self, draft: ports.MultiVariantDraft) -> None:
        for variant in (*draft.variants, *draft.shadows):
            self.get_release(variant.release)
        self.multi_variants.setdefault(draft.name, draft)

    def set_weights(self, endpoint: str, weights: Mapping[str, float]) -> None:
        live = self._weights(endpoint)
        unknown = set(weights) - set(live)
        if unknown:
            raise PlatformError(f"There is no variant {sorted(unknown)} of {endpoint}")
        self.weight_changes.append((endpoint, dict(weights)))
        self.weights[endpoint] = {**live, **weights}

    def _weights(self, endpoint: str) -> dict[str, float]:
        draft = self.multi_variants.get(self.live[endpoint])
        if draft is None:
            return {"live": 1.0}
        return self.weights.get(endpoint) or {v.name: v.weight for v in draft.variants}

    def create_endpoint(self, name: str, release: str, tags: Mapping[str, str]) -> None:
        if name in self.live:
            raise Conflict(f"There is an endpoint {name}")
        self.created_endpoints.append(name)
        self.live[name] = release

    def delete_endpoint(self, name: str) -> None:
        self.live.pop(name, None)

    def create_release(self, draft: ports.ReleaseDraft) -> ports.Release:
        release = ports.Release(draft.name, draft.artifact_uri, dict(draft.environment), self.clock.now())
        return self.releases.setdefault(draft.name, release)

    def list_endpoints(self, prefix: str) -> Sequence[str]:
        return [name for name in self.live if name.startswith(prefix)]

    def get_release(self, name: str) -> ports.Release:
        if name not in self.releases:
            raise NotFound(f"There is no release {name}")
        return self.releases[name]

    def list_releases(self, endpoint: str) -> Sequence[ports.Release]:
        releases = [r for r in self.releases.values() if r.name.startswith(f"{endpoint}-v")]
        return tuple(sorted(releases, key=lambda r: r.created_at, reverse=True))

    def delete_release(self, name: str) -> None:
        if self.multi_variants.pop(name, None) is None:
            self.releases.pop(name)

    def update(self, endpoint: str, release: str, traffic: ports.TrafficRouting) -> None:
        self.updates.append((endpoint, release, traffic))
        self.weights.pop(endpoint, None)
        self.live[endpoint] = release

    def invoke(
        self,
        endpoint: str,
        body: bytes,
        *,
        content_type: str = "application/jsonlines",
        inference_id: str | None = None,
        variant: str | None = None,
    ) -> ports.Prediction:
        """With several variants, the requested one responds, and without a request the first, which is the champion."""
        self.requested_variants.append(variant)
        release, variant_name = self.live[endpoint], "live"
        draft = self.multi_variants.get(release)
        if draft is not None:
            match = next((v for v in draft.variants if v.name == (variant or draft.variants[0].name)), None)
            if match is None:
                raise PlatformError(f"Variant {variant} of endpoint {endpoint} not found")
            release, variant_name = match.release, match.name
        predictions = [self.predict(release, json.loads(row)) for row in body.splitlines()]
        response = b"".join(b'{"prediction": %r}\n' % prediction for prediction in predictions)
        return ports.Prediction(response, content_type, variant_name, release, {"release": release})


@dataclass
class RollingEndpoints(FakeEndpoints):
    """Endpoints whose updates end after `observations_needed` observations, or with `finish_update`.

    With a `rollback_reason`, the update is rolled back. A release responds under its own name, the fallback as
    `<endpoint>-v0`. A second update during an update is rejected, as in SageMaker.
    """

    observations_needed: int = 2
    rollback_reason: str | None = None
    pending: str | None = None
    fallbacks: dict[str, str] = field(default_factory=dict)
    failure: str | None = None
    observations: int = 0
    modified_at: datetime = EPOCH
    on_observe: Callable[[RollingEndpoints], None] = lambda self: None
    request_bodies: list[bytes] = field(default_factory=list)
    is_baking: bool = False
    """Whether an update in flight reports that it bakes since its start."""

    def observe(self, endpoint: str) -> ports.EndpointState:
        self.on_observe(self)
        if endpoint in self.created_endpoints:
            return super().observe(endpoint)
        if self.pending is not None:
            self.observations += 1
            if self.observations > self.observations_needed:
                self.finish_update(endpoint)
        state = super().observe(endpoint)
        busy = self.pending is not None
        return replace(
            state,
            status="Updating" if busy else self.status,
            pending_config=self.pending,
            failure_reason=self.failure,
            modified_at=self.modified_at,
            pending_share=0.1 if busy else None,
            pending_phase="Baking" if busy and self.is_baking else None,
            pending_since=self.modified_at if busy and self.is_baking else None,
        )

    def update(self, endpoint: str, release: str, traffic: ports.TrafficRouting) -> None:
        if self.pending is not None:
            raise Conflict(f"{endpoint} is being updated")
        self.updates.append((endpoint, release, traffic))
        self.pending, self.observations, self.failure, self.modified_at = release, 0, None, self.clock.now()

    def get_release(self, name: str) -> ports.Release:
        if name in self.fallbacks.values():
            return ports.Release(name, None, {"BEDPLATE_VERSION": "0"}, EPOCH)
        return super().get_release(name)

    def invoke(self, endpoint: str, body: bytes, **kwargs: Any) -> ports.Prediction:
        self.request_bodies.append(body)
        response = super().invoke(endpoint, body, **kwargs)
        fallback = response.release == self.fallbacks.get(endpoint)
        return replace(response, release=f"{endpoint}-v0" if fallback else response.release)

    def finish_update(self, endpoint: str) -> None:
        self.modified_at = self.clock.now()
        if self.rollback_reason:
            self.failure = self.rollback_reason
        elif self.pending:
            self.weights.pop(endpoint, None)
            self.live[endpoint] = self.pending
        self.pending = None


@dataclass
class FakeMetrics:
    alarms: dict[str, ports.AlarmState] = field(default_factory=dict)
    guard_alarms: dict[str, ports.GuardAlarm] = field(default_factory=dict)
    threshold_alarms: dict[str, ports.ThresholdAlarm] = field(default_factory=dict)
    datapoints: list[tuple[datetime, float]] = field(default_factory=list)

    def get_alarms(self, names: Sequence[str]) -> Mapping[str, ports.AlarmState]:
        return {name: self.alarms[name] for name in names if name in self.alarms}

    def put_guard_alarm(self, alarm: ports.GuardAlarm) -> None:
        self.guard_alarms[alarm.name] = alarm

    def put_threshold_alarm(self, alarm: ports.ThresholdAlarm) -> None:
        self.threshold_alarms[alarm.name] = alarm

    def delete_alarm(self, name: str) -> None:
        self.guard_alarms.pop(name, None)
        self.threshold_alarms.pop(name, None)

    def raise_alarm(self, name: str, reason: str) -> None:
        self.alarms[name] = ports.AlarmState(name, "ALARM", reason, EPOCH, f"arn:{name}")

    def list_alarm_datapoints(self, alarm: str, *, start: datetime, end: datetime) -> Sequence[tuple[datetime, float]]:
        return tuple(self.datapoints) if alarm in self.alarms else ()

    def list_datapoints(self, *args: Any, **kwargs: Any) -> Sequence[tuple[datetime, float]]:
        return tuple(self.datapoints)


@dataclass
class FakeSchedules:
    executions: list[ports.MonitoringExecution] = field(default_factory=list)

    def list_executions(self, schedule: str, *, limit: int = 20) -> Sequence[ports.MonitoringExecution]:
        return tuple(self.executions[:limit])

    drafts: dict[str, ports.ScheduleDraft] = field(default_factory=dict)
    put_count: int = 0

    def definition_name(self, draft: ports.ScheduleDraft) -> str:
        return f"{draft.name}-{hashlib.sha256(repr(draft).encode()).hexdigest()[:8]}"

    def put(self, draft: ports.ScheduleDraft) -> None:
        self.put_count += 1
        self.drafts[draft.name] = draft

    def find(self, kind: ScheduleKind, name: str) -> ports.ExistingSchedule | None:
        draft = self.drafts.get(name)
        if draft is None:
            return None
        return ports.ExistingSchedule(kind, name, "Scheduled", draft.cron, self.definition_name(draft))

    def delete(self, kind: ScheduleKind, name: str) -> bool:
        return self.drafts.pop(name, None) is not None

    def clarify_image(self) -> str:
        return "clarify"


@dataclass
class FakeSigner:
    """Signs with HMAC and a secret; signatures by another key or secret, or of another digest, are invalid."""

    secret: bytes = b"secret"

    def sign(self, key_arn: str, digest: bytes) -> bytes:
        return hmac.digest(self.secret, key_arn.encode() + digest, "sha256")

    def verify(self, key_arn: str, digest: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(self.sign(key_arn, digest), signature)


@dataclass
class FakeCosts:
    spend: list[ports.Spend] = field(default_factory=list)
    budgets: list[ports.BudgetState] = field(default_factory=list)

    def list_spend(self, **_: Any) -> Sequence[ports.Spend]:
        return tuple(self.spend)

    def list_budgets(self) -> Sequence[ports.BudgetState]:
        return tuple(self.budgets)

    def reverse_budget_actions(self, budget: str) -> int:
        blocked = [b for b in self.budgets if b.name == budget and b.blocks_training]
        self.budgets = [replace(b, blocks_training=False) if b in blocked else b for b in self.budgets]
        return len(blocked)


@dataclass
class FakeExperiments:
    """Runs by experiment and job. `is_unreachable` simulates a server that does not respond."""

    runs: dict[str, dict[str, ports.ExperimentRun]] = field(default_factory=dict)
    is_unreachable: bool = False
    location: str = "memory"
    preloads: int = 0

    def preload(self) -> None:
        self.preloads += 1

    def log_run(self, draft: ports.RunDraft) -> str:
        self._require_reachable()
        stored = self.runs.setdefault(draft.experiment, {})
        values = {f: getattr(draft, f) for f in ports.RunDraft.__slots__ if f != "experiment"}
        before = stored.pop(draft.job, None)
        stored[draft.job] = ports.ExperimentRun(id=before.id if before else f"run-{len(stored) + 1}", **values)
        return stored[draft.job].id

    def add_metrics(self, experiment: str, job: str, metrics: Mapping[str, float], tags: Mapping[str, str]) -> bool:
        self._require_reachable()
        run = self.runs.get(experiment, {}).get(job)
        if run is None:
            return False
        self.runs[experiment][job] = replace(run, metrics={**run.metrics, **metrics}, tags={**run.tags, **tags})
        return True

    def list_runs(self, experiment: str) -> Sequence[ports.ExperimentRun]:
        self._require_reachable()
        return tuple(reversed(self.runs.get(experiment, {}).values()))

    def _require_reachable(self) -> None:
        if self.is_unreachable:
            raise PlatformError("MLflow does not answer")


@dataclass
class FakeAccount:
    """The `Account` port of an account without problems. `allows` decides what IAM allows."""

    clock: FakeClock = field(default_factory=lambda: FakeClock())
    region_state: str = "opt-in-not-required"
    is_sagemaker_available: bool = True
    arn: str | None = "arn:aws:iam::123456789012:role/ada"
    skew_s: float = 0.0
    unreachable_services: tuple[str, ...] = ()
    """Services that do not respond."""
    quotas: dict[str, Quota] = field(default_factory=dict)
    budget_count: int = 3
    allows: Callable[[str, Permission], bool] = lambda action, ask: ask.is_allowed
    key_state: str = "Enabled"
    subscriptions: tuple[Subscription, ...] = (Subscription("ml@example.com", True),)
    is_image_pushed: bool = True
    is_denied: bool = False
    """Whether AWS denies every call."""

    def list_service_urls(self, services: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        return {f"https://{service}.example": (service,) for service in services}

    def get_server_time(self, url: str) -> ports.ServerTime:
        if any(url == f"https://{service}.example" for service in self.unreachable_services):
            raise PlatformError(f"Could not connect to {url}")
        now = self.clock.now()
        return ports.ServerTime(url, now - timedelta(seconds=self.skew_s), now)

    def find_principal(self) -> str | None:
        return self.arn

    def get_region_state(self) -> str:
        self._require_access()
        return self.region_state

    def has_sagemaker(self) -> bool:
        return self.is_sagemaker_available

    def list_quotas(self) -> Mapping[str, Quota]:
        self._require_access()
        return self.quotas

    def count_budgets(self) -> int:
        return self.budget_count

    def simulate_permissions(self, principal: str, request: Permission) -> Mapping[str, bool]:
        self._require_access()
        return {action: self.allows(action, request) for action in request.actions}

    def get_key_state(self, key_arn: str) -> str:
        return self.key_state

    def check_key(self, key_arn: str) -> None:
        self._require_access()

    def list_subscriptions(self, topic_arn: str) -> Sequence[Subscription]:
        return self.subscriptions

    def pin_image(self, image_uri: str) -> str | None:
        if not self.is_image_pushed:
            raise PlatformError("The image does not exist", next_step="push the image")
        return f"{image_uri.partition(':')[0]}@sha256:0123456789abcdef"

    def _require_access(self) -> None:
        if self.is_denied:
            raise Denied("You may not ask")


@dataclass
class FakeStackContext:
    """A `StackContext` of one stack, with every port in memory."""

    project_dir: Path
    settings: StackSettings
    outputs: PlatformOutputs
    specs: dict[str, ModelSpec]
    project: str = "bedplate"
    name: str = "local"
    clock: FakeClock = field(default_factory=FakeClock)
    objects: FakeObjects = field(default_factory=FakeObjects)
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    endpoints: FakeEndpoints = field(default_factory=FakeEndpoints)
    metrics: FakeMetrics = field(default_factory=FakeMetrics)
    signer: FakeSigner = field(default_factory=FakeSigner)
    costs: FakeCosts = field(default_factory=FakeCosts)
    schedules: FakeSchedules = field(default_factory=FakeSchedules)
    experiments: FakeExperiments = field(default_factory=FakeExperiments)
    identity: ports.Identity = field(
        default_factory=lambda: ports.Identity(
            "123456789012",
            "us-east-1",
            "arn:aws:sts::123456789012:assumed-role/x/ada",
            "ada@example.com",
            "http://127.0.0.1:1",
        )
    )

    def __post_init__(self) -> None:
        for port in (self.objects, self.registry, self.jobs, self.endpoints):
            port.clock = self.clock
        self.jobs.objects = self.objects

    def model(self, name: str) -> ModelSpec:
        if name not in self.specs:
            raise NotFound(f"There is no model {name!r}", next_step="bedplate models list")
        return self.specs[name]

    def names(self, model: str) -> ModelNames:
        return ModelNames(self.project, self.name, model)


@dataclass
class RecordingReporter:
    """A `Reporter` that stores its events."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, event: str, fields: Mapping[str, Any]) -> None:
        self.events.append((event, dict(fields)))

    def events_of(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.events if name == event]


def failing_work(message: str) -> Callable[[Any], None]:
    """Returns work for `FakeJobs` that fails with this message."""

    def work(request: Any) -> None:
        raise PlatformError(message)

    return work

"""What workflows need from the world, as small protocols over plain values; `bedplate.aws` implements them.

Every adapter raises `errors.PlatformError` (or a child) when the platform refuses, `errors.NotFound` when the thing
asked for does not exist. Times are aware datetimes in UTC. URIs are `s3://bucket/key`.
"""

from bedplate.ports.account import Account, Identity, ServerTime, Tagged, TaggedResource, Trail, TrailEvent
from bedplate.ports.clock import Clock
from bedplate.ports.endpoints import (
    AsyncOutput,
    Endpoints,
    EndpointState,
    Prediction,
    Release,
    ReleaseDraft,
    ServerlessVariant,
    SplitDraft,
    TrafficRouting,
    VariantDraft,
)
from bedplate.ports.experiments import ExperimentRun, Experiments, RunDraft, RunStatus
from bedplate.ports.jobs import (
    Job,
    Jobs,
    JobStatus,
    ProcessingRequest,
    TrainingRequest,
    TuningJob,
    TuningRequest,
    TuningTrial,
)
from bedplate.ports.metrics import AlarmState, BoundAlarm, GuardAlarm, Metrics
from bedplate.ports.money import BudgetState, Costs, Spend
from bedplate.ports.objects import ObjectInfo, Objects, Signer
from bedplate.ports.registry import Approval, Cards, Package, PackageDraft, Registry
from bedplate.ports.reporter import Reporter
from bedplate.ports.schedules import ExistingSchedule, MonitoringExecution, ScheduleDraft, Schedules

__all__ = [
    "Account",
    "AlarmState",
    "Approval",
    "AsyncOutput",
    "BoundAlarm",
    "BudgetState",
    "Cards",
    "Clock",
    "Costs",
    "EndpointState",
    "Endpoints",
    "ExistingSchedule",
    "ExperimentRun",
    "Experiments",
    "GuardAlarm",
    "Identity",
    "Job",
    "JobStatus",
    "Jobs",
    "Metrics",
    "MonitoringExecution",
    "ObjectInfo",
    "Objects",
    "Package",
    "PackageDraft",
    "Prediction",
    "ProcessingRequest",
    "Registry",
    "Release",
    "ReleaseDraft",
    "Reporter",
    "RunDraft",
    "RunStatus",
    "ScheduleDraft",
    "Schedules",
    "ServerTime",
    "ServerlessVariant",
    "Signer",
    "Spend",
    "SplitDraft",
    "Tagged",
    "TaggedResource",
    "TrafficRouting",
    "Trail",
    "TrailEvent",
    "TrainingRequest",
    "TuningJob",
    "TuningRequest",
    "TuningTrial",
    "VariantDraft",
]

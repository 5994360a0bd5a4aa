"""Protocols for the cloud services that workflows use, over plain values; `bedplate.aws` implements them.

Every adapter raises `errors.PlatformError` (or a subclass) when AWS rejects a call, and `errors.NotFound` when the
requested resource does not exist. Times are aware datetimes in UTC. URIs are `s3://bucket/key`.
"""

from bedplate.ports.account import Account, Identity, ServerTime, TaggedResource, Tagging, Trail, TrailEvent
from bedplate.ports.clock import Clock
from bedplate.ports.endpoints import (
    AsyncOutput,
    Endpoints,
    EndpointState,
    MultiVariantDraft,
    Prediction,
    Release,
    ReleaseDraft,
    ServerlessVariant,
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
from bedplate.ports.metrics import AlarmState, GuardAlarm, Metrics, ThresholdAlarm
from bedplate.ports.money import BudgetState, Costs, Spend
from bedplate.ports.objects import ObjectInfo, Objects, Signer
from bedplate.ports.registry import Approval, ModelCards, Package, PackageDraft, Registry
from bedplate.ports.reporter import Reporter
from bedplate.ports.schedules import ExistingSchedule, MonitoringExecution, ScheduleDraft, Schedules

__all__ = [
    "Account",
    "AlarmState",
    "Approval",
    "AsyncOutput",
    "BudgetState",
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
    "ModelCards",
    "MonitoringExecution",
    "MultiVariantDraft",
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
    "TaggedResource",
    "Tagging",
    "ThresholdAlarm",
    "TrafficRouting",
    "Trail",
    "TrailEvent",
    "TrainingRequest",
    "TuningJob",
    "TuningRequest",
    "TuningTrial",
    "VariantDraft",
]

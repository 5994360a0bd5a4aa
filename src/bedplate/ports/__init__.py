"""What workflows need from the world, as small protocols over plain values; `bedplate.aws` implements them.

Every adapter raises `errors.PlatformError` (or a child) when the platform refuses, `errors.NotFound` when the thing
asked for does not exist. Times are aware datetimes in UTC. URIs are `s3://bucket/key`.
"""

from bedplate.ports.account import Account, Identity, Reached, Tagged, TaggedResource, Trail, TrailEvent
from bedplate.ports.clock import Clock
from bedplate.ports.endpoints import (
    Answer,
    Endpoints,
    EndpointState,
    OnDemand,
    Queued,
    Release,
    ReleaseDraft,
    SplitDraft,
    Traffic,
    VariantDraft,
)
from bedplate.ports.experiments import Experiments, Run, RunDraft, RunStatus
from bedplate.ports.jobs import (
    Job,
    Jobs,
    JobStatus,
    ProcessingRequest,
    TrainingRequest,
    Trial,
    TuningJob,
    TuningRequest,
)
from bedplate.ports.metrics import AlarmState, BoundAlarm, GuardAlarm, Metrics
from bedplate.ports.money import BudgetState, Costs, Spend
from bedplate.ports.objects import ObjectInfo, Objects, Signer
from bedplate.ports.registry import Approval, Cards, Package, PackageDraft, Registry
from bedplate.ports.reporter import Say
from bedplate.ports.schedules import MonitoringExecution, ScheduleDraft, Schedules, StandingSchedule

__all__ = [
    "Account",
    "AlarmState",
    "Answer",
    "Approval",
    "BoundAlarm",
    "BudgetState",
    "Cards",
    "Clock",
    "Costs",
    "EndpointState",
    "Endpoints",
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
    "OnDemand",
    "Package",
    "PackageDraft",
    "ProcessingRequest",
    "Queued",
    "Reached",
    "Registry",
    "Release",
    "ReleaseDraft",
    "Run",
    "RunDraft",
    "RunStatus",
    "Say",
    "ScheduleDraft",
    "Schedules",
    "Signer",
    "Spend",
    "SplitDraft",
    "StandingSchedule",
    "Tagged",
    "TaggedResource",
    "Traffic",
    "Trail",
    "TrailEvent",
    "TrainingRequest",
    "Trial",
    "TuningJob",
    "TuningRequest",
    "VariantDraft",
]

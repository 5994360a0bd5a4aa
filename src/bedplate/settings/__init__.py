"""The files that people write and the outputs that the platform exports, as types; nothing here touches the cloud."""

from bedplate.settings.approval import Approval
from bedplate.settings.automation import Automation, Tracking
from bedplate.settings.data import PURPOSES, Column, DataContract, Datasheet, Purpose
from bedplate.settings.files import (
    known_models,
    known_stacks,
    load_model,
    load_models,
    load_stack,
    model_positions,
    model_values,
    parse,
    read_yaml,
    stack_file,
    stack_positions,
    stack_settings,
)
from bedplate.settings.gates import (
    CalibrationGate,
    ChampionGate,
    ExplanationGate,
    FairnessGate,
    Gates,
    InferenceGate,
    LatencyGate,
    LeakageGate,
    Metric,
    ResidualGate,
    SegmentGate,
    Threshold,
)
from bedplate.settings.holding import Audit, Network, PrivacyRetention, Registry, Storage
from bedplate.settings.model import ModelSpec
from bedplate.settings.money import Budget, CostAnomalies, LifeStage, PlatformBudget
from bedplate.settings.outputs import PlatformNetwork, PlatformOutputs
from bedplate.settings.serving import Asynchronous, Experiment, Rollout, ScheduledScaling, Serverless, Serving, Slo
from bedplate.settings.stack import Alerts, StackSettings
from bedplate.settings.training import Training
from bedplate.settings.types import Edge, Email, Name, Pct, Usd
from bedplate.settings.watching import Monitor, Retraining, Schedule, Schedules

__all__ = [
    "PURPOSES",
    "Alerts",
    "Approval",
    "Asynchronous",
    "Audit",
    "Automation",
    "Budget",
    "CalibrationGate",
    "ChampionGate",
    "Column",
    "CostAnomalies",
    "DataContract",
    "Datasheet",
    "Edge",
    "Email",
    "Experiment",
    "ExplanationGate",
    "FairnessGate",
    "Gates",
    "InferenceGate",
    "LatencyGate",
    "LeakageGate",
    "LifeStage",
    "Metric",
    "ModelSpec",
    "Monitor",
    "Name",
    "Network",
    "Pct",
    "PlatformBudget",
    "PlatformNetwork",
    "PlatformOutputs",
    "PrivacyRetention",
    "Purpose",
    "Registry",
    "ResidualGate",
    "Retraining",
    "Rollout",
    "Schedule",
    "ScheduledScaling",
    "Schedules",
    "SegmentGate",
    "Serverless",
    "Serving",
    "Slo",
    "StackSettings",
    "Storage",
    "Threshold",
    "Tracking",
    "Training",
    "Usd",
    "known_models",
    "known_stacks",
    "load_model",
    "load_models",
    "load_stack",
    "model_positions",
    "model_values",
    "parse",
    "read_yaml",
    "stack_file",
    "stack_positions",
    "stack_settings",
]

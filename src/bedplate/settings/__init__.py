"""Types of the stack file, of model.yaml and of the platform's outputs, and the functions that read the files."""

from bedplate.settings.approval import Approval
from bedplate.settings.automation import Automation
from bedplate.settings.budget import Budget, CostAnomalies, LifeStage, PlatformBudget
from bedplate.settings.data import Column, DataContract, Purpose
from bedplate.settings.files import (
    list_model_names,
    list_stack_names,
    load_model,
    load_models,
    load_partial_stack,
    load_stack,
    model_positions,
    model_values,
    parse,
    parse_stack,
    read_yaml,
    stack_file,
    stack_positions,
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
    VulnerabilityGate,
)
from bedplate.settings.image import LOCK_FILES, image_name, image_tag
from bedplate.settings.model import ModelSpec, Retraining
from bedplate.settings.monitors import Monitor, Schedule
from bedplate.settings.network import Network
from bedplate.settings.outputs import PlatformNetwork, PlatformOutputs
from bedplate.settings.rollout import Experiment
from bedplate.settings.serving import Serving, Slo
from bedplate.settings.stack import Audit, StackSettings, Tracking
from bedplate.settings.storage import Storage
from bedplate.settings.training import Training
from bedplate.settings.tuning import Range, Strategy, parse_range

__all__ = [
    "LOCK_FILES",
    "Approval",
    "Audit",
    "Automation",
    "Budget",
    "CalibrationGate",
    "ChampionGate",
    "Column",
    "CostAnomalies",
    "DataContract",
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
    "Network",
    "PlatformBudget",
    "PlatformNetwork",
    "PlatformOutputs",
    "Purpose",
    "Range",
    "ResidualGate",
    "Retraining",
    "Schedule",
    "SegmentGate",
    "Serving",
    "Slo",
    "StackSettings",
    "Storage",
    "Strategy",
    "Tracking",
    "Training",
    "VulnerabilityGate",
    "image_name",
    "image_tag",
    "list_model_names",
    "list_stack_names",
    "load_model",
    "load_models",
    "load_partial_stack",
    "load_stack",
    "model_positions",
    "model_values",
    "parse",
    "parse_range",
    "parse_stack",
    "read_yaml",
    "stack_file",
    "stack_positions",
]

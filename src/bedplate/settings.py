"""The files that people write and the outputs that the platform exports, as types.

Every model here is strict about its keys: a key nobody reads is an error that names the file, the key and what was
expected. Nothing in this module touches the cloud.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bedplate.errors import NotFound, SettingsError, UsageError

Name = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$", description="lower-case letters, digits, dashes")
]
Pct = Annotated[float, Field(ge=0, le=100)]
Usd = Annotated[float, Field(gt=0)]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", description="an e-mail address")]
M = TypeVar("M", bound=BaseModel)


class Edge(BaseModel):
    """Base of everything that is read from a file: unknown keys are errors, values do not change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


# --- models/<name>/model.yaml: the release contract ---------------------------------------------------------------


class Column(Edge):
    """One column of the data contract."""

    type: Literal["number", "integer", "string", "boolean", "timestamp"]
    role: Literal["feature", "label", "key", "time", "segment"] = "feature"
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    categories: tuple[str, ...] | None = None
    privacy: Literal["public", "internal", "personal", "sensitive"] = "internal"
    description: str = ""

    @model_validator(mode="after")
    def bounds_fit_the_type(self) -> Column:
        if self.type not in ("number", "integer") and (self.min is not None or self.max is not None):
            raise ValueError(f"min and max are for numbers, this column is a {self.type}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        if self.categories is not None and self.type != "string":
            raise ValueError(f"categories are for strings, this column is a {self.type}")
        return self


class DataContract(Edge):
    """What a row looks like: in training data, in a request (features, keys and time), and in the capture."""

    columns: dict[str, Column]
    retention_days: int = Field(default=365, ge=1)

    def names(self, *roles: str) -> tuple[str, ...]:
        return tuple(name for name, c in self.columns.items() if c.role in roles)

    @property
    def features(self) -> tuple[str, ...]:
        return self.names("feature", "segment")

    @property
    def label(self) -> str:
        return self.names("label")[0]

    @property
    def keys(self) -> tuple[str, ...]:
        return self.names("key")

    @property
    def time(self) -> str | None:
        return next(iter(self.names("time")), None)

    @property
    def segments(self) -> tuple[str, ...]:
        """Columns whose values the gates look at one by one; a segment column is also a feature."""
        return self.names("segment")

    @model_validator(mode="after")
    def roles_are_complete(self) -> DataContract:
        for role, low, high in (("label", 1, 1), ("key", 1, 5), ("time", 0, 1)):
            count = len(self.names(role))
            if not low <= count <= high:
                raise ValueError(f"{low} to {high} columns with role {role!r} expected, found {count}")
        if not self.features:
            raise ValueError("at least one column with role 'feature' or 'segment' expected")
        return self


class Training(Edge):
    entry_point: str = "train.py"
    instance_type: str = Field(default="ml.m5.xlarge", pattern=r"^ml\.")
    instance_count: int = Field(default=1, ge=1, le=64)
    volume_gb: int = Field(default=30, ge=1)
    hyperparameters: dict[str, str | int | float | bool] = Field(default_factory=dict)
    seed: int = 0
    holdout_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Last part of the data in the order of the `time` column (of the rows, without one); the script never sees it."""
    max_runtime_s: int = Field(default=3600, ge=1)
    max_usd: Usd | None = None


Metric = Literal["auc", "average_precision", "brier", "log_loss", "accuracy", "ece", "rmse", "mae", "r2"]


class Threshold(Edge):
    """An absolute bound on a metric of the holdout: exactly one of `min` and `max`."""

    metric: Metric
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def one_bound(self) -> Threshold:
        if (self.min is None) == (self.max is None):
            raise ValueError("exactly one of min and max expected")
        return self


class SegmentGate(Edge):
    """The same bound in every value of a segment column that has `min_rows` rows; fewer is NO_DATA, reported."""

    by: str
    metric: Metric
    min: float | None = None
    max: float | None = None
    min_rows: int = Field(default=200, ge=1)


class ChampionGate(Edge):
    """The candidate may be worse than the live release on the same rows by `tolerance` (in the metric's unit)."""

    metric: Metric
    tolerance: float = Field(default=0.0, ge=0)


class FairnessGate(Edge):
    """Largest difference between groups with at least `min_rows` rows.

    `selection_rate` and `equal_opportunity` (true-positive rate) compare decisions at `threshold`.
    """

    by: str
    metric: Literal["selection_rate", "equal_opportunity"]
    max_difference: Annotated[float, Field(gt=0, le=1)]
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    min_rows: int = Field(default=200, ge=1)


class Gates(Edge):
    thresholds: tuple[Threshold, ...] = ()
    segments: tuple[SegmentGate, ...] = ()
    champion: ChampionGate | None = None
    fairness: tuple[FairnessGate, ...] = ()
    max_artifact_mb: float | None = None


class Slo(Edge):
    latency_p99_ms: float = Field(default=500, gt=0)
    max_error_pct: Pct = 1.0


class Serving(Edge):
    entry_point: str = "inference.py"
    instance_type: str = Field(default="ml.m5.large", pattern=r"^ml\.")
    instance_count: int = Field(default=2, ge=1)
    min_instances: int = Field(default=2, ge=1)
    max_instances: int = Field(default=4, ge=1)
    invocations_per_instance: float = Field(default=1000, gt=0)
    """Target of autoscaling: invocations per instance and minute."""
    capture_pct: Pct = 100
    slo: Slo = Slo()

    @model_validator(mode="after")
    def counts_in_order(self) -> Serving:
        if not self.min_instances <= self.instance_count <= self.max_instances:
            raise ValueError(
                f"min_instances <= instance_count <= max_instances expected, "
                f"found {self.min_instances}, {self.instance_count}, {self.max_instances}"
            )
        return self


class Rollout(Edge):
    strategy: Literal["all-at-once", "canary", "linear"] = "canary"
    canary_pct: Annotated[int, Field(ge=1, le=50)] = 10
    """Share of traffic of the canary, or of each step of a linear rollout. SageMaker allows at most 50."""
    bake_s: int = Field(default=600, ge=0, le=3600)
    """How long each step is watched before the next one. SageMaker allows at most 3,600 s."""
    keep_releases: int = Field(default=5, ge=2)
    max_prediction_shift: float = Field(default=0.25, gt=0)
    """PSI of the canary's answers against the champion's at the same time that raises its alarm (0.25: Siddiqi)."""
    min_answers: int = Field(default=300, ge=50)
    """Answers of canary and champion each, in one period, before the shift is judged; with fewer it is mostly noise."""


class Monitor(Edge):
    features: tuple[str, ...] | Literal["all"] = "all"
    psi_warn: float = Field(default=0.1, gt=0)
    psi_alert: float = Field(default=0.25, gt=0)
    min_rows: int = Field(default=300, ge=1)
    schedule: str = Field(default="cron(0 * ? * * *)", pattern=r"^cron\(.+\)$")
    window: Literal["day", "week", "month"] = "week"
    max_drop: dict[Metric, float] = Field(default_factory=dict)
    """How much a metric on late labels may fall against the holdout's before it alerts."""


class Retraining(Edge):
    on_drift: bool = True
    on_performance_drop: bool = True
    max_age_days: int | None = Field(default=None, ge=1)


class Budget(Edge):
    monthly_usd: Usd
    actual_thresholds_pct: tuple[float, ...] = (50, 80, 100)
    forecast_thresholds_pct: tuple[float, ...] = (100,)


class ModelSpec(Edge):
    """`models/<name>/model.yaml`: the contract between a model's owner and everybody who relies on it."""

    name: Name
    owner: Email
    on_call: Email
    description: str
    intended_use: str
    excluded_use: str
    risk: Literal["low", "medium", "high"]
    task: Literal["binary", "regression"] = "binary"
    fallback: float
    """What release 0 answers to every row: a constant or the base rate."""
    data: DataContract
    training: Training = Training()
    gates: Gates = Gates()
    serving: Serving = Serving()
    rollout: Rollout = Rollout()
    monitors: Monitor = Monitor()
    retraining: Retraining = Retraining()
    budget: Budget
    retire_on: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")

    @field_validator("retire_on", mode="before")
    @classmethod
    def yaml_dates_are_text(cls, value: object) -> object:
        return value.isoformat() if hasattr(value, "isoformat") else value

    @model_validator(mode="after")
    def parts_fit_together(self) -> ModelSpec:
        known = set(self.data.columns)
        used = {g.by: "gates.segments" for g in self.gates.segments} | {
            g.by: "gates.fairness" for g in self.gates.fairness
        }
        if self.monitors.features != "all":
            used |= dict.fromkeys(self.monitors.features, "monitors.features")
        for column, where in used.items():
            if column not in known:
                raise ValueError(f"{where} names {column!r}, which is no column of data.columns")
        if self.rollout.strategy != "all-at-once" and self.serving.instance_count < 2:
            raise ValueError(
                f"rollout.strategy {self.rollout.strategy!r} shifts part of the capacity, so "
                f"serving.instance_count must be at least 2 (it is {self.serving.instance_count})"
            )
        if self.task == "binary" and not 0 <= self.fallback <= 1:
            raise ValueError(
                f"fallback is a probability for task 'binary', so 0 to 1 expected, found {self.fallback:g}"
            )
        return self


# --- stacks/Pulumi.<stack>.yaml -----------------------------------------------------------------------------------


class Storage(Edge):
    artifact_retention_days: int = Field(default=365, ge=1)
    data_retention_days: int = Field(default=730, ge=1)
    capture_retention_days: int = Field(default=90, ge=1)
    force_destroy: bool = False
    """Whether `destroy` may delete buckets that still hold objects; never in prod."""


class PlatformBudget(Edge):
    monthly_usd: Usd
    actual_thresholds_pct: tuple[float, ...] = (50, 80, 100)
    forecast_thresholds_pct: tuple[float, ...] = (100,)


class Alerts(Edge):
    emails: tuple[Email, ...]


class StackSettings(Edge):
    """The `bedplate:` keys of a stack file. Values only; rules live in code."""

    target: Literal["local", "aws"]
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="an AWS region")
    account_id: str | None = Field(default=None, pattern=r"^\d{12}$")
    """The only account this stack may be applied to; checked with STS before anything changes."""
    owner: Email
    cost_center: str
    models: tuple[Name, ...]
    image_tag: str = "latest"
    storage: Storage = Storage()
    budget: PlatformBudget
    alerts: Alerts
    overrides: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Per model: keys of model.yaml that have another value in this environment."""

    @model_validator(mode="after")
    def overrides_name_models(self) -> StackSettings:
        for model in self.overrides:
            if model not in self.models:
                raise ValueError(f"overrides names {model!r}, which is not in models ({', '.join(self.models)})")
        return self


# --- what the platform program exports ----------------------------------------------------------------------------


class PlatformOutputs(Edge):
    """The program's exports, field by field, also written as JSON to the SSM parameter `names.outputs_parameter`.

    What can be derived from `project`, `stack` and a model's name is not repeated here: see `domain.names.ModelNames`.
    """

    project: str
    stack: str
    account_id: str
    region: str
    models: tuple[str, ...]
    artifacts_bucket: str
    data_bucket: str
    capture_bucket: str
    ledger_bucket: str
    kms_key_arn: str
    image_uri: str
    """URI of the one image that trains, serves and monitors."""
    execution_role_arn: str
    persona_role_arns: dict[str, str]
    alerts_topic_arn: str
    platform_budget: str
    fallback_releases: dict[str, str]
    """Per model: name of the EndpointConfig of release 0."""


# --- reading --------------------------------------------------------------------------------------------------------


def load_stack(project_dir: Path, stack: str) -> StackSettings:
    """Read `stacks/Pulumi.<stack>.yaml`.

    Raises NotFound for a stack without a file, SettingsError with one line per fault.
    """
    path = project_dir / "stacks" / f"Pulumi.{stack}.yaml"
    if not path.exists():
        have = sorted(p.name.removeprefix("Pulumi.").removesuffix(".yaml") for p in path.parent.glob("Pulumi.*.yaml"))
        raise NotFound(
            f"There is no stack {stack!r}: {path.relative_to(project_dir)} does not exist "
            f"(there are: {', '.join(have) or 'none'})",
            next_step=f"bedplate up --stack {have[0]}" if have else "bedplate --help",
        )
    config = read_yaml(path).get("config", {})
    if not isinstance(config, dict):
        raise SettingsError(f"{path}: 'config' must hold keys and values", next_step=f"$EDITOR {path}")
    return stack_settings(config, source=str(path.relative_to(project_dir)))


def stack_settings(config: dict[str, Any], *, source: str) -> StackSettings:
    """Settings from a Pulumi configuration (`aws:region` and the `bedplate:` keys), from the file or the engine."""
    values = {key.removeprefix("bedplate:"): value for key, value in config.items() if key.startswith("bedplate:")}
    if "aws:region" in config:
        values["region"] = config["aws:region"]
    return parse(StackSettings, values, source=source)


def load_model(project_dir: Path, model: str, settings: StackSettings | None = None, *, stack: str = "") -> ModelSpec:
    """Read `models/<model>/model.yaml`, with the stack's overrides laid over it.

    Raises NotFound for a model without a folder, SettingsError with one line per fault.
    """
    path = project_dir / "models" / model / "model.yaml"
    if not path.exists():
        have = known_models(project_dir)
        raise NotFound(
            f"There is no model {model!r}: models/{model}/model.yaml does not exist "
            f"(there are: {', '.join(have) or 'none'})",
            next_step="bedplate models list",
        )
    values, source = read_yaml(path), str(path.relative_to(project_dir))
    overrides = settings.overrides.get(model) if settings else None
    if overrides:
        parse(ModelSpec, values, source=source)  # a fault of the file's own is told before the overrides'
        values, source = _overlay(values, overrides), f"{source} with stacks/Pulumi.{stack}.yaml overrides.{model}"
    spec = parse(ModelSpec, values, source=source)
    if spec.name != model:
        raise SettingsError(
            f"{source}: name is {spec.name!r}, expected {model!r} as the folder is called", next_step=f"$EDITOR {path}"
        )
    return spec


def load_models(project_dir: Path, settings: StackSettings, *, stack: str) -> dict[str, ModelSpec]:
    """Every model that the stack names. Raises SettingsError with the faults of all of them together."""
    specs: dict[str, ModelSpec] = {}
    errors: list[UsageError] = []
    for model in settings.models:
        try:
            specs[model] = load_model(project_dir, model, settings, stack=stack)
        except (SettingsError, NotFound) as exc:
            errors.append(exc)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        problems = tuple(line for e in errors for line in getattr(e, "problems", ()) or (e.message,))
        raise SettingsError(
            f"{len(errors)} models of stack {stack!r} are faulty", problems=problems, next_step="bedplate models check"
        )
    return specs


def known_models(project_dir: Path) -> tuple[str, ...]:
    return tuple(sorted(p.parent.name for p in (project_dir / "models").glob("*/model.yaml")))


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping; SettingsError with line and column when it is not YAML or not a mapping."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} is not valid YAML: {exc}", next_step=f"$EDITOR {path}") from exc
    if not isinstance(values, dict):
        raise SettingsError(
            f"{path}: keys and values expected, found {type(values).__name__}", next_step=f"$EDITOR {path}"
        )
    return values


def parse(kind: type[M], values: dict[str, Any], *, source: str) -> M:
    """Validate, turning pydantic's findings into one line for each fault: file, key, expectation, what was found."""
    try:
        return kind.model_validate(values)
    except ValidationError as exc:
        problems = tuple(_problem(source, error) for error in exc.errors(include_url=False))
        count = "one fault" if len(problems) == 1 else f"{len(problems)} faults"
        raise SettingsError(
            f"{source} has {count}", problems=problems, next_step=f"$EDITOR {source.split()[0]}"
        ) from exc


def _problem(source: str, error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "(the whole file)"
    if error["type"] == "missing":
        return f"{source.split()[0]}: {key}: required, but missing"
    if error["type"] == "extra_forbidden":
        return f"{source.split()[0]}: {key}: unknown key"
    message = error["msg"].removeprefix("Value error, ")
    found = "" if error["type"] == "value_error" else f" (found {error['input']!r:.80})"
    return f"{source.split()[0]}: {key}: {message[0].lower() + message[1:]}{found}"


def _overlay(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {k: _overlay(base[k], v) for k, v in over.items() if isinstance(v, dict) and isinstance(base.get(k), dict)}
    return {**base, **over, **both}

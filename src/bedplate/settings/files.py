"""Reads the files that people write, and tells every fault at once: file, key, what was expected, what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bedplate.errors import NotFound, SettingsError, UsageError
from bedplate.settings.model import ModelSpec
from bedplate.settings.stack import StackSettings

M = TypeVar("M", bound=BaseModel)


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

"""Reads stack files and model.yaml, and reports all errors of a file at once: line, key, expectation and value."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from bedplate.errors import NotFound, SettingsError, UsageError
from bedplate.settings import field_errors
from bedplate.settings.model import ModelSpec
from bedplate.settings.positions import KeyPath, KeyPositions, format_place, locate_keys, yaml_loader
from bedplate.settings.stack import StackSettings

M = TypeVar("M", bound=BaseModel)

# Valid values for required keys that are missing or invalid, so that the other keys of the file can still be validated.
_PLACEHOLDERS: dict[type, Mapping[str, Any]] = {
    StackSettings: {
        "target": "aws",
        "region": "us-east-1",
        "owner": "owner@example.com",
        "cost_center": "none",
        "models": [],
        "budget": {"monthly_usd": 1},
        "alerts": {"emails": []},
    },
    ModelSpec: {
        "name": "placeholder",
        "owner": "owner@example.com",
        "on_call": "owner@example.com",
        "description": "",
        "intended_use": "",
        "excluded_use": "",
        "risk": "low",
        "fallback": 0,
        "data": {
            "columns": {
                "id": {"type": "string", "role": "key"},
                "x": {"type": "number"},
                "y": {"type": "number", "role": "label"},
            }
        },
        "budget": {"monthly_usd": 1},
    },
}


def load_stack(project_dir: Path, stack: str) -> StackSettings:
    """Returns the settings in `stacks/Pulumi.<stack>.yaml`.

    Raises NotFound when the file does not exist, and SettingsError with one line per error.
    """
    path = stack_file(project_dir, stack)
    source = str(path.relative_to(project_dir))
    return parse_stack(_read_config(path, source), source=source, positions=stack_positions(path, source))


def load_partial_stack(project_dir: Path, stack: str) -> StackSettings | None:
    """Returns the valid part of a stack file with errors, so that its models can still be checked.

    Returns the overrides unchecked, and None when the valid values contradict each other. Raises SettingsError for a
    file that is not YAML.
    """
    path = stack_file(project_dir, stack)
    values = _settings_values(_read_config(path, str(path.relative_to(project_dir))))
    overrides = values.pop("overrides", None)
    settings, _ = field_errors.validate(StackSettings, values, _PLACEHOLDERS[StackSettings])
    if settings is None or not isinstance(overrides, dict):
        return settings
    by_model = {str(model): keys for model, keys in overrides.items() if isinstance(keys, dict)}
    return settings.model_copy(update={"overrides": by_model})


def _read_config(path: Path, source: str) -> dict[str, Any]:
    """Returns the `config` section of a stack file. Raises SettingsError for a file that is not YAML."""
    config = read_yaml(path, source).get("config", {})
    if not isinstance(config, dict):
        raise SettingsError(f"{source}:1:1: expected a mapping under 'config'", next_step=f"$EDITOR {source}")
    return config


def stack_file(project_dir: Path, stack: str) -> Path:
    """Returns the path of the stack's file. Raises NotFound, which lists the existing stacks, for a missing file."""
    path = project_dir / "stacks" / f"Pulumi.{stack}.yaml"
    if not path.exists():
        stacks = list_stack_names(project_dir)
        raise NotFound(
            f"There is no stack {stack!r}: {path.relative_to(project_dir)} does not exist; "
            f"existing stacks: {', '.join(stacks) or 'none'}",
            next_step=f"bedplate up --stack {stacks[0]}" if stacks else "bedplate --help",
        )
    return path


def list_stack_names(project_dir: Path) -> tuple[str, ...]:
    files = (project_dir / "stacks").glob("Pulumi.*.yaml")
    return tuple(sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in files))


def parse_stack(config: dict[str, Any], *, source: str, positions: KeyPositions | None = None) -> StackSettings:
    """Returns the settings in a Pulumi configuration (`aws:region`, `bedplate:` keys) of a stack file or the engine."""
    return parse(StackSettings, _settings_values(config), source=source, layers=(positions,) if positions else ())


def _settings_values(config: Mapping[str, Any]) -> dict[str, Any]:
    values = {key.removeprefix("bedplate:"): value for key, value in config.items() if key.startswith("bedplate:")}
    return {**values, "region": config["aws:region"]} if "aws:region" in config else values


def stack_positions(path: Path, source: str) -> KeyPositions:
    """Returns the positions of a stack file's keys, by the names that `StackSettings` gives them."""
    return locate_keys(path.read_text(encoding="utf-8"), source, _settings_key)


def _settings_key(path: KeyPath) -> KeyPath | None:
    """Returns the path in StackSettings of a path in a stack file; None for a key that is not a setting.

    >>> _settings_key(("config", "bedplate:budget", "monthly_usd")), _settings_key(("config", "aws:region"))
    (('budget', 'monthly_usd'), ('region',))
    """
    if len(path) < 2 or path[0] != "config":
        return () if path == ("config",) else None
    key = str(path[1])
    if key == "aws:region":
        return ("region", *path[2:])
    return (key.removeprefix("bedplate:"), *path[2:]) if key.startswith("bedplate:") else None


def load_model(project_dir: Path, model: str, settings: StackSettings | None = None, *, stack: str = "") -> ModelSpec:
    """Returns the settings in `models/<model>/model.yaml`, with the overrides of the stack's settings.

    Raises NotFound when the file does not exist, and SettingsError with one line per error.
    """
    path = project_dir / "models" / model / "model.yaml"
    if not path.exists():
        models = list_model_names(project_dir)
        raise NotFound(
            f"There is no model {model!r}: models/{model}/model.yaml does not exist; "
            f"existing models: {', '.join(models) or 'none'}",
            next_step="bedplate models list",
        )
    values, source = model_values(project_dir, model, settings), str(path.relative_to(project_dir))
    layers = model_positions(project_dir, model, settings, stack)
    if settings and settings.overrides.get(model):
        source = f"{source} with stacks/Pulumi.{stack}.yaml overrides.{model}"
    spec = parse(ModelSpec, values, source=source, layers=layers)
    if spec.name != model:
        expected = f"expected {model!r}, the name of its folder"
        problem = f"{format_place(layers, ('name',))}: name: found {spec.name!r}, {expected}"
        raise SettingsError(f"{source} has one error", problems=(problem,), next_step=f"$EDITOR {path}")
    return spec


def model_values(project_dir: Path, model: str, settings: StackSettings | None = None) -> dict[str, Any]:
    """Returns the unchecked values of model.yaml with the stack's overrides."""
    path = project_dir / "models" / model / "model.yaml"
    values = read_yaml(path, str(path.relative_to(project_dir)))
    return _merge(values, settings.overrides.get(model, {})) if settings else values


def model_positions(
    project_dir: Path, model: str, settings: StackSettings | None = None, stack: str = ""
) -> tuple[KeyPositions, ...]:
    """Returns the positions of a model's keys: first in the stack's overrides, if there are any, then in model.yaml."""
    path = project_dir / "models" / model / "model.yaml"
    model_keys = locate_keys(path.read_text(encoding="utf-8"), str(path.relative_to(project_dir)))
    stack_path = project_dir / "stacks" / f"Pulumi.{stack}.yaml"
    if settings is None or model not in settings.overrides or not stack_path.exists():
        return (model_keys,)
    parent = ("config", "bedplate:overrides", model)
    text, file = stack_path.read_text(encoding="utf-8"), str(stack_path.relative_to(project_dir))
    return locate_keys(text, file, lambda key: key[3:] if key[:3] == parent else None), model_keys


def load_models(project_dir: Path, settings: StackSettings, *, stack: str) -> dict[str, ModelSpec]:
    """Returns every model of the stack by its name. Raises SettingsError with the errors of all models together."""
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
        message = f"{len(errors)} models of stack {stack!r} have errors"
        raise SettingsError(message, problems=problems, next_step="bedplate models check")
    return specs


def list_model_names(project_dir: Path) -> tuple[str, ...]:
    return tuple(sorted(path.parent.name for path in (project_dir / "models").glob("*/model.yaml")))


def read_yaml(path: Path, display_name: str = "") -> dict[str, Any]:
    """Returns the mapping in a YAML file.

    Raises SettingsError, with `display_name` (default: the path), line and column, when the file is not YAML or not a
    mapping.
    """
    import yaml

    file = display_name or str(path)
    edit = f"$EDITOR {file}"
    try:
        values = _copy(_load_yaml(path.read_text(encoding="utf-8")))
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        reason = " ".join(part for part in (exc.context, exc.problem) if part)
        raise SettingsError(f"{file}:{place}: not valid YAML: {reason}", next_step=edit) from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{file}:1:1: not valid YAML: {exc}", next_step=edit) from exc
    if not isinstance(values, dict):
        raise SettingsError(f"{file}:1:1: expected a mapping, found {type(values).__name__}", next_step=edit)
    return values


@lru_cache(maxsize=512)
def _load_yaml(text: str) -> Any:
    """Returns the value of a YAML text; cached, because a command and the program that it runs read the same files."""
    import yaml

    return yaml.load(text, Loader=yaml_loader())


def _copy(value: Any) -> Any:
    """Copies mappings and lists, so that callers can change them without changing the cached value."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def parse(schema: type[M], values: dict[str, Any], *, source: str, layers: tuple[KeyPositions, ...] = ()) -> M:
    """Returns the values as a validated `schema`.

    Raises SettingsError with one line per error: the file (with line and column where `layers` has the positions), the
    key, and what was expected and found. `source` starts with the file's name and describes the values in the message.
    """
    parsed, errors = field_errors.validate(schema, values, _PLACEHOLDERS.get(schema, {}))
    file = source.split()[0]
    problems = [f"{format_place(layers, e.path) if layers else file}: {e.key}: {e.message}" for e in errors]
    for layer in layers:
        for path, line in layer.duplicates:
            message = f"duplicate key, first given in line {line}; YAML uses only this one"
            problems.append(f"{layer.format_place(path)}: {'.'.join(map(str, path))}: {message}")
    if parsed is None or problems:
        count = "one error" if len(problems) == 1 else f"{len(problems)} errors"
        raise SettingsError(f"{source} has {count}", problems=tuple(problems), next_step=f"$EDITOR {file}")
    return parsed


def _merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """Returns `base` with the values of `override`; mappings are merged recursively, lists are replaced."""
    nested = {
        k: _merge(base[k], v) for k, v in override.items() if isinstance(v, dict) and isinstance(base.get(k), dict)
    }
    return {**base, **override, **nested}

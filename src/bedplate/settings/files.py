"""Reads the files that people write, and tells every fault at once: file, line, key, what was expected and found."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from bedplate.errors import NotFound, SettingsError, UsageError
from bedplate.settings import field_errors, positions
from bedplate.settings.field_errors import FieldError
from bedplate.settings.model import ModelSpec
from bedplate.settings.positions import Positions
from bedplate.settings.stack import StackSettings

M = TypeVar("M", bound=BaseModel)

# What a required key is thought to say while the rest of a faulty file is looked at.
_STAND_INS: dict[type, Mapping[str, Any]] = {
    StackSettings: {
        "target": "aws",
        "region": "us-east-1",
        "owner": "nobody@example.com",
        "cost_center": "none",
        "models": [],
        "budget": {"monthly_usd": 1},
        "alerts": {"emails": []},
    },
    ModelSpec: {
        "name": "nameless",
        "owner": "nobody@example.com",
        "on_call": "nobody@example.com",
        "description": "",
        "intended_use": "",
        "excluded_use": "",
        "risk": "low",
        "fallback": 0,
        "data": {
            "columns": {
                "id": {"type": "string", "role": "key"},
                "x": {"type": "number"},
                **{"y": {"type": "number", "role": "label"}},
            }
        },
        "budget": {"monthly_usd": 1},
    },
}


def load_stack(project_dir: Path, stack: str) -> StackSettings:
    """Read `stacks/Pulumi.<stack>.yaml`.

    Raises NotFound for a stack without a file, SettingsError with one line per fault.
    """
    path = stack_file(project_dir, stack)
    source = str(path.relative_to(project_dir))
    return stack_settings(_config(path, source), source=source, where=stack_positions(path, source))


def salvage_stack(project_dir: Path, stack: str) -> StackSettings | None:
    """What is right of a faulty stack file, to judge by it what depends on it. The overrides are as they are written.

    Raises SettingsError for what is not YAML.
    """
    path = stack_file(project_dir, stack)
    values = _settings_values(_config(path, str(path.relative_to(project_dir))))
    over = values.pop("overrides", None)
    right = field_errors.salvage(StackSettings, values, _STAND_INS[StackSettings])
    if right is None or not isinstance(over, dict):
        return right
    named = {str(model): keys for model, keys in over.items() if isinstance(keys, dict)}
    return right.model_copy(update={"overrides": named})


def _config(path: Path, source: str) -> dict[str, Any]:
    config = read_yaml(path, source).get("config", {})
    if not isinstance(config, dict):
        raise SettingsError(f"{source}:1:1: 'config' must hold keys and values", next_step=f"$EDITOR {source}")
    return config


def stack_file(project_dir: Path, stack: str) -> Path:
    """The stack's file; NotFound, with those that there are, when it does not exist."""
    path = project_dir / "stacks" / f"Pulumi.{stack}.yaml"
    if not path.exists():
        have = known_stacks(project_dir)
        raise NotFound(
            f"There is no stack {stack!r}: {path.relative_to(project_dir)} does not exist "
            f"(there are: {', '.join(have) or 'none'})",
            next_step=f"bedplate up --stack {have[0]}" if have else "bedplate --help",
        )
    return path


def known_stacks(project_dir: Path) -> tuple[str, ...]:
    files = (project_dir / "stacks").glob("Pulumi.*.yaml")
    return tuple(sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in files))


def stack_settings(config: dict[str, Any], *, source: str, where: Positions | None = None) -> StackSettings:
    """Settings from a Pulumi configuration (`aws:region` and the `bedplate:` keys), from the file or the engine."""
    return parse(StackSettings, _settings_values(config), source=source, where=(where,) if where else ())


def _settings_values(config: Mapping[str, Any]) -> dict[str, Any]:
    values = {key.removeprefix("bedplate:"): value for key, value in config.items() if key.startswith("bedplate:")}
    return {**values, "region": config["aws:region"]} if "aws:region" in config else values


def stack_positions(path: Path, source: str) -> Positions:
    """Where a stack file's keys stand, called as the settings call them."""
    return positions.positions(path.read_text(encoding="utf-8"), source, _settings_key)


def _settings_key(path: positions.Path) -> positions.Path | None:
    if len(path) < 2 or path[0] != "config":
        return () if path == ("config",) else None
    key = str(path[1])
    if key == "aws:region":
        return ("region", *path[2:])
    return (key.removeprefix("bedplate:"), *path[2:]) if key.startswith("bedplate:") else None


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
    values, source = model_values(project_dir, model, settings), str(path.relative_to(project_dir))
    where = model_positions(project_dir, model, settings, stack)
    if settings and settings.overrides.get(model):
        source = f"{source} with stacks/Pulumi.{stack}.yaml overrides.{model}"
    spec = parse(ModelSpec, values, source=source, where=where)
    if spec.name != model:
        told = f"{positions.tell(where, ('name',))}: name: is {spec.name!r}, expected {model!r} as the folder is called"
        raise SettingsError(f"{source} has one fault", problems=(told,), next_step=f"$EDITOR {path}")
    return spec


def model_values(project_dir: Path, model: str, settings: StackSettings | None = None) -> dict[str, Any]:
    """What model.yaml says with the stack's overrides laid over it, unchecked."""
    path = project_dir / "models" / model / "model.yaml"
    values = read_yaml(path, str(path.relative_to(project_dir)))
    return _overlay(values, settings.overrides.get(model, {})) if settings else values


def model_positions(
    project_dir: Path, model: str, settings: StackSettings | None = None, stack: str = ""
) -> tuple[Positions, ...]:
    """Where a model's keys stand: in the stack's overrides, and below them in model.yaml."""
    path = project_dir / "models" / model / "model.yaml"
    own = positions.positions(path.read_text(encoding="utf-8"), str(path.relative_to(project_dir)))
    over = project_dir / "stacks" / f"Pulumi.{stack}.yaml"
    if settings is None or model not in settings.overrides or not over.exists():
        return (own,)
    above = ("config", "bedplate:overrides", model)
    text, file = over.read_text(encoding="utf-8"), str(over.relative_to(project_dir))
    return positions.positions(text, file, lambda at: at[3:] if at[:3] == above else None), own


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


def read_yaml(path: Path, called: str = "") -> dict[str, Any]:
    """A YAML file's mapping; SettingsError with file (as `called`), line and column when it is not YAML or not one."""
    import yaml

    file = called or str(path)
    edit = f"$EDITOR {file}"
    try:
        values = _copied(_loaded(path.read_text(encoding="utf-8")))
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        at = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        told = " ".join(part for part in (exc.context, exc.problem) if part)
        raise SettingsError(f"{file}:{at}: not valid YAML: {told}", next_step=edit) from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{file}:1:1: not valid YAML: {exc}", next_step=edit) from exc
    if not isinstance(values, dict):
        raise SettingsError(f"{file}:1:1: keys and values expected, found {type(values).__name__}", next_step=edit)
    return values


@lru_cache(maxsize=512)
def _loaded(text: str) -> Any:
    """What a text holds, parsed once: a command and the program that it runs ask after the same files."""
    import yaml

    return yaml.load(text, Loader=positions.fast_loader())


def _copied(value: Any) -> Any:
    """Whoever asks gets mappings and lists of their own."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value


def parse(kind: type[M], values: dict[str, Any], *, source: str, where: tuple[Positions, ...] = ()) -> M:
    """Validate; SettingsError with one line for each fault: file (line and column by `where`), key, expectation."""
    parsed, found = field_errors.find(kind, values, _STAND_INS.get(kind, {}))
    problems = [_line(fault, source, where) for fault in found]
    problems += [
        f"{layer.tell(path)}: {'.'.join(map(str, path))}: given twice, first in line {first}; YAML keeps only this one"
        for layer in where
        for path, first in layer.twice
    ]
    if parsed is None or problems:
        count = "one fault" if len(problems) == 1 else f"{len(problems)} faults"
        raise SettingsError(f"{source} has {count}", problems=tuple(problems), next_step=f"$EDITOR {source.split()[0]}")
    return parsed


def _line(fault: FieldError, source: str, where: tuple[Positions, ...]) -> str:
    at = positions.tell(where, fault.path) if where else source.split()[0]
    return f"{at}: {fault.key}: {fault.message}"


def _overlay(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {k: _overlay(base[k], v) for k, v in over.items() if isinstance(v, dict) and isinstance(base.get(k), dict)}
    return {**base, **over, **both}

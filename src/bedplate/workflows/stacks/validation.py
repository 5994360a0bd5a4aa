"""Whether what people wrote for an environment can be applied: stack file and every model that it names, at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.domain.stacks import availability
from bedplate.domain.stacks.environments import find_name_conflict
from bedplate.errors import NotFound, SettingsError
from bedplate.settings import (
    ModelSpec,
    Serving,
    StackSettings,
    Training,
    list_stack_names,
    load_model,
    load_partial_stack,
    load_stack,
    model_positions,
    model_values,
    read_yaml,
    stack_file,
    stack_positions,
)
from bedplate.settings.positions import KeyPath as Keys
from bedplate.settings.positions import KeyPositions, format_place


@dataclass(frozen=True, slots=True)
class ValidatedStack:
    """A stack and its models without a fault; `warnings` says what nobody could judge beforehand."""

    settings: StackSettings
    models: dict[str, ModelSpec]
    warnings: tuple[str, ...]


def validate_stack(project_dir: Path, stack: str) -> ValidatedStack:
    """Read the stack's file and the model.yaml of each model that it names.

    Raises NotFound for a stack without a file, SettingsError with every fault of all the files: file, line and column,
    key, what was expected.
    """
    path = stack_file(project_dir, stack)
    source = str(path.relative_to(project_dir))
    problems: list[str] = []
    settings: StackSettings | None = None
    try:
        settings = load_stack(project_dir, stack)
    except SettingsError as exc:
        problems += exc.problems or (exc.message,)
    models: dict[str, ModelSpec] = {}
    unknown: list[str] = []
    named = settings.models if settings else _read_model_names(path)
    right = settings or (load_partial_stack(project_dir, stack) if named else None)
    for number, model in enumerate(named):
        try:
            models[model] = load_model(project_dir, model, right, stack=stack)
        except NotFound as exc:
            at = stack_positions(path, source).format_place(("models", number))
            problems.append(f"{at}: models: {exc.message}")
            continue
        except SettingsError as exc:
            problems += exc.problems or (exc.message,)
            if not exc.problems:
                continue  # not even YAML
        if right is not None and (settings or right.region == read_yaml(path)["config"].get("aws:region")):
            where = model_positions(project_dir, model, right, stack)
            for line, known in _check_instance_types(model_values(project_dir, model, right), right, where):
                (problems if known else unknown).append(line)
    if other := find_name_conflict(stack, list_stack_names(project_dir)):
        problems.append(f"{source}:1:1: (the file's name): resources of {stack!r} and {other!r} would be named alike")
    if problems or settings is None:
        problems = list(dict.fromkeys(problems))
        count = "one error" if len(problems) == 1 else f"{len(problems)} errors"
        file = problems[0].split(":")[0]
        raise SettingsError(
            f"Stack {stack!r} has {count}", problems=tuple(problems), next_step=f"$EDITOR {file}, then the same again"
        )
    return ValidatedStack(settings, models, tuple(unknown))


def _read_model_names(path: Path) -> tuple[str, ...]:
    """The models that a faulty stack file names nevertheless."""
    try:
        config = read_yaml(path).get("config", {})
    except SettingsError:
        return ()
    named = config.get("bedplate:models") if isinstance(config, dict) else None
    return tuple(name for name in named if isinstance(name, str)) if isinstance(named, list) else ()


def _check_instance_types(
    values: Mapping[str, Any], settings: StackSettings, positions: tuple[KeyPositions, ...]
) -> Iterator[tuple[str, bool]]:
    """What is known against the instance types in this region (True), and what is not known of them (False).

    Of values that may be faulty otherwise: a wrong key beside it does not hide a type that the region lacks.
    """
    for part, default in (("training", Training()), ("serving", Serving())):
        said = values.get(part)
        instance = said.get("instance_type", default.instance_type) if isinstance(said, dict) else default.instance_type
        keys: Keys = (part, "instance_type")
        if not isinstance(instance, str) or not instance.startswith("ml."):
            continue
        if instance in settings.available_instance_types:
            continue
        found = availability.is_offered(settings.region, instance)
        at = f"{format_place(positions, keys)}: {'.'.join(map(str, keys))}"
        if found is None:
            yield f"{at}: whether {settings.region} has {instance} is not known here", False
        elif not found:
            regions = ", ".join(availability.list_regions_with(instance)[:4])
            told = f"region {settings.region} has no {instance} (as of {availability.AS_OF}; {regions} and others have)"
            yield f"{at}: {told}; if AWS offers it by now, name it in the stack's available_instance_types", True

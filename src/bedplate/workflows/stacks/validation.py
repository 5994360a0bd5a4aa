"""Validates a stack file together with the model.yaml of each of its models."""

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
    """A valid stack with its models; `warnings` list what could not be checked."""

    settings: StackSettings
    models: dict[str, ModelSpec]
    warnings: tuple[str, ...]


def validate_stack(project_dir: Path, stack: str) -> ValidatedStack:
    """Reads the stack's file and the model.yaml of each model that it names.

    Raises NotFound for a stack without a file, SettingsError with every error of all files: file, line and column, key,
    what was expected.
    """
    path = stack_file(project_dir, stack)
    file_name = str(path.relative_to(project_dir))
    problems: list[str] = []
    settings: StackSettings | None = None
    try:
        settings = load_stack(project_dir, stack)
    except SettingsError as exc:
        problems += exc.problems or (exc.message,)
    models: dict[str, ModelSpec] = {}
    warnings: list[str] = []
    names = settings.models if settings else _read_model_names(path)
    partial = settings or (load_partial_stack(project_dir, stack) if names else None)
    for number, model in enumerate(names):
        try:
            models[model] = load_model(project_dir, model, partial, stack=stack)
        except NotFound as exc:
            place = stack_positions(path, file_name).format_place(("models", number))
            problems.append(f"{place}: models: {exc.message}")
            continue
        except SettingsError as exc:
            problems += exc.problems or (exc.message,)
            if not exc.problems:
                continue  # not even YAML
        # The region of an invalid file counts only if the partial settings contain it.
        if partial is not None and (settings or partial.region == read_yaml(path)["config"].get("aws:region")):
            positions = model_positions(project_dir, model, partial, stack)
            for message, is_error in _check_instance_types(
                model_values(project_dir, model, partial), partial, positions
            ):
                (problems if is_error else warnings).append(message)
    if other := find_name_conflict(stack, list_stack_names(project_dir)):
        conflict = f"resources of {stack!r} and {other!r} would have conflicting names"
        problems.append(f"{file_name}:1:1: (the file's name): {conflict}")
    if problems or settings is None:
        problems = list(dict.fromkeys(problems))
        count = "one error" if len(problems) == 1 else f"{len(problems)} errors"
        next_step = f"$EDITOR {problems[0].split(':')[0]}, then the same command again"
        raise SettingsError(f"Stack {stack!r} has {count}", problems=tuple(problems), next_step=next_step)
    return ValidatedStack(settings, models, tuple(warnings))


def _read_model_names(path: Path) -> tuple[str, ...]:
    """Returns the models that an invalid stack file names."""
    try:
        config = read_yaml(path).get("config", {})
    except SettingsError:
        return ()
    names = config.get("bedplate:models") if isinstance(config, dict) else None
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _check_instance_types(
    values: Mapping[str, Any], settings: StackSettings, positions: tuple[KeyPositions, ...]
) -> Iterator[tuple[str, bool]]:
    """Yields a message for each instance type that the region lacks (True) or may lack (False).

    The values may be invalid otherwise: an invalid key does not hide a type that the region lacks.
    """
    for part, default in (("training", Training()), ("serving", Serving())):
        section = values.get(part)
        instance = (
            section.get("instance_type", default.instance_type) if isinstance(section, dict) else default.instance_type
        )
        key_path: Keys = (part, "instance_type")
        if not isinstance(instance, str) or not instance.startswith("ml."):
            continue
        if instance in settings.available_instance_types:
            continue
        is_offered = availability.is_offered(settings.region, instance)
        place = f"{format_place(positions, key_path)}: {'.'.join(map(str, key_path))}"
        if is_offered is None:
            yield f"{place}: it is not known whether {settings.region} offers {instance}", False
        elif not is_offered:
            regions = ", ".join(availability.list_regions_with(instance)[:4])
            detail = (
                f"region {settings.region} has no {instance} (as of {availability.AS_OF}, unlike {regions} and others)"
            )
            yield f"{place}: {detail}; if AWS offers it now, add it to the stack's available_instance_types", True

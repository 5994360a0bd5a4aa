"""What a pipeline's definition says: its parameters, and its steps with the parameters put in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class PipelineDefinitionError(Exception):
    """A definition, or parameters, that cannot be run here."""


def steps_of(definition: str, given: Mapping[str, str]) -> list[dict[str, Any]]:
    """Processing steps with `{"Get": "Parameters.X"}` replaced by what was given, or the parameter's default.

    Raises PipelineFault for a step of another kind, an unknown parameter, or one without a value.

    >>> text = '{"Parameters": [{"Name": "A", "DefaultValue": "1"}], "Steps": [{"Name": "s", "Type": "Processing", '
    >>> text += '"Arguments": {"Environment": {"a": {"Get": "Parameters.A"}}}}]}'
    >>> steps_of(text, {"A": "2"})[0]["Arguments"]
    {'Environment': {'a': '2'}}
    """
    read = json.loads(definition)
    values = {p["Name"]: p.get("DefaultValue") for p in read.get("Parameters") or ()}
    unknown = set(given) - set(values)
    if unknown:
        raise PipelineDefinitionError(f"The pipeline has no parameter {', '.join(sorted(unknown))}.")
    values.update(given)
    steps = read.get("Steps") or []
    for step in steps:
        if step.get("Type") != "Processing":
            raise PipelineDefinitionError(
                f"Step {step.get('Name')!r} is of type {step.get('Type')}: only Processing runs here."
            )
        if step.get("DependsOn"):
            raise PipelineDefinitionError(f"Step {step.get('Name')!r} depends on others: steps run at once here.")
    return [{**step, "Arguments": _filled(step["Arguments"], values)} for step in steps]


def status_of(jobs: list[str]) -> str:
    """An execution's status out of its jobs'.

    >>> status_of(["Completed", "InProgress"]), status_of(["Completed"]), status_of(["Completed", "Failed"])
    ('Executing', 'Succeeded', 'Failed')
    """
    if any(job in ("InProgress", "Stopping") for job in jobs):
        return "Executing"
    if "Failed" in jobs:
        return "Failed"
    return "Stopped" if "Stopped" in jobs else "Succeeded"


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"Get"}:
            name = str(value["Get"]).removeprefix("Parameters.")
            if values.get(name) is None:
                raise PipelineDefinitionError(f"Parameter {name} has no value.")
            return str(values[name])
        return {key: _filled(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, values) for inner in value]
    return value

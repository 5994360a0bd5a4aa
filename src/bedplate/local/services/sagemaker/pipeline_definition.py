"""Parses SageMaker pipeline definitions: their parameters, and their steps with the parameters substituted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class PipelineDefinitionError(Exception):
    """A definition, or parameters, that the local platform cannot run."""


def parse_steps(definition: str, arguments: Mapping[str, str]) -> list[dict[str, Any]]:
    """Returns the processing steps with `{"Get": "Parameters.X"}` replaced by the argument or the default of X.

    Raises PipelineDefinitionError for a step of another type, for an unknown parameter, and for one without a value.

    >>> text = '{"Parameters": [{"Name": "A", "DefaultValue": "1"}], "Steps": [{"Name": "s", "Type": "Processing", '
    >>> text += '"Arguments": {"Environment": {"a": {"Get": "Parameters.A"}}}}]}'
    >>> parse_steps(text, {"A": "2"})[0]["Arguments"]
    {'Environment': {'a': '2'}}
    """
    document = json.loads(definition)
    values = {p["Name"]: p.get("DefaultValue") for p in document.get("Parameters") or ()}
    unknown = set(arguments) - set(values)
    if unknown:
        raise PipelineDefinitionError(f"The pipeline has no parameter {', '.join(sorted(unknown))}.")
    values.update(arguments)
    steps = document.get("Steps") or []
    for step in steps:
        if step.get("Type") != "Processing":
            message = f"Step {step.get('Name')!r} has type {step.get('Type')}: the local platform runs only Processing."
            raise PipelineDefinitionError(message)
        if step.get("DependsOn"):
            message = f"Step {step.get('Name')!r} has DependsOn: the local platform runs all steps at the same time."
            raise PipelineDefinitionError(message)
    return [{**step, "Arguments": _substitute(step["Arguments"], values)} for step in steps]


def execution_status(job_statuses: list[str]) -> str:
    """Returns an execution's status, derived from the statuses of its processing jobs.

    >>> execution_status(["Completed", "InProgress"]), execution_status(["Completed", "Failed"])
    ('Executing', 'Failed')
    """
    if any(status in ("InProgress", "Stopping") for status in job_statuses):
        return "Executing"
    if "Failed" in job_statuses:
        return "Failed"
    return "Stopped" if "Stopped" in job_statuses else "Succeeded"


def _substitute(value: Any, values: Mapping[str, Any]) -> Any:
    """Returns a copy of a value with every `{"Get": "Parameters.X"}` in it replaced, at any depth."""
    if isinstance(value, Mapping):
        if set(value) == {"Get"}:
            name = str(value["Get"]).removeprefix("Parameters.")
            if values.get(name) is None:
                raise PipelineDefinitionError(f"Parameter {name} has no value.")
            return str(values[name])
        return {key: _substitute(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [_substitute(inner, values) for inner in value]
    return value

"""Reads the platform's outputs from the SSM parameter that the Pulumi program writes, so that Pulumi is not needed."""

from __future__ import annotations

import json

from bedplate.aws.errors import map_client_errors
from bedplate.aws.session import Session
from bedplate.domain.names import outputs_parameter
from bedplate.errors import NotFound, PlatformError
from bedplate.settings import PlatformOutputs, parse


def load_outputs(session: Session, project: str, stack: str) -> PlatformOutputs:
    """Returns the platform's outputs.

    Raises NotFound when the platform is not up, SettingsError when another version of Bedplate wrote the parameter.
    """
    name, next_step = outputs_parameter(project, stack), f"bedplate up --stack {stack}"
    ssm = session.client("ssm")
    try:
        with map_client_errors("Cannot read the platform's outputs"):
            text = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    except NotFound as exc:
        raise NotFound(
            f"The platform of stack {stack!r} is not up: there is no parameter {name}", next_step=next_step
        ) from exc
    try:
        values = json.loads(text)
    except ValueError as exc:
        raise PlatformError(f"Parameter {name} does not hold JSON", next_step=next_step) from exc
    return parse(PlatformOutputs, values, source=f"parameter {name}")

"""The resource type of SSM parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedplate.engine.protocol import Properties
from bedplate.engine.provider.clients import AwsClients, Params
from bedplate.engine.provider.resource_type import FollowUpCall, TagOperations, named_type


def _parameter_params(_aws: AwsClients, operation: str, properties: Properties, params: Params) -> Params:
    """Overwrites an existing parameter only in an update, whose properties include an id."""
    if operation == "PutParameter" and "id" in properties:
        params["Overwrite"] = True
    if operation == "GetParameter":
        params["WithDecryption"] = True
    return params


def _read_parameter(aws: AwsClients, inputs: Properties, _actual: Mapping[str, Any]) -> Properties:
    """Returns the description, and the declared tier: for Intelligent-Tiering AWS returns the tier that it chose."""
    filters = [{"Key": "Name", "Option": "Equals", "Values": [inputs["name"]]}]
    parameters = aws.call("ssm", "DescribeParameters", ParameterFilters=filters)["Parameters"]
    live_inputs: Properties = {"tier": inputs.get("tier")}
    if parameters and "description" in inputs:
        live_inputs["description"] = parameters[0].get("Description")
    return live_inputs


RESOURCE_TYPES = (
    named_type(
        "aws:ssm/parameter:Parameter",
        "ssm",
        ("PutParameter", "GetParameter", "DeleteParameter"),
        max_name_length=512,
        read_path="Parameter",
        missing_codes=("ParameterNotFound",),
        outputs={"arn": "arn:aws:ssm:{region}:{account}:parameter{name}", "version": "=Version"},
        update_calls=(
            FollowUpCall("PutParameter", ("value", "description", "type", "tier", "keyId", "allowedPattern")),
        ),
        replaces=("name", "dataType"),
        tags=TagOperations(
            {"ResourceType": "Parameter", "ResourceId": "{name}"},
            *("AddTagsToResource", "RemoveTagsFromResource", "ListTagsForResource"),
        ),
        adjust_params=_parameter_params,
        read_inputs=_read_parameter,
    ),
)

"""The provider of the embedded engine: Pulumi's check, diff, create, read, update, delete and invoke for AWS types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from bedplate.engine import property_paths
from bedplate.engine.protocol import (
    INTENT_TAG,
    UNKNOWN,
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffChanges,
    DiffResult,
    OperationRejected,
    PartialFailure,
    Properties,
    ReadResult,
)
from bedplate.engine.provider import naming, parameters
from bedplate.engine.provider.clients import AwsClients, Params, Response, ServiceError
from bedplate.engine.provider.functions import FUNCTIONS
from bedplate.engine.provider.resource_type import ResourceType
from bedplate.engine.provider.shapes import UnknownMember, is_equivalent
from bedplate.engine.provider.tables import find_resource_type
from bedplate.engine.provider.tagging import build_tag_params, list_tags, update_tags
from bedplate.errors import UsageError


class AwsProvider:
    """Implements `bedplate.engine.protocol.Provider` for the resource types in `tables.RESOURCE_TYPES`."""

    def __init__(self, aws: AwsClients) -> None:
        self._aws = aws

    def configure(self, config: Properties) -> None:
        """Checks the region; the endpoint comes from the engine and never from the configuration.

        Raises UsageError for a region other than the local platform's.
        """
        region = config.get("region")
        if region not in (None, UNKNOWN, self._aws.region):
            raise UsageError(f"The local platform is in region {self._aws.region}; the program configures {region}")

    # --- before any change -------------------------------------------------------------------------------------------

    def check(self, urn: str, type: str, olds: Properties | None, news: Properties, random_seed: bytes) -> CheckResult:
        resource_type = find_resource_type(type)
        inputs = {key: value for key, value in news.items() if value is not None}
        inputs |= naming.missing_name(resource_type, urn, inputs, olds, random_seed)
        region = inputs.get("region")
        if region not in (None, UNKNOWN, self._aws.region):
            return CheckResult(inputs, (CheckFailure("region", f"expected {self._aws.region}"),))
        if olds == inputs:
            return CheckResult(inputs)
        return CheckResult(inputs, self._find_failures(resource_type, inputs))

    def _find_failures(self, resource_type: ResourceType, inputs: Properties) -> tuple[CheckFailure, ...]:
        """Builds the create request and reports properties without a member, and required members without a value."""
        if parameters.has_unknown({key: inputs.get(key) for key in resource_type.key_properties}):
            inputs = {**inputs, **dict.fromkeys(resource_type.key_properties, UNKNOWN)}
        try:
            params = self._build_params(resource_type, resource_type.create, inputs, strict=True)
        except UnknownMember as exc:
            return (CheckFailure(exc.path.split(".")[0].split("[")[0], str(exc)),)
        except (TypeError, ValueError, AttributeError) as exc:
            return (CheckFailure("", f"{resource_type.type}: {exc}"),)
        if params is None or parameters.has_unknown(params):
            return ()
        from botocore.validate import ParamValidator

        shape = self._aws.operation_model(resource_type.service, resource_type.create).input_shape
        report = ParamValidator().validate(params, shape)
        return (CheckFailure("", f"{resource_type.type}: {report.generate_report()}"),) if report.has_errors() else ()

    def diff(
        self,
        urn: str,
        id: str,
        type: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        ignore_changes: Sequence[str],
    ) -> DiffResult:
        resource_type = find_resource_type(type)
        if ignore_changes:
            news = property_paths.apply_ignore_changes(news, old_inputs, ignore_changes)
        detailed = dict(_list_differences("", _drop_unset(old_inputs), _drop_unset(news)))
        if not detailed:
            return DiffResult(DiffChanges.NONE)
        replaces = tuple(path for path in detailed if resource_type.needs_replacement(path))
        return DiffResult(
            DiffChanges.SOME,
            tuple(detailed),
            replaces,
            delete_before_replace=bool(replaces) and self._is_same_identity(resource_type, urn, old_inputs, news),
            detailed_diff=detailed,
        )

    def _is_same_identity(self, resource_type: ResourceType, urn: str, old: Properties, new: Properties) -> bool:
        """Returns whether the replacement has the identity of the resource that it replaces: both cannot exist."""
        if resource_type.has_generated_id or naming.has_generated_name(resource_type, urn, old):
            return False
        return all(is_equivalent(old.get(key), new.get(key)) for key in resource_type.key_properties)

    # --- changes -----------------------------------------------------------------------------------------------------

    def create(self, urn: str, type: str, inputs: Properties, preview: bool, intent: str) -> CreateResult:
        resource_type, aws = find_resource_type(type), self._aws
        if preview:
            return CreateResult("", {**inputs, **dict.fromkeys(resource_type.computed_outputs, UNKNOWN)})
        tags = {**(inputs.get("tags") or {}), INTENT_TAG: intent}
        try:
            if resource_type.before_create:
                resource_type.before_create(aws, inputs)
            params = self._build_params(resource_type, resource_type.create, inputs, strict=True)
            if resource_type.tags and resource_type.tags.on_create and params is not None:
                params.update(build_tag_params(aws, resource_type, tags))
            response = aws.call(resource_type.service, resource_type.create, **params) if params is not None else {}
        except (ServiceError, UnknownMember) as exc:
            raise OperationRejected(f"{urn}: {exc}") from exc
        outputs = self._build_outputs(resource_type, inputs, {}, response)
        try:
            if resource_type.tags and not resource_type.tags.on_create:
                update_tags(aws, resource_type, outputs, list_tags(aws, resource_type, outputs), tags)
            for call in resource_type.create_follow_ups:
                if any(inputs.get(name) for name in call.properties) and call.condition(inputs):
                    self._call(resource_type, call.operation, outputs)
            if resource_type.after_create:
                resource_type.after_create(aws, outputs)
        except (ServiceError, UnknownMember, OperationRejected) as exc:
            raise PartialFailure(f"{urn}: {exc}", id=outputs["id"], outputs=outputs) from exc
        return CreateResult(outputs["id"], outputs)

    def read(self, urn: str, id: str, type: str, inputs: Properties, state: Properties) -> ReadResult:
        resource_type, aws = find_resource_type(type), self._aws
        keys = resource_type.keys_of_id(id)
        properties = {**keys, **state, **inputs, "id": id}
        actual = self._describe(resource_type, properties)
        if actual is None:
            return ReadResult(None, {}, {})
        declared = {**inputs} if inputs else {**keys, **parameters.import_inputs(aws, resource_type, actual)}
        live_inputs = parameters.read_properties(aws, resource_type, declared, actual)
        if resource_type.read_inputs:
            live_inputs.update(resource_type.read_inputs(aws, {**properties, **declared}, actual))
        outputs = self._build_outputs(resource_type, {**live_inputs, "id": id}, state, actual, from_read=True)
        if resource_type.tags:
            tags = {k: v for k, v in list_tags(aws, resource_type, outputs).items() if k != INTENT_TAG}
            live_inputs.pop("tags", None)
            if tags or "tags" in inputs:
                live_inputs["tags"] = tags
            outputs = {**outputs, "tags": tags, "tagsAll": tags}
        return ReadResult(id, {k: v for k, v in live_inputs.items() if v is not None}, {**outputs, "id": id})

    def update(
        self,
        urn: str,
        id: str,
        type: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        preview: bool,
    ) -> Properties:
        resource_type, aws = find_resource_type(type), self._aws
        old, new = _drop_unset(old_inputs), _drop_unset(news)
        changed = {key for key in {*old, *new} if not is_equivalent(old.get(key), new.get(key))}
        computed = {key: value for key, value in old_outputs.items() if key in resource_type.computed_outputs}
        outputs: Properties = {**computed, **new, "id": id}
        if "tags" in changed:
            outputs["tagsAll"] = dict(new.get("tags") or {})
        if preview:
            return outputs
        updatable = {name for call in resource_type.update_calls for name in call.properties}
        updatable.update(("tags", *resource_type.provider_only, *resource_type.on_update_properties))
        if immutable := sorted(changed - updatable):
            raise OperationRejected(f"{urn}: {', '.join(immutable)} of {type} cannot change in place")
        try:
            for call in resource_type.update_calls:
                if changed & set(call.properties) and call.condition(new):
                    response = self._call(resource_type, call.operation, {**outputs, "id": id})
                    outputs = self._build_outputs(resource_type, new, outputs, response)
            if resource_type.on_update:
                resource_type.on_update(aws, old, {**outputs, "id": id})
            if "tags" in changed and resource_type.tags:
                update_tags(aws, resource_type, outputs, old.get("tags") or {}, new.get("tags") or {})
        except (ServiceError, UnknownMember) as exc:
            raise OperationRejected(f"{urn}: {exc}") from exc
        return outputs

    def delete(self, urn: str, id: str, type: str, inputs: Properties, outputs: Properties) -> None:
        resource_type, aws = find_resource_type(type), self._aws
        properties = {**resource_type.keys_of_id(id), **outputs, **inputs, "id": id}
        try:
            if resource_type.before_delete:
                resource_type.before_delete(aws, properties, inputs)
            params = self._build_params(resource_type, resource_type.delete, properties, identity_only=True)
            if params is not None:
                aws.call_or_none(resource_type.service, resource_type.delete, *resource_type.missing_codes, **params)
            if resource_type.after_delete:
                resource_type.after_delete(aws, properties)
        except ServiceError as exc:
            if exc.code not in resource_type.missing_codes:
                raise OperationRejected(f"{urn}: {exc}") from exc

    def invoke(self, token: str, args: Properties) -> Properties:
        """Calls a provider function. Raises UsageError for a function that is not implemented."""
        if token not in FUNCTIONS:
            raise UsageError(
                f"The embedded engine does not implement the function {token}", next_step="bedplate up --engine pulumi"
            )
        return FUNCTIONS[token](self._aws, args)

    def find_by_intent(self, type: str, intent: str, inputs: Properties) -> str | None:
        resource_type, aws = find_resource_type(type), self._aws
        if resource_type.find_id:
            return resource_type.find_id(aws, intent, inputs)
        if not all(key in inputs for key in resource_type.key_properties):
            return None
        actual = self._describe(resource_type, dict(inputs))
        if actual is None:
            return None
        outputs = self._build_outputs(resource_type, inputs, {}, actual, from_read=True)
        if resource_type.tags:
            # A kill between the create and its tags leaves a resource without the intent: its name identifies it.
            default = "" if resource_type.tags.on_create else intent
            if list_tags(aws, resource_type, outputs).get(INTENT_TAG, default) != intent:
                return None
        if resource_type.after_create:
            with suppress(OperationRejected):  # the resource exists; the next read reports that it does not work
                resource_type.after_create(aws, outputs)
        return str(outputs["id"])

    # --- requests and responses --------------------------------------------------------------------------------------

    def _build_params(
        self,
        resource_type: ResourceType,
        operation: str,
        properties: Properties,
        *,
        strict: bool = False,
        identity_only: bool = False,
    ) -> Params | None:
        """Returns an operation's parameters, from all properties or the identifying ones; None skips the operation."""
        identity = {key: properties[key] for key in (*resource_type.key_properties, "id") if key in properties}
        sent = identity if identity_only else properties
        params = parameters.build_request(self._aws, resource_type, operation, sent, strict=strict)
        if resource_type.adjust_params:
            return resource_type.adjust_params(self._aws, operation, properties, params)
        return params

    def _call(self, resource_type: ResourceType, operation: str, properties: Properties) -> Response:
        params = self._build_params(resource_type, operation, properties)
        return self._aws.call(resource_type.service, operation, **params) if params is not None else {}

    def _describe(self, resource_type: ResourceType, properties: Properties) -> Response | None:
        """Returns the resource as AWS describes it; None when it does not exist."""
        params = self._build_params(resource_type, resource_type.read, properties, identity_only=True) or {}
        codes = resource_type.missing_codes
        response = self._aws.call_or_none(resource_type.service, resource_type.read, *codes, **params)
        actual: Response | None = parameters.value_at(response, resource_type.read_path, properties)
        return actual if actual is not None and resource_type.is_alive(actual) else None

    def _build_outputs(
        self,
        resource_type: ResourceType,
        inputs: Properties,
        state: Properties,
        response: Mapping[str, Any],
        *,
        from_read: bool = False,
    ) -> Properties:
        """Returns the inputs, the computed outputs of the resource type, and the id."""
        outputs = {k: v for k, v in state.items() if k in resource_type.computed_outputs} | dict(inputs)
        for name, source in resource_type.outputs.items():
            if source.startswith("="):
                path = source[1:].split("|")[1 if from_read and "|" in source else 0]
                value = parameters.value_at(response, path)
                if value is not None:
                    outputs[name] = value
            else:
                outputs[name] = parameters.fill_format(self._aws, source, inputs, outputs)
        if "id" not in outputs:
            outputs["id"] = parameters.fill_format(self._aws, resource_type.id_format, inputs, outputs)
        if resource_type.tags:
            outputs["tagsAll"] = dict(inputs.get("tags") or {})
        return outputs


# --- differences -----------------------------------------------------------------------------------------------------


def _drop_unset(properties: Mapping[str, Any]) -> Properties:
    """Returns the properties except those that are None or that Pulumi uses internally (`__defaults`)."""
    return {k: v for k, v in properties.items() if v is not None and not k.startswith("__")}


def _list_differences(path: str, old: Any, new: Any) -> list[tuple[str, tuple[Any, Any]]]:
    """Returns every leaf that differs as (path, (old, new)); equivalent spellings and two empty values are equal."""
    if is_equivalent(old, new) or (path and _is_empty(old) and _is_empty(new)):
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        differences = []
        for key in sorted({*old, *new}):
            segment = f".{key}" if key.isidentifier() else f'["{key}"]'
            differences += _list_differences(f"{path}{segment}".removeprefix("."), old.get(key), new.get(key))
        return differences
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [change for i in range(len(old)) for change in _list_differences(f"{path}[{i}]", old[i], new[i])]
    return [(path, (old, new))]


def _is_empty(value: Any) -> bool:
    """Returns whether a value has no effect at AWS: None, an empty text, list or mapping."""
    return value in (None, "", [], {})

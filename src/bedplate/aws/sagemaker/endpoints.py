"""Creates releases (Model and EndpointConfig) and endpoints in SageMaker, updates and invokes endpoints."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bedplate.aws.errors import error_code, is_conflict, map_client_errors
from bedplate.aws.sagemaker.async_invocation import async_inference_config, invoke_async
from bedplate.aws.sagemaker.endpoint_shapes import (
    capture_config,
    deployment_config,
    instance_variant,
    pending_share,
    release_variant,
    shadow_shares,
    traffic_shares,
)
from bedplate.aws.sagemaker.jobs import vpc_config
from bedplate.aws.session import Session
from bedplate.aws.tags import tag_list
from bedplate.domain.money.instances import has_local_disk
from bedplate.errors import Conflict, NotFound, PlatformError, UsageError
from bedplate.ports import EndpointState, MultiVariantDraft, Prediction, Release, ReleaseDraft, TrafficRouting

_RELEASE = re.compile(r"-v\d+-[0-9a-f]{7,8}$")


class SageMakerEndpoints:
    """The `Endpoints` port."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._async_outputs: dict[str, str] = {}
        """The asynchronous endpoints invoked so far -> the S3 prefix of their predictions."""

    def observe(self, endpoint: str) -> EndpointState:
        """Raises NotFound for an endpoint that does not exist."""
        with map_client_errors(f"Cannot describe endpoint {endpoint}", next_step="bedplate up"):
            response = self._sagemaker.describe_endpoint(EndpointName=endpoint)
        variants = response.get("ProductionVariants") or []
        pending = response.get("PendingDeploymentSummary") or {}
        fleet = (pending.get("ProductionVariants") or [{}])[0]
        phase = (fleet.get("VariantStatus") or [{}])[-1]
        return EndpointState(
            name=endpoint,
            arn=response["EndpointArn"],
            status=response["EndpointStatus"],
            config=response["EndpointConfigName"],
            variants=traffic_shares(variants),
            pending_config=pending.get("EndpointConfigName"),
            failure_reason=response.get("FailureReason") or None,
            modified_at=response["LastModifiedTime"],
            pending_share=pending_share(variants, fleet) if phase else None,
            pending_phase=phase.get("Status"),
            pending_since=phase.get("StartTime"),
            shadows=shadow_shares(variants, response.get("ShadowProductionVariants") or []),
        )

    def create_release(self, draft: ReleaseDraft) -> Release:
        """Creates the Model and the EndpointConfig, each unless it already exists."""
        tags = tag_list(draft.tags)
        container: dict[str, Any] = {"Image": draft.image_uri, "Environment": dict(draft.environment)}
        if draft.artifact_uri:
            container["ModelDataUrl"] = draft.artifact_uri
        self._create_once(
            f"Cannot create model {draft.name}",
            self._sagemaker.create_model,
            ModelName=draft.name,
            PrimaryContainer=container,
            ExecutionRoleArn=draft.role_arn,
            # serverless variants support neither network isolation nor a VPC
            EnableNetworkIsolation=draft.serverless is None,
            **({"VpcConfig": vpc_config(draft.network)} if draft.network and draft.serverless is None else {}),
            Tags=tags,
        )
        config: dict[str, Any] = {
            "EndpointConfigName": draft.name,
            "ProductionVariants": [release_variant(draft)],
            "Tags": tags,
        }
        if draft.async_output:
            config["AsyncInferenceConfig"] = async_inference_config(draft.async_output, draft.kms_key_arn)
        self._create_config(draft, () if draft.serverless else (draft.instance_type,), config)
        return self.get_release(draft.name)

    def create_multi_variant(self, draft: MultiVariantDraft) -> None:
        """Creates the EndpointConfig over existing Models, unless one of that name exists."""
        config: dict[str, Any] = {
            "EndpointConfigName": draft.name,
            "ProductionVariants": [instance_variant(variant) for variant in draft.variants],
            "Tags": tag_list(draft.tags),
        }
        if draft.shadows:
            config["ShadowProductionVariants"] = [instance_variant(variant) for variant in draft.shadows]
        self._create_config(draft, [v.instance_type for v in (*draft.variants, *draft.shadows)], config)

    def get_release(self, name: str) -> Release:
        """Returns a release by its EndpointConfig's name. Raises NotFound when it does not exist."""
        with map_client_errors(f"There is no release {name}"):
            config = self._sagemaker.describe_endpoint_config(EndpointConfigName=name)
            model = self._sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
        container = model.get("PrimaryContainer") or (model.get("Containers") or [{}])[0]
        return Release(name, container.get("ModelDataUrl"), container.get("Environment") or {}, config["CreationTime"])

    def list_releases(self, endpoint: str) -> Sequence[Release]:
        """Returns the releases that the command line created, newest first; Pulumi's release 0 is not one of them."""
        names: list[str] = []
        with map_client_errors(f"Cannot list the releases of {endpoint}"):
            pages = self._sagemaker.get_paginator("list_endpoint_configs").paginate(
                NameContains=f"{endpoint}-v", SortBy="CreationTime", SortOrder="Descending"
            )
            for page in pages:
                names += [c["EndpointConfigName"] for c in page["EndpointConfigs"]]
        releases = [n for n in names if n.startswith(f"{endpoint}-v") and _RELEASE.fullmatch(n.removeprefix(endpoint))]
        return sorted(map(self.get_release, releases), key=lambda release: release.created_at, reverse=True)

    def delete_release(self, name: str) -> None:
        """Deletes EndpointConfig and Model, each if it exists. SageMaker rejects the deletion of a live release."""
        for call, key in (
            (self._sagemaker.delete_endpoint_config, "EndpointConfigName"),
            (self._sagemaker.delete_model, "ModelName"),
        ):
            with contextlib.suppress(NotFound), map_client_errors(f"Cannot delete release {name}"):
                call(**{key: name})

    def create_endpoint(self, name: str, release: str, tags: Mapping[str, str]) -> None:
        """Raises Conflict when the endpoint already exists."""
        from botocore.exceptions import ClientError

        error_prefix = f"Cannot create endpoint {name}"
        with map_client_errors(error_prefix):
            try:
                self._sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=release, Tags=tag_list(tags))
            except ClientError as exc:
                if is_conflict(exc) or "already exist" in str(exc):
                    raise Conflict(f"{error_prefix}: it already exists") from exc
                raise

    def list_endpoints(self, prefix: str) -> Sequence[str]:
        """Filters by prefix here, because SageMaker's NameContains matches anywhere in a name."""
        with map_client_errors(f"Cannot list endpoints {prefix}..."):
            pages = self._sagemaker.get_paginator("list_endpoints").paginate(NameContains=prefix)
            names = [str(summary["EndpointName"]) for page in pages for summary in page["Endpoints"]]
        return [name for name in names if name.startswith(prefix)]

    def delete_endpoint(self, name: str) -> None:
        """Does nothing when the endpoint does not exist."""
        with contextlib.suppress(NotFound), map_client_errors(f"Cannot delete endpoint {name}"):
            self._sagemaker.delete_endpoint(EndpointName=name)

    def update(self, endpoint: str, release: str, traffic: TrafficRouting) -> None:
        """Starts a blue/green update. Raises Conflict while another update of the endpoint is in progress.

        SageMaker's deployment guardrails work only between configurations with the same variants. Between different
        variants all traffic moves at once and SageMaker evaluates no alarm, so the caller has to. Raises UsageError
        when `traffic` moves in steps between different variants.
        """
        error_prefix = f"Cannot update endpoint {endpoint}"
        guardrails: dict[str, Any] = {"DeploymentConfig": deployment_config(traffic)}
        if not self._has_same_variants(error_prefix, endpoint, release):
            if traffic.kind != "ALL_AT_ONCE":
                raise UsageError(
                    f"{error_prefix}: SageMaker moves traffic in steps only between configurations with the same "
                    f"variants, but {release} has other variants than the live configuration",
                    next_step="shift the weights first, then move all at once",
                )
            guardrails = {}
        elif self._is_serverless(release):
            guardrails = {}  # SageMaker accepts no DeploymentConfig for a serverless endpoint: it changes all at once
        self._change_endpoint(
            error_prefix,
            self._sagemaker.update_endpoint,
            lambda: self.observe(endpoint).pending_config == release,
            EndpointName=endpoint,
            EndpointConfigName=release,
            **guardrails,
        )

    def set_weights(self, endpoint: str, weights: Mapping[str, float]) -> None:
        """Shifts traffic between live variants. Raises Conflict while the endpoint is being updated."""
        self._change_endpoint(
            f"Cannot change the weights of endpoint {endpoint}",
            self._sagemaker.update_endpoint_weights_and_capacities,
            lambda: self._desired_weights(endpoint).items() >= {k: float(v) for k, v in weights.items()}.items(),
            EndpointName=endpoint,
            DesiredWeightsAndCapacities=[
                {"VariantName": name, "DesiredWeight": float(weight)} for name, weight in weights.items()
            ],
        )

    def invoke(
        self,
        endpoint: str,
        body: bytes,
        *,
        content_type: str = "application/jsonlines",
        inference_id: str | None = None,
        variant: str | None = None,
    ) -> Prediction:
        """Sends one request.

        Raises UsageError with the container's message when it rejects the request (4xx), PlatformError when it fails
        (5xx).
        """
        from botocore.exceptions import ClientError

        if endpoint in self._async_outputs:
            return self._invoke_async(endpoint, body, content_type)
        extra = {k: v for k, v in (("InferenceId", inference_id), ("TargetVariant", variant)) if v}
        with map_client_errors(f"Cannot invoke endpoint {endpoint}", next_step="bedplate up"):
            try:
                response = self._session.client("sagemaker-runtime").invoke_endpoint(
                    EndpointName=endpoint, Body=body, ContentType=content_type, Accept=content_type, **extra
                )
                prediction = response["Body"].read()
            except ClientError as exc:
                if error_code(exc) == "ModelError":
                    raise _container_error(exc, endpoint) from exc
                if error_code(exc) in ("ValidationError", "ValidationException") and self._is_async(endpoint):
                    return self._invoke_async(endpoint, body, content_type)
                raise
        attributes = parse_custom_attributes(response.get("CustomAttributes", ""))
        return Prediction(
            body=prediction,
            content_type=response.get("ContentType", ""),
            variant=response.get("InvokedProductionVariant"),
            release=attributes.get("release"),
            attributes=attributes,
        )

    def _is_async(self, endpoint: str) -> bool:
        """Returns whether an endpoint is asynchronous; such an endpoint rejects InvokeEndpoint."""
        response = self._sagemaker.describe_endpoint(EndpointName=endpoint)
        if response.get("AsyncInferenceConfig"):
            self._async_outputs[endpoint] = response["AsyncInferenceConfig"]["OutputConfig"]["S3OutputPath"]
        return endpoint in self._async_outputs

    def _invoke_async(self, endpoint: str, body: bytes, content_type: str) -> Prediction:
        release = self.get_release(self.observe(endpoint).config).environment.get("BEDPLATE_RELEASE")
        return invoke_async(
            self._session, endpoint, self._async_outputs[endpoint], body, content_type=content_type, release=release
        )

    @property
    def _sagemaker(self) -> Any:
        return self._session.client("sagemaker")

    def _has_same_variants(self, error_prefix: str, endpoint: str, config: str) -> bool:
        with map_client_errors(error_prefix):
            live = self._sagemaker.describe_endpoint(EndpointName=endpoint).get("ProductionVariants") or []
            new = self._sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        return {v["VariantName"] for v in live} == {v["VariantName"] for v in new}

    def _is_serverless(self, config: str) -> bool:
        with map_client_errors(f"There is no release {config}"):
            response = self._sagemaker.describe_endpoint_config(EndpointConfigName=config)
        return any(variant.get("ServerlessConfig") for variant in response["ProductionVariants"])

    def _create_config(
        self, draft: ReleaseDraft | MultiVariantDraft, instance_types: Sequence[str], config: dict[str, Any]
    ) -> None:
        if draft.capture_pct > 0:
            config["DataCaptureConfig"] = capture_config(draft)
        # SageMaker rejects KmsKeyId for instances whose local NVMe disks the hardware encrypts
        if draft.kms_key_arn and instance_types and not any(map(has_local_disk, instance_types)):
            config["KmsKeyId"] = draft.kms_key_arn
        self._create_once(
            f"Cannot create endpoint configuration {draft.name}", self._sagemaker.create_endpoint_config, **config
        )

    def _desired_weights(self, endpoint: str) -> dict[str, float]:
        variants = self._sagemaker.describe_endpoint(EndpointName=endpoint).get("ProductionVariants") or []
        return {v["VariantName"]: float(v.get("DesiredWeight", 1.0)) for v in variants}

    def _change_endpoint(
        self, error_prefix: str, call: Any, has_taken_effect: Callable[[], bool], **arguments: Any
    ) -> None:
        """Calls an operation that changes the endpoint. Raises Conflict while another update is in progress.

        When a response is lost, boto3 repeats the call and SageMaker rejects it, because the first one is in progress.
        `has_taken_effect` tells this from an update by somebody else.
        """
        from botocore.exceptions import ClientError

        with map_client_errors(error_prefix):
            try:
                call(**arguments)
            except ClientError as exc:
                if not _is_busy(exc):
                    raise
                if not (_was_retried(exc) and has_taken_effect()):
                    raise Conflict(f"{error_prefix}: another update is in progress") from exc

    def _create_once(self, error_prefix: str, call: Any, **arguments: Any) -> None:
        from botocore.exceptions import ClientError

        with map_client_errors(error_prefix):
            try:
                call(**arguments)
            except ClientError as exc:
                if not is_conflict(exc) and "already exist" not in str(exc):
                    raise


def parse_custom_attributes(header: str) -> dict[str, str]:
    """Parses the header X-Amzn-SageMaker-Custom-Attributes of our containers.

    >>> parse_custom_attributes("release=m-v3-0a1b2c3d;version=3;model=m")["version"]
    '3'
    >>> parse_custom_attributes("")
    {}
    """
    pairs = (part.split("=", 1) for part in header.split(";") if "=" in part)
    return {key.strip(): value.strip() for key, value in pairs}


def _is_busy(exc: Any) -> bool:
    """Returns whether SageMaker rejected a second update: `ValidationException: Cannot update in-progress endpoint`."""
    message = str(exc.response.get("Error", {}).get("Message", "")).lower()
    return is_conflict(exc) or "in-progress" in message or "in progress" in message or "being updated" in message


def _was_retried(exc: Any) -> bool:
    return int(exc.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)) > 0


def _container_error(exc: Any, endpoint: str) -> UsageError | PlatformError:
    status = int(exc.response.get("OriginalStatusCode") or 500)
    body = str(exc.response.get("OriginalMessage") or exc.response.get("Error", {}).get("Message", ""))
    message = _error_message(body)
    if 400 <= status < 500:
        return UsageError(f"The model rejected the request: {message}")
    return PlatformError(f"The model behind {endpoint} failed ({status}): {message}", next_step="bedplate local logs")


def _error_message(body: str) -> str:
    """Returns the message in the container's `{"error": ..., "column": ..., "row": ...}`, or a body of other shape."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, TypeError, KeyError):
        return body.strip()

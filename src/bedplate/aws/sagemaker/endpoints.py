"""Releases (Model and EndpointConfig), endpoints and their answers, in SageMaker."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bedplate.aws.errors import code_of, is_conflict, is_missing, translated
from bedplate.aws.sagemaker.async_invocation import ask, queued_config
from bedplate.aws.sagemaker.endpoint_shapes import (
    capture_config,
    deployment_config,
    live_variant,
    mirrored,
    pending_share,
    shares,
    tags_of,
    variant_of,
)
from bedplate.aws.sagemaker.jobs import vpc_config
from bedplate.aws.session import Session
from bedplate.domain.money.instances import has_local_disk
from bedplate.errors import Conflict, PlatformError, UsageError
from bedplate.ports import EndpointState, Prediction, Release, ReleaseDraft, SplitDraft, TrafficRouting

_RELEASE = re.compile(r"-v\d+-[0-9a-f]{7,8}$")


class SageMakerEndpoints:
    """The `Endpoints` port."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._queues: dict[str, str] = {}
        """Asynchronous endpoints met so far, and where their answers go."""

    def observe(self, endpoint: str) -> EndpointState:
        """Raises NotFound for an endpoint that does not exist."""
        with translated(f"Cannot look at endpoint {endpoint}", next_step="bedplate up"):
            told = self._sagemaker.describe_endpoint(EndpointName=endpoint)
        variants = told.get("ProductionVariants") or []
        pending = told.get("PendingDeploymentSummary") or {}
        fleet = (pending.get("ProductionVariants") or [{}])[0]
        phase = (fleet.get("VariantStatus") or [{}])[-1]
        return EndpointState(
            name=endpoint,
            arn=told["EndpointArn"],
            status=told["EndpointStatus"],
            config=told["EndpointConfigName"],
            variants=shares(variants),
            pending_config=pending.get("EndpointConfigName"),
            failure_reason=told.get("FailureReason") or None,
            modified_at=told["LastModifiedTime"],
            pending_share=pending_share(variants, fleet) if phase else None,
            pending_phase=phase.get("Status"),
            pending_since=phase.get("StartTime"),
            shadows=mirrored(variants, told.get("ShadowProductionVariants") or []),
        )

    def create_release(self, draft: ReleaseDraft) -> Release:
        """Create the Model and the EndpointConfig; whichever of the two exists already is left as it is."""
        tags = tags_of(draft.tags)
        container: dict[str, Any] = {"Image": draft.image_uri, "Environment": dict(draft.environment)}
        if draft.artifact_uri:
            container["ModelDataUrl"] = draft.artifact_uri
        self._once(
            f"Cannot create model {draft.name}",
            self._sagemaker.create_model,
            ModelName=draft.name,
            PrimaryContainer=container,
            ExecutionRoleArn=draft.role_arn,
            EnableNetworkIsolation=draft.on_demand is None,  # SageMaker offers neither serverless
            **({"VpcConfig": vpc_config(draft.network)} if draft.network and draft.on_demand is None else {}),
            Tags=tags,
        )
        config: dict[str, Any] = {
            "EndpointConfigName": draft.name,
            "ProductionVariants": [live_variant(draft)],
            "Tags": tags,
        }
        if draft.queued:
            config["AsyncInferenceConfig"] = queued_config(draft.queued, draft.kms_key_arn)
        self._create_config(draft, () if draft.on_demand else (draft.instance_type,), config)
        return self.release(draft.name)

    def create_split(self, draft: SplitDraft) -> None:
        """Create the EndpointConfig over Models that exist; one of that name is left as it is."""
        config: dict[str, Any] = {
            "EndpointConfigName": draft.name,
            "ProductionVariants": [variant_of(variant) for variant in draft.variants],
            "Tags": tags_of(draft.tags),
        }
        if draft.shadows:
            config["ShadowProductionVariants"] = [variant_of(variant) for variant in draft.shadows]
        self._create_config(draft, [v.instance_type for v in (*draft.variants, *draft.shadows)], config)

    def release(self, name: str) -> Release:
        """A release by its EndpointConfig's name; NotFound when there is none (any more)."""
        with translated(f"There is no release {name}"):
            config = self._sagemaker.describe_endpoint_config(EndpointConfigName=name)
            model = self._sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
        container = model.get("PrimaryContainer") or (model.get("Containers") or [{}])[0]
        return Release(name, container.get("ModelDataUrl"), container.get("Environment") or {}, config["CreationTime"])

    def releases(self, endpoint: str) -> Sequence[Release]:
        """Releases that the command line made, newest first; release 0 is Pulumi's and not among them."""
        names: list[str] = []
        with translated(f"Cannot list the releases of {endpoint}"):
            pages = self._sagemaker.get_paginator("list_endpoint_configs").paginate(
                NameContains=f"{endpoint}-v", SortBy="CreationTime", SortOrder="Descending"
            )
            for page in pages:
                names += [c["EndpointConfigName"] for c in page["EndpointConfigs"]]
        mine = [n for n in names if n.startswith(f"{endpoint}-v") and _RELEASE.fullmatch(n.removeprefix(endpoint))]
        found = [self.release(name) for name in mine]
        return sorted(found, key=lambda r: r.created_at, reverse=True)

    def delete_release(self, name: str) -> None:
        """Delete EndpointConfig and Model; what is gone already is no error. SageMaker refuses for a live one."""
        from botocore.exceptions import ClientError

        with translated(f"Cannot delete release {name}"):
            for call, key in (
                (self._sagemaker.delete_endpoint_config, "EndpointConfigName"),
                (self._sagemaker.delete_model, "ModelName"),
            ):
                try:
                    call(**{key: name})
                except ClientError as exc:
                    if not is_missing(exc):
                        raise

    def create_endpoint(self, name: str, release: str, tags: Mapping[str, str]) -> None:
        """Raises Conflict when there is an endpoint of that name."""
        from botocore.exceptions import ClientError

        doing = f"Cannot create endpoint {name}"
        with translated(doing):
            try:
                self._sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=release, Tags=tags_of(tags))
            except ClientError as exc:
                if is_conflict(exc) or "already exist" in str(exc):
                    raise Conflict(f"{doing}: there is one") from exc
                raise

    def named(self, prefix: str) -> Sequence[str]:
        """SageMaker looks for the text anywhere in a name."""
        with translated(f"Cannot list endpoints {prefix}..."):
            pages = self._sagemaker.get_paginator("list_endpoints").paginate(NameContains=prefix)
            names = [str(one["EndpointName"]) for page in pages for one in page["Endpoints"]]
        return [name for name in names if name.startswith(prefix)]

    def delete_endpoint(self, name: str) -> None:
        """One that is gone already is no error."""
        from botocore.exceptions import ClientError

        with translated(f"Cannot delete endpoint {name}"):
            try:
                self._sagemaker.delete_endpoint(EndpointName=name)
            except ClientError as exc:
                if not is_missing(exc):
                    raise

    def update(self, endpoint: str, release: str, traffic: TrafficRouting) -> None:
        """Start a blue/green update. Raises Conflict while another update of the endpoint is in flight.

        SageMaker's deployment guardrails work between configurations of the same variants only. To and from a split
        of other variants all traffic moves at once, and no alarm is watched by SageMaker: the caller has to. Raises
        UsageError when steps are asked for there.
        """
        doing = f"Cannot update endpoint {endpoint}"
        guard: dict[str, Any] = {"DeploymentConfig": deployment_config(traffic)}
        if not self._same_variants(doing, endpoint, release):
            if traffic.kind != "ALL_AT_ONCE":
                raise UsageError(
                    f"{doing}: SageMaker moves traffic step by step only between configurations of the same variants, "
                    f"and {release} has others than are live",
                    next_step="shift the weights first, then move all at once",
                )
            guard = {}
        elif self._is_serverless(release):
            guard = {}  # such an endpoint knows no deployment policy: SageMaker changes it all at once
        self._change(
            doing,
            self._sagemaker.update_endpoint,
            lambda: self.observe(endpoint).pending_config == release,
            EndpointName=endpoint,
            EndpointConfigName=release,
            **guard,
        )

    def set_weights(self, endpoint: str, weights: Mapping[str, float]) -> None:
        """Shift traffic between live variants. Raises Conflict while the endpoint is being updated."""
        self._change(
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
        """Send one request. Raises UsageError with the container's own words when it refuses the request (4xx),
        PlatformError when it fails (5xx)."""
        from botocore.exceptions import ClientError

        if endpoint in self._queues:
            return self._ask_queue(endpoint, body, content_type)
        extra = {k: v for k, v in (("InferenceId", inference_id), ("TargetVariant", variant)) if v}
        doing = f"Endpoint {endpoint} does not answer"
        with translated(doing, next_step="bedplate up"):
            try:
                told = self._runtime.invoke_endpoint(
                    EndpointName=endpoint, Body=body, ContentType=content_type, Accept=content_type, **extra
                )
                answered = told["Body"].read()
            except ClientError as exc:
                if code_of(exc) == "ModelError":
                    raise _container_said(exc, endpoint) from exc
                if code_of(exc) in ("ValidationError", "ValidationException") and self._is_queue(endpoint):
                    return self._ask_queue(endpoint, body, content_type)
                raise
        attributes = custom_attributes(told.get("CustomAttributes", ""))
        return Prediction(
            body=answered,
            content_type=told.get("ContentType", ""),
            variant=told.get("InvokedProductionVariant"),
            release=attributes.get("release"),
            attributes=attributes,
        )

    def _is_queue(self, endpoint: str) -> bool:
        """Whether an endpoint is asynchronous: it refuses to be asked any other way."""
        told = self._sagemaker.describe_endpoint(EndpointName=endpoint)
        if told.get("AsyncInferenceConfig"):
            self._queues[endpoint] = told["AsyncInferenceConfig"]["OutputConfig"]["S3OutputPath"]
        return endpoint in self._queues

    def _ask_queue(self, endpoint: str, body: bytes, content_type: str) -> Prediction:
        release = self.release(self.observe(endpoint).config).environment.get("BEDPLATE_RELEASE")
        return ask(self._session, endpoint, self._queues[endpoint], body, content_type=content_type, release=release)

    @property
    def _sagemaker(self) -> Any:
        return self._session.client("sagemaker")

    @property
    def _runtime(self) -> Any:
        return self._session.client("sagemaker-runtime")

    def _same_variants(self, doing: str, endpoint: str, config: str) -> bool:
        with translated(doing):
            live = self._sagemaker.describe_endpoint(EndpointName=endpoint).get("ProductionVariants") or []
            new = self._sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        return {v["VariantName"] for v in live} == {v["VariantName"] for v in new}

    def _is_serverless(self, config: str) -> bool:
        with translated(f"There is no release {config}"):
            told = self._sagemaker.describe_endpoint_config(EndpointConfigName=config)
        return any(variant.get("ServerlessConfig") for variant in told["ProductionVariants"])

    def _create_config(
        self, draft: ReleaseDraft | SplitDraft, instance_types: Sequence[str], config: dict[str, Any]
    ) -> None:
        if draft.capture_pct > 0:
            config["DataCaptureConfig"] = capture_config(draft)
        if draft.kms_key_arn and instance_types and not any(map(has_local_disk, instance_types)):
            config["KmsKeyId"] = draft.kms_key_arn
        self._once(
            f"Cannot create endpoint configuration {draft.name}", self._sagemaker.create_endpoint_config, **config
        )

    def _desired_weights(self, endpoint: str) -> dict[str, float]:
        told = self._sagemaker.describe_endpoint(EndpointName=endpoint)
        return {v["VariantName"]: float(v.get("DesiredWeight", 1.0)) for v in told.get("ProductionVariants") or []}

    def _change(self, doing: str, call: Any, is_done: Callable[[], bool], **arguments: Any) -> None:
        """Change the endpoint. When the answer to a call is lost, boto3 sends it again, and SageMaker refuses: the
        update that it is busy with is our own. `is_done` tells."""
        from botocore.exceptions import ClientError

        with translated(doing):
            try:
                call(**arguments)
            except ClientError as exc:
                if not _is_busy(exc):
                    raise
                if not (_was_sent_again(exc) and is_done()):
                    raise Conflict(f"{doing}: an update of it is in flight") from exc

    def _once(self, doing: str, call: Any, **arguments: Any) -> None:
        from botocore.exceptions import ClientError

        with translated(doing):
            try:
                call(**arguments)
            except ClientError as exc:
                if not is_conflict(exc) and "already exist" not in str(exc):
                    raise


def custom_attributes(header: str) -> dict[str, str]:
    """What a container says of itself in X-Amzn-SageMaker-Custom-Attributes.

    >>> custom_attributes("release=m-v3-0a1b2c3d;version=3;model=m")["version"]
    '3'
    >>> custom_attributes("")
    {}
    """
    pairs = (part.split("=", 1) for part in header.split(";") if "=" in part)
    return {key.strip(): value.strip() for key, value in pairs}


def _is_busy(exc: Any) -> bool:
    """SageMaker refuses a second update with a ValidationException (`Cannot update in-progress endpoint`)."""
    message = str(exc.response.get("Error", {}).get("Message", "")).lower()
    return is_conflict(exc) or "in-progress" in message or "in progress" in message or "being updated" in message


def _was_sent_again(exc: Any) -> bool:
    return int(exc.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)) > 0


def _container_said(exc: Any, endpoint: str) -> UsageError | PlatformError:
    status = int(exc.response.get("OriginalStatusCode") or 500)
    said = str(exc.response.get("OriginalMessage") or exc.response.get("Error", {}).get("Message", ""))
    model = _plain_error(said)
    if 400 <= status < 500:
        return UsageError(f"The model refused the request: {model}")
    return PlatformError(f"The model behind {endpoint} failed ({status}): {model}", next_step="bedplate local logs")


def _plain_error(said: str) -> str:
    """The sentence inside the container's `{"error": ..., "column": ..., "row": ...}`, or what was said as it is."""
    import json

    try:
        told = json.loads(said)
        return str(told["error"])
    except (ValueError, TypeError, KeyError):
        return said.strip()

"""Endpoints with several production and shadow variants on a running local platform: weights, traffic and capture."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bedplate.aws.sagemaker.endpoints import SageMakerEndpoints
from bedplate.domain.names import VARIANT, bucket
from bedplate.errors import NotFound, PlatformError, UsageError
from bedplate.local import faults
from bedplate.ports import MultiVariantDraft, ReleaseDraft, TrafficRouting, VariantDraft
from local_stage import ACCOUNT, PROJECT, STACK, Stage
from polling import wait_until
from serving_stage import register_version, wait_until_settled

AT_ONCE = TrafficRouting("ALL_AT_ONCE", 100, 0, ())
CAPTURE_BUCKET = bucket(PROJECT, STACK, "capture", ACCOUNT)
ROW = b'{"id": "x", "at": "2013-01-01T00:00:00Z", "age": 47.0, "plan": "pro"}'


@pytest.fixture(scope="module")
def releases(fault_stage: Stage) -> tuple[str, str]:
    """Two releases with different predictions that exist but are not live."""
    endpoints, names = SageMakerEndpoints(fault_stage.session), fault_stage.names
    sagemaker = fault_stage.session.client("sagemaker")
    release_names = []
    for split, digest in ((40.0, "aaaaaaaa"), (60.0, "bbbbbbbb")):
        version = register_version(fault_stage, split=split)
        arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model-package/{names.package_group}/{version}"
        package = sagemaker.describe_model_package(ModelPackageName=arn)
        (container,) = package["InferenceSpecification"]["Containers"]
        name = names.release(version, digest)
        draft = ReleaseDraft(
            name=name,
            image_uri=container["Image"],
            artifact_uri=container["ModelDataUrl"],
            environment={"BEDPLATE_RELEASE": name, "BEDPLATE_VERSION": str(version), "BEDPLATE_MODEL": "churn"},
            role_arn="arn:aws:iam::123456789012:role/bedplate-local-execution",
            variant=VARIANT,
            instance_type="ml.m5.large",
            instance_count=1,
            capture_uri=capture_uri(fault_stage),
            capture_pct=100,
            tags={},
        )
        endpoints.create_release(draft)
        release_names.append(name)
    return release_names[0], release_names[1]


def capture_uri(stage: Stage) -> str:
    return f"s3://{CAPTURE_BUCKET}/{stage.names.capture_prefix}".rstrip("/")


def build_draft(
    stage: Stage, name: str, *variants: VariantDraft, shadows: tuple[VariantDraft, ...] = ()
) -> MultiVariantDraft:
    config = stage.names.multi_variant_config(name)
    return MultiVariantDraft(config, variants, shadows, capture_uri(stage), 100, {"Model": "churn"})


def build_variant(name: str, release: str, weight: float = 1.0) -> VariantDraft:
    return VariantDraft(name, release, "ml.m5.large", 1, weight)


@pytest.fixture
def deploy_draft(fault_stage: Stage) -> Callable[[MultiVariantDraft], SageMakerEndpoints]:
    """Returns a function that creates a multi-variant configuration and updates the endpoint to it."""

    def deploy(draft: MultiVariantDraft) -> SageMakerEndpoints:
        endpoints = SageMakerEndpoints(fault_stage.session)
        endpoints.create_multi_variant(draft)
        endpoints.create_multi_variant(draft)  # an existing configuration is not an error
        endpoints.update(fault_stage.names.endpoint, draft.name, AT_ONCE)
        assert wait_until_settled(fault_stage) == "InService"
        return endpoints

    return deploy


def test_traffic_follows_the_weights_and_a_variant_can_be_targeted(
    fault_stage: Stage, releases: tuple[str, str], deploy_draft: Callable[[MultiVariantDraft], SageMakerEndpoints]
) -> None:
    endpoint = fault_stage.names.endpoint
    variants = build_variant("live", releases[0], 3), build_variant("challenger", releases[1], 1)
    endpoints = deploy_draft(build_draft(fault_stage, "aaaa0001", *variants))
    counts = Counter(endpoints.invoke(endpoint, ROW).variant for _ in range(80))
    assert 40 < counts["live"] < 76
    prediction = endpoints.invoke(endpoint, ROW, variant="challenger")
    assert (prediction.variant, prediction.release) == ("challenger", releases[1])
    assert endpoints.observe(endpoint).variants == {"live": 0.75, "challenger": 0.25}
    lost_response = {"operation": "sagemaker:UpdateEndpointWeightsAndCapacities", "kind": "lost"}
    faults.request_faults(fault_stage.url, "POST", lost_response)  # boto3's retry is not a conflict
    endpoints.set_weights(endpoint, {"live": 0})
    assert faults.request_faults(fault_stage.url, "DELETE") == []
    wait_until_settled(fault_stage)
    assert endpoints.observe(endpoint).variants == {"live": 0.0, "challenger": 1.0}
    assert {endpoints.invoke(endpoint, ROW).release for _ in range(20)} == {releases[1]}
    with pytest.raises(PlatformError, match="not present"):
        endpoints.set_weights(endpoint, {"arm-9": 1})
    with pytest.raises(UsageError, match="only between configurations with the same variants"):
        endpoints.update(endpoint, releases[0], TrafficRouting("CANARY", 10, 60, ()))
    endpoints.update(endpoint, releases[0], AT_ONCE)
    wait_until_settled(fault_stage)
    assert endpoints.observe(endpoint).config == releases[0]


def test_a_shadow_gets_every_request_and_its_predictions_are_only_captured(
    fault_stage: Stage, releases: tuple[str, str], deploy_draft: Callable[[MultiVariantDraft], SageMakerEndpoints]
) -> None:
    endpoint, client = fault_stage.names.endpoint, fault_stage.session.client
    shadows = (build_variant("challenger", releases[1], 1.0),)
    endpoints = deploy_draft(build_draft(fault_stage, "aaaa0002", build_variant("live", releases[0]), shadows=shadows))
    assert endpoints.observe(endpoint).shadows == {"challenger": 1.0}
    assert endpoints.observe(endpoint).variants == {"live": 1.0}
    predictions = [endpoints.invoke(endpoint, ROW, inference_id=f"shadowed-{n}") for n in range(10)]
    assert {prediction.release for prediction in predictions} == {releases[0]}
    s3 = client("s3")
    records = wait_until(lambda: read_captures(s3, fault_stage, "challenger"), lambda records: len(records) == 10)
    assert set(records) == {f"shadowed-{n}" for n in range(10)}
    (attributes,) = records["shadowed-0"]["eventMetadata"]["customAttributes"]
    assert f"release={releases[1]}" in attributes
    assert "took_us=" in attributes
    metrics = client("cloudwatch").list_metrics(
        Namespace="AWS/SageMaker",
        MetricName="ModelLatency",
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "challenger"}],
    )["Metrics"]
    assert len(metrics) == 1


def test_invalid_combinations_of_variants_are_rejected(fault_stage: Stage, releases: tuple[str, str]) -> None:
    endpoints = SageMakerEndpoints(fault_stage.session)
    variants = build_variant("live", releases[0]), build_variant("challenger", releases[1])
    valid = build_draft(fault_stage, "aaaa0003", *variants)
    with pytest.raises(PlatformError, match="only one ProductionVariant"):
        endpoints.create_multi_variant(replace(valid, shadows=(build_variant("arm-3", releases[1]),)))
    with pytest.raises(PlatformError, match="must be unique"):
        endpoints.create_multi_variant(replace(valid, variants=(variants[0], variants[0])))
    with pytest.raises(NotFound, match="no-such-model"):
        endpoints.create_multi_variant(build_draft(fault_stage, "aaaa0005", build_variant("live", "no-such-model")))


def test_every_variant_is_a_scalable_target(fault_stage: Stage) -> None:
    scaling = fault_stage.session.client("application-autoscaling")
    expected = {f"endpoint/{fault_stage.names.endpoint}/variant/{name}" for name in ("live", "challenger")}
    for resource in expected:
        scaling.register_scalable_target(
            ServiceNamespace="sagemaker",
            ResourceId=resource,
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
            MinCapacity=1,
            MaxCapacity=3,
        )
    response = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=sorted(expected))
    assert {target["ResourceId"] for target in response["ScalableTargets"]} == expected


def read_captures(s3: Any, stage: Stage, variant: str) -> dict[str, dict[str, Any]]:
    """The captured requests of a variant by inferenceId."""
    prefix = f"{stage.names.capture_prefix}{stage.names.endpoint}/{variant}/"
    records = {}
    for item in s3.list_objects_v2(Bucket=CAPTURE_BUCKET, Prefix=prefix).get("Contents", []):
        for line in s3.get_object(Bucket=CAPTURE_BUCKET, Key=item["Key"])["Body"].read().splitlines():
            record = json.loads(line)
            if "inferenceId" in record["eventMetadata"]:
                records[record["eventMetadata"]["inferenceId"]] = record
    return records

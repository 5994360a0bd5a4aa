"""Splits over the wire: several releases behind one endpoint, shadows, weights, and what of it is captured."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bedplate.aws.sagemaker.endpoints import SageMakerEndpoints
from bedplate.domain.names import VARIANT
from bedplate.errors import NotFound, PlatformError, UsageError
from bedplate.local import faults
from bedplate.ports import ReleaseDraft, SplitDraft, TrafficRouting, VariantDraft
from local_stage import Stage
from serving_stage import approved, settled

AT_ONCE = TrafficRouting("ALL_AT_ONCE", 100, 0, ())
ROW = b'{"id": "x", "at": "2013-01-01T00:00:00Z", "age": 47.0, "plan": "pro"}'


@pytest.fixture(scope="module")
def releases(rough_stage: Stage) -> tuple[str, str]:
    """Two releases that answer differently, made but not live."""
    endpoints, names = SageMakerEndpoints(rough_stage.session), rough_stage.names
    sagemaker = rough_stage.session.client("sagemaker")
    made = []
    for split, digest in ((40.0, "aaaaaaaa"), (60.0, "bbbbbbbb")):
        version = approved(rough_stage, split=split)
        arn = f"{names.package_group}/{version}"
        package = next(
            p["ModelPackageArn"]
            for p in sagemaker.list_model_packages(ModelPackageGroupName=names.package_group)["ModelPackageSummaryList"]
            if p["ModelPackageArn"].endswith(arn)
        )
        container = sagemaker.describe_model_package(ModelPackageName=package)["InferenceSpecification"]["Containers"][
            0
        ]
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
            capture_uri=capture_uri(rough_stage),
            capture_pct=100,
            tags={},
        )
        endpoints.create_release(draft)
        made.append(name)
    return made[0], made[1]


def capture_uri(stage: Stage) -> str:
    return f"s3://bedplate-local-capture-123456789012/{stage.names.capture_prefix}".rstrip("/")


def draft(stage: Stage, name: str, *variants: VariantDraft, shadows: tuple[VariantDraft, ...] = ()) -> SplitDraft:
    return SplitDraft(stage.names.split(name), variants, shadows, capture_uri(stage), 100, {"Model": "churn"})


def variant(name: str, release: str, weight: float = 1.0) -> VariantDraft:
    return VariantDraft(name, release, "ml.m5.large", 1, weight)


@pytest.fixture
def go(rough_stage: Stage) -> Callable[[SplitDraft], SageMakerEndpoints]:
    """Make a split and make it live."""

    def live(split: SplitDraft) -> SageMakerEndpoints:
        endpoints = SageMakerEndpoints(rough_stage.session)
        endpoints.create_split(split)
        endpoints.create_split(split)  # once more is no error
        endpoints.update(rough_stage.names.endpoint, split.name, AT_ONCE)
        assert settled(rough_stage) == "InService"
        return endpoints

    return live


def test_traffic_follows_the_weights_and_a_variant_can_be_asked_for(
    rough_stage: Stage, releases: tuple[str, str], go: Callable[[SplitDraft], SageMakerEndpoints]
) -> None:
    endpoint = rough_stage.names.endpoint
    endpoints = go(
        draft(rough_stage, "aaaa0001", variant("live", releases[0], 3), variant("challenger", releases[1], 1))
    )
    seen = Counter(endpoints.invoke(endpoint, ROW).variant for _ in range(80))
    assert 40 < seen["live"] < 76
    asked = endpoints.invoke(endpoint, ROW, variant="challenger")
    assert (asked.variant, asked.release) == ("challenger", releases[1])
    assert endpoints.observe(endpoint).variants == {"live": 0.75, "challenger": 0.25}
    lost = {"operation": "sagemaker:UpdateEndpointWeightsAndCapacities", "kind": "lost"}
    faults.ask(rough_stage.url, "POST", lost)  # boto3 asks again, and that is no conflict
    endpoints.set_weights(endpoint, {"live": 0})
    assert faults.ask(rough_stage.url, "DELETE") == []
    settled(rough_stage)
    assert endpoints.observe(endpoint).variants == {"live": 0.0, "challenger": 1.0}
    assert {endpoints.invoke(endpoint, ROW).release for _ in range(20)} == {releases[1]}
    with pytest.raises(PlatformError, match="not present"):
        endpoints.set_weights(endpoint, {"arm-9": 1})
    with pytest.raises(UsageError, match="only between configurations of the same variants"):
        endpoints.update(endpoint, releases[0], TrafficRouting("CANARY", 10, 60, ()))
    endpoints.update(endpoint, releases[0], AT_ONCE)
    settled(rough_stage)
    assert endpoints.observe(endpoint).config == releases[0]


def test_shadow_answers_every_request_and_nobody_gets_its_answer(
    rough_stage: Stage, releases: tuple[str, str], go: Callable[[SplitDraft], SageMakerEndpoints]
) -> None:
    endpoint, client = rough_stage.names.endpoint, rough_stage.session.client
    split = draft(
        rough_stage, "aaaa0002", variant("live", releases[0]), shadows=(variant("challenger", releases[1], 1.0),)
    )
    endpoints = go(split)
    assert endpoints.observe(endpoint).shadows == {"challenger": 1.0}
    assert endpoints.observe(endpoint).variants == {"live": 1.0}
    answers = [endpoints.invoke(endpoint, ROW, inference_id=f"shadowed-{n}") for n in range(10)]
    assert {a.release for a in answers} == {releases[0]}
    records: dict[str, dict[str, Any]] = {}
    for _ in range(50):
        records = _captured(client("s3"), rough_stage, "challenger")
        if len(records) == 10:
            break
    assert set(records) == {f"shadowed-{n}" for n in range(10)}
    told = records["shadowed-0"]["eventMetadata"]["customAttributes"][0]
    assert f"release={releases[1]}" in told
    assert "took_us=" in told
    metric = client("cloudwatch").list_metrics(
        Namespace="AWS/SageMaker",
        MetricName="ModelLatency",
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "challenger"}],
    )["Metrics"]
    assert len(metric) == 1


def test_what_sagemaker_does_not_take_is_refused(rough_stage: Stage, releases: tuple[str, str]) -> None:
    endpoints = SageMakerEndpoints(rough_stage.session)
    two = draft(rough_stage, "aaaa0003", variant("live", releases[0]), variant("challenger", releases[1]))
    with pytest.raises(PlatformError, match="only one ProductionVariant"):
        endpoints.create_split(replace(two, shadows=(variant("arm-3", releases[1]),)))
    with pytest.raises(PlatformError, match="must be unique"):
        endpoints.create_split(replace(two, variants=(two.variants[0], two.variants[0])))
    with pytest.raises(NotFound, match="no-such-model"):
        endpoints.create_split(draft(rough_stage, "aaaa0005", variant("live", "no-such-model")))


def test_every_variant_scales_by_itself(rough_stage: Stage) -> None:
    scaling = rough_stage.session.client("application-autoscaling")
    wanted = {f"endpoint/{rough_stage.names.endpoint}/variant/{name}" for name in ("live", "challenger")}
    for resource in wanted:
        scaling.register_scalable_target(
            ServiceNamespace="sagemaker",
            ResourceId=resource,
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
            MinCapacity=1,
            MaxCapacity=3,
        )
    told = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=sorted(wanted))
    assert {t["ResourceId"] for t in told["ScalableTargets"]} == wanted


def _captured(s3: Any, stage: Stage, variant: str) -> dict[str, dict[str, Any]]:
    bucket = "bedplate-local-capture-123456789012"
    prefix = f"{stage.names.capture_prefix}{stage.names.endpoint}/{variant}/"
    found = {}
    for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
        for line in s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read().splitlines():
            record = json.loads(line)
            if "inferenceId" in record["eventMetadata"]:
                found[record["eventMetadata"]["inferenceId"]] = record
    return found

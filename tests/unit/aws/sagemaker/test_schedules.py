"""What is asked of SageMaker for a schedule: requests that its own model of the API accepts, named by their content."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bedplate.aws.sagemaker.schedules import MonitoringSchedules, definition_request
from bedplate.aws.session import Session
from bedplate.ports import ScheduleDraft
from bedplate.settings import PlatformNetwork

QUALITY = ScheduleDraft(
    kind="model-quality",
    name="bedplate-local-churn-model-quality",
    cron="cron(0 * ? * * *)",
    endpoint="bedplate-local-churn",
    binary=True,
    features=("age", "plan"),
    image_uri="image",
    environment={"BEDPLATE_MODE": "model-quality"},
    constraints_uri="s3://a/constraints.json",
    config_uri=None,
    ground_truth_uri="s3://d/ground-truth/churn/",
    output_uri="s3://a/monitoring/churn",
    start_offset_h=26,
    end_offset_h=0,
    role_arn="arn:aws:iam::123456789012:role/execution",
    instance_type="ml.m5.large",
    max_runtime_s=3600,
    isolated=True,
    tags={"Model": "churn"},
    kms_key_arn="arn:aws:kms:us-east-1:123456789012:key/1",
    network=PlatformNetwork(subnet_ids=("subnet-1",), security_group_ids=("sg-1",)),
)
BIAS = replace(QUALITY, kind="bias", config_uri="s3://a/analysis_config.json")
REASONS = replace(BIAS, kind="explainability", ground_truth_uri=None, isolated=False)
CALLS = {"model-quality": "ModelQuality", "bias": "ModelBias", "explainability": "ModelExplainability"}


@pytest.mark.parametrize("draft", [QUALITY, BIAS, REASONS], ids=lambda draft: draft.kind)
def test_definitions_fit_sagemakers_own_shapes(session: Session, draft: ScheduleDraft) -> None:
    from botocore.validate import ParamValidator

    operation = session.client("sagemaker").meta.service_model.operation_model(
        f"Create{CALLS[draft.kind]}JobDefinition"
    )
    name = MonitoringSchedules(session).definition(draft)
    found = ParamValidator().validate({"JobDefinitionName": name, **definition_request(draft)}, operation.input_shape)
    assert not found.has_errors(), found.generate_report()


def test_only_offsets_that_move_anything_are_asked_for() -> None:
    watched = definition_request(QUALITY)["ModelQualityJobInput"]["EndpointInput"]
    assert watched["StartTimeOffset"] == "-PT26H"
    assert "EndTimeOffset" not in watched


@pytest.mark.parametrize(
    "change",
    [
        {"image_uri": "other"},
        {"constraints_uri": "s3://a/b.json"},
        {"end_offset_h": 1},
        {"instance_type": "ml.m5.xlarge"},
    ],
)
def test_another_content_is_another_definition(session: Session, change: dict[str, Any]) -> None:
    name = MonitoringSchedules(session).definition
    assert name(replace(QUALITY, **change)) != name(QUALITY)


def test_another_hour_is_the_same_definition(session: Session) -> None:
    name = MonitoringSchedules(session).definition
    assert name(replace(QUALITY, cron="cron(0 3 ? * * *)")) == name(QUALITY)


def test_a_long_name_still_fits(session: Session) -> None:
    assert len(MonitoringSchedules(session).definition(replace(QUALITY, name="x" * 63))) == 63


def test_amazons_own_image_is_that_of_the_region(session: Session) -> None:
    found = MonitoringSchedules(session).explainer_image()
    assert found.endswith(".dkr.ecr.us-east-1.amazonaws.com/sagemaker-clarify-processing:1.0")

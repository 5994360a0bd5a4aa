"""Job definitions of schedules: requests that fit SageMaker's API model, with names derived from the content."""

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
    is_binary=True,
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
    network_isolation=True,
    tags={"Model": "churn"},
    kms_key_arn="arn:aws:kms:us-east-1:123456789012:key/1",
    network=PlatformNetwork(subnet_ids=("subnet-1",), security_group_ids=("sg-1",)),
)
BIAS = replace(QUALITY, kind="bias", config_uri="s3://a/analysis_config.json")
EXPLAINABILITY = replace(BIAS, kind="explainability", ground_truth_uri=None, network_isolation=False)
CALLS = {"model-quality": "ModelQuality", "bias": "ModelBias", "explainability": "ModelExplainability"}


@pytest.mark.parametrize("draft", [QUALITY, BIAS, EXPLAINABILITY], ids=lambda draft: draft.kind)
def test_definition_requests_fit_sagemakers_api_model(session: Session, draft: ScheduleDraft) -> None:
    from botocore.validate import ParamValidator

    operation = session.client("sagemaker").meta.service_model.operation_model(
        f"Create{CALLS[draft.kind]}JobDefinition"
    )
    name = MonitoringSchedules(session).definition_name(draft)
    request = {"JobDefinitionName": name, **definition_request(draft)}
    report = ParamValidator().validate(request, operation.input_shape)
    assert not report.has_errors(), report.generate_report()


def test_offsets_of_zero_hours_are_left_out() -> None:
    endpoint_input = definition_request(QUALITY)["ModelQualityJobInput"]["EndpointInput"]
    assert endpoint_input["StartTimeOffset"] == "-PT26H"
    assert "EndTimeOffset" not in endpoint_input


@pytest.mark.parametrize(
    "change",
    [
        {"image_uri": "other"},
        {"constraints_uri": "s3://a/b.json"},
        {"end_offset_h": 1},
        {"instance_type": "ml.m5.xlarge"},
    ],
)
def test_changed_content_changes_the_definition_name(session: Session, change: dict[str, Any]) -> None:
    name = MonitoringSchedules(session).definition_name
    assert name(replace(QUALITY, **change)) != name(QUALITY)


def test_another_cron_keeps_the_definition_name(session: Session) -> None:
    name = MonitoringSchedules(session).definition_name
    assert name(replace(QUALITY, cron="cron(0 3 ? * * *)")) == name(QUALITY)


def test_a_long_schedule_name_is_shortened_to_63_characters(session: Session) -> None:
    assert len(MonitoringSchedules(session).definition_name(replace(QUALITY, name="x" * 63))) == 63


def test_clarifys_image_is_that_of_the_region(session: Session) -> None:
    image_uri = MonitoringSchedules(session).clarify_image()
    assert image_uri.endswith(".dkr.ecr.us-east-1.amazonaws.com/sagemaker-clarify-processing:1.0")

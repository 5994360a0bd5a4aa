"""A mode change is found for an endpoint that stays, and for no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from bedplate.domain.stacks.mode_change import ModeChange, find_mode_changes

INSTANCE = {"productionVariants": [{"instanceType": "ml.m5.large"}]}
SERVERLESS = {"productionVariants": [{"serverlessConfig": {"memorySizeInMb": 2048}}]}
ASYNC = {**INSTANCE, "asyncInferenceConfig": {"outputConfig": {}}}


@dataclass(frozen=True)
class Resource:
    type: str
    name: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    op: str = "update"
    urn: str = "urn"
    parent: str = ""


def endpoint(before: Any, after: Any) -> Resource:
    return Resource("aws:sagemaker/endpoint:Endpoint", "p-s-churn", before, after)


def config(before: Any, after: Any) -> Resource:
    return Resource("aws:sagemaker/endpointConfiguration:EndpointConfiguration", "p-s-churn-v0", before, after)


@pytest.mark.parametrize(
    ("before", "after", "modes"),
    [
        (INSTANCE, SERVERLESS, ("instance", "serverless")),
        (SERVERLESS, ASYNC, ("serverless", "async")),
        (ASYNC, INSTANCE, ("async", "instance")),
    ],
)
def test_every_mode_change_of_an_existing_endpoint_is_found(before: Any, after: Any, modes: tuple[str, str]) -> None:
    assert find_mode_changes([config(before, after), endpoint({}, {})]) == (ModeChange("p-s-churn", *modes),)


def test_other_configuration_changes_are_ignored() -> None:
    other = {"productionVariants": [{"instanceType": "ml.m5.xlarge"}]}
    assert find_mode_changes([config(INSTANCE, other), endpoint({}, {})]) == ()


def test_a_new_or_deleted_endpoint_may_have_any_mode() -> None:
    assert find_mode_changes([config(INSTANCE, ASYNC), endpoint(None, {})]) == ()
    assert find_mode_changes([config(INSTANCE, ASYNC), endpoint({}, None)]) == ()
    assert find_mode_changes([config(None, ASYNC), endpoint({}, {})]) == ()

"""Creates, reads, updates and deletes every supported resource type on a running local platform."""

from __future__ import annotations

import pytest

from bedplate.engine.protocol import INTENT_TAG, DiffChanges
from bedplate.engine.provider.aws_provider import AwsProvider
from bedplate.engine.provider.tables import RESOURCE_TYPES, find_resource_type

from .automation_cases import CASES as AUTOMATION_CASES
from .cases import CASES as PLATFORM_CASES
from .cases import TAGS, Case
from .conftest import SEED, Apply
from .network_cases import CASES as NETWORK_CASES

CASES = (*PLATFORM_CASES, *AUTOMATION_CASES, *NETWORK_CASES)

every_type = pytest.mark.parametrize("case", CASES, ids=str)


def test_every_supported_type_has_a_case() -> None:
    assert {case.type for case in CASES} == set(RESOURCE_TYPES)


@every_type
def test_a_resource_is_created_found_updated_replaced_and_deleted(
    case: Case, apply: Apply, shared_resources: dict[str, str], provider: AwsProvider
) -> None:
    inputs = case.inputs(shared_resources) | ({"tags": TAGS} if case.has_tags else {})
    resource = apply(case.type, inputs)
    assert resource.id
    assert resource.outputs is not None
    assert inputs.items() <= resource.outputs.items()

    # a second `up` has no changes, and a refresh finds no drift
    assert resource.check(inputs) == resource.inputs
    assert resource.diff(resource.inputs).changes == DiffChanges.NONE
    resource.assert_no_drift()

    # a create that was killed is found by its own intent only
    assert provider.find_by_intent(case.type, resource.intent, resource.inputs) == resource.id
    if case.has_tags and find_resource_type(case.type).tags:
        assert provider.find_by_intent(case.type, "another intent", resource.inputs) is None

    if case.update:
        news = resource.check({**inputs, **case.update(shared_resources)})
        diff = resource.diff(news)
        assert diff.changes == DiffChanges.SOME
        assert diff.replaces == ()
        assert {path.split(".")[0].split("[")[0] for path in diff.diffs} <= set(case.update(shared_resources))
        resource.update(news)
        assert resource.diff(news).changes == DiffChanges.NONE
        resource.assert_no_drift()
        resource.update(news)  # a second time, as after a kill

    if case.has_tags:
        news = {**resource.inputs, "tags": {"Owner": "c@d.example", "New": "1"}}
        diff = resource.diff(news)
        assert diff.changes == DiffChanges.SOME
        assert diff.replaces == ()
        resource.update(news)
        live = resource.read()
        assert live.inputs["tags"] == {"Owner": "c@d.example", "New": "1"}
        assert INTENT_TAG not in live.outputs["tags"]
        assert provider.find_by_intent(case.type, resource.intent, resource.inputs) == resource.id

    for key, value in case.replacements.items():
        diff = resource.diff({**resource.inputs, key: value})
        assert any(path.split(".")[0].split("[")[0] == key for path in diff.replaces), key

    resource.delete()
    if not case.survives_delete:
        assert resource.read().id is None
    resource.delete()  # deleting a resource that does not exist succeeds


@every_type
def test_a_preview_has_the_inputs_and_the_name_of_the_update(
    case: Case, apply: Apply, shared_resources: dict[str, str], provider: AwsProvider
) -> None:
    inputs = case.inputs(shared_resources)
    planned = apply(case.type, inputs, create=False)
    preview = provider.create(planned.urn, planned.type, planned.inputs, True, "")
    rechecked = provider.check(planned.urn, planned.type, None, inputs, SEED)
    assert preview.id == ""
    assert planned.inputs.items() <= preview.outputs.items()
    assert rechecked.inputs == planned.inputs


@every_type
def test_an_unknown_property_fails_the_check(
    case: Case, shared_resources: dict[str, str], provider: AwsProvider
) -> None:
    inputs = {**case.inputs(shared_resources), "colour": "red"}
    result = provider.check(f"urn:pulumi:test::shop::{case.type}::x", case.type, None, inputs, SEED)
    assert [failure.property for failure in result.failures] == ["colour"]

"""Every resource type through its whole life, against a running local platform."""

from __future__ import annotations

import pytest

from bedplate.engine.protocol import INTENT_TAG, DiffChanges
from bedplate.engine.provider.aws import AwsProvider
from bedplate.engine.provider.tables import KINDS, kind_of

from .cases import CASES as PLATFORM_CASES
from .cases import TAGS, Case
from .conftest import SEED, Apply
from .holding_cases import CASES as HOLDING_CASES
from .watching_cases import CASES as WATCHING_CASES

CASES = (*PLATFORM_CASES, *WATCHING_CASES, *HOLDING_CASES)

every_type = pytest.mark.parametrize("case", CASES, ids=str)


def test_every_known_type_has_a_case() -> None:
    assert {case.type for case in CASES} == set(KINDS)


@every_type
def test_life_of_a_resource(case: Case, apply: Apply, ground: dict[str, str], provider: AwsProvider) -> None:
    inputs = case.inputs(ground) | ({"tags": TAGS} if case.tags else {})
    thing = apply(case.type, inputs)
    assert thing.id
    assert thing.outputs is not None
    assert inputs.items() <= thing.outputs.items()

    # a second `up` has nothing to do, and the world agrees
    assert thing.checked(inputs) == thing.inputs
    assert thing.diff(thing.inputs).changes == DiffChanges.NONE
    thing.assert_no_drift()

    # a create that was killed is found again, and by its own intent only
    assert provider.find_by_intent(case.type, thing.intent, thing.inputs) == thing.id
    if case.tags and kind_of(case.type).tags:
        assert provider.find_by_intent(case.type, "another intent", thing.inputs) is None

    if case.update:
        news = thing.checked({**inputs, **case.update(ground)})
        diff = thing.diff(news)
        assert diff.changes == DiffChanges.SOME
        assert diff.replaces == ()
        assert {path.split(".")[0].split("[")[0] for path in diff.diffs} <= set(case.update(ground))
        thing.update(news)
        assert thing.diff(news).changes == DiffChanges.NONE
        thing.assert_no_drift()
        thing.update(news)  # once more, as after a kill

    if case.tags:
        news = {**thing.inputs, "tags": {"Owner": "c@d.example", "New": "1"}}
        diff = thing.diff(news)
        assert diff.changes == DiffChanges.SOME
        assert diff.replaces == ()
        thing.update(news)
        found = thing.read()
        assert found.inputs["tags"] == {"Owner": "c@d.example", "New": "1"}
        assert INTENT_TAG not in found.outputs["tags"]
        assert provider.find_by_intent(case.type, thing.intent, thing.inputs) == thing.id

    for key, value in case.replace.items():
        diff = thing.diff({**thing.inputs, key: value})
        assert any(path.split(".")[0].split("[")[0] == key for path in diff.replaces), key

    thing.delete()
    if not case.survives:
        assert thing.read().id is None
    thing.delete()  # what is gone already is a success


@every_type
def test_preview_agrees_with_up(case: Case, apply: Apply, ground: dict[str, str], provider: AwsProvider) -> None:
    inputs = case.inputs(ground)
    planned = apply(case.type, inputs, create=False)
    preview = provider.create(planned.urn, planned.type, planned.inputs, True, "")
    again = provider.check(planned.urn, planned.type, None, inputs, SEED)
    assert preview.id == ""
    assert planned.inputs.items() <= preview.outputs.items()
    assert again.inputs == planned.inputs


@every_type
def test_a_property_that_nobody_knows_is_refused(case: Case, ground: dict[str, str], provider: AwsProvider) -> None:
    inputs = {**case.inputs(ground), "colour": "red"}
    result = provider.check(f"urn:pulumi:test::shop::{case.type}::x", case.type, None, inputs, SEED)
    assert [failure.property for failure in result.failures] == ["colour"]

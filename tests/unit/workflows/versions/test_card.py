"""The model card of a version."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bedplate.domain.versions.package import build_archive
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.versions.card import find_tampering, list_live_periods, load_card, publish_card, store_details
from builders import a_package, a_spec, a_stack_context
from fakes import FakeStackContext

E = "bedplate-local-churn"
GROUP = "bedplate-local-churn"


@dataclass
class FakeCards:
    cards: dict[str, tuple[Any, str]] = field(default_factory=dict)

    def put(self, name: str, content: Any, status: str) -> tuple[str, int]:
        self.cards[name] = (content, status)
        return f"arn:{name}", 1

    def delete(self, name: str) -> None:
        self.cards.pop(name, None)


@pytest.fixture
def stack(tmp_path: Path) -> FakeStackContext:
    """v2 is live after v1; the contract has changed since the training of v2."""
    context = a_stack_context(tmp_path, a_spec(limits=["today's"]))
    training_spec = a_spec(limits=["never tried on new plans"], intended_use="calls")
    context.objects.put(
        "s3://artifacts/code", build_archive({"contract.json": training_spec.model_dump_json().encode()})
    )
    metadata = {"code_uri": "s3://artifacts/code", "evaluation_uri": "s3://artifacts/e/evaluation.json", "notes": "new"}
    context.registry.packages[GROUP] = [a_package(1), a_package(2, metadata=metadata), a_package(3)]
    ledger = Ledger.of(context)
    for version in (1, 2):
        live = f"{E}-v{version}-0a1b2c3d"
        ledger.record("deployed", "live", actor="ada", model="churn", version=version, data={"live": live})
        context.clock.sleep(60)
    context.endpoints.live[E] = f"{E}-v2-0a1b2c3d"
    return context


def test_use_and_limits_come_from_the_contract_of_the_training(stack: FakeStackContext) -> None:
    assert load_card(stack, "churn", 2).limits == ("never tried on new plans",)
    assert load_card(stack, "churn", 2).intended_use == "calls"
    assert load_card(stack, "churn", 1).limits == ("today's",)  # its code archive does not exist


def test_the_card_lists_current_roles_and_live_periods(stack: FakeStackContext) -> None:
    live, earlier, never = (load_card(stack, "churn", v) for v in (2, 1, 3))
    assert (live.is_live, earlier.is_live, never.deployments) == (True, False, ())
    assert live.rollback_candidate == f"{E}-v1-0a1b2c3d"
    assert [role.role for role in earlier.deployments] == ["rollback candidate"]
    assert earlier.live_periods[0].until == live.live_periods[0].since
    assert live.live_periods[0].until is None


def test_live_periods_follow_the_order_of_the_records(stack: FakeStackContext) -> None:
    ledger = Ledger.of(stack)
    data = {"live": f"{E}-v1-0a1b2c3d"}
    ledger.record("rollback", "back", actor="ada", model="churn", version=1, data=data)
    assert [period.until is None for period in list_live_periods(ledger.records(), "churn", 1)] == [False, True]
    assert [period.until is None for period in list_live_periods(ledger.records(), "churn", 2)] == [False]


def test_later_notes_replace_those_of_the_training(stack: FakeStackContext) -> None:
    assert load_card(stack, "churn", 2).notes == "new"
    data = {"notes": "n" * 500}
    Ledger.of(stack).record("approved", "yes", actor="ada", model="churn", version=2, data=data)
    assert load_card(stack, "churn", 2).notes == "n" * 500


def test_changed_details_are_found(stack: FakeStackContext) -> None:
    card = load_card(stack, "churn", 2)
    package = stack.registry.update_metadata(
        stack.registry.get(GROUP, 2), {"details_sha256": store_details(stack, card)}
    )
    assert find_tampering(stack, package) is None
    uri = "s3://artifacts/e/details.json"
    stack.objects.put(uri, stack.objects.get(uri).replace(b"calls", b"wages"))
    assert "was changed" in (find_tampering(stack, package) or "")
    del stack.objects.contents[uri]
    assert "is gone" in (find_tampering(stack, package) or "")


def test_a_card_is_published_with_its_versions_name_and_status(stack: FakeStackContext) -> None:
    cards = FakeCards()
    publish_card(stack, cards, load_card(stack, "churn", 3))
    assert cards.cards[f"{GROUP}-v3"][1] == "PendingReview"

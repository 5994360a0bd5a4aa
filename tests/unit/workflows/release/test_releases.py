"""Retention and pruning of releases."""

from __future__ import annotations

from datetime import timedelta

from bedplate.ports import Release
from bedplate.workflows.release.releases import decide_retention, list_releases, prune_releases
from fakes import EPOCH, FakeStackContext
from release_builders import ENDPOINT
from release_stack import deploy_version


def build_release(version: int) -> Release:
    return Release(f"{ENDPOINT}-v{version}-0a1b2c3d", None, {}, EPOCH + timedelta(days=version))


def test_live_pending_and_rollback_targets_are_kept(stack: FakeStackContext) -> None:
    from dataclasses import replace

    from bedplate.workflows.endpoint.observe import observe_endpoint

    existing = [build_release(n) for n in (6, 5, 4, 3, 2, 1)]
    observed = replace(observe_endpoint(stack, "churn", ()), live=existing[3].name, pending=existing[0].name)
    retentions = decide_retention(existing, observed, [existing[3].name, existing[4].name, existing[5].name], 2)
    assert [k.reason for k in retentions] == ["being deployed", "", "", "live", "rollback target", ""]


def test_newest_releases_are_kept_up_to_the_number_to_keep(stack: FakeStackContext) -> None:
    from bedplate.workflows.endpoint.observe import observe_endpoint

    existing = [build_release(n) for n in (3, 2, 1)]
    assert [k.reason for k in decide_retention(existing, observe_endpoint(stack, "churn", ()), [], 2)] == [
        "recent",
        "recent",
        "",
    ]


def test_pruning_deletes_releases_with_their_alarms_but_not_the_live_one(stack: FakeStackContext) -> None:
    spec = stack.specs["churn"]
    stack.specs["churn"] = spec.model_copy(update={"rollout": spec.rollout.model_copy(update={"keep_releases": 2})})
    live = deploy_version(stack, version=1).live
    for n in (4, 5, 6):
        stack.endpoints.releases[build_release(n).name] = build_release(n)
    deleted = prune_releases(stack, "churn")
    assert live not in deleted
    assert len(deleted) == 2
    assert prune_releases(stack, "churn") == ()
    assert live in {k.release for k in list_releases(stack, "churn")}

"""Which releases stay."""

from __future__ import annotations

from datetime import timedelta

from bedplate.ports import Release
from bedplate.workflows.release.releases import keep, prune, releases
from fakes import EPOCH, FakeStackContext
from unit.workflows.release.test_deploy import E, platform
from unit.workflows.release.test_deploy import run as deploy_version

__all__ = ["platform"]


def a_release(version: int) -> Release:
    return Release(f"{E}-v{version}-0a1b2c3d", None, {}, EPOCH + timedelta(days=version))


def test_live_pending_and_rollback_targets_stay_and_the_rest_may_go(platform: FakeStackContext) -> None:
    from dataclasses import replace

    from bedplate.workflows.endpoint.observe import observe

    existing = [a_release(n) for n in (6, 5, 4, 3, 2, 1)]
    seen = replace(observe(platform, "churn", ()), live=existing[3].name, pending=existing[0].name)
    kept = keep(existing, seen, [existing[3].name, existing[4].name, existing[5].name], 2)
    assert [k.why for k in kept] == ["on its way", "", "", "live", "a rollback may go there", ""]


def test_below_the_number_to_keep_the_newest_stay(platform: FakeStackContext) -> None:
    from bedplate.workflows.endpoint.observe import observe

    existing = [a_release(n) for n in (3, 2, 1)]
    assert [k.why for k in keep(existing, observe(platform, "churn", ()), [], 2)] == ["recent", "recent", ""]


def test_pruning_deletes_a_release_with_its_alarm_and_never_the_live_one(platform: FakeStackContext) -> None:
    spec = platform.specs["churn"]
    platform.specs["churn"] = spec.model_copy(update={"rollout": spec.rollout.model_copy(update={"keep_releases": 2})})
    live = deploy_version(platform, version=1).live
    for n in (4, 5, 6):
        platform.endpoints.held[a_release(n).name] = a_release(n)
    gone = prune(platform, "churn")
    assert live not in gone
    assert len(gone) == 2
    assert prune(platform, "churn") == ()
    assert live in {k.release for k in releases(platform, "churn")}

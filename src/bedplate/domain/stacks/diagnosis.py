"""Assesses what `doctor` measured: clock offset, quotas, budgets and alert subscriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bedplate.settings import ModelSpec

SKEW_WARN_S, SKEW_FAIL_S = 60.0, 300.0
"""AWS refuses a signature whose time differs by more than five minutes (IAM User Guide, Signature Version 4)."""
BUDGETS_PER_PAYER = 20_000
"""The maximum number of budgets of a payer account (AWS Budgets API reference). Service Quotas does not list it."""
MONITORING_INSTANCE = "ml.m5.large"
"""The instance type of the hourly monitoring jobs of infra/monitoring.py."""
SERVERLESS_QUOTA = "total concurrency across all serverless endpoints"


class Health(StrEnum):
    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: its name, its health, the details, and a command or an instruction that fixes it (empty
    if none is needed)."""

    check: str
    health: Health
    detail: str
    fix: str = ""
    section: str = ""


def ok(check: str, detail: str) -> Finding:
    return Finding(check, Health.OK, detail)


def warn(check: str, detail: str, fix: str) -> Finding:
    return Finding(check, Health.WARN, detail, fix)


def fail(check: str, detail: str, fix: str) -> Finding:
    return Finding(check, Health.FAIL, detail, fix)


def skip(check: str, detail: str, fix: str = "") -> Finding:
    return Finding(check, Health.SKIPPED, detail, fix)


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Returns whether no finding is FAIL.

    >>> is_healthy([ok("git", "2.47"), warn("disk", "2 GB", "make room")]), is_healthy([fail("git", "not there", "")])
    (True, False)
    """
    return all(finding.health is not Health.FAIL for finding in findings)


def assess_clock(local_time: datetime, server_time: datetime) -> Finding:
    """Compares this machine's clock with a server's Date header, which has whole seconds.

    >>> from datetime import UTC, timedelta
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> [assess_clock(noon + timedelta(seconds=s), noon).health.value for s in (0.9, 90, -400)]
    ['OK', 'WARN', 'FAIL']
    """
    offset_s = (local_time - server_time).total_seconds()
    offset = f"{abs(offset_s):.0f} s {'ahead of' if offset_s > 0 else 'behind'} the server's Date header"
    if abs(offset_s) > SKEW_FAIL_S:
        return fail("clock", f"{offset}; signatures older than 5 minutes are refused", "sudo timedatectl set-ntp true")
    if abs(offset_s) > SKEW_WARN_S:
        return warn("clock", offset, "sudo timedatectl set-ntp true")
    return ok("clock", f"within {max(2, round(abs(offset_s)))} s of the server's Date header")


@dataclass(frozen=True, slots=True)
class QuotaNeed:
    """The need of a quota (named as in Service Quotas): nothing works below `minimum`, some things fail below
    `maximum`."""

    name: str
    minimum: float
    maximum: float
    reason: str


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota as Service Quotas lists it."""

    name: str
    code: str
    value: float
    adjustable: bool


def list_quota_needs(
    models: Mapping[str, ModelSpec], *, reconciler_instance: str | None = None
) -> tuple[QuotaNeed, ...]:
    """Returns the SageMaker quotas that these models need at the same time, by instance type and use.

    A blue/green deployment starts a new fleet beside the old one, so one deployment is added to the serving fleets.
    `reconciler_instance` is the instance type of the reconciler's job, if events start it.
    """
    needs: list[QuotaNeed] = []
    training: dict[str, int] = {}
    processing: dict[str, int] = {}
    endpoints: dict[str, list[tuple[int, int]]] = {}
    concurrency = 0
    for spec in models.values():
        instance_type = spec.training.instance_type
        use = f"{instance_type} for {'spot ' if spec.training.spot else ''}training job usage"
        training[use] = max(training.get(use, 0), spec.training.instance_count)
        processing[instance_type] = max(1, processing.get(instance_type, 0))
        if spec.serving.mode == "serverless":
            concurrency += spec.serving.serverless.max_concurrency
        else:
            fleet = (spec.serving.instance_count, spec.serving.max_instances)
            endpoints.setdefault(spec.serving.instance_type, []).append(fleet)
            processing[MONITORING_INSTANCE] = processing.get(MONITORING_INSTANCE, 0) + 1
    if reconciler_instance:
        processing[reconciler_instance] = processing.get(reconciler_instance, 0) + 1
    for use, count in sorted(training.items()):
        needs.append(QuotaNeed(use, count, count, f"one training runs on {count}"))
    for instance_type, count in sorted(processing.items()):
        reason = "evaluation and monitoring jobs" if count > 1 else "one evaluation or monitoring job"
        needs.append(QuotaNeed(f"{instance_type} for processing job usage", 1, count, f"{reason} on {count}"))
    for instance_type, fleets in sorted(endpoints.items()):
        extra = max(count for count, _ in fleets)
        minimum, maximum = sum(count for count, _ in fleets) + extra, sum(top for _, top in fleets) + extra
        reason = f"{minimum - extra} serve, a deployment adds {extra}, scaling goes to {maximum}"
        needs.append(QuotaNeed(f"{instance_type} for endpoint usage", minimum, maximum, reason))
    if concurrency:
        reason = f"serverless endpoints serve {concurrency} requests at once"
        needs.append(QuotaNeed(SERVERLESS_QUOTA, 1, concurrency, reason))
    return tuple(needs)


def assess_quotas(needs: Sequence[QuotaNeed], quotas: Mapping[str, Quota]) -> tuple[Finding, ...]:
    """Compares each need with the account's quotas, which are keyed by their names in lower case."""
    return tuple(_assess_quota(need, _find_quota(need.name.casefold(), quotas)) for need in needs)


def _find_quota(name: str, quotas: Mapping[str, Quota]) -> Quota | None:
    """Returns the quota of that name, or whose name ends with it: some of SageMaker's begin with a type or with
    `Maximum`."""
    return quotas.get(name) or next((quotas[key] for key in quotas if key.endswith(f" {name}")), None)


def _assess_quota(need: QuotaNeed, quota: Quota | None) -> Finding:
    check = f"quota: {need.name}"
    if quota is None:
        fix = "check the console, Service Quotas > Amazon SageMaker: this region may not offer the type"
        return warn(check, f"{need.reason}; Service Quotas does not list it here", fix)
    detail = f"{quota.value:g}; {need.reason}"
    fix = "use another instance type in model.yaml: this quota is not adjustable"
    if quota.adjustable:
        request = "aws service-quotas request-service-quota-increase --service-code sagemaker"
        fix = f"{request} --quota-code {quota.code} --desired-value {need.maximum:g}"
    if quota.value < need.minimum:
        return fail(check, detail, fix)
    return warn(check, detail, fix) if quota.value < need.maximum else ok(check, detail)


def assess_budgets(existing: int, new: int) -> Finding:
    """Checks that an environment's budgets fit into the account's limit.

    >>> assess_budgets(12, 6).detail
    '12 of 20,000 budgets exist; this environment has 6'
    """
    detail = f"{existing:,} of {BUDGETS_PER_PAYER:,} budgets exist; this environment has {new}"
    if existing + new > BUDGETS_PER_PAYER:
        return fail("budgets", detail, "delete unused budgets: aws budgets delete-budget")
    return ok("budgets", detail)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription of a topic; nothing is sent to an e-mail address until its owner confirms it in AWS's mail."""

    endpoint: str
    is_confirmed: bool


def assess_alerts(
    emails: Sequence[str], subscriptions: Sequence[Subscription], *, up_command: str = "bedplate up"
) -> Finding:
    """Checks that the addresses of the stack file's `alerts.emails` receive alerts; `up_command` subscribes them.

    >>> assess_alerts(["ops@example.com"], [Subscription("ops@example.com", is_confirmed=False)]).health.value
    'WARN'
    >>> assess_alerts(["ops@example.com"], []).health.value
    'FAIL'
    """
    is_confirmed = {s.endpoint.casefold(): s.is_confirmed for s in subscriptions}
    missing = [email for email in emails if email.casefold() not in is_confirmed]
    waiting = [email for email in emails if is_confirmed.get(email.casefold()) is False]
    if missing:
        return fail("alerts", f"{', '.join(missing)} is not subscribed to the alerts topic", up_command)
    if waiting:
        fix = f"follow the link in the mail `AWS Notification - Subscription Confirmation`; after 3 days: {up_command}"
        return warn("alerts", f"{', '.join(waiting)} has not confirmed the subscription and receives no alerts", fix)
    return ok("alerts", f"{len(emails)} of {len(emails)} e-mail subscriptions are confirmed")

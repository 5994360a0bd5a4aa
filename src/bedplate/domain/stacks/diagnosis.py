"""What a look at one part of an environment found, and what it makes of figures: clocks, quotas, subscriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bedplate.settings import ModelSpec

SKEW_WARN_S, SKEW_FAIL_S = 60.0, 300.0
"""AWS refuses a signature whose time is off by more than five minutes (IAM User Guide, Signature Version 4)."""
BUDGETS_PER_PAYER = 20_000
"""Budgets that one payer account may have (API reference of AWS Budgets). Service Quotas does not list it."""
MONITORING_INSTANCE = "ml.m5.large"
"""What the hourly monitoring jobs of infra/monitoring.py run on."""
SERVERLESS_QUOTA = "total concurrency across all serverless endpoints"


class Health(StrEnum):
    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: what was looked at, how it is, and what to do about it (empty when there is nothing to do)."""

    check: str
    health: Health
    what: str
    mend: str = ""
    section: str = ""


def ok(check: str, what: str) -> Finding:
    return Finding(check, Health.OK, what)


def warn(check: str, what: str, mend: str) -> Finding:
    return Finding(check, Health.WARN, what, mend)


def fail(check: str, what: str, mend: str) -> Finding:
    return Finding(check, Health.FAIL, what, mend)


def skipped(check: str, what: str, mend: str = "") -> Finding:
    return Finding(check, Health.SKIPPED, what, mend)


def is_sound(findings: Iterable[Finding]) -> bool:
    """Whether nothing FAILs.

    >>> is_sound([ok("git", "2.47"), warn("disk", "2 GB", "make room")]), is_sound([fail("git", "not there", "")])
    (True, False)
    """
    return all(finding.health is not Health.FAIL for finding in findings)


def judge_clock(here: datetime, there: datetime) -> Finding:
    """This machine's clock against a server's Date header, which has whole seconds.

    >>> from datetime import UTC, timedelta
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> [judge_clock(noon + timedelta(seconds=s), noon).health.value for s in (0.9, 90, -400)]
    ['OK', 'WARN', 'FAIL']
    """
    off_s = (here - there).total_seconds()
    said = f"{abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} the server's Date header"
    if abs(off_s) > SKEW_FAIL_S:
        return fail("clock", f"{said}; signatures older than 5 minutes are refused", "sudo timedatectl set-ntp true")
    if abs(off_s) > SKEW_WARN_S:
        return warn("clock", said, "sudo timedatectl set-ntp true")
    return ok("clock", f"within {max(2, round(abs(off_s)))} s of the server's Date header")


@dataclass(frozen=True, slots=True)
class QuotaNeed:
    """So many of a quota (named as in Service Quotas): without `least` nothing works, without `most` not everything."""

    name: str
    least: float
    most: float
    because: str


@dataclass(frozen=True, slots=True)
class Quota:
    """One quota as Service Quotas lists it."""

    name: str
    code: str
    value: float
    adjustable: bool


def quota_needs(models: Mapping[str, ModelSpec], *, reconcile_on: str | None = None) -> tuple[QuotaNeed, ...]:
    """What these models ask of SageMaker's quotas at once, by instance type and use.

    An endpoint's new fleet stands beside the old one during a blue/green deployment, so one deployment is counted on
    top of what serves. `reconcile_on` is the instance type of the reconciler's job, where events start it.
    """
    needs: list[QuotaNeed] = []
    training: dict[str, int] = {}
    processing: dict[str, tuple[int, int]] = {}
    endpoints: dict[str, list[tuple[int, int]]] = {}
    concurrency = 0
    for spec in models.values():
        kind = spec.training.instance_type
        use = f"{kind} for {'spot ' if spec.training.spot else ''}training job usage"
        training[use] = max(training.get(use, 0), spec.training.instance_count)
        processing[kind] = (1, max(1, processing.get(kind, (1, 0))[1]))
        if spec.serving.mode == "serverless":
            concurrency += spec.serving.serverless.max_concurrency
        else:
            fleet = (spec.serving.instance_count, spec.serving.max_instances)
            endpoints.setdefault(spec.serving.instance_type, []).append(fleet)
            least, most = processing.get(MONITORING_INSTANCE, (1, 0))
            processing[MONITORING_INSTANCE] = (least, most + 1)
    if reconcile_on:
        processing[reconcile_on] = (1, processing.get(reconcile_on, (1, 0))[1] + 1)
    for use, count in sorted(training.items()):
        needs.append(QuotaNeed(use, count, count, f"one training runs on {count}"))
    for kind, (least, most) in sorted(processing.items()):
        said = "evaluation and monitoring jobs" if most > 1 else "one evaluation or monitoring job"
        needs.append(QuotaNeed(f"{kind} for processing job usage", least, most, f"{said} on {most}"))
    for kind, fleets in sorted(endpoints.items()):
        beside = max(count for count, _ in fleets)
        least, most = sum(count for count, _ in fleets) + beside, sum(top for _, top in fleets) + beside
        said = f"{least - beside} serve, {beside} more stand beside them in a deployment, scaling goes to {most}"
        needs.append(QuotaNeed(f"{kind} for endpoint usage", least, most, said))
    if concurrency:
        said = f"serverless endpoints answer {concurrency} requests at once"
        needs.append(QuotaNeed(SERVERLESS_QUOTA, 1, concurrency, said))
    return tuple(needs)


def judge_quotas(needs: Sequence[QuotaNeed], have: Mapping[str, Quota]) -> tuple[Finding, ...]:
    """Each need against the account's quotas, which are keyed by their names in lower case."""
    return tuple(_judged(need, _named(need.name.casefold(), have)) for need in needs)


def _named(name: str, have: Mapping[str, Quota]) -> Quota | None:
    """The quota of that name, or whose name ends so: SageMaker's begin with a type, or with `Maximum`."""
    return have.get(name) or next((quota for known, quota in have.items() if known.endswith(f" {name}")), None)


def _judged(need: QuotaNeed, quota: Quota | None) -> Finding:
    check = f"quota: {need.name}"
    if quota is None:
        mend = "look in the console, Service Quotas > Amazon SageMaker: the type may not be offered in this region"
        return warn(check, f"{need.because}; Service Quotas does not list it here", mend)
    said = f"{quota.value:g}; {need.because}"
    raise_it = (
        f"aws service-quotas request-service-quota-increase --service-code sagemaker --quota-code {quota.code} "
        f"--desired-value {need.most:g}"
    )
    mend = raise_it if quota.adjustable else "ask for another instance type in model.yaml: this one is not adjustable"
    if quota.value < need.least:
        return fail(check, said, mend)
    return warn(check, said, mend) if quota.value < need.most else ok(check, said)


def judge_budgets(existing: int, new: int) -> Finding:
    """Whether the account's budgets leave room for an environment's.

    >>> judge_budgets(12, 6).what
    '12 of 20,000 budgets exist; this environment has 6'
    """
    said = f"{existing:,} of {BUDGETS_PER_PAYER:,} budgets exist; this environment has {new}"
    if existing + new > BUDGETS_PER_PAYER:
        return fail("budgets", said, "delete budgets that nobody reads: aws budgets delete-budget")
    return ok("budgets", said)


@dataclass(frozen=True, slots=True)
class Subscription:
    """Somebody who is told by a topic; until a person clicks the link in AWS's mail, nothing is sent."""

    endpoint: str
    confirmed: bool


def judge_alerts(emails: Sequence[str], subscriptions: Sequence[Subscription], *, up: str = "bedplate up") -> Finding:
    """Whether the people of the stack file's `alerts.emails` will hear of an alert; `up` subscribes them.

    >>> judge_alerts(["ops@example.com"], [Subscription("ops@example.com", confirmed=False)]).health.value
    'WARN'
    >>> judge_alerts(["ops@example.com"], []).health.value
    'FAIL'
    """
    known = {each.endpoint.casefold(): each.confirmed for each in subscriptions}
    missing = [email for email in emails if email.casefold() not in known]
    waiting = [email for email in emails if known.get(email.casefold()) is False]
    if missing:
        return fail("alerts", f"{', '.join(missing)} is not subscribed to the alerts topic", up)
    if waiting:
        mend = f"follow the link in the mail `AWS Notification - Subscription Confirmation`; after 3 days: {up}"
        return warn("alerts", f"{', '.join(waiting)} has not confirmed the subscription: nothing is sent there", mend)
    return ok("alerts", f"{len(emails)} of {len(emails)} e-mail subscriptions are confirmed")

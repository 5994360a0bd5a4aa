"""Checks account, region, quotas, permissions and platform for `doctor`, on AWS or on the local platform."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from bedplate import ports
from bedplate.domain.names import PERSONAS
from bedplate.domain.stacks import availability, diagnosis
from bedplate.domain.stacks.diagnosis import Finding, fail, ok, skip, warn
from bedplate.domain.stacks.permissions import (
    ConditionKeys,
    Permission,
    StackArns,
    find_mismatches,
    find_persona,
    list_permissions,
)
from bedplate.errors import BedplateError, Denied, NotFound, PlatformError
from bedplate.settings import ModelSpec, StackSettings
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.stacks.doctor import TIMEOUT_S, DoctorCheck, Findings
from bedplate.workflows.stacks.stack import StackState

SERVICES = (
    *("sts", "sagemaker", "sagemaker-runtime", "s3", "iam", "kms", "ssm", "ecr", "logs", "cloudwatch", "events"),
    *("sns", "budgets", "ce", "application-autoscaling", "cloudtrail", "service-quotas"),
)
"""The AWS services that the commands and the program call."""
ACCOUNT, PLATFORM = "account", "the platform"
LONG_TIMEOUT_S = 60.0
_SHOWN = 3


class LockInfo(Protocol):
    """`engine.state.lock.LockInfo`."""

    @property
    def description(self) -> str: ...
    @property
    def is_on_other_machine(self) -> bool: ...


class LockableState(StackState, Protocol):
    """`engine.automation.stack.Stack`, with its lock."""

    def active_engine(self) -> str: ...
    def lock_holder(self) -> LockInfo | None: ...


class CheckedStack(StackContext, Protocol):
    """`wiring.Connection`, or a test's fake."""

    @property
    def local_url(self) -> str | None: ...
    @property
    def account(self) -> ports.Account: ...
    def deployment(self, engine: str | None = None, *, install: bool = False) -> LockableState: ...


def account_checks(
    connect: Callable[[], CheckedStack], settings: StackSettings, *, persona: str | None = None
) -> tuple[DoctorCheck, ...]:
    """Returns the checks of the account and the platform. Each check calls `connect`, which returns the same connection
    every time; the first call may take long.

    `persona` is the one whose permissions the credentials must have, by default the one whose role they are. For
    credentials of no persona, each persona is reported, and the check FAILs only if the permissions of none are
    complete.
    """

    def check(
        name: str,
        run: Callable[[CheckedStack], Findings],
        after: tuple[str, ...] = (),
        section: str = ACCOUNT,
        timeout_s: float = TIMEOUT_S,
    ) -> DoctorCheck:
        return DoctorCheck(name, section, lambda: run(connect()), after, timeout_s)

    on_aws = settings.target == "aws"
    connected = () if on_aws else ("local platform",)
    signed_in, deployed = ("account",), ("account", "stack")
    checks = [
        check("endpoints", lambda stack: check_endpoints(stack.account), connected, timeout_s=LONG_TIMEOUT_S),
        check("credentials", check_credentials, connected),
        check("account", check_account, ("credentials",)),
        check("region", lambda stack: check_region(stack.account, settings.region), signed_in),
        check("instance types", lambda stack: check_instance_types(_load_models(stack), settings), connected),
        check("quotas", check_quotas, signed_in, timeout_s=LONG_TIMEOUT_S),
        check("budgets", check_budgets, signed_in),
        check("permissions", partial(check_permissions, persona=persona), signed_in, timeout_s=LONG_TIMEOUT_S),
        check("state", check_state, ("pulumi",) if on_aws else connected, PLATFORM, LONG_TIMEOUT_S),
        check("stack", check_stack, signed_in, PLATFORM),
        check("image", check_image, deployed, PLATFORM),
        check("key", check_key, deployed, PLATFORM),
        check("alerts", check_alerts, deployed, PLATFORM),
        *(check(f"role {p}", partial(check_role, persona=p), deployed, PLATFORM, LONG_TIMEOUT_S) for p in PERSONAS),
    ]
    if not on_aws:
        checks.insert(0, check("local platform", check_local_platform, timeout_s=LONG_TIMEOUT_S))
    return tuple(checks)


def check_local_platform(stack: CheckedStack) -> Finding:
    """Checks that the local platform responds; `connect` has started it."""
    return ok("local platform", f"responds at {stack.local_url}")


def check_endpoints(account: ports.Account) -> tuple[Finding, ...]:
    """Returns two findings: which endpoints respond, and the clock compared with a server's Date header."""
    services_by_url = account.list_service_urls(SERVICES)
    with ThreadPoolExecutor(8) as pool:
        responses = dict(
            zip(services_by_url, pool.map(partial(_get_server_time, account), services_by_url), strict=True)
        )
    errors = {url: response for url, response in responses.items() if isinstance(response, str)}
    clock = skip("clock", "no server returned its time")
    for time in responses.values():
        if not isinstance(time, str) and time.server_time is not None:
            clock = diagnosis.assess_clock(time.local_time, time.server_time)
            break
    if not errors:
        service_count = sum(map(len, services_by_url.values()))
        place = f"{len(services_by_url)} addresses" if len(services_by_url) > 1 else next(iter(services_by_url))
        return ok("endpoints", f"all {service_count} services respond at {place}"), clock
    names = ", ".join(service for url in errors for service in services_by_url[url])
    fix = "allow these addresses in the firewall, or set HTTPS_PROXY (and AWS_CA_BUNDLE if the proxy inspects TLS)"
    return fail("endpoints", f"no response from {names}: {next(iter(errors.values()))}", fix), clock


def _get_server_time(account: ports.Account, url: str) -> ports.ServerTime | str:
    try:
        return account.get_server_time(url)
    except BedplateError as exc:
        return exc.message


def check_credentials(stack: CheckedStack) -> Finding:
    """Checks that STS accepts the credentials. A region that is not enabled rejects valid credentials with the same
    message."""
    try:
        arn = stack.identity.arn
    except PlatformError as exc:
        enable = f"aws account enable-region --region-name {stack.settings.region}"
        return fail(
            "credentials", exc.message, exc.next_step or f"aws configure sso; if the region is not enabled: {enable}"
        )
    if arn.endswith(":root") and stack.local_url is None:
        return warn("credentials", f"{arn}: the root user has every permission", "sign in as a role: aws configure sso")
    return ok("credentials", arn)


def check_account(stack: CheckedStack) -> Finding:
    """Checks that the credentials belong to the account in the stack's file."""
    actual, expected = stack.identity.account_id, stack.settings.account_id
    file = f"stacks/Pulumi.{stack.name}.yaml"
    if stack.local_url:
        return ok("account", f"{actual}, of the local platform")
    if expected is None:
        detail = f"{actual}; {file} names none, so `up` would use any account that the credentials belong to"
        return warn("account", detail, f'add to {file}: bedplate:account_id: "{actual}"')
    if actual != expected:
        fix = "export AWS_PROFILE=<a profile of that account>, then: aws sts get-caller-identity"
        return fail("account", f"the credentials belong to {actual}, but {file} says {expected}", fix)
    return ok("account", f"{actual}, as {file} says")


def check_region(account: ports.Account, name: str) -> Finding:
    """Checks that the region has SageMaker and is enabled in the account."""
    if not account.has_sagemaker():
        detail = f"{name} has no SageMaker according to the SDK's endpoint table"
        return fail("region", detail, "set aws:region in the stack's file to another region")
    try:
        state = account.get_region_state()
    except Denied:  # a region that is not enabled rejects all credentials, and its STS has just accepted these
        return ok("region", f"{name} accepts these credentials, and has SageMaker")
    if state == "not-opted-in":
        fix = f"aws account enable-region --region-name {name}"
        return fail("region", f"{name} is not enabled in this account", fix)
    if state == "unknown":
        return fail("region", f"EC2 has no region {name}", "correct aws:region in the stack's file")
    return ok("region", f"{name} is enabled ({state}) and has SageMaker")


def check_instance_types(models: Mapping[str, ModelSpec], settings: StackSettings) -> Finding:
    """Checks the models' instance types in the dated table of `domain.stacks.availability`; the quotas are specific to
    the account."""
    instance_types = {spec.training.instance_type for spec in models.values()}
    instance_types |= {spec.serving.instance_type for spec in models.values() if spec.serving.mode != "serverless"}
    offers = {name: availability.is_offered(settings.region, name) for name in sorted(instance_types)}
    offers |= dict.fromkeys(instance_types & {*settings.available_instance_types}, True)
    missing = [name for name, is_offered in offers.items() if is_offered is False]
    if missing:
        elsewhere = ", ".join(availability.list_regions_with(missing[0])[:5])
        return fail("instance types", f"{settings.region} lacks {', '.join(missing)}", f"regions with it: {elsewhere}")
    unknown = [name for name, is_offered in offers.items() if is_offered is None]
    if unknown:
        detail = f"the table does not say whether {settings.region} has {', '.join(unknown)}"
        return warn("instance types", detail, "see the quotas below, which list the types of the region")
    return ok("instance types", f"{settings.region} has {', '.join(offers)} (table of {availability.AS_OF})")


def check_quotas(stack: CheckedStack) -> tuple[Finding, ...]:
    """Checks that the quotas suffice for the stack's models and the reconciler."""
    automation = stack.settings.automation
    reconciler = automation.instance_type if automation.reconcile else None
    needs = diagnosis.list_quota_needs(_load_models(stack), reconciler_instance=reconciler)
    return diagnosis.assess_quotas(needs, stack.account.list_quotas())


def check_budgets(stack: CheckedStack) -> Finding:
    """Counts the platform's budget and one for each model, without the few budgets of stages."""
    return diagnosis.assess_budgets(stack.account.count_budgets(), 1 + len(stack.settings.models))


def check_permissions(stack: CheckedStack, persona: str | None) -> tuple[Finding, ...]:
    """Checks what the current credentials are allowed, for one persona or for each."""
    principal = stack.account.find_principal()
    if principal is None:
        reason = "the local platform has no IAM" if stack.local_url else "the root user has every permission"
        return (ok("permissions", f"not checked: {reason}"),)
    arns = _build_arns(stack)
    own_persona = persona or find_persona(stack.identity.arn, stack.project, stack.name)
    if own_persona:
        return (_check_persona(stack.account, principal, own_persona, arns, strict=True),)
    findings = tuple(_check_persona(stack.account, principal, name, arns, strict=False) for name in PERSONAS)
    if any(not finding.fix for finding in findings):
        return findings
    fix = "sign in as one of the platform's roles, or as an identity that can create them"
    return (fail("permissions", f"{principal} does not have the permissions of any persona", fix), *findings)


def _check_persona(account: ports.Account, principal: str, persona: str, arns: StackArns, *, strict: bool) -> Finding:
    name = f"you as {persona}"
    permissions = [permission for permission in list_permissions(persona, arns) if permission.is_allowed]
    missing, _ = _simulate(account, principal, permissions)
    action_count = sum(len(permission.actions) for permission in permissions)
    if not missing:
        return ok(name, f"all {action_count} permissions are allowed")
    detail = f"{len(missing)} of {action_count} permissions are missing: {_format_first(missing)}"
    fix = f"assume the role {arns.prefix}-{persona}, or add its statements (infra/personas) to {principal}"
    return fail(name, detail, fix) if strict else warn(name, detail, fix)


def check_role(stack: CheckedStack, persona: str) -> Finding:
    """Checks that a persona's role allows what it needs, and nothing that it must be denied."""
    name = f"role {persona}"
    arn = stack.outputs.persona_role_arns.get(persona)
    if arn is None:
        return skip(name, "the platform has no such role", f"bedplate up --stack {stack.name}")
    permissions = list_permissions(persona, _build_arns(stack))
    missing, excess = _simulate(stack.account, arn, permissions)
    fix = f"bedplate drift --stack {stack.name}, then bedplate up --refresh --stack {stack.name}"
    if excess:
        return fail(name, f"is allowed what it must not do: {_format_first(excess)}", fix)
    if missing:
        return fail(name, f"is denied what it needs: {_format_first(missing)}", fix)
    return ok(name, f"all {sum(len(permission.actions) for permission in permissions)} permissions are correct")


def _simulate(account: ports.Account, principal: str, permissions: Sequence[Permission]) -> tuple[list[str], list[str]]:
    """Returns the actions that are denied but needed, and those that are allowed but must be denied, as IAM simulates
    them."""
    decisions: dict[tuple[str, str, ConditionKeys], bool] = {}
    for p in dict.fromkeys(permissions):
        simulated = account.simulate_permissions(principal, p)
        decisions |= {(action, p.resource, p.condition_keys): simulated[action] for action in p.actions}
    return find_mismatches(permissions, decisions)


def check_state(stack: CheckedStack) -> tuple[Finding, ...]:
    """Returns two findings: whether the state can be read, and who holds its lock."""
    engine = stack.deployment().active_engine()
    deployment = stack.deployment(engine)  # opening the other engine would migrate the state
    lock = deployment.lock_holder()
    try:
        updates = deployment.history(limit=1)
    except NotFound:
        return ok("state", "readable; the stack was never brought up"), _check_lock(lock, None, stack.name)
    last_result = updates[0].result if updates else None
    return ok("state", f"readable; last update: {last_result or 'none'}"), _check_lock(lock, last_result, stack.name)


def _check_lock(lock: LockInfo | None, last_result: str | None, stack: str) -> Finding:
    if lock and lock.is_on_other_machine:
        fix = f"bedplate state unlock --stack {stack}, after its process there has ended"
        return warn("lock", f"held by another machine: {lock.description}", fix)
    if lock:
        return warn("lock", f"held: {lock.description}", "wait until it is released")
    if last_result == "in-progress":
        fix = f"wait until it ends; if its process no longer runs: pulumi cancel --stack {stack}"
        return warn("lock", "an update is in progress, or its process was killed", fix)
    if last_result == "interrupted":
        fix = f"bedplate up --stack {stack}, which continues from there"
        return warn("lock", "free; the last update was interrupted", fix)
    return ok("lock", "free")


def check_stack(stack: CheckedStack) -> Finding:
    """Checks that the stack is up."""
    try:
        outputs = stack.outputs
    except NotFound:
        return skip("stack", "not up yet", f"bedplate up --stack {stack.name}")
    return ok("stack", f"is up, with {', '.join(outputs.models)}")


def check_image(stack: CheckedStack) -> Finding:
    """Checks that the image of jobs and endpoints is in the registry. Raises PlatformError if it is not."""
    uri = stack.outputs.image_uri
    digest = stack.account.pin_image(uri)
    if digest is None:
        return skip("image", "not needed: the local platform runs the same code without an image")
    return ok("image", f"{uri} is {digest.rpartition('@')[2][:19]}")


def check_key(stack: CheckedStack) -> Finding:
    """Checks that the stack's KMS key is enabled and that the credentials can use it."""
    arn = stack.outputs.kms_key_arn
    key_state = stack.account.get_key_state(arn)
    if key_state != "Enabled":
        key_id = arn.rpartition("/")[2]
        fix = f"aws kms enable-key --key-id {key_id}"
        if key_state == "PendingDeletion":
            fix = f"aws kms cancel-key-deletion --key-id {key_id} && {fix}"
        return fail("key", f"{key_id} is {key_state}: data cannot be read or written", fix)
    stack.account.check_key(arn)
    return ok("key", "enabled; encrypts and decrypts")


def check_alerts(stack: CheckedStack) -> Finding:
    """Checks that the alert addresses of the stack's file have confirmed subscriptions."""
    subscriptions = stack.account.list_subscriptions(stack.outputs.alerts_topic_arn)
    return diagnosis.assess_alerts(
        stack.settings.alerts.emails, subscriptions, up_command=f"bedplate up --refresh --stack {stack.name}"
    )


def _load_models(stack: CheckedStack) -> dict[str, ModelSpec]:
    return {name: stack.model(name) for name in stack.settings.models}


def _build_arns(stack: CheckedStack) -> StackArns:
    """Includes the keys' ARNs if the platform is up."""
    partition = stack.identity.arn.split(":")[1]
    identity = (stack.project, stack.name, stack.settings.region, stack.identity.account_id, stack.settings.models)
    try:
        outputs = stack.outputs
    except NotFound:
        return StackArns(*identity, partition=partition)
    return StackArns(*identity, outputs.kms_key_arn, outputs.signing_key_arn, partition)


def _format_first(texts: Sequence[str]) -> str:
    others = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + others

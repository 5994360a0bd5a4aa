"""What `doctor` asks of AWS, or of the local platform in its place: account, region, quotas, permissions, platform."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from bedplate import ports
from bedplate.domain.names import PERSONAS
from bedplate.domain.stacks import availability
from bedplate.domain.stacks.diagnosis import (
    Finding,
    assess_alerts,
    assess_budgets,
    assess_clock,
    assess_quotas,
    fail,
    list_quota_needs,
    ok,
    skip,
    warn,
)
from bedplate.domain.stacks.permissions import (
    ConditionKeys,
    Permission,
    StackArns,
    find_mismatches,
    find_persona,
    list_permissions,
)
from bedplate.errors import BedplateError, Denied, NotFound, PlatformError
from bedplate.settings import ModelSpec, PlatformOutputs, StackSettings
from bedplate.workflows.stacks.doctor import DoctorCheck

SERVICES = (
    *("sts", "sagemaker", "sagemaker-runtime", "s3", "iam", "kms", "ssm", "ecr", "logs", "cloudwatch", "events"),
    *("sns", "budgets", "ce", "application-autoscaling", "cloudtrail", "service-quotas"),
)
"""What the commands and the program ask."""
ACCOUNT, PLATFORM = "account", "the platform"
LONG_TIMEOUT_S = 60.0
_SHOWN = 3


class Run(Protocol):
    @property
    def result(self) -> str: ...


class LockInfo(Protocol):
    """`engine.lock.LockInfo`."""

    @property
    def description(self) -> str: ...
    @property
    def on_other_machine(self) -> bool: ...


class State(Protocol):
    """`engine.stack.Stack`, as far as it is looked at."""

    def history(self, limit: int = 20) -> Sequence[Run]: ...
    def active_engine(self) -> str: ...
    def lock_holder(self) -> LockInfo | None: ...


class CheckedStack(Protocol):
    """`wiring.Connection`, or a test's fake."""

    @property
    def project(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def local_url(self) -> str | None: ...
    @property
    def settings(self) -> StackSettings: ...
    @property
    def identity(self) -> ports.Identity: ...
    @property
    def outputs(self) -> PlatformOutputs: ...
    @property
    def account(self) -> ports.Account: ...
    def deployment(self, engine: str | None = None, *, install: bool = False) -> State: ...
    def model(self, name: str) -> ModelSpec: ...


def account_checks(
    connect: Callable[[], CheckedStack], settings: StackSettings, *, persona: str | None = None
) -> tuple[DoctorCheck, ...]:
    """Each check calls `connect`, which answers with the same connection every time; the first call may take long.

    `persona`: whose work the credentials must allow. Without one it is the persona whose role they are; others are
    told what they could do, and FAIL only when that is nobody's work.
    """
    on_aws = settings.target == "aws"
    reach = () if on_aws else ("local platform",)
    signed, deployed = ("account",), ("account", "stack")
    checks = [
        DoctorCheck("endpoints", ACCOUNT, lambda: check_endpoints(connect().account), reach, timeout_s=LONG_TIMEOUT_S),
        DoctorCheck("credentials", ACCOUNT, lambda: check_credentials(connect()), reach),
        DoctorCheck("account", ACCOUNT, lambda: check_account(connect()), ("credentials",)),
        DoctorCheck("region", ACCOUNT, lambda: check_region(connect().account, settings.region), signed),
        DoctorCheck("instance types", ACCOUNT, lambda: check_instance_types(_load_models(connect()), settings), reach),
        DoctorCheck("quotas", ACCOUNT, lambda: check_quotas(connect()), signed, timeout_s=LONG_TIMEOUT_S),
        DoctorCheck("budgets", ACCOUNT, lambda: check_budgets(connect()), signed),
        DoctorCheck("permissions", ACCOUNT, lambda: check_permissions(connect(), persona), signed, timeout_s=LONG_TIMEOUT_S),
        DoctorCheck("state", PLATFORM, lambda: check_state(connect()), ("pulumi",) if on_aws else reach, timeout_s=LONG_TIMEOUT_S),
        DoctorCheck("stack", PLATFORM, lambda: check_stack(connect()), signed),
        DoctorCheck("image", PLATFORM, lambda: check_image(connect()), deployed),
        DoctorCheck("key", PLATFORM, lambda: check_key(connect()), deployed),
        DoctorCheck("alerts", PLATFORM, lambda: check_alerts(connect()), deployed),
        *(_role_check(connect, each, deployed) for each in PERSONAS),
    ]
    if not on_aws:
        checks.insert(0, DoctorCheck("local platform", ACCOUNT, lambda: check_local_platform(connect()), timeout_s=LONG_TIMEOUT_S))
    return tuple(checks)


def _role_check(connect: Callable[[], CheckedStack], persona: str, after: tuple[str, ...]) -> DoctorCheck:
    return DoctorCheck(f"role {persona}", PLATFORM, lambda: check_role(connect(), persona), after, timeout_s=LONG_TIMEOUT_S)


def check_local_platform(stack: CheckedStack) -> Finding:
    return ok("local platform", f"answers at {stack.local_url}")


def check_endpoints(account: ports.Account) -> tuple[Finding, ...]:
    """Two rows: which endpoints answer, and the clock by one's Date header."""
    addresses = account.list_service_urls(SERVICES)
    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(addresses, pool.map(lambda url: _get_server_time(account, url), addresses), strict=True))
    lost = {url: said for url, said in found.items() if isinstance(said, str)}
    heard = [said for said in found.values() if not isinstance(said, str) and said.server_time is not None]
    by_date = assess_clock(heard[0].local_time, heard[0].server_time) if heard and heard[0].server_time else None
    clock = by_date or skip("clock", "no server told its time")
    if not lost:
        services = sum(map(len, addresses.values()))
        where = f"{len(addresses)} addresses" if len(addresses) > 1 else next(iter(addresses))
        return ok("endpoints", f"all {services} services answer at {where}"), clock
    names = ", ".join(service for url in lost for service in addresses[url])
    said = f"no answer from {names}: {next(iter(lost.values()))}"
    mend = "open these addresses in the firewall, or set HTTPS_PROXY (and AWS_CA_BUNDLE for a proxy that opens TLS)"
    return fail("endpoints", said, mend), clock


def _get_server_time(account: ports.Account, url: str) -> ports.ServerTime | str:
    try:
        return account.get_server_time(url)
    except BedplateError as exc:
        return exc.message


def check_credentials(stack: CheckedStack) -> Finding:
    """Whether STS knows us. A region that is not enabled refuses the best credentials, and says the same words."""
    try:
        arn = stack.identity.arn
    except PlatformError as exc:
        enable = f"aws account enable-region --region-name {stack.settings.region}"
        return fail("credentials", exc.message, exc.next_step or f"aws configure sso; if the region is off: {enable}")
    if arn.endswith(":root") and stack.local_url is None:
        return warn("credentials", f"{arn}: the account's root may do anything", "sign in as a role: aws configure sso")
    return ok("credentials", arn)


def check_account(stack: CheckedStack) -> Finding:
    found, wanted = stack.identity.account_id, stack.settings.account_id
    file = f"stacks/Pulumi.{stack.name}.yaml"
    if stack.local_url:
        return ok("account", f"{found}, the local platform's")
    if wanted is None:
        said = f"{found}; {file} names none, so that `up` goes wherever the credentials lead"
        return warn("account", said, f'add to {file}: bedplate:account_id: "{found}"')
    if found != wanted:
        mend = "export AWS_PROFILE=<a profile of that account>, then: aws sts get-caller-identity"
        return fail("account", f"these credentials are of {found}, and {file} says {wanted}", mend)
    return ok("account", f"{found}, as {file} says")


def check_region(account: ports.Account, name: str) -> Finding:
    if not account.has_sagemaker():
        said = f"{name} has no SageMaker, as far as the SDK's table knows"
        return fail("region", said, "set aws:region in the stack's file to another one")
    try:
        state = account.get_region_state()
    except Denied:  # a region that is not enabled knows no credentials, and its STS has just vouched for these
        return ok("region", f"{name} knows these credentials, and has SageMaker")
    if state == "not-opted-in":
        mend = f"aws account enable-region --region-name {name}"
        return fail("region", f"{name} is not enabled in this account", mend)
    if state == "unknown":
        return fail("region", f"EC2 knows no region {name}", "correct aws:region in the stack's file")
    return ok("region", f"{name} is enabled ({state}) and has SageMaker")


def check_instance_types(models: Mapping[str, ModelSpec], settings: StackSettings) -> Finding:
    """By the dated table of `domain.stacks.availability`; the quotas say the same of this very account."""
    wanted = {spec.training.instance_type for spec in models.values()}
    wanted |= {spec.serving.instance_type for spec in models.values() if spec.serving.mode != "serverless"}
    known = {kind: availability.is_offered(settings.region, kind) for kind in sorted(wanted)}
    known |= dict.fromkeys(wanted & {*settings.available_instance_types}, True)
    lacking = [kind for kind, offered in known.items() if offered is False]
    if lacking:
        elsewhere = ", ".join(availability.list_regions_with(lacking[0])[:5])
        return fail("instance types", f"{settings.region} lacks {', '.join(lacking)}", f"regions with it: {elsewhere}")
    unknown = [kind for kind, offered in known.items() if offered is None]
    if unknown:
        said = f"nobody knows beforehand whether {settings.region} has {', '.join(unknown)}"
        return warn("instance types", said, "the quotas below list what the region has")
    return ok("instance types", f"{', '.join(known)} are in {settings.region} (table of {availability.AS_OF})")


def check_quotas(stack: CheckedStack) -> tuple[Finding, ...]:
    automation = stack.settings.automation
    reconciler = automation.instance_type if automation.reconcile else None
    return assess_quotas(list_quota_needs(_load_models(stack), reconciler_instance=reconciler), stack.account.list_quotas())


def check_budgets(stack: CheckedStack) -> Finding:
    """The platform's and each model's; those of stages are few beside them and not counted."""
    return assess_budgets(stack.account.count_budgets(), 1 + len(stack.settings.models))


def check_permissions(stack: CheckedStack, persona: str | None) -> tuple[Finding, ...]:
    """What the credentials at hand may do, of each persona's work or of one's."""
    principal = stack.account.find_principal()
    if principal is None:
        who = "the local platform asks nobody" if stack.local_url else "the account's root may do anything"
        return (ok("permissions", f"not looked at: {who}"),)
    place = _build_arns(stack)
    wanted = persona or find_persona(stack.identity.arn, stack.project, stack.name)
    if wanted:
        return (_check_persona(stack.account, principal, wanted, place, strict=True),)
    found = tuple(_check_persona(stack.account, principal, each, place, strict=False) for each in PERSONAS)
    if any(not each.fix for each in found):
        return found
    mend = "sign in as one of the platform's roles, or as somebody who may make them"
    return (fail("permissions", f"{principal} may do nobody's work", mend), *found)


def _check_persona(account: ports.Account, principal: str, persona: str, arns: StackArns, *, strict: bool) -> Finding:
    name = f"you as {persona}"
    wanted = [ask for ask in list_permissions(persona, arns) if ask.is_allowed]
    lacking, _ = find_mismatches(wanted, _simulate(account, principal, wanted))
    actions = sum(len(ask.actions) for ask in wanted)
    if not lacking:
        return ok(name, f"all {actions} permissions of its work")
    said = f"{len(lacking)} of {actions} permissions lack: {_format_first(lacking)}"
    mend = f"act as {arns.prefix}-{persona}, or have its statements (infra/personas) added to {principal}"
    return fail(name, said, mend) if strict else warn(name, said, mend)


def check_role(stack: CheckedStack, persona: str) -> Finding:
    """Whether a persona's role still allows its work, and nothing that it must not."""
    name = f"role {persona}"
    arn = stack.outputs.persona_role_arns.get(persona)
    if arn is None:
        return skip(name, "the platform has no such role", f"bedplate up --stack {stack.name}")
    wanted = list_permissions(persona, _build_arns(stack))
    lacking, open_ = find_mismatches(wanted, _simulate(stack.account, arn, wanted))
    mend = f"bedplate drift --stack {stack.name}, then bedplate up --refresh --stack {stack.name}"
    if open_:
        return fail(name, f"may do what it must not: {_format_first(open_)}", mend)
    if lacking:
        return fail(name, f"may not do its work: {_format_first(lacking)}", mend)
    return ok(name, f"{sum(len(ask.actions) for ask in wanted)} permissions as they should be")


def _simulate(
    account: ports.Account, principal: str, permissions: Iterable[Permission]
) -> dict[tuple[str, str, ConditionKeys], bool]:
    found = {}
    for ask in dict.fromkeys(permissions):
        said = account.simulate_permissions(principal, ask)
        found.update({(action, ask.resource, ask.condition_keys): said[action] for action in ask.actions})
    return found


def check_state(stack: CheckedStack) -> tuple[Finding, ...]:
    """Two rows: whether the state can be read, and who is at it."""
    keeper = stack.deployment().active_engine()
    deployment = stack.deployment(keeper)  # the other engine would take the state over
    held = deployment.lock_holder()
    try:
        runs = deployment.history(limit=1)
    except NotFound:
        return ok("state", "readable; the stack was never brought up"), _check_lock(held, None, stack.name)
    last = runs[0].result if runs else None
    return ok("state", f"readable; the last run: {last or 'none'}"), _check_lock(held, last, stack.name)


def _check_lock(lock: LockInfo | None, last_result: str | None, stack: str) -> Finding:
    if lock and lock.on_other_machine:
        mend = f"bedplate state unlock --stack {stack}, when nothing runs there any more"
        return warn("lock", f"held by another machine: {lock.description}", mend)
    if lock:
        return warn("lock", f"held: {lock.description}", "wait for it")
    if last_result == "in-progress":
        mend = f"wait for it; if it is dead: pulumi cancel --stack {stack}"
        return warn("lock", "an update is under way, or its process is dead", mend)
    if last_result == "interrupted":
        return warn(
            "lock", "free; the last run was interrupted", f"bedplate up --stack {stack}, which goes on from there"
        )
    return ok("lock", "free")


def check_stack(stack: CheckedStack) -> Finding:
    try:
        outputs = stack.outputs
    except NotFound:
        return skip("stack", "not up yet", f"bedplate up --stack {stack.name}")
    return ok("stack", f"is up, with {', '.join(outputs.models)}")


def check_image(stack: CheckedStack) -> Finding:
    """Whether the image that jobs and endpoints run is in the registry. Raises PlatformError where it is not."""
    uri = stack.outputs.image_uri
    digest = stack.account.pin_image(uri)
    if digest is None:
        return skip("image", "none is pushed for the local platform, which runs the same code without")
    return ok("image", f"{uri} is {digest.rpartition('@')[2][:19]}")


def check_key(stack: CheckedStack) -> Finding:
    arn = stack.outputs.kms_key_arn
    said = stack.account.get_key_state(arn)
    if said != "Enabled":
        name = arn.rpartition("/")[2]
        mend = f"aws kms enable-key --key-id {name}"
        if said == "PendingDeletion":
            mend = f"aws kms cancel-key-deletion --key-id {name} && {mend}"
        return fail("key", f"{name} is {said}: nothing can be read or written", mend)
    stack.account.check_key(arn)
    return ok("key", "enabled; what it encrypts, it opens")


def check_alerts(stack: CheckedStack) -> Finding:
    heard_by = stack.account.list_subscriptions(stack.outputs.alerts_topic_arn)
    return assess_alerts(stack.settings.alerts.emails, heard_by, up_command=f"bedplate up --refresh --stack {stack.name}")


def _load_models(stack: CheckedStack) -> dict[str, ModelSpec]:
    return {name: stack.model(name) for name in stack.settings.models}


def _build_arns(stack: CheckedStack) -> StackArns:
    """With the keys' ARNs where the platform is up."""
    partition = stack.identity.arn.split(":")[1]
    where = (stack.project, stack.name, stack.settings.region, stack.identity.account_id, stack.settings.models)
    try:
        outputs = stack.outputs
    except NotFound:
        return StackArns(*where, partition=partition)
    return StackArns(*where, outputs.kms_key_arn, outputs.signing_key_arn, partition)


def _format_first(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more

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
    fail,
    judge_alerts,
    judge_budgets,
    judge_clock,
    judge_quotas,
    ok,
    quota_needs,
    skipped,
    warn,
)
from bedplate.domain.stacks.permissions import Context, PermissionRequest, Place, asks, persona_of, wrong
from bedplate.errors import BedplateError, Denied, NotFound, PlatformError
from bedplate.settings import ModelSpec, PlatformOutputs, StackSettings
from bedplate.workflows.stacks.doctor import DoctorCheck

SERVICES = (
    *("sts", "sagemaker", "sagemaker-runtime", "s3", "iam", "kms", "ssm", "ecr", "logs", "cloudwatch", "events"),
    *("sns", "budgets", "ce", "application-autoscaling", "cloudtrail", "service-quotas"),
)
"""What the commands and the program ask."""
ACCOUNT, PLATFORM = "account", "the platform"
LONG_S = 60.0
_SHOWN = 3


class Run(Protocol):
    @property
    def result(self) -> str: ...


class LockInfo(Protocol):
    """`engine.lock.LockInfo`."""

    @property
    def told(self) -> str: ...
    @property
    def elsewhere(self) -> bool: ...


class State(Protocol):
    """`engine.stack.Stack`, as far as it is looked at."""

    def history(self, limit: int = 20) -> Sequence[Run]: ...
    def keeper(self) -> str: ...
    def locked(self) -> LockInfo | None: ...


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
        DoctorCheck("endpoints", ACCOUNT, lambda: reachable(connect().account), reach, limit_s=LONG_S),
        DoctorCheck("credentials", ACCOUNT, lambda: credentials(connect()), reach),
        DoctorCheck("account", ACCOUNT, lambda: the_account(connect()), ("credentials",)),
        DoctorCheck("region", ACCOUNT, lambda: region(connect().account, settings.region), signed),
        DoctorCheck("instance types", ACCOUNT, lambda: instance_types(_models(connect()), settings), reach),
        DoctorCheck("quotas", ACCOUNT, lambda: quotas(connect()), signed, limit_s=LONG_S),
        DoctorCheck("budgets", ACCOUNT, lambda: budgets(connect()), signed),
        DoctorCheck("permissions", ACCOUNT, lambda: permissions(connect(), persona), signed, limit_s=LONG_S),
        DoctorCheck("state", PLATFORM, lambda: state(connect()), ("pulumi",) if on_aws else reach, limit_s=LONG_S),
        DoctorCheck("stack", PLATFORM, lambda: is_up(connect()), signed),
        DoctorCheck("image", PLATFORM, lambda: image(connect()), deployed),
        DoctorCheck("key", PLATFORM, lambda: key(connect()), deployed),
        DoctorCheck("alerts", PLATFORM, lambda: alerts(connect()), deployed),
        *(_role_check(connect, each, deployed) for each in PERSONAS),
    ]
    if not on_aws:
        checks.insert(0, DoctorCheck("local platform", ACCOUNT, lambda: answers(connect()), limit_s=LONG_S))
    return tuple(checks)


def _role_check(connect: Callable[[], CheckedStack], persona: str, after: tuple[str, ...]) -> DoctorCheck:
    return DoctorCheck(f"role {persona}", PLATFORM, lambda: role(connect(), persona), after, limit_s=LONG_S)


def answers(at: CheckedStack) -> Finding:
    return ok("local platform", f"answers at {at.local_url}")


def reachable(account: ports.Account) -> tuple[Finding, ...]:
    """Two rows: which endpoints answer, and the clock by one's Date header."""
    addresses = account.addresses(SERVICES)
    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(addresses, pool.map(lambda url: _reached(account, url), addresses), strict=True))
    lost = {url: said for url, said in found.items() if isinstance(said, str)}
    heard = [said for said in found.values() if not isinstance(said, str) and said.there is not None]
    by_date = judge_clock(heard[0].here, heard[0].there) if heard and heard[0].there else None
    clock = by_date or skipped("clock", "no server told its time")
    if not lost:
        services = sum(map(len, addresses.values()))
        where = f"{len(addresses)} addresses" if len(addresses) > 1 else next(iter(addresses))
        return ok("endpoints", f"all {services} services answer at {where}"), clock
    names = ", ".join(service for url in lost for service in addresses[url])
    said = f"no answer from {names}: {next(iter(lost.values()))}"
    mend = "open these addresses in the firewall, or set HTTPS_PROXY (and AWS_CA_BUNDLE for a proxy that opens TLS)"
    return fail("endpoints", said, mend), clock


def _reached(account: ports.Account, url: str) -> ports.ServerTime | str:
    try:
        return account.reach(url)
    except BedplateError as exc:
        return exc.message


def credentials(at: CheckedStack) -> Finding:
    """Whether STS knows us. A region that is not enabled refuses the best credentials, and says the same words."""
    try:
        arn = at.identity.arn
    except PlatformError as exc:
        enable = f"aws account enable-region --region-name {at.settings.region}"
        return fail("credentials", exc.message, exc.next_step or f"aws configure sso; if the region is off: {enable}")
    if arn.endswith(":root") and at.local_url is None:
        return warn("credentials", f"{arn}: the account's root may do anything", "sign in as a role: aws configure sso")
    return ok("credentials", arn)


def the_account(at: CheckedStack) -> Finding:
    found, wanted = at.identity.account_id, at.settings.account_id
    file = f"stacks/Pulumi.{at.name}.yaml"
    if at.local_url:
        return ok("account", f"{found}, the local platform's")
    if wanted is None:
        said = f"{found}; {file} names none, so that `up` goes wherever the credentials lead"
        return warn("account", said, f'add to {file}: bedplate:account_id: "{found}"')
    if found != wanted:
        mend = "export AWS_PROFILE=<a profile of that account>, then: aws sts get-caller-identity"
        return fail("account", f"these credentials are of {found}, and {file} says {wanted}", mend)
    return ok("account", f"{found}, as {file} says")


def region(account: ports.Account, name: str) -> Finding:
    if not account.has_sagemaker():
        said = f"{name} has no SageMaker, as far as the SDK's table knows"
        return fail("region", said, "set aws:region in the stack's file to another one")
    try:
        state = account.region_state()
    except Denied:  # a region that is not enabled knows no credentials, and its STS has just vouched for these
        return ok("region", f"{name} knows these credentials, and has SageMaker")
    if state == "not-opted-in":
        mend = f"aws account enable-region --region-name {name}"
        return fail("region", f"{name} is not enabled in this account", mend)
    if state == "unknown":
        return fail("region", f"EC2 knows no region {name}", "correct aws:region in the stack's file")
    return ok("region", f"{name} is enabled ({state}) and has SageMaker")


def instance_types(models: Mapping[str, ModelSpec], settings: StackSettings) -> Finding:
    """By the dated table of `domain.stacks.availability`; the quotas say the same of this very account."""
    wanted = {spec.training.instance_type for spec in models.values()}
    wanted |= {spec.serving.instance_type for spec in models.values() if spec.serving.mode != "serverless"}
    known = {kind: availability.offers(settings.region, kind) for kind in sorted(wanted)}
    known |= dict.fromkeys(wanted & {*settings.available_instance_types}, True)
    lacking = [kind for kind, offered in known.items() if offered is False]
    if lacking:
        elsewhere = ", ".join(availability.regions_with(lacking[0])[:5])
        return fail("instance types", f"{settings.region} lacks {', '.join(lacking)}", f"regions with it: {elsewhere}")
    unknown = [kind for kind, offered in known.items() if offered is None]
    if unknown:
        said = f"nobody knows beforehand whether {settings.region} has {', '.join(unknown)}"
        return warn("instance types", said, "the quotas below list what the region has")
    return ok("instance types", f"{', '.join(known)} are in {settings.region} (table of {availability.NOTED})")


def quotas(at: CheckedStack) -> tuple[Finding, ...]:
    automation = at.settings.automation
    reconciler = automation.instance_type if automation.reconcile else None
    return judge_quotas(quota_needs(_models(at), reconcile_on=reconciler), at.account.quotas())


def budgets(at: CheckedStack) -> Finding:
    """The platform's and each model's; those of stages are few beside them and not counted."""
    return judge_budgets(at.account.budget_count(), 1 + len(at.settings.models))


def permissions(at: CheckedStack, persona: str | None) -> tuple[Finding, ...]:
    """What the credentials at hand may do, of each persona's work or of one's."""
    principal = at.account.principal()
    if principal is None:
        who = "the local platform asks nobody" if at.local_url else "the account's root may do anything"
        return (ok("permissions", f"not looked at: {who}"),)
    place = _place(at)
    wanted = persona or persona_of(at.identity.arn, at.project, at.name)
    if wanted:
        return (_as_persona(at.account, principal, wanted, place, strict=True),)
    found = tuple(_as_persona(at.account, principal, each, place, strict=False) for each in PERSONAS)
    if any(not each.mend for each in found):
        return found
    mend = "sign in as one of the platform's roles, or as somebody who may make them"
    return (fail("permissions", f"{principal} may do nobody's work", mend), *found)


def _as_persona(account: ports.Account, principal: str, persona: str, place: Place, *, strict: bool) -> Finding:
    name = f"you as {persona}"
    wanted = [ask for ask in asks(persona, place) if ask.allowed]
    lacking, _ = wrong(wanted, _simulated(account, principal, wanted))
    actions = sum(len(ask.actions) for ask in wanted)
    if not lacking:
        return ok(name, f"all {actions} permissions of its work")
    said = f"{len(lacking)} of {actions} permissions lack: {_few(lacking)}"
    mend = f"act as {place.prefix}-{persona}, or have its statements (infra/policies.py) added to {principal}"
    return fail(name, said, mend) if strict else warn(name, said, mend)


def role(at: CheckedStack, persona: str) -> Finding:
    """Whether a persona's role still allows its work, and nothing that it must not."""
    name = f"role {persona}"
    arn = at.outputs.persona_role_arns.get(persona)
    if arn is None:
        return skipped(name, "the platform has no such role", f"bedplate up --stack {at.name}")
    wanted = asks(persona, _place(at))
    lacking, open_ = wrong(wanted, _simulated(at.account, arn, wanted))
    mend = f"bedplate drift --stack {at.name}, then bedplate up --refresh --stack {at.name}"
    if open_:
        return fail(name, f"may do what it must not: {_few(open_)}", mend)
    if lacking:
        return fail(name, f"may not do its work: {_few(lacking)}", mend)
    return ok(name, f"{sum(len(ask.actions) for ask in wanted)} permissions as they should be")


def _simulated(
    account: ports.Account, principal: str, wanted: Iterable[PermissionRequest]
) -> dict[tuple[str, str, Context], bool]:
    found = {}
    for ask in dict.fromkeys(wanted):
        said = account.allowed(principal, ask)
        found.update({(action, ask.resource, ask.context): said[action] for action in ask.actions})
    return found


def state(at: CheckedStack) -> tuple[Finding, ...]:
    """Two rows: whether the state can be read, and who is at it."""
    keeper = at.deployment().keeper()
    deployment = at.deployment(keeper)  # the other engine would take the state over
    held = deployment.locked()
    try:
        runs = deployment.history(limit=1)
    except NotFound:
        return ok("state", "readable; the stack was never brought up"), _lock(held, None, at.name)
    last = runs[0].result if runs else None
    return ok("state", f"readable; the last run: {last or 'none'}"), _lock(held, last, at.name)


def _lock(held: LockInfo | None, last: str | None, stack: str) -> Finding:
    if held and held.elsewhere:
        mend = f"bedplate state unlock --stack {stack}, when nothing runs there any more"
        return warn("lock", f"held by another machine: {held.told}", mend)
    if held:
        return warn("lock", f"held: {held.told}", "wait for it")
    if last == "in-progress":
        mend = f"wait for it; if it is dead: pulumi cancel --stack {stack}"
        return warn("lock", "an update is under way, or its process is dead", mend)
    if last == "interrupted":
        return warn(
            "lock", "free; the last run was interrupted", f"bedplate up --stack {stack}, which goes on from there"
        )
    return ok("lock", "free")


def is_up(at: CheckedStack) -> Finding:
    try:
        outputs = at.outputs
    except NotFound:
        return skipped("stack", "not up yet", f"bedplate up --stack {at.name}")
    return ok("stack", f"is up, with {', '.join(outputs.models)}")


def image(at: CheckedStack) -> Finding:
    """Whether the image that jobs and endpoints run is in the registry. Raises PlatformError where it is not."""
    uri = at.outputs.image_uri
    digest = at.account.image_digest(uri)
    if digest is None:
        return skipped("image", "none is pushed for the local platform, which runs the same code without")
    return ok("image", f"{uri} is {digest.rpartition('@')[2][:19]}")


def key(at: CheckedStack) -> Finding:
    arn = at.outputs.kms_key_arn
    said = at.account.key_state(arn)
    if said != "Enabled":
        name = arn.rpartition("/")[2]
        mend = f"aws kms enable-key --key-id {name}"
        if said == "PendingDeletion":
            mend = f"aws kms cancel-key-deletion --key-id {name} && {mend}"
        return fail("key", f"{name} is {said}: nothing can be read or written", mend)
    at.account.try_key(arn)
    return ok("key", "enabled; what it encrypts, it opens")


def alerts(at: CheckedStack) -> Finding:
    heard_by = at.account.subscriptions(at.outputs.alerts_topic_arn)
    return judge_alerts(at.settings.alerts.emails, heard_by, up=f"bedplate up --refresh --stack {at.name}")


def _models(at: CheckedStack) -> dict[str, ModelSpec]:
    return {name: at.model(name) for name in at.settings.models}


def _place(at: CheckedStack) -> Place:
    """With the keys' ARNs where the platform is up."""
    partition = at.identity.arn.split(":")[1]
    where = (at.project, at.name, at.settings.region, at.identity.account_id, at.settings.models)
    try:
        outputs = at.outputs
    except NotFound:
        return Place(*where, partition=partition)
    return Place(*where, outputs.kms_key_arn, outputs.signing_key_arn, partition)


def _few(each: Sequence[str]) -> str:
    more = f" and {len(each) - _SHOWN} more" if len(each) > _SHOWN else ""
    return ", ".join(each[:_SHOWN]) + more

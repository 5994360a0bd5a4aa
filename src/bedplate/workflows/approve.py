"""Approves or rejects a version: who, when, on what evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bedplate.domain.approval import PEOPLE_NEEDED, Decision, Evidence, decide
from bedplate.domain.ledger import Record
from bedplate.errors import ApprovalNeeded, NotFound, UsageError
from bedplate.ports import Package
from bedplate.workflows.ledger import Ledger
from bedplate.workflows.platform import Platform

MAX_VALUE = 256


@dataclass(frozen=True, slots=True)
class ApproveRequest:
    """`version` None is the newest one that waits. `person` None is who the platform says we are."""

    model: str
    version: int | None = None
    reject: bool = False
    force: bool = False
    reason: str | None = None
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Approved:
    """`outcome` `unchanged` means that it was so already."""

    package: Package
    outcome: Literal["approved", "rejected", "one-more", "unchanged"]
    person: str
    people: tuple[str, ...]
    waived: tuple[str, ...]


def approve(at: Platform, request: ApproveRequest) -> Approved:
    """Write the decision to the registry, then to the ledger; a killed run is completed by the same command.

    Raises ApprovalNeeded when evidence is missing or a second person is needed (the first one's yes is kept), NotFound,
    and UsageError for a force or a rejection without a reason.
    """
    person = _person(at, request)
    if (request.force or request.reject) and not (request.reason or "").strip():
        flag = "--force" if request.force else "--reject"
        raise UsageError(f"{flag} needs a reason, which is kept", next_step='the same command with --reason "..."')
    package = _package(at, request)
    ledger = Ledger.of(at)
    history = [r for r in ledger.records() if r.model == request.model and r.version == package.version]
    if request.reject:
        return _reject(at, ledger, request, package, history, person)
    return _approve(at, ledger, request, package, history, person)


def _approve(
    at: Platform, ledger: Ledger, request: ApproveRequest, package: Package, history: list[Record], person: str
) -> Approved:
    evidence = Evidence.of(package.metadata)
    said_yes = _said_yes(history, evidence)
    if package.approval == "Approved" and any(r.data.get("final") for r in said_yes):
        return Approved(package, "unchanged", person, tuple(dict.fromkeys(r.actor for r in said_yes)), ())
    spec = at.model(request.model)
    decision = decide(
        evidence,
        risk=spec.risk,
        person=person,
        approved_before=[r.actor for r in said_yes],
        forced=request.force,
        commit_needed=at.settings.target != "local",
    )
    ref = f"{request.model}:{package.version}"
    if decision.outcome == "refused":
        raise ApprovalNeeded(
            f"{ref} cannot be approved: {'; '.join(decision.missing)}",
            next_step=f"bedplate evaluate {ref}"
            if evidence.verdict is None
            else f'bedplate approve {ref} --force --reason "..."',
        )
    if decision.outcome == "approved":
        package = _write(at, package, request, decision, person)
    repeated = decision.outcome == "one-more" and person in {r.actor for r in said_yes}
    if not repeated:
        _record(ledger, request, package, decision, evidence, person)
    if decision.outcome == "one-more":
        need = PEOPLE_NEEDED[spec.risk] - len(decision.people)
        raise ApprovalNeeded(
            f"{ref} is of high risk: {', '.join(decision.people)} said yes, {need} more person must",
            next_step=f"bedplate approve {ref}, typed by somebody else",
        )
    return Approved(package, "approved", person, decision.people, decision.waived)


def _write(at: Platform, package: Package, request: ApproveRequest, decision: Decision, person: str) -> Package:
    reason = (request.reason or "")[:MAX_VALUE]
    note = {"approved_by": ", ".join(decision.people)[:MAX_VALUE], "approval_reason": reason or "gates passed"}
    if decision.waived:
        note |= {"forced_by": person[:MAX_VALUE], "force_reason": reason}
    at.registry.annotate(package, note)
    return at.registry.set_approval(package, "Approved", f"{note['approved_by']}: {note['approval_reason']}")


def _record(
    ledger: Ledger, request: ApproveRequest, package: Package, decision: Decision, evidence: Evidence, person: str
) -> None:
    waived = f", although {' and '.join(decision.waived)}" if decision.waived else ""
    last = decision.outcome == "approved"
    ledger.record(
        "forced" if decision.waived else "approved",
        f"{person} approved {request.model} version {package.version}{waived}{'' if last else ' (one more is needed)'}",
        actor=person,
        model=request.model,
        version=package.version,
        data={
            "evaluation_uri": evidence.evaluation_uri,
            "verdict": evidence.verdict,
            "code_dirty": evidence.code_dirty,
            "reason": request.reason,
            "waived": list(decision.waived),
            "people": list(decision.people),
            "final": last,
            "package_arn": package.arn,
        },
    )


def _reject(
    at: Platform, ledger: Ledger, request: ApproveRequest, package: Package, history: list[Record], person: str
) -> Approved:
    latest = next((r for r in reversed(history) if r.kind in ("approved", "forced", "rejected")), None)
    if package.approval == "Rejected" and latest and latest.kind == "rejected":
        return Approved(package, "unchanged", person, (), ())
    reason = request.reason or ""
    package = at.registry.set_approval(package, "Rejected", f"{person}: {reason}")
    ledger.record(
        "rejected",
        f"{person} rejected {request.model} version {package.version}: {reason}",
        actor=person,
        model=request.model,
        version=package.version,
        data={"reason": reason, "verdict": package.metadata.get("verdict"), "package_arn": package.arn},
    )
    return Approved(package, "rejected", person, (), ())


def _said_yes(history: list[Record], evidence: Evidence) -> list[Record]:
    """Approvals on this very evaluation that no rejection came after."""
    since = max((i for i, r in enumerate(history) if r.kind == "rejected"), default=-1)
    return [
        r
        for r in history[since + 1 :]
        if r.kind in ("approved", "forced") and r.data.get("evaluation_uri") == evidence.evaluation_uri
    ]


def _person(at: Platform, request: ApproveRequest) -> str:
    """Who says so. On AWS that is what STS vouches for; only a laptop takes somebody's word for it."""
    if request.person and at.settings.target != "local":
        raise UsageError(
            f"--as is for the local stack; on {at.stack!r} you are {at.identity.person}, as AWS says",
            next_step="the same command without --as",
        )
    return request.person or at.identity.person


def _package(at: Platform, request: ApproveRequest) -> Package:
    group = at.names(request.model).package_group
    at.model(request.model)
    if request.version is not None:
        return at.registry.get(group, request.version)
    versions = at.registry.versions(group)
    waiting = next((p for p in versions if p.approval == "PendingManualApproval"), None)
    if waiting is None:
        raise NotFound(
            f"No version of {request.model} waits for approval", next_step=f"bedplate models list {request.model}"
        )
    return waiting

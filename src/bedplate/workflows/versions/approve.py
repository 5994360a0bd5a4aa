"""Approves or rejects a version, with person, time and evidence on record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from bedplate.domain.ledger import Entry, Kind, Record
from bedplate.domain.versions.approval import (
    APPROVAL_KINDS,
    ApprovalDecision,
    ApprovalEvidence,
    decide_approval,
    find_decision,
    list_version_records,
    unique_people,
)
from bedplate.domain.versions.package import MAX_METADATA_VALUE
from bedplate.errors import ApprovalNeeded, Conflict, NotFound, UsageError
from bedplate.ports import Approval, Package
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.versions.approval_evidence import require_recorded_evidence

MAX_ATTEMPTS = 10
"""How often a decision is retried when another person decides about the same version at the same time."""
DECISION_KINDS: tuple[Kind, ...] = (*APPROVAL_KINDS, "rejected", "evaluated")
"""Kinds of records that a decision must be based on."""


@dataclass(frozen=True, slots=True)
class ApproveRequest:
    """`version` None is the newest one that awaits approval. `person` None is the platform's identity."""

    model: str
    version: int | None = None
    reject: bool = False
    force: bool = False
    reason: str | None = None
    person: str | None = None
    notes: str | None = None
    """Release notes that replace those of the training."""


@dataclass(frozen=True, slots=True)
class ApprovalResult:
    """`outcome` `unchanged` means that the decision was already recorded."""

    package: Package
    outcome: Literal["approved", "rejected", "needs-another", "unchanged"]
    person: str
    people: tuple[str, ...]
    waived: tuple[str, ...]


def approve(stack: StackContext, request: ApproveRequest) -> ApprovalResult:
    """Writes the decision to the ledger, then to the registry; the same command resumes a run that was killed.

    The ledger comes first, because it detects simultaneous decisions, and a version that the registry calls approved is
    deployed only if the ledger agrees. A decision is written only if no decision or evaluation was recorded since it
    was made; otherwise it is made again.

    Raises ApprovalNeeded if evidence is missing, if the registry contradicts the ledger's last evaluation (`force` does
    not help), or if another person must approve (the first approval is recorded), NotFound, Conflict if others keep
    deciding, and UsageError for a force or a rejection without a reason.
    """
    person = _resolve_person(stack, request)
    if (request.force or request.reject) and not (request.reason or "").strip():
        flag = "--force" if request.force else "--reject"
        raise UsageError(f"{flag} needs a reason, which is recorded", next_step='the same command with --reason "..."')
    request = replace(request, version=_find_package(stack, request).version)
    ledger = Ledger.of(stack)
    for number in range(1, MAX_ATTEMPTS + 1):
        package = _find_package(stack, request)
        records = ledger.records()
        history = list_version_records(records, request.model, package.version)
        attempt = _Attempt(stack, ledger, request, package, history, person, records[-1].seq if records else 0)
        try:
            if _record_manual_rejection(attempt):
                continue
            result = _reject(attempt) if request.reject else _approve(attempt)
        except _Superseded as exc:
            if number == MAX_ATTEMPTS:
                raise Conflict(
                    f"Other people keep deciding on {request.model}:{package.version}: {exc}",
                    next_step=f"bedplate ledger show --model {request.model}",
                ) from exc
            continue
        _restore_ledger_decision(attempt)
        return result
    raise AssertionError("unreachable")


class _Superseded(Exception):
    """Another decision about the version was recorded in the meantime."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt to decide about a version, based on the records up to number `last_seq`."""

    stack: StackContext
    ledger: Ledger
    request: ApproveRequest
    package: Package
    history: list[Record]
    person: str
    last_seq: int

    @property
    def ref(self) -> str:
        return f"{self.request.model}:{self.package.version}"

    def record(self, kind: Kind, summary: str, data: dict[str, Any]) -> None:
        request, version = self.request, self.package.version
        data = {**data, "package_arn": self.package.arn}

        def is_decision(record: Record) -> bool:
            return (record.model, record.version) == (request.model, version) and record.kind in DECISION_KINDS

        try:
            entry = Entry(kind, request.model, version, self.person, summary, data)
            self.ledger.append_unless(entry, since=self.last_seq, conflicts=is_decision)
        except Conflict as exc:
            raise _Superseded(exc.message) from exc


def _record_manual_rejection(attempt: _Attempt) -> bool:
    """Records a rejection that was written into the registry by hand after an approval; returns whether there was
    one."""
    decision = find_decision(attempt.history, attempt.request.model, attempt.package.version)
    if (
        attempt.request.reject
        or decision is None
        or decision.kind == "rejected"
        or attempt.package.approval != "Rejected"
    ):
        return False
    data = {"reason": attempt.package.approval_note, "by_hand": True}
    attempt.record("rejected", f"{attempt.ref} is rejected in the registry, without a record of who rejected it", data)
    return True


def _approve(attempt: _Attempt) -> ApprovalResult:
    stack, request, package, person = attempt.stack, attempt.request, attempt.package, attempt.person
    evidence = ApprovalEvidence.from_metadata(package.metadata)
    approvals = _list_approvals(attempt.history, evidence)
    final = next((approval for approval in approvals if approval.data.get("final")), None)
    if final:
        people = tuple(str(name) for name in final.data.get("people") or (final.actor,))
        waived = tuple(str(waiver) for waiver in final.data.get("waived") or ())
        if package.approval == "Approved" and package.metadata.get("approved_by"):
            return ApprovalResult(package, "unchanged", person, people, ())
        reason, notes = (str(final.data.get(key) or "") for key in ("reason", "notes"))
        package = _write_approval(stack, package, people, reason, final.actor if waived else None, notes)
        return ApprovalResult(package, "approved", person, people, waived)
    require_recorded_evidence(attempt.history, request.model, package, stack.objects)
    spec = stack.model(request.model)
    decision = decide_approval(
        evidence,
        required_approvals=spec.required_approvals,
        rules=spec.approval,
        person=person,
        earlier_approvers=[approval.actor for approval in approvals],
        force=request.force,
        requires_commit=stack.settings.target != "local",
    )
    if decision.outcome == "refused":
        raise ApprovalNeeded(
            f"{attempt.ref} cannot be approved: {'; '.join(decision.missing)}",
            next_step=_next_step(attempt, decision, evidence),
        )
    is_repeated = len(unique_people(approval.actor for approval in approvals)) == len(decision.people)
    if decision.outcome != "needs-another" or not is_repeated:
        _record_approval(attempt, decision, evidence)
    if decision.outcome == "needs-another":
        if package.approval == "Rejected":
            stack.registry.set_approval(package, "PendingManualApproval", f"{person}: {request.reason or 'approved'}")
        missing_count = spec.required_approvals - len(decision.people)
        why = " is of high risk" if spec.risk == "high" else f" needs {spec.required_approvals} people"
        raise ApprovalNeeded(
            f"{attempt.ref}{why}: {', '.join(decision.people)} approved it, {missing_count} more person must",
            next_step=f"bedplate approve {attempt.ref}, typed by someone else",
        )
    package = _write_approval(
        stack, package, decision.people, request.reason or "", person if decision.waived else None, request.notes or ""
    )
    return ApprovalResult(package, "approved", person, decision.people, decision.waived)


def _next_step(attempt: _Attempt, decision: ApprovalDecision, evidence: ApprovalEvidence) -> str:
    if decision.exclusion:
        return f"bedplate approve {attempt.ref}, typed by someone else"
    if evidence.verdict is None:
        return f"bedplate evaluate {attempt.ref}"
    if not decision.can_force:
        return f"git commit, then: bedplate train {attempt.request.model} --data ..."
    return f'bedplate approve {attempt.ref} --force --reason "..."'


def _write_approval(
    stack: StackContext, package: Package, people: tuple[str, ...], reason: str, forced_by: str | None, notes: str
) -> Package:
    values = {"approved_by": ", ".join(people), "approval_reason": reason or "gates passed"}
    if forced_by:
        values |= {"forced_by": forced_by, "force_reason": reason}
    if notes:
        values["notes"] = notes
    values = {key: value[:MAX_METADATA_VALUE] for key, value in values.items()}
    stack.registry.update_metadata(package, values)
    return stack.registry.set_approval(package, "Approved", f"{values['approved_by']}: {values['approval_reason']}")


def _record_approval(attempt: _Attempt, decision: ApprovalDecision, evidence: ApprovalEvidence) -> None:
    waived = f", although {' and '.join(decision.waived)}" if decision.waived else ""
    is_final = decision.outcome == "approved"
    version = f"{attempt.request.model} version {attempt.package.version}"
    attempt.record(
        "forced" if decision.waived else "approved",
        f"{attempt.person} approved {version}{waived}{'' if is_final else ' (one more is needed)'}",
        {
            "evaluation_uri": evidence.evaluation_uri,
            "verdict": evidence.verdict,
            "code_dirty": evidence.code_dirty,
            "reason": attempt.request.reason,
            "waived": list(decision.waived),
            "people": list(decision.people),
            "final": is_final,
            **({"notes": attempt.request.notes} if attempt.request.notes else {}),
        },
    )


def _reject(attempt: _Attempt) -> ApprovalResult:
    package, person, reason = attempt.package, attempt.person, attempt.request.reason or ""
    decisions = [record.kind for record in attempt.history if record.kind in (*APPROVAL_KINDS, "rejected")]
    is_recorded = decisions[-1:] == ["rejected"]
    if is_recorded and package.approval == "Rejected":
        return ApprovalResult(package, "unchanged", person, (), ())
    if not is_recorded:
        data = {"reason": reason, "verdict": package.metadata.get("verdict")}
        attempt.record(
            "rejected", f"{person} rejected {attempt.request.model} version {package.version}: {reason}", data
        )
    package = attempt.stack.registry.set_approval(package, "Rejected", f"{person}: {reason}")
    return ApprovalResult(package, "rejected", person, (), ())


def _restore_ledger_decision(attempt: _Attempt) -> None:
    """Restores the ledger's last decision in the registry, which two simultaneous decisions may reach in another
    order.

    Raises Conflict if that is another person's opposite decision.
    """
    decision = find_decision(attempt.ledger.records(), attempt.request.model, attempt.package.version)
    intended = "rejected" if attempt.request.reject else "approved"
    if decision is None or (decision.kind == "rejected") == (intended == "rejected"):
        return
    status: Approval = "Rejected" if decision.kind == "rejected" else "Approved"
    attempt.stack.registry.set_approval(
        attempt.package, status, f"{decision.actor}: {decision.data.get('reason') or ''}"
    )
    raise Conflict(
        f"{decision.actor} decided differently at the same time: {decision.summary}",
        next_step=f"bedplate ledger show --model {attempt.request.model}",
    )


def _list_approvals(history: list[Record], evidence: ApprovalEvidence) -> list[Record]:
    """Returns the approvals of this evaluation that no rejection followed."""
    last_rejection = max((i for i, record in enumerate(history) if record.kind == "rejected"), default=-1)
    approvals = (r for r in history[last_rejection + 1 :] if r.kind in APPROVAL_KINDS)
    return [r for r in approvals if r.data.get("evaluation_uri") == evidence.evaluation_uri]


def _resolve_person(stack: StackContext, request: ApproveRequest) -> str:
    """Returns who decides: on AWS the identity that STS confirms; only the local stack accepts `--as`."""
    if request.person and stack.settings.target != "local":
        raise UsageError(
            f"--as is for the local stack; on {stack.name!r} AWS identifies you as {stack.identity.actor}",
            next_step="the same command without --as",
        )
    return request.person or stack.identity.actor


def _find_package(stack: StackContext, request: ApproveRequest) -> Package:
    group = stack.names(request.model).package_group
    stack.model(request.model)
    if request.version is not None:
        return stack.registry.get(group, request.version)
    versions = stack.registry.list_versions(group)
    waiting = next((package for package in versions if package.approval == "PendingManualApproval"), None)
    if waiting is None:
        raise NotFound(
            f"No version of {request.model} waits for approval", next_step=f"bedplate models list {request.model}"
        )
    return waiting

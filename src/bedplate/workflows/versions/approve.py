"""Approves or rejects a version: who, when, on what evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from bedplate.domain.ledger import Entry, Kind, Record
from bedplate.domain.versions.approval import ApprovalDecision, ApprovalEvidence, decide, distinct, last_word
from bedplate.errors import ApprovalNeeded, Conflict, NotFound, UsageError
from bedplate.ports import Approval, Package
from bedplate.workflows.record.ledger import Ledger
from bedplate.workflows.stack_context import StackContext
from bedplate.workflows.versions.approvals import must_be_evidence

MAX_VALUE = 256
ATTEMPTS = 10
"""Others' decisions about the same version that we look at anew before giving up."""
DECISIVE: tuple[Kind, ...] = ("approved", "forced", "rejected", "evaluated")
"""What a decision must have seen."""


@dataclass(frozen=True, slots=True)
class ApproveRequest:
    """`version` None is the newest one that waits. `person` None is who the platform says we are."""

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
    """`outcome` `unchanged` means that it was so already."""

    package: Package
    outcome: Literal["approved", "rejected", "one-more", "unchanged"]
    person: str
    people: tuple[str, ...]
    waived: tuple[str, ...]


def approve(stack: StackContext, request: ApproveRequest) -> ApprovalResult:
    """Write the decision to the ledger, then to the registry; a killed run is completed by the same command.

    The ledger comes first: it is where two who decide at once find out about each other, and a version that the
    registry calls approved is deployed only when the ledger says so too. A decision is written only while nobody
    decided or evaluated since it was made; else it is made again from what is there now.

    Raises ApprovalNeeded when evidence is missing, when the registry says other than the ledger's last evaluation (no
    force helps), or when another person is needed (the first one's yes is kept), NotFound, Conflict when others keep
    deciding, and UsageError for a force or a rejection without a reason.
    """
    person = _person(stack, request)
    if (request.force or request.reject) and not (request.reason or "").strip():
        flag = "--force" if request.force else "--reject"
        raise UsageError(f"{flag} needs a reason, which is kept", next_step='the same command with --reason "..."')
    request = replace(request, version=_package(stack, request).version)
    ledger = Ledger.of(stack)
    for attempt in range(1, ATTEMPTS + 1):
        package = _package(stack, request)
        records = ledger.records()
        history = [r for r in records if r.model == request.model and r.version == package.version]
        case = _Case(stack, ledger, request, package, history, person, records[-1].seq if records else 0)
        try:
            if _taken_back(case):
                continue
            done = _reject(case) if request.reject else _approve(case)
        except _Superseded as exc:
            if attempt == ATTEMPTS:
                raise Conflict(
                    f"Others keep deciding on {request.model}:{package.version}: {exc}",
                    next_step=f"bedplate ledger show --model {request.model}",
                ) from exc
            continue
        _settle(case)
        return done
    raise AssertionError("unreachable")


class _Superseded(Exception):
    """Somebody decided about the version since we looked."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One attempt: who decides what about which version, from which records (up to number `since`)."""

    at: StackContext
    ledger: Ledger
    request: ApproveRequest
    package: Package
    history: list[Record]
    person: str
    since: int

    @property
    def ref(self) -> str:
        return f"{self.request.model}:{self.package.version}"

    def record(self, kind: Kind, summary: str, data: dict[str, Any]) -> None:
        request, version = self.request, self.package.version
        data = {**data, "package_arn": self.package.arn}

        def decides(record: Record) -> bool:
            return (record.model, record.version) == (request.model, version) and record.kind in DECISIVE

        try:
            entry = Entry(kind, request.model, version, self.person, summary, data)
            self.ledger.append_unless(entry, since=self.since, forbids=decides)
        except Conflict as exc:
            raise _Superseded(exc.message) from exc


def _taken_back(case: _Case) -> bool:
    """Whether a hand wrote a rejection into the registry behind an approval; it is put on record, and counts."""
    word = last_word(case.history, case.request.model, case.package.version)
    if case.request.reject or word is None or word.kind == "rejected" or case.package.approval != "Rejected":
        return False
    data = {"reason": case.package.approval_note, "by_hand": True}
    case.record("rejected", f"the registry says that {case.ref} is rejected, and no record says who did that", data)
    return True


def _approve(case: _Case) -> ApprovalResult:
    at, request, package, person = case.at, case.request, case.package, case.person
    evidence = ApprovalEvidence.of(package.metadata)
    said_yes = _said_yes(case.history, evidence)
    final = next((r for r in said_yes if r.data.get("final")), None)
    if final:
        people = tuple(str(p) for p in final.data.get("people") or (final.actor,))
        waived = tuple(str(w) for w in final.data.get("waived") or ())
        if package.approval == "Approved" and package.metadata.get("approved_by"):
            return ApprovalResult(package, "unchanged", person, people, ())
        package = _write(
            at,
            package,
            people,
            str(final.data.get("reason") or ""),
            final.actor if waived else None,
            str(final.data.get("notes") or ""),
        )
        return ApprovalResult(package, "approved", person, people, waived)
    must_be_evidence(case.history, request.model, package, at.objects)
    spec = at.model(request.model)
    decision = decide(
        evidence,
        people_needed=spec.people_needed,
        rules=spec.approval,
        person=person,
        approved_before=[r.actor for r in said_yes],
        forced=request.force,
        commit_needed=at.settings.target != "local",
    )
    if decision.outcome == "refused":
        raise ApprovalNeeded(
            f"{case.ref} cannot be approved: {'; '.join(decision.missing)}", next_step=_next(case, decision, evidence)
        )
    if not (decision.outcome == "one-more" and len(distinct(r.actor for r in said_yes)) == len(decision.people)):
        _record(case, decision, evidence)
    if decision.outcome == "one-more":
        if package.approval == "Rejected":
            at.registry.set_approval(package, "PendingManualApproval", f"{person}: {request.reason or 'said yes'}")
        need = spec.people_needed - len(decision.people)
        why = " is of high risk" if spec.risk == "high" else f" needs {spec.people_needed} people"
        raise ApprovalNeeded(
            f"{case.ref}{why}: {', '.join(decision.people)} said yes, {need} more person must",
            next_step=f"bedplate approve {case.ref}, typed by somebody else",
        )
    package = _write(
        at, package, decision.people, request.reason or "", person if decision.waived else None, request.notes or ""
    )
    return ApprovalResult(package, "approved", person, decision.people, decision.waived)


def _next(case: _Case, decision: ApprovalDecision, evidence: ApprovalEvidence) -> str:
    if decision.barred:
        return f"bedplate approve {case.ref}, typed by somebody else"
    if evidence.verdict is None:
        return f"bedplate evaluate {case.ref}"
    if not decision.forcible:
        return f"git commit, then: bedplate train {case.request.model} --data ..."
    return f'bedplate approve {case.ref} --force --reason "..."'


def _write(
    stack: StackContext, package: Package, people: tuple[str, ...], reason: str, forced_by: str | None, notes: str
) -> Package:
    note = {"approved_by": ", ".join(people)[:MAX_VALUE], "approval_reason": reason[:MAX_VALUE] or "gates passed"}
    if forced_by:
        note |= {"forced_by": forced_by[:MAX_VALUE], "force_reason": reason[:MAX_VALUE]}
    if notes:
        note["notes"] = notes[:MAX_VALUE]
    stack.registry.annotate(package, note)
    return stack.registry.set_approval(package, "Approved", f"{note['approved_by']}: {note['approval_reason']}")


def _record(case: _Case, decision: ApprovalDecision, evidence: ApprovalEvidence) -> None:
    waived = f", although {' and '.join(decision.waived)}" if decision.waived else ""
    last = decision.outcome == "approved"
    what = f"{case.request.model} version {case.package.version}"
    case.record(
        "forced" if decision.waived else "approved",
        f"{case.person} approved {what}{waived}{'' if last else ' (one more is needed)'}",
        {
            "evaluation_uri": evidence.evaluation_uri,
            "verdict": evidence.verdict,
            "code_dirty": evidence.code_dirty,
            "reason": case.request.reason,
            "waived": list(decision.waived),
            "people": list(decision.people),
            "final": last,
            **({"notes": case.request.notes} if case.request.notes else {}),
        },
    )


def _reject(case: _Case) -> ApprovalResult:
    package, person, reason = case.package, case.person, case.request.reason or ""
    latest = next((r for r in reversed(case.history) if r.kind in ("approved", "forced", "rejected")), None)
    known = latest is not None and latest.kind == "rejected"
    if known and package.approval == "Rejected":
        return ApprovalResult(package, "unchanged", person, (), ())
    if not known:
        data = {"reason": reason, "verdict": package.metadata.get("verdict")}
        case.record("rejected", f"{person} rejected {case.request.model} version {package.version}: {reason}", data)
    package = case.at.registry.set_approval(package, "Rejected", f"{person}: {reason}")
    return ApprovalResult(package, "rejected", person, (), ())


def _settle(case: _Case) -> None:
    """Two decisions may reach the registry in another order than the ledger; the ledger's last word stays there.

    Raises Conflict when that is somebody else's, of the other kind.
    """
    word = last_word(case.ledger.records(), case.request.model, case.package.version)
    meant = "rejected" if case.request.reject else "approved"
    if word is None or (word.kind == "rejected") == (meant == "rejected"):
        return
    status: Approval = "Rejected" if word.kind == "rejected" else "Approved"
    case.at.registry.set_approval(case.package, status, f"{word.actor}: {word.data.get('reason') or ''}")
    raise Conflict(
        f"{word.actor} decided otherwise at the same time: {word.summary}",
        next_step=f"bedplate ledger show --model {case.request.model}",
    )


def _said_yes(history: list[Record], evidence: ApprovalEvidence) -> list[Record]:
    """Approvals on this very evaluation that no rejection came after."""
    since = max((i for i, r in enumerate(history) if r.kind == "rejected"), default=-1)
    return [
        r
        for r in history[since + 1 :]
        if r.kind in ("approved", "forced") and r.data.get("evaluation_uri") == evidence.evaluation_uri
    ]


def _person(stack: StackContext, request: ApproveRequest) -> str:
    """Who says so. On AWS that is what STS vouches for; only a laptop takes somebody's word for it."""
    if request.person and stack.settings.target != "local":
        raise UsageError(
            f"--as is for the local stack; on {stack.name!r} you are {stack.identity.person}, as AWS says",
            next_step="the same command without --as",
        )
    return request.person or stack.identity.person


def _package(stack: StackContext, request: ApproveRequest) -> Package:
    group = stack.names(request.model).package_group
    stack.model(request.model)
    if request.version is not None:
        return stack.registry.get(group, request.version)
    versions = stack.registry.versions(group)
    waiting = next((p for p in versions if p.approval == "PendingManualApproval"), None)
    if waiting is None:
        raise NotFound(
            f"No version of {request.model} waits for approval", next_step=f"bedplate models list {request.model}"
        )
    return waiting

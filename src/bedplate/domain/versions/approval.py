"""Decides whether a person may approve a version, and checks its evidence against the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bedplate.domain.ledger import Kind, Record
from bedplate.settings import Approval

APPROVAL_KINDS: tuple[Kind, ...] = ("approved", "forced")
EVALUATION_SHA256 = "evaluation_sha256"
"""Key in the payload of `evaluated` and `promoted` records: the SHA-256 of evaluation.json."""


@dataclass(frozen=True, slots=True)
class ApprovalEvidence:
    """The metadata that an approval rests on: the gates' verdict, the state of the code, and the trainer."""

    verdict: str | None
    evaluation_uri: str | None
    code_dirty: str
    trained_by: str | None = None

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> ApprovalEvidence:
        """Reads the evidence from a model package's metadata."""
        return cls(
            metadata.get("verdict"),
            metadata.get("evaluation_uri"),
            metadata.get("code_dirty", "unknown"),
            metadata.get("trained_by"),
        )


@dataclass(frozen=True, slots=True)
class ApprovalDecision:
    """The outcome of one person's approval. `refused` lists what is `missing`; `waived` is what --force overrode.

    `exclusion` is why this person may not approve, whatever the evidence; `can_force` says whether --force would have
    waived all of `missing`.
    """

    outcome: Literal["approved", "needs-another", "refused"]
    people: tuple[str, ...]
    waived: tuple[str, ...]
    missing: tuple[str, ...]
    exclusion: str | None = None
    can_force: bool = True


def decide_approval(
    evidence: ApprovalEvidence,
    *,
    required_approvals: int,
    person: str,
    earlier_approvers: Sequence[str],
    force: bool,
    rules: Approval | None = None,
    requires_commit: bool = True,
) -> ApprovalDecision:
    """Decides one person's approval.

    The gates must have passed, and the code must come from a clean commit. `force` waives the gates. It waives
    uncommitted code only where `requires_commit` is False (the local stack, where code without git is accepted too). It
    never waives the number of people or who they are. `earlier_approvers` approved the same evidence before. Names are
    compared ignoring case.
    """
    rules = rules or Approval()
    exclusion = _exclusion(rules, evidence, person)
    if exclusion:
        return ApprovalDecision("refused", (), (), (exclusion,), exclusion, can_force=False)
    gates, source = _gate_problems(evidence), _source_problems(evidence, requires_commit)
    if (gates and not force) or (source and (requires_commit or not force)):
        return ApprovalDecision("refused", (), (), (*gates, *source), can_force=not (source and requires_commit))
    people = unique_people([*(p for p in earlier_approvers if not _exclusion(rules, evidence, p)), person])
    outcome: Literal["approved", "needs-another"] = "approved" if len(people) >= required_approvals else "needs-another"
    return ApprovalDecision(outcome, people, (*gates, *source), ())


def list_version_records(records: Iterable[Record], model: str, version: int | None) -> list[Record]:
    """Returns the ledger's records of a version, in order; `version` None selects records of the model itself."""
    return [r for r in records if r.model == model and r.version == version]


def find_decision(records: Iterable[Record], model: str, version: int) -> Record | None:
    """Returns the record that decides whether a version is approved: its last rejection or final approval; None without
    one."""
    for record in reversed(list_version_records(records, model, version)):
        if record.kind == "rejected" or (record.kind in APPROVAL_KINDS and record.data.get("final")):
            return record
    return None


def find_evidence_record(history: Sequence[Record], package_arn: str) -> Record | None:
    """Returns the record that a version's evidence rests on: its last evaluation, or the promotion that copied one.

    `history` are the version's records in order.
    """
    for record in reversed(history):
        if record.kind == "evaluated" or (record.kind == "promoted" and record.data.get("to") == package_arn):
            return record
    return None


def find_contradiction(evidence: ApprovalEvidence, record: Record | None, evaluation_sha256: str | None) -> str | None:
    """Returns how the registry contradicts the ledger's `record`; None if they agree.

    The registry can be edited, the ledger cannot. `evaluation_sha256` is the hash of the stored evaluation now; it is
    compared if the record has one. An evaluation that was killed also contradicts, because it writes the ledger last.
    """
    if record is None:
        return f"it says {evidence.verdict}, and the ledger holds no evaluation" if evidence.verdict else None
    verdict = record.data.get("verdict")
    if evidence.verdict != verdict:
        registry_verdict = f"it says {evidence.verdict}" if evidence.verdict else "it has no verdict"
        return f"{registry_verdict}, and record {record.seq} of the ledger says {verdict or 'none'}"
    if evidence.evaluation_uri != record.data.get("evaluation_uri"):
        return f"it names {evidence.evaluation_uri}, and record {record.seq} names {record.data.get('evaluation_uri')}"
    recorded = record.data.get(EVALUATION_SHA256)
    if recorded and recorded != evaluation_sha256:
        state = f"hashes to {evaluation_sha256[:12]}" if evaluation_sha256 else "is gone"
        return f"{evidence.evaluation_uri} {state}, and record {record.seq} says {str(recorded)[:12]}"
    return None


def unique_people(people: Iterable[str]) -> tuple[str, ...]:
    """Returns the people without duplicates, ignoring case, in order of first appearance.

    >>> unique_people(["ada@x.org", "grace@x.org", "Ada@X.org"])
    ('ada@x.org', 'grace@x.org')
    """
    people_by_key: dict[str, str] = {}
    for person in people:
        people_by_key.setdefault(person.strip().casefold(), person)
    return tuple(people_by_key.values())


def _exclusion(rules: Approval, evidence: ApprovalEvidence, person: str) -> str | None:
    approvers = {approver.casefold() for approver in rules.approvers}
    if approvers and person.strip().casefold() not in approvers:
        return f"{person} is not among approval.approvers of model.yaml ({', '.join(rules.approvers)})"
    if rules.not_trainer and evidence.trained_by is None:
        return "its trainer is not recorded, and approval.not_trainer excludes the trainer"
    if rules.not_trainer and person.strip().casefold() == (evidence.trained_by or "").strip().casefold():
        return f"{person} trained it, and approval.not_trainer excludes the trainer"
    return None


def _gate_problems(evidence: ApprovalEvidence) -> tuple[str, ...]:
    if evidence.verdict is None:
        return ("it was never evaluated",)
    return () if evidence.verdict == "PASS" else (f"its gates' verdict is {evidence.verdict}, and PASS is needed",)


def _source_problems(evidence: ApprovalEvidence, requires_commit: bool) -> tuple[str, ...]:
    if evidence.code_dirty == "true":
        return ("its code was changed after the recorded commit",)
    return ("no commit is recorded for its code",) if evidence.code_dirty != "false" and requires_commit else ()

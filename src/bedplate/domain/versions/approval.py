"""Whether a version may be approved, by whom, and on what evidence; and what the ledger's last word on it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bedplate.domain.ledger import Kind, Record
from bedplate.settings import Approval

YES: tuple[Kind, ...] = ("approved", "forced")
EVALUATION = "evaluation_sha256"
"""Key of an `evaluated` record's data, and of a `promoted` one's: the SHA-256 of evaluation.json."""


@dataclass(frozen=True, slots=True)
class ApprovalEvidence:
    """What is known of a version: its gates' verdict, its code's state and its trainer, as its metadata has them."""

    verdict: str | None
    evaluation_uri: str | None
    code_dirty: str
    trained_by: str | None = None

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> ApprovalEvidence:
        return cls(
            metadata.get("verdict"),
            metadata.get("evaluation_uri"),
            metadata.get("code_dirty", "unknown"),
            metadata.get("trained_by"),
        )


@dataclass(frozen=True, slots=True)
class ApprovalDecision:
    """`approved` and `one-more` are recorded; `refused` names what is missing. `waived` is what --force set aside.

    `barred` is why this person's yes does not count, whatever the evidence; `forcible` says whether --force could have
    set all of `missing` aside.
    """

    outcome: Literal["approved", "one-more", "refused"]
    people: tuple[str, ...]
    waived: tuple[str, ...]
    missing: tuple[str, ...]
    barred: str | None = None
    forcible: bool = True


def decide(
    evidence: ApprovalEvidence,
    *,
    people_needed: int,
    person: str,
    approved_before: Sequence[str],
    forced: bool,
    rules: Approval | None = None,
    commit_needed: bool = True,
) -> ApprovalDecision:
    """Judge one person's yes.

    The gates must have said PASS, and the code must come from a clean commit. `--force` waives the gates; a tree that
    is not clean only on a laptop (`commit_needed` False, where code that no git looks after passes too); never the
    number of people nor who they are. `approved_before` are the people who said yes on the same evidence. Names are
    compared without regard to case.
    """
    rules = rules or Approval()
    barred = _barred(rules, evidence, person)
    if barred:
        return ApprovalDecision("refused", (), (), (barred,), barred, forcible=False)
    gates, source = _of_gates(evidence), _of_source(evidence, commit_needed)
    if (gates and not forced) or (source and (commit_needed or not forced)):
        return ApprovalDecision("refused", (), (), (*gates, *source), forcible=not (source and commit_needed))
    people = distinct([*(p for p in approved_before if not _barred(rules, evidence, p)), person])
    outcome: Literal["approved", "one-more"] = "approved" if len(people) >= people_needed else "one-more"
    return ApprovalDecision(outcome, people, (*gates, *source), ())


def last_word(records: Iterable[Record], model: str, version: int) -> Record | None:
    """The record that decides whether a version is approved: the last rejection or final approval; None without one."""
    word = None
    for r in records:
        if r.model == model and r.version == version and (r.kind == "rejected" or (r.kind in YES and _final(r))):
            word = r
    return word


def witness(history: Sequence[Record], package_arn: str) -> Record | None:
    """The record that a version's evidence rests on: its last evaluation, or the promotion that brought one along.

    `history` are the records of the version, in order.
    """
    for r in reversed(history):
        if r.kind == "evaluated" or (r.kind == "promoted" and r.data.get("to") == package_arn):
            return r
    return None


def contradiction(evidence: ApprovalEvidence, record: Record | None, evaluation_sha256: str | None) -> str | None:
    """What the registry says that the ledger's `witness` does not; None where they agree.

    A registry can be edited, the ledger cannot. `evaluation_sha256` is that of the stored evaluation as it is now; it
    counts where the record holds one. A killed evaluation also shows so: it writes the ledger last.
    """
    if record is None:
        return f"it says {evidence.verdict}, and the ledger holds no evaluation" if evidence.verdict else None
    told = record.data.get("verdict")
    if evidence.verdict != told:
        own = f"it says {evidence.verdict}" if evidence.verdict else "it knows no verdict"
        return f"{own}, and record {record.seq} of the ledger {told or 'none'}"
    if evidence.evaluation_uri != record.data.get("evaluation_uri"):
        return f"it names {evidence.evaluation_uri}, and record {record.seq} {record.data.get('evaluation_uri')}"
    recorded = record.data.get(EVALUATION)
    if recorded and recorded != evaluation_sha256:
        found = f"hashes to {evaluation_sha256[:12]}" if evaluation_sha256 else "is gone"
        return f"{evidence.evaluation_uri} {found}, and record {record.seq} was made of {str(recorded)[:12]}"
    return None


def distinct(people: Iterable[str]) -> tuple[str, ...]:
    """
    >>> distinct(["ada@x.org", "grace@x.org", "Ada@X.org"])
    ('ada@x.org', 'grace@x.org')
    """
    found: dict[str, str] = {}
    for person in people:
        found.setdefault(person.strip().casefold(), person)
    return tuple(found.values())


def _final(record: Record) -> bool:
    return bool(record.data.get("final"))


def _barred(rules: Approval, evidence: ApprovalEvidence, person: str) -> str | None:
    named = {p.casefold() for p in rules.approvers}
    if named and person.strip().casefold() not in named:
        return f"{person} is not among approval.approvers of model.yaml ({', '.join(rules.approvers)})"
    if rules.not_trainer and evidence.trained_by is None:
        return "who trained it is not recorded, and approval.not_trainer keeps the trainer out"
    if rules.not_trainer and person.strip().casefold() == (evidence.trained_by or "").strip().casefold():
        return f"{person} trained it, and approval.not_trainer keeps the trainer out"
    return None


def _of_gates(evidence: ApprovalEvidence) -> tuple[str, ...]:
    if evidence.verdict is None:
        return ("it was never evaluated",)
    return () if evidence.verdict == "PASS" else (f"its gates said {evidence.verdict}, and only PASS opens them",)


def _of_source(evidence: ApprovalEvidence, commit_needed: bool) -> tuple[str, ...]:
    if evidence.code_dirty == "true":
        return ("its code was changed after the commit it names",)
    return ("no commit is known for its code",) if evidence.code_dirty != "false" and commit_needed else ()

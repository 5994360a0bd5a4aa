"""Whether a version may be approved, by whom, and on what evidence; and what the ledger's last word on it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bedplate.domain.ledger import Kind, Record
from bedplate.settings import Approval

YES: tuple[Kind, ...] = ("approved", "forced")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a version: its gates' verdict, its code's state and its trainer, as its metadata has them."""

    verdict: str | None
    evaluation_uri: str | None
    code_dirty: str
    trained_by: str | None = None

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Evidence:
        return cls(
            metadata.get("verdict"),
            metadata.get("evaluation_uri"),
            metadata.get("code_dirty", "unknown"),
            metadata.get("trained_by"),
        )


@dataclass(frozen=True, slots=True)
class Decision:
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
    evidence: Evidence,
    *,
    people_needed: int,
    person: str,
    approved_before: Sequence[str],
    forced: bool,
    rules: Approval | None = None,
    commit_needed: bool = True,
) -> Decision:
    """Judge one person's yes.

    The gates must have said PASS, and the code must come from a clean commit. `--force` waives the gates; a tree that
    is not clean only on a laptop (`commit_needed` False, where code that no git looks after passes too); never the
    number of people nor who they are. `approved_before` are the people who said yes on the same evidence. Names are
    compared without regard to case.
    """
    rules = rules or Approval()
    barred = _barred(rules, evidence, person)
    if barred:
        return Decision("refused", (), (), (barred,), barred, forcible=False)
    gates, source = _of_gates(evidence), _of_source(evidence, commit_needed)
    if (gates and not forced) or (source and (commit_needed or not forced)):
        return Decision("refused", (), (), (*gates, *source), forcible=not (source and commit_needed))
    people = distinct([*(p for p in approved_before if not _barred(rules, evidence, p)), person])
    outcome: Literal["approved", "one-more"] = "approved" if len(people) >= people_needed else "one-more"
    return Decision(outcome, people, (*gates, *source), ())


def last_word(records: Iterable[Record], model: str, version: int) -> Record | None:
    """The record that decides whether a version is approved: the last rejection or final approval; None without one."""
    word = None
    for r in records:
        if r.model == model and r.version == version and (r.kind == "rejected" or (r.kind in YES and _final(r))):
            word = r
    return word


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


def _barred(rules: Approval, evidence: Evidence, person: str) -> str | None:
    named = {p.casefold() for p in rules.approvers}
    if named and person.strip().casefold() not in named:
        return f"{person} is not among approval.approvers of model.yaml ({', '.join(rules.approvers)})"
    if rules.not_trainer and evidence.trained_by is None:
        return "who trained it is not recorded, and approval.not_trainer keeps the trainer out"
    if rules.not_trainer and person.strip().casefold() == (evidence.trained_by or "").strip().casefold():
        return f"{person} trained it, and approval.not_trainer keeps the trainer out"
    return None


def _of_gates(evidence: Evidence) -> tuple[str, ...]:
    if evidence.verdict is None:
        return ("it was never evaluated",)
    return () if evidence.verdict == "PASS" else (f"its gates said {evidence.verdict}, and only PASS opens them",)


def _of_source(evidence: Evidence, commit_needed: bool) -> tuple[str, ...]:
    if evidence.code_dirty == "true":
        return ("its code was changed after the commit it names",)
    return ("no commit is known for its code",) if evidence.code_dirty != "false" and commit_needed else ()

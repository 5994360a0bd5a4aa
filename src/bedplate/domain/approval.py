"""Whether a version may be approved, by whom, and on what evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

PEOPLE_NEEDED: Mapping[str, int] = {"low": 1, "medium": 1, "high": 2}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a version: its gates' verdict and its code's state, as its package's metadata has them."""

    verdict: str | None
    evaluation_uri: str | None
    code_dirty: str

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Evidence:
        return cls(metadata.get("verdict"), metadata.get("evaluation_uri"), metadata.get("code_dirty", "unknown"))


@dataclass(frozen=True, slots=True)
class Decision:
    """`approved` and `one-more` are recorded; `refused` names what is missing. `waived` is what --force set aside."""

    outcome: Literal["approved", "one-more", "refused"]
    people: tuple[str, ...]
    waived: tuple[str, ...]
    missing: tuple[str, ...]


def decide(
    evidence: Evidence,
    *,
    risk: str,
    person: str,
    approved_before: Sequence[str],
    forced: bool,
    commit_needed: bool = True,
) -> Decision:
    """Judge one person's yes.

    The gates must have said PASS, and the code must come from a clean commit (`commit_needed` False lets code pass that
    no git looks after, as on a laptop). `--force` waives these two, never the second person that high risk needs.
    `approved_before` are the people who said yes on the same evidence.
    """
    missing = _missing(evidence, commit_needed)
    if missing and not forced:
        return Decision("refused", (), (), missing)
    people = tuple(dict.fromkeys([*approved_before, person]))
    enough = len(people) >= PEOPLE_NEEDED[risk]
    return Decision("approved" if enough else "one-more", people, missing, ())


def _missing(evidence: Evidence, commit_needed: bool) -> tuple[str, ...]:
    missing = []
    if evidence.verdict is None:
        missing.append("it was never evaluated")
    elif evidence.verdict != "PASS":
        missing.append(f"its gates said {evidence.verdict}, and only PASS opens them")
    if evidence.code_dirty == "true":
        missing.append("its code was changed after the commit it names")
    elif evidence.code_dirty != "false" and commit_needed:
        missing.append("no commit is known for its code")
    return tuple(missing)

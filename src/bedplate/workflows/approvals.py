"""What the ledger says of a version's approval, held against what the registry says."""

from __future__ import annotations

from collections.abc import Sequence

from bedplate.domain.approval import last_word
from bedplate.domain.ledger import Record
from bedplate.errors import ApprovalNeeded
from bedplate.ports import Package


def must_be_on_record(records: Sequence[Record], model: str, package: Package) -> None:
    """An approval counts when the ledger holds it too: one that a hand wrote into the registry is nobody's.

    Raises ApprovalNeeded.
    """
    word = last_word(records, model, package.version)
    if word is not None and word.kind != "rejected":
        return
    ref = f"{model}:{package.version}"
    known = f"record {word.seq}: {word.summary}" if word else "the ledger holds no approval of it"
    raise ApprovalNeeded(
        f"{ref} is Approved in the registry, and {known}. Somebody changed the registry by hand",
        next_step=f"bedplate approve {ref}",
    )

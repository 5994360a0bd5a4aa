"""What the ledger says of a version's evidence and approval, held against what the registry says."""

from __future__ import annotations

from collections.abc import Sequence

from bedplate.domain.ledger import Record, sha256
from bedplate.domain.versions.approval import EVALUATION, ApprovalEvidence, contradiction, last_word, witness
from bedplate.errors import ApprovalNeeded, NotFound
from bedplate.ports import Objects, Package


def must_be_on_record(records: Sequence[Record], model: str, package: Package, *, flags: str = "") -> None:
    """An approval counts when the ledger holds it too: one that a hand wrote into the registry is nobody's.
    `flags` go with the command that is named as the next one.

    Raises ApprovalNeeded.
    """
    word = last_word(records, model, package.version)
    if word is not None and word.kind != "rejected":
        return
    ref = f"{model}:{package.version}"
    known = f"record {word.seq}: {word.summary}" if word else "the ledger holds no approval of it"
    raise ApprovalNeeded(
        f"{ref} is Approved in the registry, and {known}. Somebody changed the registry by hand",
        next_step=f"bedplate approve {ref}{flags}",
    )


def must_be_evidence(
    records: Sequence[Record], model: str, package: Package, objects: Objects, *, flags: str = ""
) -> None:
    """The verdict counts that the ledger holds: one that a hand wrote into the registry, or an evaluation whose file
    was changed since, proves nothing. `flags` as above.

    Raises ApprovalNeeded.
    """
    evidence = ApprovalEvidence.of(package.metadata)
    history = [r for r in records if r.model == model and r.version == package.version]
    held = witness(history, package.arn)
    recorded = (
        held.data.get(EVALUATION) if held and held.data.get("evaluation_uri") == evidence.evaluation_uri else None
    )
    found = _sha256_of(objects, evidence.evaluation_uri) if recorded and evidence.evaluation_uri else None
    told = contradiction(evidence, held, found)
    if told is None:
        return
    ref = f"{model}:{package.version}"
    again = " --again" if found != recorded else ""
    raise ApprovalNeeded(
        f"What the registry says of {ref} is no evidence: {told}. It was changed by hand, or an evaluation was killed",
        next_step=f"bedplate evaluate {ref}{again}{flags}",
    )


def _sha256_of(objects: Objects, uri: str) -> str | None:
    try:
        return sha256(objects.get(uri))
    except NotFound:
        return None

"""Checks that the registry's evidence and approval of a version match the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from bedplate.domain.ledger import Record, sha256
from bedplate.domain.versions import approval
from bedplate.errors import ApprovalNeeded, NotFound
from bedplate.ports import Objects, Package


def require_recorded_approval(records: Sequence[Record], model: str, package: Package, *, flags: str = "") -> None:
    """Raises ApprovalNeeded unless the ledger also holds the approval; one written into the registry by hand does not
    count.

    `flags` are appended to the command that the error suggests.
    """
    decision = approval.find_decision(records, model, package.version)
    if decision is not None and decision.kind != "rejected":
        return
    ref = f"{model}:{package.version}"
    detail = f"record {decision.seq}: {decision.summary}" if decision else "the ledger holds no approval of it"
    raise ApprovalNeeded(
        f"{ref} is Approved in the registry, but {detail}. The registry was changed by hand",
        next_step=f"bedplate approve {ref}{flags}",
    )


def require_recorded_evidence(
    records: Sequence[Record], model: str, package: Package, objects: Objects, *, flags: str = ""
) -> None:
    """Raises ApprovalNeeded unless the ledger also holds the verdict and the hash of the evaluation's file.

    A verdict written into the registry by hand, or an evaluation whose file was changed, proves nothing. `flags` are
    appended to the command that the error suggests.
    """
    evidence = approval.ApprovalEvidence.from_metadata(package.metadata)
    uri = evidence.evaluation_uri
    evidence_record = approval.find_evidence_record(
        approval.list_version_records(records, model, package.version), package.arn
    )
    data = evidence_record.data if evidence_record else {}
    recorded = data.get(approval.EVALUATION_SHA256) if data.get("evaluation_uri") == uri else None
    actual = _hash_object(objects, uri) if recorded and uri else None
    contradiction = approval.find_contradiction(evidence, evidence_record, actual)
    if contradiction is None:
        return
    ref = f"{model}:{package.version}"
    rerun = " --again" if actual != recorded else ""
    raise ApprovalNeeded(
        f"The registry's entry of {ref} is not valid evidence: {contradiction}. "
        "It was changed by hand, or an evaluation was killed",
        next_step=f"bedplate evaluate {ref}{rerun}{flags}",
    )


def _hash_object(objects: Objects, uri: str) -> str | None:
    try:
        return sha256(objects.get(uri))
    except NotFound:
        return None

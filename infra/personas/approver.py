"""The approver: reads the evidence, and approves or rejects a model version; the ledger records the decision."""

from __future__ import annotations

from iam import Scope, Statement, allow
from personas.shared import append_ledger, encrypt, read_objects, read_platform


def statements(scope: Scope) -> list[Statement]:
    return [
        *read_objects(scope, "artifacts"),
        encrypt(scope),
        *append_ledger(scope),
        *read_platform(scope),
        allow("Approve", "sagemaker:UpdateModelPackage", scope.sagemaker("model-package")),
    ]

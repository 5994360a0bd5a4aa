"""The personas of an environment: one IAM role each, whose statements are in the module of the persona's name.

No statement has both a wildcard action and a wildcard resource. Resource "*" is used only for actions that AWS cannot
restrict to a resource, and a comment beside it says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from iam import Scope, Statement
from personas import approver, auditor, data_scientist, finance, platform_engineer, reconciler


@dataclass(frozen=True)
class Persona:
    purpose: str
    """Description of the persona's role."""
    statements: Callable[[Scope], list[Statement]]


PERSONAS = {
    "platform-engineer": Persona(
        "Creates and updates the environment; cannot delete from the ledger", platform_engineer.statements
    ),
    "data-scientist": Persona(
        "Trains, evaluates, deploys, monitors and rolls back; cannot approve", data_scientist.statements
    ),
    "approver": Persona(
        "Reads the evidence, and approves or rejects model versions; cannot train or deploy", approver.statements
    ),
    "finance": Persona("Reads spend and budgets", finance.statements),
    "auditor": Persona("Reads everything, changes nothing", auditor.statements),
    "reconciler": Persona("Retrains, deploys and rolls back without a person; cannot approve", reconciler.statements),
}

"""Finance: reads spend and budgets, no data and no models."""

from __future__ import annotations

from iam import Scope, Statement
from personas.shared import read_outputs, read_spend


def statements(scope: Scope) -> list[Statement]:
    return [read_outputs(scope), *read_spend(scope)]

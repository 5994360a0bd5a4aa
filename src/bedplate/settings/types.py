"""The types that every file's keys are made of: strict about unknown keys, unchanging once read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$", description="lower-case letters, digits, dashes")
]
Pct = Annotated[float, Field(ge=0, le=100)]
Usd = Annotated[float, Field(gt=0)]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", description="an e-mail address")]


class StrictModel(BaseModel):
    """Base of everything that is read from a file: unknown keys are errors, values do not change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ConflictingValues(ValueError):
    """Values that are right each and do not go together: every such finding of one validator at once.

    A finding is a sentence and the keys that it follows from, relative to the type being validated, dotted; the first
    is where the reader is sent.
    """

    def __init__(self, clashes: Sequence[tuple[str, ...]]) -> None:
        super().__init__("; ".join(message for message, *_ in clashes))
        self.clashes = tuple(clashes)


def refuse(clashes: Sequence[tuple[str, ...]]) -> None:
    """Raise `ConflictingValues` when there are any."""
    if clashes:
        raise ConflictingValues(clashes)

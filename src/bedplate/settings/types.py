"""Base types of all settings: a strict, immutable model, and the constrained values that several sections share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bedplate import __version__

FORMAT = 1
"""The version of the formats of model.yaml and of the stack file that this Bedplate reads."""


def _check_format(value: int) -> int:
    if value != FORMAT:
        raise ValueError(f"found format {value}, but Bedplate {__version__} reads format {FORMAT}")
    return value


Format = Annotated[int, AfterValidator(_check_format)]
Name = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$", description="lower-case letters, digits, dashes")
]
AccountId = Annotated[str, Field(pattern=r"^\d{12}$", description="an AWS account id, 12 digits in quotes")]
Days = Annotated[int, Field(ge=1)]
Pct = Annotated[float, Field(ge=0, le=100)]
Usd = Annotated[float, Field(gt=0)]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", description="an e-mail address")]
Conflict = tuple[str, ...]
"""A sentence, then the dotted keys whose values contradict each other; errors point to the first key."""


class StrictModel(BaseModel):
    """Base of every type that is read from a file: unknown keys are errors, and values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ConflictingValues(ValueError):
    """Raised by a validator when valid values contradict each other; carries all conflicts of that validator.

    The keys of a conflict are relative to the type that is validated.
    """

    def __init__(self, errors: Sequence[Conflict]) -> None:
        super().__init__("; ".join(message for message, *_ in errors))
        self.errors = tuple(errors)


def raise_if_any(errors: Sequence[Conflict]) -> None:
    """Raises `ConflictingValues` when `errors` is not empty."""
    if errors:
        raise ConflictingValues(errors)

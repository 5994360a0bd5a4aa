"""JSON documents that Bedplate stores: the `format` key that each one carries, and floats that JSON cannot hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator

from bedplate.errors import UnsupportedFormat

FORMAT = 1
"""Value of the key `format` of every document that this version writes and reads."""
JsonFloat = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""A float that JSON writes as null where it is NaN or infinite; null is read as NaN."""


def check_format(document: object, name: str, *, next_step: str | None = None) -> None:
    """Raises UnsupportedFormat unless `document` is a mapping with `format: 1`; `name` is the document's file name.

    >>> check_format({"format": 1}, "drift.json")
    """
    written = document.get("format") if isinstance(document, Mapping) else None
    if written != FORMAT:
        problem = "has no format number" if written is None else f"has format {written}"
        raise UnsupportedFormat(
            f"{name} {problem}; this version of Bedplate reads format {FORMAT}", next_step=next_step
        )


def finite_or_none(value: float) -> float | None:
    """Returns the value as JSON can hold it: None for NaN and infinity."""
    return float(value) if math.isfinite(value) else None

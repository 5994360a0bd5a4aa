"""`data:` of model.yaml, the data contract: columns with their types, roles, bounds and purposes, and retention."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from bedplate.settings.types import Conflict, Pct, StrictModel, raise_if_any

Purpose = Literal["training", "inference", "monitoring", "debugging"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
Share = Annotated[float, Field(gt=0, le=1)]
_REQUIRED_PURPOSES: dict[str, tuple[Purpose, ...]] = {
    "feature": ("training", "inference"),
    "segment": ("training", "inference"),
    "label": ("training", "monitoring"),
    "key": ("training", "inference", "monitoring"),
    "time": ("training", "inference", "monitoring"),
    "context": (),
}
"""By role, the purposes that a column must allow: a column that must not be trained on cannot be a feature."""


class Column(StrictModel):
    """One column of the data contract."""

    type: Literal["number", "integer", "string", "boolean", "timestamp"]
    role: Literal["feature", "label", "key", "time", "segment", "context"] = "feature"
    """A `context` column is validated but is not a feature, for example a name for support or a note for debugging."""
    nullable: bool = False
    max_null_pct: Pct | None = None
    """Largest allowed share of nulls, in percent of the rows; for nullable columns only."""
    min: float | None = None
    max: float | None = None
    categories: tuple[str, ...] | None = None
    max_category_shift: Share | None = None
    """Overrides the contract's `max_category_shift` for this column."""
    purposes: tuple[Purpose, ...] = PURPOSES
    """Allowed uses. For any other use the column is rejected or dropped, see `excluded_from_requests`."""
    privacy: Literal["public", "internal", "personal", "sensitive"] = "internal"
    available_at_prediction: bool = True
    """Whether the value is available when the prediction is made; a feature that is not leaks the label."""
    description: str = ""

    @model_validator(mode="after")
    def bounds_fit_the_type(self) -> Column:
        if self.type not in ("number", "integer") and (self.min is not None or self.max is not None):
            raise ValueError(f"min and max are for numbers, this column is a {self.type}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        if self.categories is not None and self.type != "string":
            raise ValueError(f"categories are for strings, this column is a {self.type}")
        if self.max_category_shift is not None and self.type not in ("string", "boolean"):
            raise ValueError(f"max_category_shift is for strings and booleans, this column is a {self.type}")
        if self.max_null_pct is not None and not self.nullable:
            raise ValueError("max_null_pct is for nullable columns; other columns allow no null at all")
        return self

    @model_validator(mode="after")
    def purposes_fit_the_role(self) -> Column:
        missing = [purpose for purpose in _REQUIRED_PURPOSES[self.role] if purpose not in self.purposes]
        if missing:
            raise ValueError(
                f"a column with role {self.role!r} is used for {' and '.join(missing)}, which its purposes do not "
                "allow; give it role 'context', or allow it"
            )
        return self


class Datasheet(StrictModel):
    """Origin and terms of use of the data; stored with every registered version."""

    origin: str = ""
    """Who observed or produced the data."""
    collection: str = ""
    """How and when the data was collected, and what was left out."""
    licence: str = ""
    consent: str = ""
    """The legal basis for personal data, or why no consent is needed."""
    contact: str = ""


class DataContract(StrictModel):
    """The schema of a row in training data, in requests (features, keys and time) and in captured requests."""

    columns: dict[str, Column]
    retention_days: int = Field(default=365, ge=1)
    unique: tuple[tuple[str, ...], ...] = ()
    """Further sets of columns whose combined values are unique; those of the key columns always are."""
    freshness_days: float | None = Field(default=None, gt=0)
    """Largest age of the newest row by the time column, in days, when a data version is registered."""
    max_category_shift: Share = 0.2
    """Largest difference between a category's share and its share in the last accepted data version (0 to 1)."""
    excluded_from_requests: Literal["reject", "drop"] = "reject"
    """Whether a column that its purposes do not allow is rejected or dropped, in requests and in training data."""
    request_checks: Literal["all", "types"] = "all"
    """The rules that reject a request: all, or only presence, type and null (the others are counted)."""
    datasheet: Datasheet = Datasheet()

    def columns_in(self, names: Collection[str]) -> dict[str, Column]:
        """Returns the contract's columns that are among `names`, in the contract's order."""
        return {name: column for name, column in self.columns.items() if name in names}

    def excluded_columns(self, purpose: Purpose) -> tuple[str, ...]:
        """Returns the columns whose purposes do not include `purpose`."""
        return tuple(name for name, c in self.columns.items() if purpose not in c.purposes)

    @property
    def monitored_features(self) -> tuple[str, ...]:
        """Features whose purposes allow monitoring and that have a profile (all types but timestamp)."""
        return tuple(
            n for n in self.features if self.columns[n].type != "timestamp" and "monitoring" in self.columns[n].purposes
        )

    @property
    def privacy_class(self) -> str:
        """The strictest privacy class of all columns."""
        classes = ("public", "internal", "personal", "sensitive")
        return max((c.privacy for c in self.columns.values()), key=classes.index)

    def columns_with_role(self, *roles: str) -> tuple[str, ...]:
        return tuple(name for name, c in self.columns.items() if c.role in roles)

    @property
    def features(self) -> tuple[str, ...]:
        return self.columns_with_role("feature", "segment")

    @property
    def label(self) -> str:
        return self.columns_with_role("label")[0]

    @property
    def keys(self) -> tuple[str, ...]:
        return self.columns_with_role("key")

    @property
    def time(self) -> str | None:
        return next(iter(self.columns_with_role("time")), None)

    @property
    def segments(self) -> tuple[str, ...]:
        """Columns that segment gates group by; a segment column is also a feature."""
        return self.columns_with_role("segment")

    @model_validator(mode="after")
    def roles_are_complete(self) -> DataContract:
        errors: list[Conflict] = []
        for role, low, high in (("label", 1, 1), ("key", 1, 5), ("time", 0, 1)):
            count = len(self.columns_with_role(role))
            if not low <= count <= high:
                errors.append((f"expected {low} to {high} columns with role {role!r}, found {count}", "columns"))
        if not self.features:
            errors.append(("expected at least one column with role 'feature' or 'segment'", "columns"))
        for i, names in enumerate(self.unique):
            unknown = [name for name in names if name not in self.columns]
            if unknown or not names:
                errors.append((f"expected names of columns, found {', '.join(unknown) or 'none'}", f"unique.{i}"))
        raise_if_any(errors)
        return self

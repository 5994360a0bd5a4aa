"""`data:` of model.yaml: what a row looks like, wherever it turns up."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from bedplate.settings.types import Pct, StrictModel, refuse

Purpose = Literal["training", "inference", "monitoring", "debugging"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
Share = Annotated[float, Field(gt=0, le=1)]
_NEEDED: dict[str, tuple[Purpose, ...]] = {
    "feature": ("training", "inference"),
    "segment": ("training", "inference"),
    "label": ("training", "monitoring"),
    "key": ("training", "inference", "monitoring"),
    "time": ("training", "inference", "monitoring"),
    "context": (),
}
"""What a role cannot do without: a feature that must not be trained on is none."""


class Column(StrictModel):
    """One column of the data contract."""

    type: Literal["number", "integer", "string", "boolean", "timestamp"]
    role: Literal["feature", "label", "key", "time", "segment", "context"] = "feature"
    """`context` is known and checked, and no feature: a name for support, a note for debugging."""
    nullable: bool = False
    max_null_pct: Pct | None = None
    """More nulls than this share of the rows, in percent, break the contract; for nullable columns."""
    min: float | None = None
    max: float | None = None
    categories: tuple[str, ...] | None = None
    max_category_shift: Share | None = None
    """Instead of the contract's, for this column."""
    purposes: tuple[Purpose, ...] = PURPOSES
    """What the column may be used for; any other use is refused (or the column dropped, see `forbidden`)."""
    privacy: Literal["public", "internal", "personal", "sensitive"] = "internal"
    known: Literal["before", "after"] = "before"
    """Whether the value is known before the moment that a row is about; a feature that is not is a leak."""
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
            raise ValueError("max_null_pct is for nullable columns; without nullable no null is allowed at all")
        return self

    @model_validator(mode="after")
    def purposes_fit_the_role(self) -> Column:
        lacking = [purpose for purpose in _NEEDED[self.role] if purpose not in self.purposes]
        if lacking:
            raise ValueError(
                f"a column with role {self.role!r} is used for {' and '.join(lacking)}, which its purposes do not "
                "allow; give it role 'context', or allow it"
            )
        return self


class Datasheet(StrictModel):
    """Where the data comes from and what may be done with it: kept with every registered version."""

    origin: str = ""
    """Who observed or made the data."""
    collection: str = ""
    """How, when, and what was left out."""
    licence: str = ""
    consent: str = ""
    """On what basis data of persons is used; or why nobody's consent is needed."""
    contact: str = ""


class DataContract(StrictModel):
    """What a row looks like: in training data, in a request (features, keys and time), and in the capture."""

    columns: dict[str, Column]
    retention_days: int = Field(default=365, ge=1)
    unique: tuple[tuple[str, ...], ...] = ()
    """Further sets of columns that are unique together; the key columns always are."""
    freshness_days: float | None = Field(default=None, gt=0)
    """Largest age of the newest row, by the time column, when a version is registered."""
    max_category_shift: Share = 0.2
    """How far the share of one category may be from its share in the last accepted version (0.2: 20 points)."""
    forbidden: Literal["refuse", "drop"] = "refuse"
    """What happens to a column that turns up where its purposes do not allow it."""
    requests: Literal["all", "types"] = "all"
    """What a request is held to: everything, or presence, type and null alone (ranges and categories are counted)."""
    datasheet: Datasheet = Datasheet()

    def columns_in(self, names: Collection[str]) -> dict[str, Column]:
        """The contract's columns that are among these names, in the contract's order."""
        return {name: column for name, column in self.columns.items() if name in names}

    def forbidden_for(self, purpose: Purpose) -> tuple[str, ...]:
        """Columns that must not be used for this."""
        return tuple(name for name, c in self.columns.items() if purpose not in c.purposes)

    @property
    def watched(self) -> tuple[str, ...]:
        """Features that may be monitored and that a profile can be made of."""
        return tuple(
            n for n in self.features if self.columns[n].type != "timestamp" and "monitoring" in self.columns[n].purposes
        )

    @property
    def privacy_class(self) -> str:
        """The strictest class of any column."""
        classes = ("public", "internal", "personal", "sensitive")
        return max((c.privacy for c in self.columns.values()), key=classes.index)

    def names(self, *roles: str) -> tuple[str, ...]:
        return tuple(name for name, c in self.columns.items() if c.role in roles)

    @property
    def features(self) -> tuple[str, ...]:
        return self.names("feature", "segment")

    @property
    def label(self) -> str:
        return self.names("label")[0]

    @property
    def keys(self) -> tuple[str, ...]:
        return self.names("key")

    @property
    def time(self) -> str | None:
        return next(iter(self.names("time")), None)

    @property
    def segments(self) -> tuple[str, ...]:
        """Columns whose values the gates look at one by one; a segment column is also a feature."""
        return self.names("segment")

    @model_validator(mode="after")
    def roles_are_complete(self) -> DataContract:
        clashes: list[tuple[str, ...]] = []
        for role, low, high in (("label", 1, 1), ("key", 1, 5), ("time", 0, 1)):
            count = len(self.names(role))
            if not low <= count <= high:
                clashes.append((f"{low} to {high} columns with role {role!r} expected, found {count}", "columns"))
        if not self.features:
            clashes.append(("at least one column with role 'feature' or 'segment' expected", "columns"))
        for at, names in enumerate(self.unique):
            unknown = [name for name in names if name not in self.columns]
            if unknown or not names:
                clashes.append((f"names of columns expected, found {', '.join(unknown) or 'none'}", f"unique.{at}"))
        refuse(clashes)
        return self

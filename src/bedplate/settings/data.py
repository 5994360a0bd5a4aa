"""`data:` of model.yaml: what a row looks like, wherever it turns up."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bedplate.settings.types import Edge, refuse


class Column(Edge):
    """One column of the data contract."""

    type: Literal["number", "integer", "string", "boolean", "timestamp"]
    role: Literal["feature", "label", "key", "time", "segment"] = "feature"
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    categories: tuple[str, ...] | None = None
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
        return self


class DataContract(Edge):
    """What a row looks like: in training data, in a request (features, keys and time), and in the capture."""

    columns: dict[str, Column]
    retention_days: int = Field(default=365, ge=1)

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
        refuse(clashes)
        return self

"""Finds when a version or a model is retired, from the ledger or model.yaml, and the reasons against it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from bedplate.domain.ledger import Record

WARN_DAYS = 30
"""`status` warns of a retirement this many days before its date."""
QUIET_DAYS = 7
"""Retiring today requires that no predictions were made for this many days."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """A version or model that is retired from the date `on` (inclusive). `declared_by` is the ledger record's actor, or
    `model.yaml`."""

    target: str
    on: date
    reason: str
    declared_by: str

    def is_due(self, today: date) -> bool:
        """Returns whether the date has come."""
        return self.on <= today

    def describe(self, today: date) -> str:
        """Returns the retirement as a sentence without a full stop.

        >>> Retirement("churn:3", date(2030, 1, 31), "old", "ada").describe(date(2030, 1, 30))
        'churn:3 retires in 1 day, on 2030-01-31: old (ada)'
        """
        days = (self.on - today).days
        when = f"retires in {days} day{'' if days == 1 else 's'}, on" if days > 0 else "has been retired since"
        return f"{self.target} {when} {self.on}: {self.reason} ({self.declared_by})"


def find_retirement(
    records: Iterable[Record], model: str, version: int, contract_date: str | None = None
) -> Retirement | None:
    """Returns the earliest retirement of a version: its own, its model's, or model.yaml's `retire_on`; None without
    one.

    The last record of the version and the last record of the model count; a cancellation removes its retirement.
    """
    active: dict[int | None, Retirement] = {}
    for record in records:
        if record.kind != "retired" or record.model != model or record.version not in (None, version):
            continue
        active.pop(record.version, None)
        if record.data.get("retire_on"):
            target = model if record.version is None else f"{model}:{version}"
            retire_date = date.fromisoformat(str(record.data["retire_on"]))
            active[record.version] = Retirement(target, retire_date, str(record.data.get("reason") or ""), record.actor)
    retirements = list(active.values())
    if contract_date:
        retirements.append(Retirement(model, date.fromisoformat(contract_date), "retire_on", "model.yaml"))
    return min(retirements, key=lambda retirement: retirement.on, default=None)


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """The current use of a version or model. `predictions` counts those of the last `QUIET_DAYS` days."""

    roles: Sequence[str]
    predictions: float


def retirement_warnings(usage: UsageSummary) -> tuple[str, ...]:
    """Returns the reasons not to retire it today; empty if it is unused.

    >>> [retirement_warnings(UsageSummary(live, n)) for live, n in ((["live on churn"], 0), ([], 12), ([], 0))]
    [('it is live on churn',), ('it made 12 predictions in the last 7 days',), ()]
    """
    warnings = [f"it is {role}" for role in usage.roles]
    if usage.predictions:
        warnings.append(f"it made {usage.predictions:,.0f} predictions in the last {QUIET_DAYS} days")
    return tuple(warnings)

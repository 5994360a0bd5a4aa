"""When a version, or a whole model, is retired, by the ledger's records or model.yaml's date; and whether it may be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from bedplate.domain.ledger import Record

WARN_DAYS = 30
"""How long before its date `status` speaks of a retirement."""
QUIET_DAYS = 7
"""For how long nobody may have asked what is retired today."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """What is retired from a day on (that day included), and who says so: a record of the ledger, or model.yaml."""

    what: str
    on: date
    reason: str
    said_by: str

    def due(self, today: date) -> bool:
        return self.on <= today

    def spoken(self, today: date) -> str:
        """
        >>> Retirement("churn:3", date(2030, 1, 31), "old", "ada").spoken(date(2030, 1, 30))
        'churn:3 retires in 1 day, on 2030-01-31: old (ada)'
        """
        days = (self.on - today).days
        when = f"retires in {days} day{'' if days == 1 else 's'}, on" if days > 0 else "is retired since"
        return f"{self.what} {when} {self.on}: {self.reason} ({self.said_by})"


def retirement_of(
    records: Iterable[Record], model: str, version: int, contract_date: str | None = None
) -> Retirement | None:
    """The earliest date that stands for a version: its own, its model's, or that of model.yaml's `retire_on`.

    Of each the last record counts, and one that takes it back leaves none.
    """
    standing: dict[int | None, Retirement] = {}
    for r in records:
        if r.kind != "retired" or r.model != model or r.version not in (None, version):
            continue
        standing.pop(r.version, None)
        if r.data.get("on"):
            what = model if r.version is None else f"{model}:{version}"
            on = date.fromisoformat(str(r.data["on"]))
            standing[r.version] = Retirement(what, on, str(r.data.get("reason") or ""), r.actor)
    found = list(standing.values())
    if contract_date:
        found.append(Retirement(model, date.fromisoformat(contract_date), "retire_on", "model.yaml"))
    return min(found, key=lambda r: r.on, default=None)


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """How what is to be retired is used now. `answers` were given in the last `QUIET_DAYS` days."""

    roles: Sequence[str]
    answers: float


def objections(use: UsageSummary) -> tuple[str, ...]:
    """Why it should not be retired today; empty when nobody would miss it.

    >>> [objections(UsageSummary(live, n)) for live, n in ((["live on churn"], 0), ([], 12), ([], 0))]
    [('it is live on churn',), ('it gave 12 answers in the last 7 days',), ()]
    """
    found = [f"it is {role}" for role in use.roles]
    if use.answers:
        found.append(f"it gave {use.answers:,.0f} answers in the last {QUIET_DAYS} days")
    return tuple(found)

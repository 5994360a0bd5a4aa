"""Records what usage costs at list price, by resource and hour."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bedplate.domain.money.prices import run_usd, storage_usd
from bedplate.local.hooks import Usage
from bedplate.local.storage.database import Database

_HOUR_S = 3600
_CODES = {"training": "Train", "processing": "Processing", "endpoint": "Host"}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS charges (
    hour INTEGER, resource_arn TEXT, usage_type TEXT, instance_type TEXT, tags TEXT,
    seconds REAL NOT NULL, quantity REAL NOT NULL, usd REAL NOT NULL, unpriced_s REAL NOT NULL,
    PRIMARY KEY (hour, resource_arn, usage_type, instance_type, tags)
);
"""


@dataclass(frozen=True, slots=True)
class Charge:
    """One resource's usage in one hour, which is in epoch seconds.

    `quantity` is in instance hours, for storage in gigabyte-months. `unpriced_s` are the instance seconds of a type
    whose price is unknown; they are charged as $0.
    """

    hour: int
    resource_arn: str
    usage_type: str
    instance_type: str
    seconds: float
    quantity: float
    usd: float
    unpriced_s: float = 0.0
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def service(self) -> str:
        return "Amazon Simple Storage Service" if self.usage_type == "storage" else "Amazon SageMaker"

    @property
    def billing_code(self) -> str:
        """The usage type as on an AWS bill.

        >>> Charge(0, "arn", "training", "ml.m5.large", 1, 1, 1).billing_code
        'USE1-Train:ml.m5.large'
        """
        if self.usage_type == "storage":
            return "TimedStorage-ByteHrs"
        if self.instance_type.startswith("serverless."):
            return f"USE1-ServerlessInf:Mem-{self.instance_type.removeprefix('serverless.')}MB"
        return f"USE1-{_CODES[self.usage_type]}:{self.instance_type}"


class Charges:
    def __init__(self, path: Path) -> None:
        self._db = Database(path, _SCHEMA)
        self.commit, self.close = self._db.commit, self._db.close

    def add(self, usage: Usage, time: float) -> Charge:
        """Adds the price of the usage to the hour of `time` (epoch seconds); returns the added charge."""
        charge = price_usage(usage, time)
        tags = json.dumps(dict(sorted(charge.tags.items())))
        self._db.write(
            "INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " seconds = seconds + excluded.seconds, quantity = quantity + excluded.quantity,"
            " usd = usd + excluded.usd, unpriced_s = unpriced_s + excluded.unpriced_s",
            (charge.hour, charge.resource_arn, charge.usage_type, charge.instance_type, tags,
             charge.seconds, charge.quantity, charge.usd, charge.unpriced_s),
        )  # fmt: skip
        return charge

    def list_charges(self, start: float, end: float) -> list[Charge]:
        """Returns the charges from the hour of `start` until before `end`, oldest first."""
        rows = self._db.rows(
            "SELECT hour, resource_arn, usage_type, instance_type, seconds, quantity, usd, unpriced_s, tags"
            " FROM charges WHERE hour >= ? AND hour < ? ORDER BY hour",
            (start - start % _HOUR_S, end),
        )
        return [
            Charge(hour, arn, usage, instance, seconds, quantity, usd, unpriced, json.loads(tags))
            for hour, arn, usage, instance, seconds, quantity, usd, unpriced, tags in rows
        ]


def price_usage(usage: Usage, time: float) -> Charge:
    """Returns the charge for usage at list price, in the hour of `time` (epoch seconds).

    >>> price_usage(Usage("arn:x", "training", 0.0, "ml.m5.large", seconds=3600), time=7200).usd
    0.115
    >>> price_usage(Usage("arn:x", "training", 0.0, "ml.unheard.of", seconds=3600), time=0).unpriced_s
    3600.0
    """
    hour = int(time - time % _HOUR_S)
    if usage.usage_type == "storage":
        usd = storage_usd(usage.gb_month)
        return Charge(hour, usage.resource_arn, "storage", "", usage.seconds, usage.gb_month, usd, tags=usage.tags)
    instance_s = float(usage.seconds * usage.count)
    price = run_usd(usage.instance_type, usage.usage_type, seconds=usage.seconds, count=usage.count)
    return Charge(
        hour,
        usage.resource_arn,
        usage.usage_type,
        usage.instance_type,
        float(usage.seconds),
        instance_s / _HOUR_S,
        price or 0.0,
        unpriced_s=0.0 if price is not None else instance_s,
        tags=usage.tags,
    )

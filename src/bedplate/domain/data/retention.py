"""Determines how many days a model's data is kept: by its contract and by the privacy classes of its columns."""

from __future__ import annotations

from collections.abc import Mapping

from bedplate.settings import DataContract


def retention_days(contract: DataContract, max_days: Mapping[str, int | None]) -> int:
    """Returns the contract's days, or fewer when `max_days` (privacy class -> days, None: no limit) limits a column.

    >>> from bedplate.settings import Column
    >>> columns = {
    ...     "id": Column(type="string", role="key"), "late": Column(type="integer", role="label"),
    ...     "age": Column(type="integer", privacy="personal"),
    ... }
    >>> contract = DataContract(columns=columns, retention_days=365)
    >>> retention_days(contract, {"personal": 30, "sensitive": 7}), retention_days(contract, {})
    (30, 365)
    """
    classes = {column.privacy for column in contract.columns.values()}
    limits = [days for privacy_class, days in max_days.items() if privacy_class in classes and days is not None]
    return min([contract.retention_days, *limits])

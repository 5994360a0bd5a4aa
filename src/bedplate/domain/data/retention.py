"""How long a model's data may stay: what its contract says, and what the privacy class of its columns allows."""

from __future__ import annotations

from collections.abc import Mapping

from bedplate.settings import DataContract


def contract_days(contract: DataContract, most_days: Mapping[str, int | None]) -> int:
    """The contract's days, or fewer where a column is of a class that `most_days` limits (None: no limit).

    >>> from bedplate.settings import Column
    >>> columns = {
    ...     "id": Column(type="string", role="key"), "late": Column(type="integer", role="label"),
    ...     "age": Column(type="integer", privacy="personal"),
    ... }
    >>> contract = DataContract(columns=columns, retention_days=365)
    >>> contract_days(contract, {"personal": 30, "sensitive": 7}), contract_days(contract, {})
    (30, 365)
    """
    classes = {column.privacy for column in contract.columns.values()}
    limits = [days for of, days in most_days.items() if of in classes and days is not None]
    return min([contract.retention_days, *limits])

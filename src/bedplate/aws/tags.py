"""Converts tags to the form of AWS's requests."""

from __future__ import annotations

from collections.abc import Mapping


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Returns tags as the list of Key and Value that AWS's requests take.

    >>> tag_list({"Model": "churn"})
    [{'Key': 'Model', 'Value': 'churn'}]
    """
    return [{"Key": key, "Value": value} for key, value in tags.items()]

"""`network:` of the stack file: which values are accepted."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bedplate.settings import Network


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cidr": "8.8.0.0/16"}, "private IPv4 block"),
        ({"cidr": "10.0.0.0/8"}, "from /16 to /24"),
        ({"subnet_ids": ["subnet-1", "subnet-2"]}, "go together"),
        ({"subnet_ids": ["subnet-1"], "security_group_ids": ["sg-1"]}, "needs at least two"),
        ({"availability_zones": ["us-east-1a"]}, "needs at least two"),
    ],
)
def test_a_network_that_cannot_work_is_rejected_with_the_reason(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Network(**values)

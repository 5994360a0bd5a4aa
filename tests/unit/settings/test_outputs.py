"""PlatformOutputs: the role that a model's jobs run as."""

from __future__ import annotations

import pytest

from bedplate.errors import NotFound
from builders import outputs


def test_a_model_has_a_role_of_its_own() -> None:
    platform = outputs(execution_role_prefix="arn:aws:iam::1:role/shop-prod.")
    assert platform.execution_role("churn") == "arn:aws:iam::1:role/shop-prod.churn"


def test_a_model_that_is_not_on_the_platform_has_none() -> None:
    with pytest.raises(NotFound, match="prices"):
        outputs(execution_role_prefix="arn:").execution_role("prices")

"""Finds the owner of an access key: an IAM user, or a session of an assumed role."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_ACCESS_KEY_ID = re.compile(r"^A[KS]IA[A-Z0-9]{16}$")
"""AKIA begins the access key ids of IAM users, ASIA those of temporary credentials from STS."""


def find_identity(platform: LocalPlatform, access_key: str) -> dict[str, Any] | None:
    """Returns CloudTrail's `userIdentity` of an access key that IAM or STS issued; None for any other key."""
    if not _ACCESS_KEY_ID.match(access_key):
        return None
    with platform.lock:
        for user in platform.backend("iam", "aws").users.values():
            if any(key.access_key_id == access_key for key in user.access_keys):
                return {"type": "IAMUser", "principalId": user.id, "arn": user.arn, "userName": user.name}
        from moto.sts.models import sts_backends

        role = sts_backends[platform.account_id]["aws"].get_assumed_role_from_access_key(access_key)
    if role is None:
        return None
    return {"type": "AssumedRole", "principalId": role.user_id, "arn": role.arn}
